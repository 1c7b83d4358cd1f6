"""Whether a packet matches: one step of a rule against the packet as it is at that moment."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache

import msgspec

from nodeport_rules.ruleset.canonical import single_address
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


Matcher = Callable[[PacketState], bool]


def matcher_of(step: AnyStep, table: TableMeaning, host: Host) -> Matcher:
    """The match as a function of the packet; made once for a rule, called for each packet.

    Matches by chance, by memory and those not understood are for the tracer: TypeError.
    """
    found = _positive(step, table, host)
    if getattr(step, "negate", False):
        return lambda packet: not found(packet)
    return found


def _positive(step: AnyStep, table: TableMeaning, host: Host) -> Matcher:
    match step:
        case MatchAddress(field=field, networks=networks):
            return _address_matcher(field, networks)
        case MatchProtocol(protocol=protocol):
            return lambda packet: packet.protocol == protocol
        case MatchPort(first=first, last=last):
            return lambda packet: first <= packet.port <= last
        case MatchInterface(name=name, prefix=True):
            return lambda packet: packet.interface.startswith(name)
        case MatchInterface(name=name):
            return lambda packet: packet.interface == name
        case MatchLocal(field=Field.SOURCE):
            return lambda packet: host.is_local(packet.source)
        case MatchLocal():
            return lambda packet: host.is_local(packet.destination)
        case MatchState(states=states):
            translated = State.DNAT in states
            return lambda packet: packet.state in states or (translated and packet.translated)
        case MatchMark(value=value, mask=mask):
            return lambda packet: packet.mark & mask == value
        case MatchSet():
            return lambda packet: _in_set(step, packet, table)
        case _:
            raise TypeError(f"{step!r} is no such match")


def _address_matcher(field: Field, networks: tuple[str, ...]) -> Matcher:
    singles = frozenset(filter(None, map(single_address, networks)))
    wider = tuple(network for network in networks if single_address(network) is None)
    if field is Field.SOURCE:
        return lambda packet: packet.source in singles or _within(wider, packet.source)
    return lambda packet: packet.destination in singles or _within(wider, packet.destination)


def _within(networks: tuple[str, ...], address: str) -> bool:
    return any(_contains(network, address) for network in networks)


def _in_set(step: MatchSet, packet: PacketState, table: TableMeaning) -> bool:
    key = tuple(packet.value(field) for field in step.fields)
    if key in table.sets.get(step.set_name, ()):
        return True
    return len(key) == 1 and _within(table.networks.get(step.set_name, ()), key[0])


@lru_cache(maxsize=65536)
def _contains(network: str, address: str) -> bool:
    return ipaddress.ip_address(address) in _network(network)


@lru_cache(maxsize=4096)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)
