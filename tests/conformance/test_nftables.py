"""Our nftables table for every recorded state, by way of a real kernel.

What it does to packets is held against kube-proxy's in tests/kernel; here: that nft takes it, that
it may be loaded again over itself, and that what nft lists is what was compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nodeport_rules.cli.main import app
from nodeport_rules.kernel.namespaces import NetworkNamespace, ensure_network_namespaces
from nodeport_rules.kernel.processes import run
from nodeport_rules.model.family import Family
from nodeport_rules.nftables.parse import parse_listing
from nodeport_rules.ruleset.ruleset import Chain, Map, Table

RECORDINGS = Path(__file__).parent / "recordings"
STATES = sorted(path.parent.name for path in RECORDINGS.glob("*/config.nftables.yaml"))
WORDS = {Family.IPV4: "ip", Family.IPV6: "ip6"}


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    ensure_network_namespaces()
    with NetworkNamespace.create("nftables") as created:
        yield created


def render(state: str, *more: str) -> str:
    folder = RECORDINGS / state
    result = CliRunner().invoke(
        app,
        [
            "render",
            *("-f", str(folder / "objects.json")),
            *("--config", str(folder / "config.nftables.yaml")),
            "--service-cidr=10.96.0.0/16,fd00:10:96::/112",
            *more,
        ],
    )
    assert result.exit_code == 0, f"{result.stderr}\n{result.exception!r}"
    return result.stdout


def load(script: str, namespace: NetworkNamespace) -> None:
    with namespace.entered():
        run(["nft", "-f", "-"], text=script, timeout=60)


def listing(namespace: NetworkNamespace, family: Family) -> str:
    with namespace.entered():
        return run(["nft", "list", "table", WORDS[family], "nodeport-rules"], timeout=60)


def as_listed(chain: Chain) -> Chain:
    """The chain as nft 1.0.6 lists it: it loses `addr . port`, which loads back all the same."""
    rules = tuple(rule.replace(" addr . port to ", " to ") for rule in chain.rules)
    return Chain(chain.name, rules, chain.hook, chain.comment)


@pytest.mark.parametrize("state", STATES)
def test_what_nft_lists_is_what_was_compiled(state: str, namespace: NetworkNamespace) -> None:
    script = render(state)
    load(script, namespace)
    for family in Family:
        wanted = parse_script(script, WORDS[family])
        (live,) = parse_listing(listing(namespace, family)).tables
        assert {c.name: c for c in live.chains} == {c.name: as_listed(c) for c in wanted.chains}
        assert {m.name: m for m in live.maps} == {m.name: m for m in wanted.maps}


@pytest.mark.parametrize("state", STATES)
def test_loading_it_again_changes_nothing(state: str, namespace: NetworkNamespace) -> None:
    script = render(state)
    load(script, namespace)
    once = [listing(namespace, family) for family in Family]
    load(script, namespace)
    assert [listing(namespace, family) for family in Family] == once


def test_counters_and_clients_survive_a_second_load(namespace: NetworkNamespace) -> None:
    script = render("affinity-local")
    load(script, namespace)
    clients = next(
        line.split()[4]
        for line in script.splitlines()
        if line.startswith("add set ip nodeport-rules clients-")
    )
    element = next(
        line
        for line in script.splitlines()
        if line.startswith("add element ip nodeport-rules endpoints-")
    )
    name, key = element.split()[4], element.split("{ ")[1].split(" : ")[0]
    value = element.split(" : ")[1].split(",")[0].rstrip(" }")
    counted = f"{{ {key} counter packets 7 bytes 420 : {value} }}"
    load(
        f"add element ip nodeport-rules {clients} {{ 192.0.2.7 }}\n"
        f"delete element ip nodeport-rules {name} {{ {key} : {value} }}\n"
        f"add element ip nodeport-rules {name} {counted}\n",
        namespace,
    )
    load(script, namespace)
    after = listing(namespace, Family.IPV4)
    assert f"{key} counter packets 7 bytes 420 : {value}" in after
    assert "192.0.2.7" in after


def parse_script(script: str, family: str) -> Table:
    """The table that a script of ours makes, read command by command."""
    chains: dict[str, Chain] = {}
    maps: dict[str, Map] = {}
    for line in script.splitlines():
        verb, kind, found, *rest = line.split(" ", 4)
        if found != family or verb == "flush" or kind == "table":
            continue
        name, _, text = rest[-1].partition(" ")
        if kind == "chain":
            inside = text.strip("{} ")
            hook, _, comment = inside.partition('comment "')
            chains[name] = Chain(name, (), hook.strip(), comment.rstrip('"; '))
        elif kind == "rule":
            before = chains[name]
            chains[name] = Chain(name, (*before.rules, text), before.hook, before.comment)
        elif kind in ("set", "map"):
            declaration = tuple(text.strip("{} ").rstrip(";").split("; "))
            dynamic = any("dynamic" in one for one in declaration)
            maps[name] = Map(name, declaration, {}, kind == "set", dynamic)
        else:
            pairs = [one.partition(" : ") for one in text.strip("{} ").split(", ")]
            maps[name].elements.update({key: value for key, _, value in pairs})
    return Table("nodeport-rules", tuple(chains.values()), family=family, maps=tuple(maps.values()))
