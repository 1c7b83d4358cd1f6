"""Whether a packet matches: one step of a rule against the packet as it is at that moment."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

import msgspec

from nodeport_rules.ruleset.meaning import (
    AnyStep,
    Field,
    MatchAddress,
    MatchInterface,
    MatchLocal,
    MatchMark,
    MatchPort,
    MatchProtocol,
    MatchSet,
    MatchState,
    State,
    TableMeaning,
)
from nodeport_rules.ruleset.packet import Host


class PacketState(msgspec.Struct):
    """A packet as it is at one place of its way."""

    source: str
    destination: str
    protocol: str
    port: int
    interface: str
    state: State
    mark: int
    translated: bool = False

    def value(self, field: Field) -> str:
        """The field as sets and maps hold it."""
        if field is Field.SOURCE:
            return self.source
        if field is Field.DESTINATION:
            return self.destination
        return self.protocol if field is Field.PROTOCOL else str(self.port)


def matches(step: AnyStep, packet: PacketState, table: TableMeaning, host: Host) -> bool:
    """Whether the packet passes a match that depends on nothing but the packet and the host.

    Matches by chance, by memory and those not understood are for the tracer.
    """
    match step:
        case MatchAddress():
            found = any(_contains(network, packet.value(step.field)) for network in step.networks)
        case MatchProtocol():
            found = packet.protocol == step.protocol
        case MatchPort():
            found = step.first <= packet.port <= step.last
        case MatchInterface():
            found = (
                packet.interface.startswith(step.name)
                if step.prefix
                else packet.interface == step.name
            )
        case MatchLocal():
            found = host.is_local(packet.value(step.field))
        case MatchState():
            found = packet.state in step.states or (packet.translated and State.DNAT in step.states)
        case MatchMark():
            found = packet.mark & step.mask == step.value
        case MatchSet():
            found = _in_set(step, packet, table)
        case _:
            raise TypeError(f"{step!r} is no such match")
    return found is not step.negate


def _in_set(step: MatchSet, packet: PacketState, table: TableMeaning) -> bool:
    key = tuple(packet.value(field) for field in step.fields)
    if key in table.sets.get(step.set_name, ()):
        return True
    return len(key) == 1 and any(
        _contains(network, key[0]) for network in table.networks.get(step.set_name, ())
    )


@lru_cache(maxsize=65536)
def _contains(network: str, address: str) -> bool:
    if "/" not in network:
        return network == address
    return ipaddress.ip_address(address) in _network(network)


@lru_cache(maxsize=4096)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)
