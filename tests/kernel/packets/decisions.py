"""What became of packets, as values that compare and print well."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from nodeport_rules.ruleset.meaning import State
from nodeport_rules.ruleset.packet import Packet


class Fate(StrEnum):
    """How a packet ended."""

    TRANSLATED = "translated"
    PASSED = "passed"
    """Its destination was left alone: sent on, or delivered where it is one of the node's own."""
    REFUSED = "refused"
    DROPPED = "dropped"


@dataclass(frozen=True, order=True)
class Outcome:
    """What became of one packet."""

    fate: Fate
    address: str = ""
    port: int = 0
    """Where it was translated to; empty and 0 when its destination was left alone."""
    source: str = ""
    """The address that its source was replaced by; empty when it was kept."""
    accepted: bool = False
    """Rules of Services let it through, so that the host's own rules never saw it."""

    def __str__(self) -> str:
        parts = [f"to {self.address} port {self.port}" if self.address else self.fate.value]
        if self.source:
            parts.append(f"masqueraded as {self.source}")
        if self.accepted:
            parts.append("accepted before the host's own rules")
        return ", ".join(parts)


@dataclass(frozen=True)
class Decision:
    """What became of all packets of one kind."""

    outcomes: frozenset[Outcome]
    stays: bool = True
    """Whether a client came to the same endpoint again; only asked under session affinity."""
    counts: Counter[Outcome] = field(default_factory=Counter, compare=False, hash=False)
    """How many clients fared so, for who wants to know shares."""

    def __str__(self) -> str:
        text = " | ".join(str(one) for one in sorted(self.outcomes))
        return text if self.stays else f"{text} (clients do not stay with one endpoint)"


def decision(*outcomes: Outcome) -> Decision:
    """A decision with these outcomes and no counts."""
    return Decision(frozenset(outcomes))


REFUSED = decision(Outcome(Fate.REFUSED))
AN_ENDPOINT = "an endpoint"
"""In place of an address where it is left to chance."""
DROPPED = decision(Outcome(Fate.DROPPED))
PASSED = decision(Outcome(Fate.PASSED))


def packet_text(packet: Packet) -> str:
    """A packet in one line, for people."""
    by = "the node" if packet.from_node else packet.interface
    state = "" if packet.state is State.NEW else f" in state {packet.state.value}"
    return (
        f"{packet.protocol} from {packet.source} ({by}) to"
        f" {packet.destination} port {packet.port}{state}"
    )
