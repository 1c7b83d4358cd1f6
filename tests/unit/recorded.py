"""The recorded states, for tests that need no kernel: what kube-proxy wrote, and our own rules."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from nodeport_rules.cli.compilation import Compilation
from nodeport_rules.cli.flags import CompileFlags
from nodeport_rules.cli.resolve import load_compilation
from nodeport_rules.model.family import Family
from nodeport_rules.ruleset.meaning import ActUnknown, MatchUnknown, RulesMeaning
from nodeport_rules.ruleset.ruleset import Ruleset

RECORDINGS = Path(__file__).parent.parent / "conformance" / "recordings"
STATES = sorted(folder.name for folder in RECORDINGS.iterdir() if folder.is_dir())
STATES_IN_BOTH_MODES = [
    state for state in STATES if (RECORDINGS / state / "config.nftables.yaml").exists()
]
FAMILY_WORDS = {Family.IPV4: "ip", Family.IPV6: "ip6"}


def iptables_dump(state: str, family: Family) -> str:
    """What iptables-save printed of kube-proxy's iptables mode."""
    name = "iptables.save" if family is Family.IPV4 else "ip6tables.save"
    return (RECORDINGS / state / name).read_text()


def nftables_listing(state: str, family: Family) -> str:
    """What nft listed of kube-proxy's nftables mode."""
    return (RECORDINGS / state / f"nftables.{FAMILY_WORDS[family]}.nft").read_text()


def compiled(state: str, family: Family, backend: str) -> Ruleset:
    """Our own rules for the state's objects; `backend` is `iptables` or `nftables`."""
    compilation = _compilation(state, backend)
    return compilation.rules(compilation.choose_node(), family).ruleset


@cache
def _compilation(state: str, backend: str) -> Compilation:
    folder = RECORDINGS / state
    config = folder / f"config.{backend}.yaml"
    given = CompileFlags(
        filename=[str(folder / "objects.json")],
        config=config if config.exists() else folder / "config.iptables.yaml",
        nfacct=True,
    )
    return load_compilation(given, backend, [])


def not_understood(meaning: RulesMeaning) -> list[tuple[str, str, str]]:
    """(table, chain, rule) of every rule in which something is not understood."""
    return [
        (table.name, chain.name, rule.text)
        for table in meaning.tables
        for chain in table.chains.values()
        for rule in chain.rules
        if any(isinstance(step, MatchUnknown | ActUnknown) for step in rule.steps)
    ]


def without_texts(meaning: RulesMeaning) -> object:
    """All that rules mean, for comparing those of different texts."""
    return [
        (
            table.family,
            table.name,
            {
                name: (chain.hook, [rule.steps for rule in chain.rules])
                for name, chain in table.chains.items()
            },
            table.sets,
            table.networks,
            table.maps,
        )
        for table in meaning.tables
    ]
