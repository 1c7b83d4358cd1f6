"""Rules as text: what the recordings do not show, and the counts that must not grow unseen."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeport_rules.iptables.compile import compile_ruleset, ruleset_faults
from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.iptables.service_chains import probability
from nodeport_rules.iptables.transaction import CHAINS_PER_BLOCK, Variant, restore_text
from nodeport_rules.kube.objects import EndpointSlice, Service
from nodeport_rules.model.family import Family
from nodeport_rules.model.node import family_state, plan_node
from nodeport_rules.model.options import ProxyOptions
from nodeport_rules.model.settings import LocalDetector, LocalTraffic, NodeSettings
from nodeport_rules.ruleset.ruleset import Ruleset
from tests.unit.build import NODE, endpoint, endpoint_slice, service, snapshot

PODS = LocalDetector(LocalTraffic.CIDR, "10.244.0.0/16")


def compiled(*objects: Service | EndpointSlice, **fields: Any) -> Ruleset:
    node = NodeSettings(**{"family": Family.IPV4, "node_name": NODE, **fields})
    state = family_state(snapshot(*objects), node.family, ProxyOptions())
    ruleset = compile_ruleset(plan_node(state, node), node, state.total_endpoints)
    assert ruleset_faults(ruleset) == []
    return ruleset


def rules(ruleset: Ruleset, table: str, chain: str) -> list[str]:
    found = [c for name, c in ruleset.all_chains() if (name, c.name) == (table, chain)]
    return [rule.removeprefix(f"-A {chain} ") for one in found for rule in one.rules]


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (2, "0.50000000000"),
        (3, "0.33333333349"),
        (4, "0.25000000000"),
        (7, "0.14285714272"),
        (100, "0.00999999978"),
    ],
)
def test_probabilities_as_iptables_save_prints_them(left: int, text: str) -> None:
    assert probability(left) == text


@given(st.integers(min_value=2, max_value=5000))
def test_probabilities_are_off_by_less_than_what_the_kernel_can_tell(left: int) -> None:
    assert abs(float(probability(left)) - 1 / left) < 2**-31 + 1e-10


@given(st.integers(min_value=1, max_value=300))
@settings(max_examples=40)
def test_every_endpoint_gets_the_same_share(count: int) -> None:
    remaining, shares = 1.0, []
    for left in range(count, 0, -1):
        chance = float(probability(left)) if left > 1 else 1.0
        shares.append(remaining * chance)
        remaining *= 1 - chance
    assert max(abs(share - 1 / count) for share in shares) < 1e-7


NODE_PORT: dict[str, Any] = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}
LOCAL: dict[str, Any] = {**NODE_PORT, "externalTrafficPolicy": "Local"}
BALANCED: dict[str, Any] = {
    **NODE_PORT,
    "type": "LoadBalancer",
    "ingress": [{"ip": "203.0.113.9"}],
    "loadBalancerSourceRanges": ["198.51.100.0/24"],
}
THREE = [endpoint(f"10.244.0.{n}", node=NODE if n == 1 else "other") for n in (1, 2, 3)]

COUNTS: list[tuple[str, dict[str, Any], list[dict[str, Any]], int, int]] = [
    # what, spec, endpoints, rules in nat beyond those of an empty cluster, in filter
    ("cluster IP", {}, THREE, 3 * 2 + 4 + 1, 0),
    ("cluster IP, no endpoints", {}, [], 0, 1),
    ("node port", NODE_PORT, THREE, 3 * 2 + 4 + 2 + 2, 0),
    ("node port, no endpoints", NODE_PORT, [], 0, 2),
    ("Local node port", LOCAL, THREE, 3 * 2 + 4 + 1 + 4 + 2, 0),
    ("Local node port, none here", LOCAL, THREE[1:], 2 * 2 + 3 + 3 + 2, 1),
    ("affinity", {"sessionAffinity": "ClientIP"}, THREE, 3 * 2 + 4 + 3 + 1, 0),
    ("source ranges", BALANCED, THREE, 3 * 2 + 4 + 2 + 2 + 3, 1),
    ("internal Local", {"internalTrafficPolicy": "Local"}, THREE, 1 * 2 + 2 + 1, 0),
]


@pytest.mark.parametrize(("what", "spec", "endpoints", "nat", "filters"), COUNTS)
def test_rules_of_a_service_are_counted(
    what: str, spec: dict[str, Any], endpoints: list[dict[str, Any]], nat: int, filters: int
) -> None:
    """Growth of the rules of a Service has to show in review."""
    empty = compiled(local_detector=PODS)
    one = compiled(service(**spec), endpoint_slice(*endpoints), local_detector=PODS)
    grown = {
        table: one.table(table).rule_count() - empty.table(table).rule_count()
        for table in ("nat", "filter")
    }
    assert grown == {"nat": nat, "filter": filters}, what


@pytest.mark.parametrize(
    ("detector", "cluster_ip", "pod"),
    [
        (PODS, "! -s 10.244.0.0/16 -d 10.96.0.10/32 -p tcp", "-s 10.244.0.0/16 -m comment"),
        (
            LocalDetector(LocalTraffic.INTERFACE, "cni0"),
            "-d 10.96.0.10/32 ! -i cni0 -p tcp",
            "-i cni0 -m comment",
        ),
        (
            LocalDetector(LocalTraffic.INTERFACE, "cali+"),
            "-d 10.96.0.10/32 ! -i cali+ -p tcp",
            "-i cali+ -m comment",
        ),
    ],
)
def test_a_pods_traffic_in_every_mode(detector: LocalDetector, cluster_ip: str, pod: str) -> None:
    ruleset = compiled(service(**LOCAL), endpoint_slice(*THREE), local_detector=detector)
    (policy,) = [c.name for _, c in ruleset.all_chains() if c.name.startswith("KUBE-SVC-")]
    (external,) = [c.name for _, c in ruleset.all_chains() if c.name.startswith("KUBE-EXT-")]
    assert rules(ruleset, "nat", policy)[0].startswith(cluster_ip)
    assert rules(ruleset, "nat", external)[0].startswith(pod)


def test_without_detection_neither_rule_is_written() -> None:
    ruleset = compiled(service(**LOCAL), endpoint_slice(*THREE))
    text = "".join(restore_text(ruleset))
    assert 'cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ' not in text
    assert "pod traffic" not in text


def test_masquerade_all_marks_everything_to_a_cluster_ip() -> None:
    ruleset = compiled(service(), endpoint_slice(*THREE), local_detector=PODS, masquerade_all=True)
    (policy,) = [c.name for _, c in ruleset.all_chains() if c.name.startswith("KUBE-SVC-")]
    assert rules(ruleset, "nat", policy)[0].startswith("-d 10.96.0.10/32 -p tcp -m comment")


@pytest.mark.parametrize(
    ("fields", "jumps"),
    [
        ({}, ["-m addrtype --dst-type LOCAL"]),
        ({"localhost_node_ports": False}, ["! -d 127.0.0.0/8"]),
        ({"family": Family.IPV6, "localhost_node_ports": False}, ["! -d ::1/128"]),
        ({"node_port_addresses": ()}, []),
        ({"node_port_addresses": ("10.0.0.1", "10.0.0.2")}, ["-d 10.0.0.1/32", "-d 10.0.0.2/32"]),
        (
            {"node_port_addresses": ("127.0.0.1", "10.0.0.1")},
            ["-d 127.0.0.1/32", "-d 10.0.0.1/32"],
        ),
        (
            {"node_port_addresses": ("127.0.0.1", "10.0.0.1"), "localhost_node_ports": False},
            ["-d 10.0.0.1/32"],
        ),
        (
            {
                "family": Family.IPV6,
                "node_port_addresses": ("::1", "fd00::1"),
                "localhost_node_ports": False,
            },
            ["-d fd00::1/128"],
        ),
    ],
)
def test_the_jumps_to_node_ports_come_last(fields: dict[str, Any], jumps: list[str]) -> None:
    found = rules(compiled(**fields), "nat", "KUBE-SERVICES")
    assert len(found) == len(jumps)
    for rule, jump in zip(found, jumps, strict=True):
        assert jump in rule
        assert rule.endswith("-j KUBE-NODEPORTS")


def test_a_service_that_lost_its_cluster_ip_keeps_the_rest() -> None:
    ruleset = compiled(
        service("one", clusterIP="10.96.0.1"),
        service("two", clusterIP="10.96.0.1", **NODE_PORT),
        endpoint_slice(*THREE, service="two"),
        endpoint_slice(*THREE, service="one", name="one-1"),
        local_detector=PODS,
    )
    dispatched = rules(ruleset, "nat", "KUBE-SERVICES")
    assert len([rule for rule in dispatched if "-d 10.96.0.1/32" in rule]) == 1
    assert len(rules(ruleset, "nat", "KUBE-NODEPORTS")) == 1
    assert "-d /32" not in "".join(restore_text(ruleset))


@pytest.mark.parametrize(("count", "comments"), [(1000, True), (1001, False)])
def test_comments_end_above_a_thousand_endpoints(count: int, comments: bool) -> None:
    many = [endpoint(f"10.244.{n // 200}.{n % 200 + 1}", ready=n % 2 == 0) for n in range(count)]
    ruleset = compiled(service(**LOCAL), endpoint_slice(*many))
    for _, chain in ruleset.all_chains():
        if chain.name.startswith(("KUBE-SEP-", "KUBE-SVC-", "KUBE-SVL-")):
            has = ["--comment" in rule for rule in chain.rules if "cluster IP" not in rule]
            assert has == [comments] * len(has), chain.name
    # Only these chains lose them.
    assert all("--comment" in rule for rule in rules(ruleset, "nat", "KUBE-NODEPORTS"))


def test_what_is_written_is_read_back() -> None:
    ruleset = compiled(service(**BALANCED), endpoint_slice(*THREE), local_detector=PODS)
    for variant in Variant:
        assert parse_rules("".join(restore_text(ruleset, variant)), "iptables") == ruleset


def test_large_rulesets_come_in_blocks_leaves_first() -> None:
    objects: list[Service | EndpointSlice] = []
    for n in range(120):
        objects.append(
            service(f"s{n}", clusterIP=f"10.96.1.{n}", **LOCAL | {"ports": [{"port": 80}]})
        )
        objects.append(
            endpoint_slice(
                *(endpoint(f"10.244.{n}.{m}") for m in range(1, 6)), service=f"s{n}", name=f"s{n}"
            )
        )
    ruleset = compiled(*objects)
    blocks = "".join(restore_text(ruleset)).split("COMMIT\n")[:-1]
    nat = [block for block in blocks if block.startswith("*nat")]
    assert len(nat) > 1
    created: set[str] = set()
    for block in nat:
        declared = [line[1:].split()[0] for line in block.splitlines() if line.startswith(":")]
        assert len(declared) <= CHAINS_PER_BLOCK
        assert not created & set(declared), "a block must not empty the chain of an earlier one"
        created.update(declared)
        for line in block.splitlines():
            target = line.rpartition(" -j ")[2]
            if target.startswith("KUBE-"):
                assert target in created, f"{line} jumps ahead"
    assert "-I PREROUTING 1" in nat[-1], "reachable only when everything is there"
    assert all("-I " not in block for block in nat[:-1])
    assert "".join(restore_text(ruleset, Variant.LEGACY)).count("*nat\n") == 1


def test_chains_are_not_created_in_the_order_of_their_names() -> None:
    """iptables-nft-save 1.8.9 would need minutes for it (decision 2 of the design)."""
    many = [endpoint(f"10.244.0.{n}") for n in range(1, 200)]
    names = [c.name for c in compiled(service(), endpoint_slice(*many)).table("nat").chains]
    ascending = sum(a < b for a, b in itertools.pairwise(names))
    assert 0.3 < ascending / len(names) < 0.7


def test_no_line_touches_a_built_in_chains_policy() -> None:
    text = "".join(restore_text(compiled()))
    declared = Counter(line.split()[0] for line in text.splitlines() if line.startswith(":"))
    assert all(name.startswith(":KUBE-") for name in declared)
    assert "-A INPUT" not in text
    assert "-I INPUT 1 " in text
