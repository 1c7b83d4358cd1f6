"""The tracer's shortcuts change nothing: with and without them the same packets differ.

Ways after a translation are shared by endpoints that no rule tells apart, and a source that only
deep chains tell apart is followed from those chains on. Both are tried on rules with something
missing, where differences are to be found.
"""

from __future__ import annotations

import pytest

from nodeport_rules.model.family import Family
from nodeport_rules.model.options import Backend
from nodeport_rules.ruleset import equivalence, trace_tail
from nodeport_rules.ruleset.equivalence import Way, way_of
from nodeport_rules.ruleset.packet import Packet
from tests.conformance.test_equal import HOST, ours, without_each_rule

STATES = ["affinity-local", "etp-local-no-local", "lb-source-ranges", "external-ips"]
Found = list[tuple[str, list[tuple[Packet, Way, Way]]]]


def differing(state: str, backend: Backend) -> Found:
    whole = ours(state, backend, Family.IPV4)
    return [
        (
            text,
            [
                (one.packet, way_of(one.one), way_of(one.other))
                for one in equivalence.compare(whole, rules, HOST).differences
            ],
        )
        for text, rules in without_each_rule(whole)
    ]


@pytest.mark.parametrize("backend", Backend)
@pytest.mark.parametrize("state", STATES)
def test_the_same_packets_differ(
    state: str, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = differing(state, backend)
    monkeypatch.setattr(trace_tail.Tails, "key_of", lambda _self, _walk: None)
    monkeypatch.setattr(equivalence._Comparer, "_base_of", lambda _self, _side, _packet: None)
    slow = differing(state, backend)
    assert [text for text, _ in quick] == [text for text, _ in slow]
    for (text, found), (_, expected) in zip(quick, slow, strict=True):
        assert found == expected, text
    assert any(found for _, found in quick)
