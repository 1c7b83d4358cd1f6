"""Shares on real packets: each of n endpoints gets 1/n of the connections."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from nodeport_rules.kernel.conntrack import forget_connections
from nodeport_rules.kernel.iptables_tools import Family
from nodeport_rules.kernel.sandbox.topology import Protocol
from nodeport_rules.kernel.sandbox.traffic import Target
from nodeport_rules.report.shares import Shares, compare_shares, even_shares

from .cluster import NODES, SERVICES, SHARE_SIZES, Cluster, node_address, pod_name

CONNECTIONS = 9000
"""For two endpoints and more, at least 300 for each. Few endpoints would do with fewer, but then a
share that is wrong by a tenth would pass now and then."""

CONNECTIONS_TO_ONE = 300
LEAST_PROBABILITY = 0.001


@pytest.mark.parametrize("family", get_args(Family))
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("size", SHARE_SIZES)
def test_every_endpoint_gets_its_share(
    cluster: Cluster, size: int, protocol: Protocol, family: Family
) -> None:
    """Chi-squared at p > 0.001.

    A right ruleset fails such a test once in a thousand times, and there are many such tests in
    every run of the suite; so one that fails is measured once more, with new connections, and only
    twice failing counts. A wrong share fails both times.
    """
    first = measure(cluster, size, protocol, family)
    if first.probability > LEAST_PROBABILITY:
        return
    second = measure(cluster, size, protocol, family)
    assert second.probability > LEAST_PROBABILITY, (
        f"{describe(first)}\nand once more:\n{describe(second)}\n"
        + cluster.rules("node-1", family, f"default/share-{size}:{protocol}")
    )


def measure(cluster: Cluster, size: int, protocol: Protocol, family: Family) -> Shares:
    service = SERVICES[f"share-{size}"]
    targets = [Target(protocol, node_address(node, family), service.node_port) for node in NODES]
    if protocol == "udp":
        # A port that an earlier test has used would be remembered with its pod.
        for node in NODES:
            forget_connections(family, namespace=cluster.sandbox.namespace(node))
    number = CONNECTIONS if size > 1 else CONNECTIONS_TO_ONE
    outcomes = cluster.sandbox.connect("client", targets * (number // len(targets)))
    counted = Counter(outcome.pod or outcome.result for outcome in outcomes)
    return compare_shares(even_shares(tuple(map(pod_name, service.pods))), counted)


def describe(shares: Shares) -> str:
    lines = [f"p = {shares.probability:.2e}, chi-squared {shares.statistic:.1f}"]
    lines += [f"  {row.name}: {row.connections} of {row.total}" for row in shares.rows]
    lines += [f"  {name}: {count}, not expected" for name, count in shares.unexpected]
    return "\n".join(lines)
