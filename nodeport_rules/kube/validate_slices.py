"""Whether EndpointSlices and Endpoints objects are sound.

What is wrong with one endpoint or one port costs that endpoint or port alone; the rest of the
object stays. What is wrong with the object itself costs the object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from nodeport_rules.errors import quote
from nodeport_rules.kube.objects import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    SliceEndpoint,
    SlicePort,
)
from nodeport_rules.kube.problems import MAX_PORT, PROTOCOLS, Problems
from nodeport_rules.kube.text_rules import (
    IPV4,
    IPV6,
    is_label,
    is_label_value,
    is_ordinary_ipv6,
    is_subdomain,
    ordinary_ipv4,
)

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
MAX_ADDRESSES = 100

_Part = TypeVar("_Part")


def check_slice(item: EndpointSlice, problems: Problems) -> EndpointSlice | None:
    """The slice without its bad endpoints and ports, in canonical form; None when it is lost.

    Slices of names (addressType FQDN) are passed over without a fault, as kube-proxy does.
    """
    if item.address_type == "FQDN":
        return None
    before = len(problems.found)
    problems.subdomain("metadata.name", item.metadata.name)
    problems.label("metadata.namespace", item.namespace)
    problems.one_of("addressType", item.address_type, (IPV4, IPV6, "FQDN"))
    service = item.labels.get(SERVICE_NAME_LABEL)
    if service:  # one that is empty belongs to no Service, as one that is missing
        problems.label(f"metadata.labels[{quote(SERVICE_NAME_LABEL)}]", service)
    if len(problems.found) > before:
        return None
    ports = _kept(item.ports, "ports", problems, _SlicePortCheck())
    is_plain = _is_plain_ipv4_endpoint if item.address_type == IPV4 else _is_plain_ipv6_endpoint
    if all(map(is_plain, item.endpoints or ())):
        endpoints = item.endpoints
    else:
        family = item.address_type

        def check(endpoint: SliceEndpoint, field: str, found: Problems) -> SliceEndpoint:
            return _check_endpoint(endpoint, family, field, found)

        endpoints = _kept(item.endpoints, "endpoints", problems, check)
    if ports is item.ports and endpoints is item.endpoints:
        return item
    return replace(item, ports=ports, endpoints=endpoints)


def _kept(
    parts: list[_Part] | None,
    field: str,
    problems: Problems,
    check: Callable[[_Part, str, Problems], _Part],
) -> list[_Part] | None:
    """The parts without those that `check` finds a problem in; the same list if nothing changed."""
    kept: list[_Part] = []
    changed = False
    for index, part in enumerate(parts or ()):
        before = len(problems.found)
        checked = check(part, f"{field}[{index}]", problems)
        if len(problems.found) == before:
            kept.append(checked)
        changed |= checked is not part or len(problems.found) > before
    return kept if changed else parts


def _is_plain_ipv4_endpoint(endpoint: SliceEndpoint) -> bool:
    """Whether an endpoint of an IPv4 slice is sound and canonical, the quick way."""
    return (
        len(endpoint.addresses) == 1
        and ordinary_ipv4(endpoint.addresses[0]) is not None
        and _has_plain_place(endpoint)
    )


def _is_plain_ipv6_endpoint(endpoint: SliceEndpoint) -> bool:
    """Whether an endpoint of an IPv6 slice is sound and canonical, the quick way."""
    return (
        len(endpoint.addresses) == 1
        and is_ordinary_ipv6(endpoint.addresses[0])
        and _has_plain_place(endpoint)
    )


def _has_plain_place(endpoint: SliceEndpoint) -> bool:
    return (
        (endpoint.node_name is None or is_subdomain(endpoint.node_name))
        and (endpoint.zone is None or is_label_value(endpoint.zone))
        and endpoint.hints is None
    )


def _check_endpoint(
    endpoint: SliceEndpoint, family: str, field: str, problems: Problems
) -> SliceEndpoint:
    count = len(endpoint.addresses)
    if not 1 <= count <= MAX_ADDRESSES:
        problems.add(f"{field}.addresses", f"holds {count}, must be 1 to {MAX_ADDRESSES}")
    texts: list[str] = []
    for index, text in enumerate(endpoint.addresses):
        inside = f"{field}.addresses[{index}]"
        address = problems.address(inside, text, ordinary=True)
        if address is not None and address.family != family:
            problems.add(inside, f"is {address.text}, but the slice's addressType is {family}")
        texts.append(address.text if address is not None else text)
    if endpoint.node_name is not None:
        problems.subdomain(f"{field}.nodeName", endpoint.node_name)
    if endpoint.zone is not None:
        problems.label_value(f"{field}.zone", endpoint.zone)
    hints = endpoint.hints
    for index, zone in enumerate((hints.for_zones if hints else None) or ()):
        problems.label_value(f"{field}.hints.forZones[{index}].name", zone.name)
    for index, node in enumerate((hints.for_nodes if hints else None) or ()):
        problems.subdomain(f"{field}.hints.forNodes[{index}].name", node.name)
    return endpoint if texts == endpoint.addresses else replace(endpoint, addresses=texts)


class _SlicePortCheck:
    """The check of one slice's ports; of those with the same name the first sound one stays."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def __call__(self, port: SlicePort, field: str, problems: Problems) -> SlicePort:
        before = len(problems.found)
        name = port.name or ""
        if name and not is_label(name):
            problems.label(f"{field}.name", name)
        problems.one_of(f"{field}.protocol", port.protocol, PROTOCOLS)
        problems.number(f"{field}.port", port.port or 0, 0, MAX_PORT)
        if name in self._fields:
            problems.add(field, f"has the same name as {self._fields[name]}")
        elif len(problems.found) == before:
            self._fields[name] = field
        return port


# ---------------------------------------------------------------------------------- Endpoints


def check_endpoints(item: Endpoints, problems: Problems) -> Endpoints | None:
    """The object without its bad addresses and ports, in canonical form; None when it is lost."""
    before = len(problems.found)
    problems.subdomain("metadata.name", item.metadata.name)
    problems.label("metadata.namespace", item.namespace)
    if len(problems.found) > before:
        return None
    subsets = [
        _check_subset(subset, f"subsets[{index}]", problems)
        for index, subset in enumerate(item.subsets or ())
    ]
    return replace(item, subsets=subsets)


def _check_subset(subset: EndpointSubset, field: str, problems: Problems) -> EndpointSubset:
    return EndpointSubset(
        addresses=_kept(subset.addresses, f"{field}.addresses", problems, _check_address),
        not_ready_addresses=_kept(
            subset.not_ready_addresses, f"{field}.notReadyAddresses", problems, _check_address
        ),
        ports=_kept(subset.ports, f"{field}.ports", problems, _check_port),
    )


def _check_address(address: EndpointAddress, field: str, problems: Problems) -> EndpointAddress:
    parsed = problems.address(f"{field}.ip", address.ip, ordinary=True)
    if address.node_name is not None:
        problems.subdomain(f"{field}.nodeName", address.node_name)
    if parsed is None or parsed.text == address.ip:
        return address
    return replace(address, ip=parsed.text)


def _check_port(port: EndpointPort, field: str, problems: Problems) -> EndpointPort:
    if port.name and not is_label(port.name):
        problems.label(f"{field}.name", port.name)
    problems.one_of(f"{field}.protocol", port.protocol, PROTOCOLS)
    problems.number(f"{field}.port", port.port, 1, MAX_PORT)
    return port
