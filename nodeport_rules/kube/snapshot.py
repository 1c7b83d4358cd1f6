"""All objects of one moment, as one value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from nodeport_rules.kube.objects import (
    Endpoints,
    EndpointSlice,
    KubeObject,
    Node,
    Pod,
    Service,
    ServiceCIDR,
    Workload,
)

_Object = TypeVar("_Object", bound=KubeObject)


class Snapshot(msgspec.Struct, frozen=True):
    """The objects of one moment, in no particular order; `snapshot_of` sorts them.

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


def snapshot_of(
    objects: Sequence[KubeObject], origins: dict[tuple[str, str, str], str] | None = None
) -> Snapshot:
    """The objects as a snapshot, each kind sorted by namespace and name."""
    return Snapshot(
        services=_sorted_of(Service, objects),
        slices=_sorted_of(EndpointSlice, objects),
        endpoints=_sorted_of(Endpoints, objects),
        nodes=_sorted_of(Node, objects),
        service_cidrs=_sorted_of(ServiceCIDR, objects),
        pods=_sorted_of(Pod, objects),
        workloads=_sorted_of(Workload, objects),
        origins=origins or {},
    )


def objects_of(snapshot: Snapshot) -> Iterator[KubeObject]:
    """All objects of the snapshot."""
    yield from snapshot.services
    yield from snapshot.slices
    yield from snapshot.endpoints
    yield from snapshot.nodes
    yield from snapshot.service_cidrs
    yield from snapshot.pods
    yield from snapshot.workloads


def _sorted_of(struct: type[_Object], objects: Sequence[KubeObject]) -> tuple[_Object, ...]:
    found = [item for item in objects if type(item) is struct]
    found.sort(key=_order)
    return tuple(found)


def _order(item: KubeObject) -> tuple[str, str, str]:
    metadata = item.metadata
    return (
        metadata.namespace or "default",
        metadata.name,
        item.kind if isinstance(item, Workload) else "",
    )
