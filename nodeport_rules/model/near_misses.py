"""What comes near to an address and port that no Service has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nodeport_rules.model.endpoints import Endpoint, ServicePortKey
from nodeport_rules.model.reasons import AddressKind, kind_of_address
from nodeport_rules.model.service_ports import ServicePort

_NAMED = 5


def near_misses(
    ports: Sequence[ServicePort],
    endpoints: Mapping[ServicePortKey, tuple[Endpoint, ...]],
    destination: str,
    protocol: str,
    port: int,
    *,
    is_local: bool,
) -> tuple[str, ...]:
    """Sentences about Services that have nearly this address, port and protocol.

    `is_local`: the address is one of the node's own.
    """
    return (
        *_same_address(ports, destination, protocol, port),
        *_node_ports(ports, protocol, port, is_local=is_local),
        *_own_address(ports, endpoints, destination, port),
    )


def _same_address(
    ports: Sequence[ServicePort], destination: str, protocol: str, port: int
) -> Iterator[str]:
    """The Services that have the address, with other ports or protocols."""
    found: dict[tuple[str, AddressKind], list[ServicePort]] = {}
    for one in ports:
        kind = kind_of_address(one, destination)
        if kind is not None:
            found.setdefault((_service(one), kind), []).append(one)
    for (service, kind), having in found.items():
        other = [one.protocol for one in having if one.port == port and one.protocol != protocol]
        if other:
            has = " and ".join(other)
            yield f"Service {service} has port {port} there for {has}, not for {protocol}"
        else:
            has = _listed(f"{one.port}/{one.protocol}" for one in having)
            yield f"{destination} is the {kind} of Service {service}, which has port {has} only"


def _node_ports(
    ports: Sequence[ServicePort], protocol: str, port: int, *, is_local: bool
) -> Iterator[str]:
    """The Services that have the port as node port, or as their own where node ports are meant."""
    for one in [one for one in ports if one.node_port == port][:_NAMED]:
        of = f"{port}/{one.protocol} is a node port of Service {_service(one)}"
        if one.protocol == protocol and not is_local:
            yield f"{of}, but the address is none of this node's"
        elif one.protocol != protocol and is_local:
            yield of
    if not is_local:
        return
    having = [one for one in ports if one.port == port and one.protocol == protocol]
    for one in [one for one in having if one.node_port][:_NAMED]:
        yield (
            f"{port} is the port of Service {_service(one)} at its cluster IP; its node port is"
            f" {one.node_port}"
        )


def _own_address(
    ports: Sequence[ServicePort],
    endpoints: Mapping[ServicePortKey, tuple[Endpoint, ...]],
    destination: str,
    port: int,
) -> Iterator[str]:
    """The Services that the address is an endpoint of."""
    known = {one.key for one in ports}
    services = {
        f"{key.namespace}/{key.service}"
        for key, found in endpoints.items()
        if key in known
        for endpoint in found
        if endpoint.ip == destination and endpoint.port == port
    }
    if services:
        yield (
            f"it is the own address of an endpoint of {_listed(sorted(services))}: packets go there"
            " directly"
        )


def _service(port: ServicePort) -> str:
    return f"{port.key.namespace}/{port.key.service}"


def _listed(texts: Iterable[str]) -> str:
    found = list(dict.fromkeys(texts))
    shown = found[:_NAMED]
    if len(found) > _NAMED:
        shown.append(f"{len(found) - _NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
