"""Which packets to send: to all that a state's Services have, and to some that they do not have."""

from __future__ import annotations

from dataclasses import dataclass

from nodeport_rules.ruleset.packet import Packet


@dataclass(frozen=True)
class Probe:
    """Packets of one kind, which differ in nothing that rules look at but under session affinity.

    With `sources`, each packet comes from another client, in their order, and then from the first
    one again: twice from each. Where there is one client only, it stays with the endpoint that it
    came to first, which `any_endpoint` leaves to chance.
    """

    packet: Packet
    count: int
    sources: tuple[str, ...] = ()
    any_endpoint: bool = False

    def source(self, number: int) -> str:
        """Where the packet of that number comes from."""
        return self.sources[number % len(self.sources)] if self.sources else self.packet.source

    def repeated(self, times: int) -> Probe:
        """The same with so many times the packets, as far as there are clients."""
        if self.sources or self.any_endpoint:
            return self
        return Probe(self.packet, self.count * times)
