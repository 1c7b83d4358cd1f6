"""Which packets `explain` follows: what the user's destination and source add up to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from nodeport_rules.cli.destination import Destination
from nodeport_rules.errors import UsageError, quote
from nodeport_rules.model.endpoints import Endpoint
from nodeport_rules.model.family import Family, contains, family_of
from nodeport_rules.model.node import FamilyState
from nodeport_rules.model.reasons import Arrival, is_pod_traffic, kind_of_address
from nodeport_rules.model.service_ports import ServicePort
from nodeport_rules.model.settings import LocalTraffic, NodeSettings
from nodeport_rules.ruleset.packet import Packet, is_loopback

OUTSIDE = {Family.IPV4: "198.51.100.7", Family.IPV6: "2001:db8:ffff::7"}
"""Documentation addresses (RFC 5737, RFC 3849) for a client that nobody named."""
ASSUMED_NODE_ADDRESS = {Family.IPV4: "192.0.2.1", Family.IPV6: "2001:db8::1"}
OUTSIDE_INTERFACE = "eth0"
POD_INTERFACE = "cni0"
_TRIED = 4096
"""Addresses of a pod CIDR that are looked at for one that is nobody's."""


class Origin(StrEnum):
    """Where a packet comes from."""

    OUTSIDE = "outside"
    POD = "pod"
    NODE = "node"


class Place(msgspec.Struct, frozen=True):
    """The node that packets come to, for one family."""

    family: Family
    addresses: tuple[str, ...]
    """Its own ones, the primary one first."""
    settings: NodeSettings
    pod_cidr: str
    """Where its pods are."""

    def is_local(self, address: str) -> bool:
        return address in self.addresses or is_loopback(address)


class Target(msgspec.Struct, frozen=True):
    """One address and port to explain."""

    address: str
    protocol: str
    port: int


# ------------------------------------------------------------------------------ where to


def family_of_destination(destination: Destination, states: dict[Family, FamilyState]) -> Family:
    """The family that the destination is of; for names, IPv4 where it has any."""
    if destination.address:
        return family_of(destination.address)
    for family, state in states.items():
        if any(_is_meant(port, destination) for port in state.ports):
            return family
    return Family.IPV4


def _is_meant(port: ServicePort, destination: Destination) -> bool:
    """Whether it is a port of the Service that is named, or has the node port that is."""
    if destination.service is None:
        return port.node_port == destination.port
    return port.key[:2] == destination.service


def targets_of(destination: Destination, place: Place, state: FamilyState | None) -> list[Target]:
    """The addresses and ports to explain; UsageError says what to give when it is none."""
    ports = state.ports if state else ()
    if destination.service is not None:
        return _service_targets(destination, ports)
    if not destination.address:
        if not place.addresses:
            raise UsageError(
                f"{quote(destination.text)} is a port of the node, whose address is not known: give"
                " --node-address IP"
            )
        return [Target(place.addresses[0], destination.protocol or "tcp", destination.port)]
    if destination.port:
        return [Target(destination.address, destination.protocol or "tcp", destination.port)]
    local = place.is_local(destination.address)
    found = dict.fromkeys(
        Target(destination.address, one.protocol, number)
        for one in ports
        if destination.protocol in ("", one.protocol)
        for number in _numbers(one, destination.address, local)
    )
    if not found:
        raise UsageError(_no_port(destination, bool(ports)))
    return sorted(found, key=lambda target: (target.port, target.protocol))


def _numbers(port: ServicePort, address: str, local: bool) -> list[int]:
    """The port numbers by which the service port answers at the address."""
    numbers = [port.port] if kind_of_address(port, address) is not None else []
    return [*numbers, port.node_port] if local and port.node_port else numbers


def _no_port(destination: Destination, with_objects: bool) -> str:
    text = destination.text
    example = f"[{destination.address}]:80" if ":" in destination.address else f"{text}:80"
    if with_objects:
        return f"{quote(text)}: no Service has this address; give a port, such as {example}"
    return f"{quote(text)}: which port? Give one, such as {example} or {example}/udp"


