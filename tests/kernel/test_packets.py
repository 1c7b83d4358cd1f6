"""Where real packets go: one row for each origin, Service and kind of address.

A row is right when every endpoint expected has answered, no other has, and the source address that
they saw is the expected one. Rows come from the behaviour of kube-proxy's iptables mode.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal, NamedTuple, get_args

import pytest

from nodeport_rules.kernel.iptables_tools import Family
from nodeport_rules.kernel.sandbox.sctp import send_inits
from nodeport_rules.kernel.sandbox.topology import Protocol
from nodeport_rules.kernel.sandbox.traffic import Target

from .cluster import (
    CLIENT,
    NODES,
    OTHER_PORT,
    OUTSIDE,
    PORT,
    SERVICES,
    STRANGER,
    Cluster,
    node_address,
    pod_address,
    pod_name,
    pod_node,
)

To = Literal[
    "cluster IP", "node-1's node port", "node-2's node port", "external IP", "load-balancer IP"
]

CHANCE_OF_MISSING_ONE = 1e-9
DROP_SECONDS = 0.3
"""How long nothing may come back until it counts as dropped; refusals take less than 1 ms."""


class Row(NamedTuple):
    """One expectation.

    `origin` is a machine, or "stranger": the client from its other address. `expected` are the
    numbers of the pods that answer, or what happens instead: "outside" means that the packet left
    the cluster unchanged, to a machine there that has the address. `source` is what those pods
    see: "own" for the origin's address, or the node that masquerades. `hairpin` is the node whose
    address a pod sees that reaches itself, where its own is what the others see.
    """

    service: str
    origin: str
    to: To
    expected: tuple[int, ...] | Literal["outside", "refused", "dropped"]
    source: str = "own"
    hairpin: str = ""


ALL = (1, 2, 3)
ON_1 = (1, 3)
ON_2 = (2,)

# pod-5 is on node-1 and pod-6 on node-2; neither is an endpoint. What a pod of node-1 sends to
# node-2's node port with policy Local is left out: node-2 passes it on unmasqueraded, so answers of
# pods on node-1 go straight back and are not recognised. That is how kube-proxy behaves.
ROWS = [
    Row("everywhere", "client", "cluster IP", ALL, "node-1"),
    Row("everywhere", "client", "node-1's node port", ALL, "node-1"),
    Row("everywhere", "client", "node-2's node port", ALL, "node-2"),
    Row("everywhere", "client", "external IP", ALL, "node-1"),
    Row("everywhere", "client", "load-balancer IP", ALL, "node-2"),
    Row("everywhere", "pod-5", "cluster IP", ALL),
    Row("everywhere", "pod-5", "node-1's node port", ALL, "node-1"),
    Row("everywhere", "pod-5", "node-2's node port", ALL, "node-2"),
    Row("everywhere", "pod-5", "external IP", ALL, "node-1"),
    Row("everywhere", "pod-5", "load-balancer IP", ALL, "node-1"),
    Row("everywhere", "pod-6", "cluster IP", ALL),
    Row("everywhere", "node-1", "cluster IP", ALL, "node-1"),
    Row("everywhere", "node-1", "node-1's node port", ALL, "node-1"),
    Row("everywhere", "node-1", "node-2's node port", ALL, "node-2"),
    Row("everywhere", "node-1", "external IP", ALL, "node-1"),
    Row("everywhere", "node-1", "load-balancer IP", ALL, "node-1"),
    # hairpin: an endpoint that reaches itself, or one of its like
    Row("everywhere", "pod-1", "cluster IP", ALL, hairpin="node-1"),
    Row("everywhere", "pod-2", "cluster IP", ALL, hairpin="node-2"),
    Row("alone", "pod-1", "cluster IP", (1,), hairpin="node-1"),
    Row("alone", "pod-1", "node-1's node port", (1,), "node-1"),
    Row("alone", "pod-1", "external IP", (1,), "node-1"),
    Row("alone", "pod-1", "load-balancer IP", (1,), "node-1"),
    Row("outside-local", "pod-1", "external IP", ALL, hairpin="node-1"),
    # externalTrafficPolicy: Local
    Row("outside-local", "client", "cluster IP", ALL, "node-1"),
    Row("outside-local", "client", "node-1's node port", ON_1),
    Row("outside-local", "client", "node-2's node port", ON_2),
    Row("outside-local", "client", "external IP", ON_1),
    Row("outside-local", "client", "load-balancer IP", ON_2),
    Row("outside-local", "pod-5", "cluster IP", ALL),
    Row("outside-local", "pod-5", "node-1's node port", ALL),
    Row("outside-local", "pod-5", "external IP", ALL),
    Row("outside-local", "pod-5", "load-balancer IP", ALL),
    Row("outside-local", "node-1", "cluster IP", ALL, "node-1"),
    Row("outside-local", "node-1", "node-1's node port", ALL, "node-1"),
    Row("outside-local", "node-1", "node-2's node port", ON_2),
    Row("outside-local", "node-1", "external IP", ALL, "node-1"),
    Row("outside-local", "node-1", "load-balancer IP", ALL, "node-1"),
    # internalTrafficPolicy: Local
    Row("inside-local", "client", "cluster IP", ON_1, "node-1"),
    Row("inside-local", "pod-5", "cluster IP", ON_1),
    Row("inside-local", "pod-6", "cluster IP", ON_2),
    Row("inside-local", "node-1", "cluster IP", ON_1, "node-1"),
    Row("inside-local", "node-2", "cluster IP", ON_2, "node-2"),
    Row("inside-local", "client", "node-1's node port", ALL, "node-1"),
    Row("inside-local", "client", "external IP", ALL, "node-1"),
    # both Local, and the only endpoint on node-2
    Row("remote-only", "client", "cluster IP", "dropped"),
    Row("remote-only", "client", "node-1's node port", "dropped"),
    Row("remote-only", "client", "node-2's node port", ON_2),
    Row("remote-only", "client", "external IP", "dropped"),
    Row("remote-only", "client", "load-balancer IP", ON_2),
    Row("remote-only", "pod-5", "cluster IP", "dropped"),
    Row("remote-only", "pod-6", "cluster IP", ON_2),
    Row("remote-only", "pod-5", "external IP", ON_2),
    Row("remote-only", "pod-5", "node-1's node port", ON_2),
    Row("remote-only", "node-1", "cluster IP", "dropped"),
    Row("remote-only", "node-2", "cluster IP", ON_2, "node-2"),
    Row("remote-only", "node-1", "node-1's node port", ON_2, "node-1"),
    # no endpoints
    Row("empty", "client", "cluster IP", "refused"),
    Row("empty", "client", "node-1's node port", "refused"),
    Row("empty", "client", "node-2's node port", "refused"),
    Row("empty", "client", "external IP", "refused"),
    Row("empty", "client", "load-balancer IP", "refused"),
    Row("empty", "pod-5", "cluster IP", "refused"),
    Row("empty", "pod-5", "node-1's node port", "refused"),
    Row("empty", "pod-5", "external IP", "refused"),
    Row("empty", "pod-5", "load-balancer IP", "refused"),
    Row("empty", "node-1", "cluster IP", "refused"),
    Row("empty", "node-1", "node-1's node port", "refused"),
    # the refusal is not hooked into OUTPUT: it leaves the node
    Row("empty", "node-1", "external IP", "outside"),
    Row("empty", "node-1", "load-balancer IP", "outside"),
    # loadBalancerSourceRanges hold for the load-balancer IP alone
    Row("guarded", "client", "load-balancer IP", ALL, "node-2"),
    Row("guarded", "stranger", "load-balancer IP", "dropped"),
    Row("guarded", "stranger", "node-2's node port", ALL, "node-2"),
    Row("guarded", "stranger", "external IP", ALL, "node-1"),
    Row("guarded", "stranger", "cluster IP", ALL, "node-1"),
    Row("guarded", "pod-5", "load-balancer IP", "dropped"),
    Row("guarded", "node-1", "load-balancer IP", "dropped"),
    Row("guarded-for-nodes", "client", "load-balancer IP", "dropped"),
    Row("guarded-for-nodes", "node-1", "load-balancer IP", (1, 2), "node-1"),
    # only endpoints that are going away, which still serve
    Row("ending", "client", "node-1's node port", (1, 2), "node-1"),
    Row("ending", "pod-5", "cluster IP", (1, 2)),
]


@pytest.mark.parametrize("protocol", get_args(Protocol))
@pytest.mark.parametrize("family", get_args(Family))
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.service}-{row.origin}-{row.to}")
def test_where_packets_go(cluster: Cluster, row: Row, family: Family, protocol: Protocol) -> None:
    target = target_of(row, family, protocol)
    expected = expected_answers(row, family)
    connections = enough(expected) if isinstance(row.expected, tuple) else 3
    found = measure(cluster, row, target, connections)
    assert set(found) == expected, explain(cluster, row, target, expected, found)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_node_port_on_the_node_itself_at_127_0_0_1(cluster: Cluster, protocol: Protocol) -> None:
    """IPv4 only, with route_localnet; masqueraded, as nobody could answer to 127.0.0.1."""
    target = Target(protocol, "127.0.0.1", SERVICES["everywhere"].node_port)
    outcomes = cluster.sandbox.connect("node-1", [target] * 60)
    answers = {(outcome.result, outcome.pod, outcome.source) for outcome in outcomes}
    expected = {("answered", pod_name(n), node_address("node-1", "ipv4")) for n in ALL}
    assert answers == expected, cluster.rules("node-1", "ipv4", "everywhere")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_node_port_never_answers_on_the_ipv6_loopback(cluster: Cluster, protocol: Protocol) -> None:
    target = Target(protocol, "::1", SERVICES["everywhere"].node_port)
    outcomes = cluster.sandbox.connect("node-1", [target] * 3)
    assert {outcome.result for outcome in outcomes} == {"refused"}


@pytest.mark.parametrize("family", get_args(Family))
def test_a_port_that_the_service_does_not_have_is_passed_on(
    cluster: Cluster, family: Family
) -> None:
    """Unlike the nftables mode of kube-proxy, which refuses it.

    From a pod, so that the answer comes back through the same node, whose connection tracking
    would else take the rest of the connection for INVALID.
    """
    target = Target("tcp", SERVICES["everywhere"].cluster_ip(family), OTHER_PORT)
    outcomes = cluster.sandbox.connect("pod-5", [target])
    assert [(outcome.result, outcome.pod) for outcome in outcomes] == [("answered", OUTSIDE)]


# ------------------------------------------------------------------------------------ measuring


def target_of(row: Row, family: Family, protocol: Protocol) -> Target:
    service = SERVICES[row.service]
    addresses: dict[To, tuple[str, int]] = {
        "cluster IP": (service.cluster_ip(family), PORT),
        "node-1's node port": (node_address("node-1", family), service.node_port),
        "node-2's node port": (node_address("node-2", family), service.node_port),
        "external IP": (service.external_ip(family), PORT),
        "load-balancer IP": (service.load_balancer_ip(family), PORT),
    }
    return Target(protocol, *addresses[row.to])


def own_address(origin: str, family: Family) -> str:
    if origin in NODES:
        return node_address(origin, family)
    if origin.startswith("pod-"):
        return pod_address(int(origin.removeprefix("pod-")), family)
    return {"client": CLIENT, "stranger": STRANGER}[origin][family]


def expected_answers(row: Row, family: Family) -> set[tuple[str, str]]:
    """Pairs of the pod that answers and the source that it sees; or the result, and nothing."""
    source = own_address(row.origin if row.source == "own" else row.source, family)
    if row.expected == "outside":
        return {(OUTSIDE, source)}
    if isinstance(row.expected, str):
        return {(row.expected, "")}
    answers = {(pod_name(number), source) for number in row.expected}
    if row.hairpin:
        answers.discard((row.origin, source))
        answers.add((row.origin, node_address(row.hairpin, family)))
    return answers


def enough(expected: set[tuple[str, str]]) -> int:
    """Connections after which an endpoint has been missed only by a chance of one in 10⁹."""
    number = len(expected)
    if number == 1:
        return 3
    return math.ceil(math.log(CHANCE_OF_MISSING_ONE / number) / math.log(1 - 1 / number))


def measure(
    cluster: Cluster, row: Row, target: Target, connections: int
) -> Counter[tuple[str, str]]:
    machine = "client" if row.origin == "stranger" else row.origin
    family: Family = "ipv6" if ":" in target.address else "ipv4"
    source = STRANGER[family] if row.origin == "stranger" else None
    if target.protocol == "sctp":
        return measure_sctp(cluster, row, target, connections, source)
    timeout = DROP_SECONDS if row.expected == "dropped" else 5.0
    outcomes = cluster.sandbox.connect(
        machine, [target] * connections, source=source, timeout=timeout
    )
    return Counter((one.pod or one.result, one.source) for one in outcomes)


def measure_sctp(
    cluster: Cluster, row: Row, target: Target, connections: int, source: str | None
) -> Counter[tuple[str, str]]:
    """As `measure`, by what the deciding node's connection tracking says."""
    machine = "client" if row.origin == "stranger" else row.origin
    decisions = send_inits(
        cluster.sandbox.namespace(machine),
        target,
        count=connections,
        source=source,
        decided_in=cluster.sandbox.namespace(deciding_node(row)),
        wait=DROP_SECONDS,
    )
    found: Counter[tuple[str, str]] = Counter()
    for decision in decisions:
        if decision.connection is None:
            found[decision.result, ""] += 1
        else:
            pod = cluster.pod_at(decision.connection.translated_to[0])
            found[pod, decision.connection.reply.destination] += 1
    return found


