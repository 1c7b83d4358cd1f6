"""All objects of one moment, as one value."""

from __future__ import annotations

import msgspec

from nodeport_rules.kube.objects import (
    Endpoints,
    EndpointSlice,
    Node,
    Pod,
    Service,
    ServiceCIDR,
    Workload,
)


class Snapshot(msgspec.Struct, frozen=True):
    """The objects of one moment, in no particular order.

    `origins` tells where an object was read, by (kind, namespace, name), for messages; it is empty
    for objects that came from the API server. Node and ServiceCIDR have the namespace "".
    """

    services: tuple[Service, ...] = ()
    slices: tuple[EndpointSlice, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    nodes: tuple[Node, ...] = ()
    service_cidrs: tuple[ServiceCIDR, ...] = ()
    pods: tuple[Pod, ...] = ()
    workloads: tuple[Workload, ...] = ()
    origins: dict[tuple[str, str, str], str] = {}

    def origin(self, kind: str, namespace: str, name: str) -> str:
        """Where the object was read: "web.yaml, document 2", or "" when that is not known."""
        return self.origins.get((kind, namespace, name), "")
