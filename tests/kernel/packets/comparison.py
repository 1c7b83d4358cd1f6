"""A state's packets through all of its rulesets, and what is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .choose_probes import Chooser
from .decisions import Decision, packet_text
from .mode_differences import Facts, in_nftables_mode
from .node import Node
from .recordings import (
    KUBE_PROXY_IPTABLES,
    KUBE_PROXY_NFTABLES,
    OURS_IPTABLES,
    OURS_NFTABLES,
    State,
)

MORE = 5
"""Where chance may be the reason for a difference, so many times the packets are sent anew."""
ATTEMPTS = 3
SHOWN = 10
FEW = 6


class Comparison:
    """All decisions about a state's packets, by ruleset."""

    def __init__(self, node: Node, state: State) -> None:
        self.state = state
        self.probes = Chooser(state).all()
        self.facts = Facts(state)
        self.decisions: dict[str, list[Decision]] = {}
        self._node = node
        self._measure(range(len(self.probes)), 1)
        for _ in range(1, ATTEMPTS):
            doubtful = sorted({number for number, _ in self._differing()})
            if not doubtful:
                break
            self._measure(doubtful, MORE)

    def _measure(self, numbers: Sequence[int], times: int) -> None:
        probes = [self.probes[number].repeated(times) for number in numbers]
        for rules in self.state.rulesets:
            self._node.load(rules)
            known = self.decisions.setdefault(
                rules.name, [Decision(frozenset())] * len(self.probes)
            )
            for number, decision in zip(numbers, self._node.measure(probes), strict=True):
                known[number] = decision

    def _differing(self) -> Iterator[tuple[int, str]]:
        """The probes about which rulesets disagree that should not, each with a text."""
        for theirs, ours in (
            (KUBE_PROXY_IPTABLES, OURS_IPTABLES),
            (KUBE_PROXY_NFTABLES, OURS_NFTABLES),
        ):
            for number in range(len(self.probes)) if theirs in self.decisions else ():
                first, second = self.decisions[theirs][number], self.decisions[ours][number]
                if first != second:
                    yield number, self._text(number, (theirs, first), (ours, second))
        for number, probe in enumerate(self.probes):
            iptables, nftables = (
                self.decisions[name][number] for name in (OURS_IPTABLES, OURS_NFTABLES)
            )
            expected, applied = in_nftables_mode(probe.packet, self.facts, iptables)
            if expected != nftables:
                known = f" with: {', '.join(sorted(applied))}" if applied else ""
                yield (
                    number,
                    self._text(
                        number,
                        (f"{OURS_IPTABLES}{known}", expected),
                        (OURS_NFTABLES, nftables),
                    ),
                )

    def differences(self) -> str:
        """What differs that should not, as text for people; empty when nothing does."""
        found = [text for _, text in self._differing()]
        more = f"\n… and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return "\n".join(found[:SHOWN]) + more

    def applied(self) -> set[str]:
        """The differences between the modes that showed."""
        return {
            name
            for number, probe in enumerate(self.probes)
            for name in in_nftables_mode(
                probe.packet, self.facts, self.decisions[OURS_IPTABLES][number]
            )[1]
        }

    def _text(self, number: int, first: tuple[str, Decision], second: tuple[str, Decision]) -> str:
        lines = [
            f"{self.state.name}, {self.state.family}: {packet_text(self.probes[number].packet)}"
        ]
        for (name, decision), (_, other) in ((first, second), (second, first)):
            lines.append(f"  {name}: {_shown(decision, other)}")
        return "\n".join(lines)


def _shown(decision: Decision, other: Decision) -> str:
    """A decision; where it is long, only what the other one does not have."""
    if len(decision.outcomes) <= FEW:
        return str(decision)
    own = decision.outcomes - other.outcomes
    shared = len(decision.outcomes) - len(own)
    return f"{Decision(own, decision.stays) if own else ''} (and {shared} as the other)"
