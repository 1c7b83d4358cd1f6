"""What follows a translation, once for all endpoints that no rule tells apart.

After DNAT a packet still passes the filter and postrouting hooks. Rules there name addresses of
Services, hardly ever those of endpoints: so the ways of thousands of endpoints are the same from
there on, but for the address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from nodeport_rules.ruleset.canonical import address_or_network
from nodeport_rules.ruleset.meaning import Field, Lookup, MatchAddress, MatchSet, TableMeaning
from nodeport_rules.ruleset.packet import Host, Outcome
from nodeport_rules.ruleset.trace_walk import Walk

TailKey = tuple[object, ...]


class Tails:
    """Outcomes of what follows a translation, by all that rules could look at there."""

    def __init__(self, tables: tuple[TableMeaning, ...], host: Host) -> None:
        self._host = host
        named = {network for table in tables for network in _destinations(table)}
        self._singles = {one for one in named if "/" not in one}
        self._networks = sorted(
            (ipaddress.ip_network(one) for one in named if "/" in one),
            key=lambda network: network.prefixlen,
            reverse=True,
        )
        self._enclosing: dict[str, str] = {}
        self.found: dict[TailKey, list[Outcome] | None] = {}
        """None: what follows has to be looked at each time."""

    def key_of(self, walk: Walk) -> TailKey | None:
        """What the rest of the way depends on; None when it depends on the very address."""
        packet = walk.packet
        if packet.destination in self._singles or self._host.is_local(packet.destination):
            return None
        return (
            walk.point,
            self._smallest_network(packet.destination),
            packet.protocol,
            packet.port,
            packet.source,
            packet.interface,
            packet.state,
            packet.mark,
            walk.from_node,
            walk.looped,
            walk.masqueraded,
            walk.accepted,
            walk.hooks,
        )

    def _smallest_network(self, address: str) -> str:
        if address not in self._enclosing:
            parsed = ipaddress.ip_address(address)
            containing = (
                str(network)
                for network in self._networks
                if network.version == parsed.version and parsed in network
            )
            self._enclosing[address] = next(containing, "")
        return self._enclosing[address]


def _destinations(table: TableMeaning) -> Iterator[str]:
    """Every address and network that the table's rules look for as a destination."""
    for chain in table.chains.values():
        for rule in chain.rules:
            for step in rule.steps:
                if isinstance(step, MatchAddress) and step.field is Field.DESTINATION:
                    yield from (address_or_network(network) for network in step.networks)
                elif isinstance(step, MatchSet) and Field.DESTINATION in step.fields:
                    place = step.fields.index(Field.DESTINATION)
                    yield from (key[place] for key in table.sets.get(step.set_name, ()))
                    yield from table.networks.get(step.set_name, ())
                elif isinstance(step, Lookup) and Field.DESTINATION in step.fields:
                    place = step.fields.index(Field.DESTINATION)
                    yield from (key[place] for key in table.maps.get(step.map_name, {}))