def deciding_node(row: Row) -> str:
    """The node whose rules are the first that a packet of the row meets."""
    if row.to.endswith("node port"):
        return row.to.removesuffix("'s node port")
    if row.origin in NODES:
        return row.origin
    if row.origin.startswith("pod-"):
        return pod_node(int(row.origin.removeprefix("pod-")))
    return "node-2" if row.to == "load-balancer IP" else "node-1"


def explain(
    cluster: Cluster,
    row: Row,
    target: Target,
    expected: set[tuple[str, str]],
    found: Counter[tuple[str, str]],
) -> str:
    """What was expected and what came, with the rules that should have made it so."""
    family: Family = "ipv6" if ":" in target.address else "ipv4"
    node = deciding_node(row)
    lines = [
        f"{row.origin} → {row.service}'s {row.to} ({target}):",
        *(f"  missing: {who} {of_source(source)}" for who, source in sorted(expected - set(found))),
        *(
            f"  not expected: {who} {of_source(source)}, {found[who, source]} times"
            for who, source in sorted(set(found) - expected)
        ),
        f"rules of {node} that name default/{row.service}:",
        cluster.rules(node, family, f"default/{row.service}:{target.protocol}"),
    ]
    return "\n".join(lines)


def of_source(source: str) -> str:
    return f"seeing {source}" if source else ""
