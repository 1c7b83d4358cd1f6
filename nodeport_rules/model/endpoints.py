"""Endpoints of service ports, merged from EndpointSlices."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

import msgspec

from nodeport_rules.kube.objects import EndpointSlice, SliceEndpoint
from nodeport_rules.model.family import Family

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
SERVICE_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"


class ServicePortKey(NamedTuple):
    """What a service port and a slice's port have in common when they belong together."""

    namespace: str
    service: str
    port_name: str
    protocol: str
    """In lower case, as chain names hash it."""


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One address and port that a service port leads to."""

    text: str
    """`10.244.1.6:8080` or `[fd00::6]:8080`: orders endpoints and names their chains."""
    ip: str
    port: int
    ready: bool
    serving: bool
    terminating: bool
    node_name: str | None
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()


def slice_counts(endpoint_slice: EndpointSlice) -> bool:
    """Whether this proxy looks at the slice at all.

    Slices of headless Services do not count. One that is labelled for another proxy does: recorded
    kube-proxy looks at that label of Services only.
    """
    labels = endpoint_slice.metadata.labels
    return (
        labels is not None and bool(labels.get(SERVICE_NAME_LABEL)) and HEADLESS_LABEL not in labels
    )


def endpoints_by_service_port(
    slices: Iterable[EndpointSlice], family: Family
) -> dict[ServicePortKey, tuple[Endpoint, ...]]:
    """The endpoints of each service port for one family, ordered by their text.

    Behaviour of kube-proxy: an `ip:port` that stands in several slices is one endpoint; one that
    is terminating never replaces one already seen, one that is not always replaces a terminating
    one. Where kube-proxy leaves the choice to chance, the slice whose name sorts first decides.
    """
    seen: dict[ServicePortKey, dict[str, tuple[Endpoint, str]]] = {}
    address_type = family.api_name
    counting = (s for s in slices if s.address_type == address_type and slice_counts(s))
    for endpoint_slice in sorted(counting, key=lambda s: (s.namespace, s.name)):
        service = endpoint_slice.labels[SERVICE_NAME_LABEL]
        for port in endpoint_slice.ports or ():
            if port.name is None or not port.port:
                continue
            key = ServicePortKey(
                endpoint_slice.namespace, service, port.name, (port.protocol or "TCP").lower()
            )
            merged = seen.setdefault(key, {})
            for found in endpoint_slice.endpoints or ():
                endpoint = _endpoint(found, port.port, family)
                if endpoint is not None:
                    _merge(merged, endpoint, endpoint_slice.name)
    by_text = attrgetter("text")
    return {
        key: tuple(sorted((endpoint for endpoint, _ in merged.values()), key=by_text))
        for key, merged in seen.items()
    }


def _merge(merged: dict[str, tuple[Endpoint, str]], endpoint: Endpoint, slice_name: str) -> None:
    before = merged.get(endpoint.text)
    if before is None:
        merged[endpoint.text] = (endpoint, slice_name)
    elif not endpoint.terminating:
        previous, previous_slice = before
        # Inside one slice kube-proxy reads in order, and the last one wins.
        if previous.terminating or previous_slice == slice_name:
            merged[endpoint.text] = (endpoint, slice_name)


def _endpoint(found: SliceEndpoint, port: int, family: Family) -> Endpoint | None:
    """The endpoint, by its first address; None when it has none."""
    if not found.addresses:
        return None
    ip = found.addresses[0]
    conditions = found.conditions
    hints = found.hints
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()
    if hints is not None:
        zone_hints = tuple(zone.name for zone in hints.for_zones or ())
        node_hints = tuple(node.name for node in hints.for_nodes or ())
    return Endpoint(
        f"{ip}:{port}" if family is Family.IPV4 else f"[{ip}]:{port}",
        ip,
        port,
        conditions is None or conditions.ready is not False,
        conditions is None or conditions.serving is not False,
        conditions is not None and conditions.terminating is True,
        found.node_name,
        zone_hints,
        node_hints,
    )
