"""What the demo calls impossible."""

from __future__ import annotations

import pytest

from nodeport_rules.report.measured import Measurement, NodeMeasurement

EVEN = (("pod-1", "192.0.2.1"),) * 500 + (("pod-2", "192.0.2.1"),) * 500
PODS = ("pod-1", "pod-2")


@pytest.mark.parametrize(
    ("node", "sticky", "faults"),
    [
        (NodeMeasurement("node-1", "", PODS, EVEN), False, []),
        (NodeMeasurement("node-1", "", ("pod-1",), (("pod-1", "a"),) * 9), False, []),
        (NodeMeasurement("node-1", "dropped", (), (("dropped", ""),) * 9), False, []),
        (
            NodeMeasurement("node-1", "", PODS, (*EVEN, ("refused", ""))),
            False,
            ["node-1: 1 of 1001 connections were not to meet 'refused' but pod-1 or pod-2"],
        ),
        (
            NodeMeasurement("node-1", "", PODS, (*EVEN, ("pod-3", "a"), ("pod-3", "a"))),
            False,
            ["node-1: 2 of 1002 connections were not to meet 'pod-3' but pod-1 or pod-2"],
        ),
        (
            NodeMeasurement("node-1", "dropped", (), (("pod-1", "a"),)),
            False,
            ["node-1: 1 of 1 connections were not to meet 'pod-1' but dropped"],
        ),
        (
            NodeMeasurement("node-1", "", PODS, EVEN[:700] + EVEN[:700]),
            False,
            ["chance alone gives such shares once in 1e+57"],
        ),
        (NodeMeasurement("node-1", "", PODS, EVEN[:500]), True, []),
        (
            NodeMeasurement("node-1", "", PODS, EVEN),
            True,
            ["node-1: session affinity, but 2 pods answered the same client"],
        ),
    ],
)
def test_faults(node: NodeMeasurement, sticky: bool, faults: list[str]) -> None:
    assert Measurement((node,), (), sticky).faults() == faults


def test_shares_of_nodes_with_pods_of_their_own() -> None:
    """As with externalTrafficPolicy: Local, two pods on one node and one on the other."""
    two = NodeMeasurement("node-1", "", ("pod-1", "pod-2"), EVEN)
    one = NodeMeasurement("node-2", "", ("pod-10",), (("pod-10", "192.0.2.2"),) * 1000)
    measurement = Measurement((one, two), ())
    assert [(row.name, row.expected) for row in measurement.shares().rows] == [
        ("pod-1", 0.25),
        ("pod-2", 0.25),
        ("pod-10", 0.5),
    ]
    assert measurement.faults() == []
    assert measurement.sources() == {"192.0.2.1": 1000, "192.0.2.2": 1000}
