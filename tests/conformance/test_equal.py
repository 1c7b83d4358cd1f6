"""kube-proxy's recorded rules and ours treat every packet alike, in both modes.

Decided by `ruleset.equivalence` over classes of packets. That it would notice is tested, too: every
rule of ours that is taken away makes a difference, but for those that say why they do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nodeport_rules.cli.compilation import Compilation
from nodeport_rules.iptables.meaning import meaning_of as iptables_meaning
from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.kube.load import load
from nodeport_rules.kube.proxy_configuration import read_configuration
from nodeport_rules.kube.yaml_documents import yaml_documents
from nodeport_rules.model.family import Family
from nodeport_rules.model.options import Backend, proxy_options
from nodeport_rules.nftables.meaning import meaning_of as nftables_meaning
from nodeport_rules.nftables.parse import parse_listing
from nodeport_rules.ruleset.equivalence import Comparison, compare, way_of
from nodeport_rules.ruleset.meaning import RulesMeaning
from nodeport_rules.ruleset.packet import Host

RECORDINGS = Path(__file__).parent / "recordings"
STATES = {
    backend: sorted(path.parent.name for path in RECORDINGS.glob(f"*/config.{backend}.yaml"))
    for backend in Backend
}
CASES = [(backend, state) for backend in Backend for state in STATES[backend]]
WORDS = {Family.IPV4: "ip", Family.IPV6: "ip6"}
HOST = Host(frozenset({"192.168.1.100", "2001:db8:1::100"}))
SERVICE_CIDRS = ("10.96.0.0/16", "fd00:10:96::/112")


def ours(state: str, backend: Backend, family: Family) -> RulesMeaning:
    folder = RECORDINGS / state
    (document,) = yaml_documents((folder / f"config.{backend}.yaml").read_text())
    options, faults = proxy_options(
        read_configuration(document.value, "").configuration,
        backend=backend,
        nfacct=True,
        service_cidrs=SERVICE_CIDRS,
    )
    assert faults == []
    addresses: list[str] = []
    if (folder / "host.yaml").exists():
        text = (folder / "host.yaml").read_text()
        addresses = re.findall(r"- ([0-9a-f.:]+)/", text)
    loaded = load([str(folder / "objects.json")])
    compilation = Compilation(loaded, options, addresses, backend)
    ruleset = compilation.rules("node-1", family).ruleset
    read = nftables_meaning if backend is Backend.NFTABLES else iptables_meaning
    return read(ruleset, WORDS[family])


def recorded(state: str, backend: Backend, family: Family) -> RulesMeaning:
    folder, word = RECORDINGS / state, WORDS[family]
    if backend is Backend.NFTABLES:
        return nftables_meaning(parse_listing((folder / f"nftables.{word}.nft").read_text()), word)
    name = "iptables.save" if family is Family.IPV4 else "ip6tables.save"
    return iptables_meaning(parse_rules((folder / name).read_text(), "iptables"), word)


def shown(comparison: Comparison) -> list[str]:
    """The first differences, for the message of a failure."""
    return [
        f"{one.packet}: {sorted(way_of(one.one))} or {sorted(way_of(one.other))}"
        for one in comparison.differences[:5]
    ]


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(("backend", "state"), CASES)
def test_every_packet_is_treated_alike(backend: Backend, state: str, family: Family) -> None:
    found = compare(recorded(state, backend, family), ours(state, backend, family), HOST)
    assert found.not_understood == ()
    assert shown(found) == []
    assert found.packets > 50


# What may be taken away without a packet noticing, and why.
HARMLESS = [
    # Chains that are empty in the state at hand, or whose map is.
    r"-j KUBE-(PROXY-FIREWALL|EXTERNAL-SERVICES|NODEPORTS|FIREWALL|SERVICES)$",
    r"jump KUBE-(PROXY-FIREWALL|SERVICE-ENDPOINTS|NODEPORT-ENDPOINTS|SERVICES|NODEPORTS)$",
    r"vmap @(firewall|no-endpoint-services|no-endpoint-node-ports|node-ports|services)$",
    r"@hairpins masquerade",
    # A counter beside the general rule for the same node port.
    r"-d 127\.0\.0\.0/8 .* -m nfacct --nfacct-name  localhost_nps_accepted_pkts",
    # Says why a packet that falls through will be dropped.
    r'--comment "other traffic to \S+ will be dropped by KUBE-PROXY-FIREWALL"$',
    # Nobody is marked where nothing has endpoints, nobody rejected where everything has.
    r"-A KUBE-MARK-MASQ ",
    r"^reject$",
    r"masquerade what is no pod's",
]


def without_each_rule(rules: RulesMeaning) -> Iterator[tuple[str, RulesMeaning]]:
    for number, table in enumerate(rules.tables):
        for name, chain in table.chains.items():
            for place, rule in enumerate(chain.rules):
                fewer = msgspec.structs.replace(
                    chain, rules=chain.rules[:place] + chain.rules[place + 1 :]
                )
                changed = msgspec.structs.replace(table, chains={**table.chains, name: fewer})
                tables = (*rules.tables[:number], changed, *rules.tables[number + 1 :])
                yield rule.text, msgspec.structs.replace(rules, tables=tables)


@pytest.mark.parametrize("backend", Backend)
@pytest.mark.parametrize(
    "state", ["affinity-local", "etp-local-no-local", "lb-source-ranges", "no-endpoints"]
)
def test_a_rule_that_is_missing_is_noticed(state: str, backend: Backend) -> None:
    whole = ours(state, backend, Family.IPV4)
    unnoticed = [
        text
        for text, rules in without_each_rule(whole)
        if not compare(whole, rules, HOST).differences
    ]
    surprising = [
        text for text in unnoticed if not any(re.search(pattern, text) for pattern in HARMLESS)
    ]
    assert surprising == []
