"""The nftables table: what the recordings do not show, and counts that must not grow unseen."""

from __future__ import annotations

from typing import Any

import pytest

from nodeport_rules.kube.objects import EndpointSlice, Service
from nodeport_rules.model.family import Family
from nodeport_rules.model.node import family_state, plan_node
from nodeport_rules.model.options import ProxyOptions
from nodeport_rules.model.settings import LocalDetector, LocalTraffic, NodeSettings
from nodeport_rules.nftables.compile import compile_ruleset
from nodeport_rules.nftables.parse import ListingError, jump_targets, map_references, parse_listing
from nodeport_rules.nftables.transaction import ELEMENTS_PER_LINE, script
from nodeport_rules.ruleset.ruleset import Chain, Table
from tests.unit.build import NODE, endpoint, endpoint_slice, service, snapshot

PODS = LocalDetector(LocalTraffic.CIDR, "10.244.0.0/16")


def compiled(*objects: Service | EndpointSlice, **fields: Any) -> Table:
    extra = {key: fields.pop(key) for key in ("service_cidrs",) if key in fields}
    settings = NodeSettings(
        **{"family": Family.IPV4, "node_name": NODE, "node_port_addresses": (), **fields}
    )
    state = family_state(snapshot(*objects), settings.family, ProxyOptions())
    ruleset = compile_ruleset(
        plan_node(state, settings),
        settings,
        other_cluster_ips=state.other_cluster_ips,
        **extra,
    )
    (table,) = ruleset.tables
    assert faults(table) == []
    return table


def faults(table: Table) -> list[str]:
    """What is wrong with the table's structure; empty when nothing is."""
    chains = {chain.name: chain for chain in table.chains}
    maps = {one.name: one for one in table.maps}
    found, used, looked_up = [], set(), set()
    for chain in table.chains:
        for rule in chain.rules:
            used.update(jump_targets(rule))
            looked_up.update(map_references(rule))
    for one in table.maps:
        used.update(t for value in one.elements.values() for t in jump_targets(value))
    found += [f"no chain {name}" for name in sorted(used - chains.keys())]
    found += [f"no map {name}" for name in sorted(looked_up - maps.keys())]
    for name, chain in chains.items():
        if name.startswith(("KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-EXT-", "KUBE-FW-")):
            found += [] if chain.rules else [f"chain {name} has no rules"]
            found += [] if name in used else [f"nothing leads to chain {name}"]
    for name in maps:
        if name.startswith(("endpoints-", "choices-", "clients-")) and name not in looked_up:
            found.append(f"nothing looks into {name}")
    return found


def chain(table: Table, prefix: str) -> Chain:
    (found,) = [one for one in table.chains if one.name.startswith(prefix)]
    return found


def elements(table: Table, name: str) -> dict[str, str]:
    (found,) = [one for one in table.maps if one.name == name]
    return found.elements


NODE_PORT: dict[str, Any] = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}
LOCAL: dict[str, Any] = {**NODE_PORT, "externalTrafficPolicy": "Local"}
AFFINITY: dict[str, Any] = {"sessionAffinity": "ClientIP"}
BALANCED: dict[str, Any] = {
    **NODE_PORT,
    "type": "LoadBalancer",
    "ingress": [{"ip": "203.0.113.9"}],
    "loadBalancerSourceRanges": ["198.51.100.0/24", "192.0.2.7/32"],
}
THREE = [endpoint(f"10.244.0.{n}", node=NODE if n == 1 else "other") for n in (1, 2, 3)]

COUNTS: list[tuple[str, dict[str, Any], list[dict[str, Any]], int, int, int]] = [
    # what, spec, endpoints; chains, rules and elements beyond those of an empty cluster
    ("cluster IP", {}, THREE, 1, 1, 3 + 2 + 1),
    ("cluster IP, no endpoints", {}, [], 0, 0, 2),
    ("node port", NODE_PORT, THREE, 2, 1 + 2, 3 + 2 + 1 + 1),
    ("node port, no endpoints", NODE_PORT, [], 0, 0, 3),
    ("Local node port", LOCAL, THREE, 3, 1 + 1 + 4, 3 + 1 + 2 + 1 + 1),
    ("Local node port, none here", LOCAL, THREE[1:], 2, 1 + 3, 2 + 2 + 2),
    ("affinity", AFFINITY, THREE, 4, 4 + 3 * 2, 3 + 3 + 2 + 1),
    ("source ranges", BALANCED, THREE, 3, 1 + 2 + 3, 3 + 3 + 1 + 1 + 1),
]


@pytest.mark.parametrize(("what", "spec", "endpoints", "chains", "rules", "items"), COUNTS)
def test_what_a_service_costs_is_counted(
    what: str,
    spec: dict[str, Any],
    endpoints: list[dict[str, Any]],
    chains: int,
    rules: int,
    items: int,
) -> None:
    """Growth has to show in review; without affinity a chain has one rule for any number."""
    empty = compiled(local_detector=PODS)
    one = compiled(service(**spec), endpoint_slice(*endpoints), local_detector=PODS)
    assert (
        len(one.chains) - len(empty.chains),
        one.rule_count() - empty.rule_count(),
        sum(len(m.elements) for m in one.maps) - sum(len(m.elements) for m in empty.maps),
    ) == (chains, rules, items), what