def _service_targets(destination: Destination, ports: Sequence[ServicePort]) -> list[Target]:
    name = "/".join(destination.service or ())
    having = [port for port in ports if port.key[:2] == destination.service]
    if not having:
        raise UsageError(f"{quote(destination.text)}: no Service {name} that has a cluster IP")
    chosen = [port for port in having if _is_named(port, destination)]
    if not chosen:
        has = ", ".join(f"{_name_of(port)}/{port.protocol}" for port in having)
        raise UsageError(f"{quote(destination.text)}: no such port; Service {name} has {has}")
    if not all(port.cluster_ip for port in chosen):
        raise UsageError(f"{quote(destination.text)}: an older Service has its cluster IP")
    return [Target(port.cluster_ip, port.protocol, port.port) for port in chosen]


def _is_named(port: ServicePort, destination: Destination) -> bool:
    if destination.protocol not in ("", port.protocol):
        return False
    return destination.service_port in ("", port.key.port_name, str(port.port))


def _name_of(port: ServicePort) -> str:
    return f"{port.key.port_name} ({port.port})" if port.key.port_name else str(port.port)


# ------------------------------------------------------------------------------ where from


def packet_to(
    target: Target, place: Place, source: str, interface: str, endpoints: Iterable[Endpoint]
) -> tuple[Packet, Origin]:
    """The packet to that target from what `--from` says: an address, `pod`, `node` or nothing."""
    if source == "node":
        address, origin = _node_source(target, place), Origin.NODE
    elif source == "pod":
        address, origin = _pod_source(place, endpoints), Origin.POD
    elif not source:
        address, origin = OUTSIDE[place.family], Origin.OUTSIDE
    else:
        address = _given_source(source, place.family)
        origin = _origin(address, interface, place)
    from_node = origin is Origin.NODE
    if from_node and interface:
        raise UsageError("-i: the node's own packets come in by no interface")
    if not from_node and not interface:
        interface = pod_interface(place) if origin is Origin.POD else OUTSIDE_INTERFACE
    packet = Packet(
        address, target.address, target.protocol, target.port, interface, from_node=from_node
    )
    return packet, origin


def arrival_of(packet: Packet) -> Arrival:
    """The packet as the choice of endpoints sees it."""
    return Arrival(packet.source, packet.destination, packet.interface, packet.from_node)


def _node_source(target: Target, place: Place) -> str:
    """What the node sends to itself has the address that it goes to as its source, too."""
    if place.is_local(target.address):
        return target.address
    if not place.addresses:
        raise UsageError("--from node: the node's address is not known; give --node-address IP")
    return place.addresses[0]


def _pod_source(place: Place, endpoints: Iterable[Endpoint]) -> str:
    """An address of this node's pods that is no endpoint's."""
    if not place.pod_cidr:
        raise UsageError(
            "--from pod: where pods are is not known; give --cluster-cidr or --pod-cidr, or an"
            " address with --from"
        )
    taken = {endpoint.ip for endpoint in endpoints}
    network = ipaddress.ip_network(place.pod_cidr, strict=False)
    # The first address is often the bridge's.
    for number in range(2, min(network.num_addresses, _TRIED)):
        address = str(network.network_address + number)
        if address not in taken:
            return address
    return str(network[-1])


def _given_source(source: str, family: Family) -> str:
    try:
        if "%" in source:
            raise ValueError
        address = str(ipaddress.ip_address(source))
    except ValueError:
        raise UsageError(f"--from {quote(source)}: it is an address, pod or node") from None
    if family_of(address) is not family:
        raise UsageError(f"--from {source}: the destination is an {family.api_name} address")
    return address


def _origin(address: str, interface: str, place: Place) -> Origin:
    if place.is_local(address) and not interface:
        return Origin.NODE
    arrival = Arrival(address, "", interface, False)
    if is_pod_traffic(place.settings.local_detector, arrival):
        return Origin.POD
    if place.pod_cidr and contains(place.pod_cidr, address):
        return Origin.POD
    return Origin.OUTSIDE


def pod_interface(place: Place) -> str:
    """The interface of pods: what tells their traffic apart where an interface does."""
    detector = place.settings.local_detector
    if detector.kind is not LocalTraffic.INTERFACE:
        return POD_INTERFACE
    name = detector.value
    return f"{name[:-1]}0" if name.endswith("+") else name
