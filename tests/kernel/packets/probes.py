"""Which packets to send: to all that a state's Services have, and to some that they do not have."""

from __future__ import annotations

from dataclasses import dataclass

from nodeport_rules.ruleset.packet import Packet


@dataclass(frozen=True)
class Probe:
    """Packets of one kind, which differ in nothing that rules look at but under session affinity.

    With `sources`, each packet comes from another client, in their order, and then from the first
    one again: twice from each.
    """

    packet: Packet
    count: int
    sources: tuple[str, ...] = ()

    def source(self, number: int) -> str:
        """Where the packet of that number comes from."""
        return self.sources[number % len(self.sources)] if self.sources else self.packet.source

    def repeated(self, times: int) -> Probe:
        """The same with so many times the packets, as far as there are clients."""
        count = self.count if self.sources else self.count * times
        return Probe(self.packet, count, self.sources)