def test_five_thousand_endpoints_are_one_rule() -> None:
    many = [endpoint(f"10.244.{n // 250}.{n % 250 + 1}") for n in range(5000)]
    table = compiled(service(), endpoint_slice(*many))
    (rule,) = chain(table, "KUBE-SVC-").rules
    assert " mod 5000 offset " in rule
    longest = max(len(line) for line in "".join(script_of(table)).splitlines())
    assert longest < ELEMENTS_PER_LINE * 80


def script_of(table: Table) -> list[str]:
    from nodeport_rules.ruleset.ruleset import Ruleset

    return list(script(Ruleset("nft", (table,))))


@pytest.mark.parametrize(
    ("detector", "masquerade_all", "rule"),
    [
        (LocalDetector(), False, None),
        (PODS, False, "ip daddr @cluster-ips ip saddr != 10.244.0.0/16 meta mark set"),
        (
            LocalDetector(LocalTraffic.INTERFACE, "cni0"),
            False,
            'ip daddr @cluster-ips iifname != "cni0" meta mark set',
        ),
        (
            LocalDetector(LocalTraffic.INTERFACE, "cali+"),
            False,
            'ip daddr @cluster-ips iifname != "cali*" meta mark set',
        ),
        (PODS, True, "ip daddr @cluster-ips meta mark set"),
        (LocalDetector(), True, "ip daddr @cluster-ips meta mark set"),
    ],
)
def test_what_is_marked(detector: LocalDetector, masquerade_all: bool, rule: str | None) -> None:
    table = compiled(local_detector=detector, masquerade_all=masquerade_all)
    (services,) = [one for one in table.chains if one.name == "KUBE-SERVICES"]
    marking = [found for found in services.rules if "mark set" in found]
    assert len(marking) == (rule is not None)
    if rule is not None:
        assert marking[0].startswith(rule)


def test_unallocated_addresses_are_dropped_only_where_the_cidrs_are_known() -> None:
    others = service(
        "other",
        clusterIP="10.96.9.9",
        metadata={"labels": {"service.kubernetes.io/service-proxy-name": "cilium"}},
    )
    for cidrs in ((), ("10.96.0.0/16", "10.98.0.0/16")):
        table = compiled(service(), others, service_cidrs=cidrs)
        (check,) = [one for one in table.chains if one.name == "KUBE-CLUSTER-IPS"]
        assert check.rules[0].startswith("ip daddr @cluster-ips reject")
        assert [rule.split()[2] for rule in check.rules[1:]] == list(cidrs)
        assert all("ip daddr != @other-cluster-ips drop" in rule for rule in check.rules[1:])
        assert elements(table, "other-cluster-ips") == {"10.96.9.9": ""}
        assert elements(table, "cluster-ips") == {"10.96.0.10": ""}


def test_node_ports_never_answer_on_loopback_addresses() -> None:
    table = compiled(node_port_addresses=("127.0.0.1", "192.168.1.100"))
    assert elements(table, "node-port-ips") == {"192.168.1.100": ""}
    everywhere = compiled(node_port_addresses=None)
    (services,) = [one for one in everywhere.chains if one.name == "KUBE-SERVICES"]
    assert services.rules[-1] == (
        "fib daddr type local ip daddr != 127.0.0.0/8 jump KUBE-NODEPORTS"
    )


def test_hairpins_are_the_endpoints_of_this_node() -> None:
    table = compiled(service(), endpoint_slice(*THREE))
    assert elements(table, "hairpins") == {"10.244.0.1 . 10.244.0.1 . tcp . 8080": ""}


def test_the_firewall_is_there_without_endpoints_too() -> None:
    table = compiled(service(**BALANCED), node_ip="198.51.100.5")
    firewall = chain(table, "KUBE-FW-")
    assert firewall.rules == (
        "ip saddr 198.51.100.0/24 return",
        "ip saddr 192.0.2.7 return",
        "ip saddr 203.0.113.9 return",
        "drop",
    )
    assert elements(table, "firewall") == {"203.0.113.9 . tcp . 80": f"goto {firewall.name}"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table ip x {\n", "cut short"),
        ("table ip x {\n chain c {\n", "cut short"),
        ("table ip x {\n set s {\n  elements = { 1,\n", "cut short"),
        ("chain c {\n}\n", "expected `table"),
        ("table ip x {\n nonsense\n}\n", "expected a chain"),
    ],
)
def test_a_listing_cut_short_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ListingError, match=message):
        parse_listing(text)


@pytest.mark.parametrize("counter", ["", " counter", " counter packets 7 bytes 420"])
def test_counters_of_elements_are_left_out(counter: str) -> None:
    text = (
        "table ip x {\n\tmap m {\n\t\ttypeof numgen random mod 65536 : ip daddr . tcp dport\n"
        f"\t\tcounter\n\t\telements = {{ 65536{counter} : 10.0.0.1 . 80,\n"
        f"\t\t\t     65537{counter} : 10.0.0.2 . 80 }}\n\t}}\n}}\n"
    )
    (found,) = parse_listing(text).tables[0].maps
    assert found.elements == {"65536": "10.0.0.1 . 80", "65537": "10.0.0.2 . 80"}
