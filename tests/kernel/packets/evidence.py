"""From traces in the kernel to what became of packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from nodeport_rules.kernel.conntrack import PROTOCOL_NUMBERS, Connection
from nodeport_rules.ruleset.meaning import State

from .capture import Key
from .decisions import AN_ENDPOINT, Decision, Fate, Outcome
from .marks import (
    DELIVERED,
    REPLY_SHIFT,
    SEEN_IN_FORWARD,
    SEEN_IN_INPUT,
    SEEN_IN_OUTPUT,
    SENT,
)
from .probes import Probe


@dataclass(frozen=True)
class Evidence:
    """All that one burst of packets has left behind."""

    tracked: Mapping[Key, Connection]
    refused: Set[Key]
    left: Set[Key]
    """INVALID packets that left the node."""

    def decision(self, probe: Probe, first_port: int) -> Decision:
        """What became of the packets of a probe, which had the ports from `first_port` on."""
        outcomes = [
            self._outcome(probe, (PROTOCOL_NUMBERS[probe.packet.protocol], port))
            for port in range(first_port, first_port + probe.count)
        ]
        clients = 1 if probe.any_endpoint else len(probe.sources) or probe.count
        stays = all(
            outcomes[number].address == outcomes[number % clients].address
            for number in range(clients, probe.count)
        )
        if probe.any_endpoint:
            outcomes = [_to_any(outcome) for outcome in outcomes]
        return Decision(frozenset(outcomes), stays, Counter(outcomes[:clients]))

    def _outcome(self, probe: Probe, key: Key) -> Outcome:
        if probe.packet.state is State.INVALID:
            return Outcome(Fate.PASSED if key in self.left else Fate.DROPPED)
        connection = self.tracked.get(key)
        marks = connection.mark if connection is not None else 0
        if probe.packet.state is State.ESTABLISHED:
            marks >>= REPLY_SHIFT
        if connection is None or not marks & (SENT | DELIVERED):
            # A packet of the node to itself is tracked before INPUT has decided about it.
            if key in self.refused:
                return Outcome(Fate.REFUSED)
            return Outcome(Fate.DROPPED)
        accepted = _accepted(probe, marks)
        if probe.packet.state is State.ESTABLISHED:
            return Outcome(Fate.PASSED, accepted=accepted)
        return _sent_on(connection, accepted)


def _to_any(outcome: Outcome) -> Outcome:
    """The same outcome, whichever endpoint the packet came to."""
    return replace(outcome, address=AN_ENDPOINT, port=0) if outcome.address else outcome


def _accepted(probe: Probe, marks: int) -> bool:
    """Whether a filter chain that the packet went through let it by before the host's rules."""
    if probe.packet.from_node and not marks & SEEN_IN_OUTPUT:
        return True
    if marks & DELIVERED:
        return not marks & SEEN_IN_INPUT
    return not probe.packet.from_node and not marks & SEEN_IN_FORWARD


def _sent_on(connection: Connection, accepted: bool) -> Outcome:
    original, reply = connection.original, connection.reply
    rewritten = (reply.destination, reply.destination_port) != (
        original.source,
        original.source_port,
    )
    source = reply.destination if rewritten else ""
    address, port = connection.translated_to
    if (address, port) == (original.destination, original.destination_port):
        return Outcome(Fate.PASSED, source=source, accepted=accepted)
    return Outcome(Fate.TRANSLATED, address, port, source, accepted)
