"""What connections to a node port came to, as plain values."""

from __future__ import annotations

from collections import Counter

import msgspec

from nodeport_rules.report.shares import Shares, compare_shares, even_shares
from nodeport_rules.report.walk import Step

ONE_IN = 1e-9
"""Shares that chance would bring about less often than this are called impossible."""

MAX_NAMED = 5


class NodeMeasurement(msgspec.Struct, frozen=True):
    """The connections to one node's address.

    `failing` is "refused" or "dropped" where no answer is meant to come, else empty. `expected` are
    the pods that may answer. `answers` holds for each connection the pod and the source that it
    saw, or the result ("refused", "dropped", "unreachable") and nothing.
    """

    node: str
    failing: str
    expected: tuple[str, ...]
    answers: tuple[tuple[str, str], ...]

    def faults(self) -> list[str]:
        """What cannot be, in words; empty when all is as it should be."""
        allowed = {self.failing} if self.failing else set(self.expected)
        found = Counter(who for who, _ in self.answers)
        return [
            f"{self.node}: {count} of {len(self.answers)} connections were not to meet {who!r} but "
            f"{' or '.join(sorted(allowed)[:MAX_NAMED])}{' …' if len(allowed) > MAX_NAMED else ''}"
            for who, count in sorted(found.items())
            if who not in allowed
        ]


class Measurement(msgspec.Struct, frozen=True):
    """All connections to one node port, and the rules that they went through.

    With `sticky` (session affinity) one client reaches one pod at each node, and shares say
    nothing.
    """

    nodes: tuple[NodeMeasurement, ...]
    steps: tuple[Step, ...]
    sticky: bool = False

    def faults(self) -> list[str]:
        """What cannot be, on any node or in the shares."""
        faults = [fault for one in self.nodes for fault in one.faults()]
        if faults:
            return faults
        if self.sticky:
            return [
                f"{one.node}: session affinity, but {len({who for who, _ in one.answers})} pods "
                "answered the same client"
                for one in self.nodes
                if len({who for who, _ in one.answers}) > 1
            ]
        shares = self.shares()
        if shares.total and shares.probability < ONE_IN:
            return [
                f"chance alone gives such shares once in {1 / max(shares.probability, 1e-300):.0e}"
            ]
        return []

    def shares(self) -> Shares:
        """Each pod's part of the connections that were meant to be answered.

        A node whose pods are not the others' (externalTrafficPolicy: Local) counts with its part
        of the connections.
        """
        meant = [one for one in self.nodes if one.expected]
        total = sum(len(one.answers) for one in meant)
        expected: dict[str, float] = {}
        for one in meant:
            for pod, part in even_shares(one.expected).items():
                expected[pod] = expected.get(pod, 0.0) + part * len(one.answers) / total
        counted = Counter(who for one in meant for who, _ in one.answers)
        return compare_shares(
            dict(sorted(expected.items(), key=lambda item: _order(item[0]))), counted
        )

    def sources(self) -> dict[str, int]:
        """How often pods saw each source address."""
        return dict(
            sorted(
                Counter(source for one in self.nodes for _, source in one.answers if source).items()
            )
        )


def _order(name: str) -> tuple[str, int]:
    """web-pod-2 before web-pod-10."""
    head, _, number = name.rpartition("-")
    return (head, int(number)) if number.isdigit() else (name, 0)
