"""Session affinity ClientIP: the same pod within the timeout, another possible after it."""

from __future__ import annotations

import time
from typing import get_args

import pytest

from nodeport_rules.kernel.iptables_tools import Family
from nodeport_rules.kernel.sandbox.traffic import Target

from .cluster import AFFINITY_SECONDS, CROWD, PORT, SERVICES, Cluster, node_address

STICKY = SERVICES["sticky"]

ATTEMPTS = 5


def visit(cluster: Cluster, target: Target) -> tuple[str, ...]:
    """One connection from each of the client's many addresses: the pods that answered them."""
    found = []
    family: Family = "ipv6" if ":" in target.address else "ipv4"
    for source in CROWD[family]:
        (outcome,) = cluster.sandbox.connect("client", [target], source=source)
        found.append(outcome.pod or outcome.result)
    return tuple(found)


def node_port(node: str, family: Family) -> Target:
    return Target("tcp", node_address(node, family), STICKY.node_port)


@pytest.mark.parametrize("family", get_args(Family))
def test_same_pod_within_the_timeout_whichever_address_is_used(
    cluster: Cluster, family: Family
) -> None:
    """On one node; each node has a memory of its own. A series that a busy machine stretched to
    the timeout proves nothing, and is done again."""
    targets = [
        node_port("node-1", family),
        Target("tcp", STICKY.cluster_ip(family), PORT),
        Target("tcp", STICKY.external_ip(family), PORT),
        node_port("node-1", family),
    ]
    for _ in range(ATTEMPTS):
        started = time.monotonic()
        visits = [visit(cluster, target) for target in targets]
        if time.monotonic() - started < AFFINITY_SECONDS:
            break
    else:
        pytest.fail(f"the machine is too slow: {AFFINITY_SECONDS} s are not enough for 80 visits")
    assert visits == [visits[0]] * len(targets), cluster.rules("node-1", family, "default/sticky")
    assert set(visits[0]) == {f"pod-{number}" for number in STICKY.pods}, (
        "twenty sources should not all have been given the same pods"
    )


@pytest.mark.parametrize("family", get_args(Family))
def test_another_pod_possible_after_the_timeout(cluster: Cluster, family: Family) -> None:
    """Twenty sources go back to the same three pods by chance once in 3²⁰ times."""
    target = node_port("node-2", family)
    before = visit(cluster, target)
    time.sleep(AFFINITY_SECONDS + 1.1)
    after = visit(cluster, target)
    assert before != after, cluster.rules("node-2", family, "default/sticky")
