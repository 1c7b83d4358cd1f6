"""Endpoints objects as EndpointSlices, for Services that have no slice.

This is what the EndpointSliceMirroring controller does in a cluster, for Services without a
selector; in manifests an Endpoints object beside a Service with a selector counts as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from nodeport_rules.kube.objects import (
    EndpointAddress,
    EndpointConditions,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    ObjectMeta,
    SliceEndpoint,
    SlicePort,
)
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.kube.text_rules import IPV4, IPV6, MAX_SUBDOMAIN, family_of, is_label
from nodeport_rules.kube.validate_slices import SERVICE_NAME_LABEL

MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"


def mirror(snapshot: Snapshot) -> Snapshot:
    """The snapshot with a slice for each subset and family of the Endpoints objects that count.

    A Service that has any slice of its own ignores its Endpoints object. The objects themselves
    stay in the snapshot. It must have passed `kube.validate`.
    """
    if not snapshot.endpoints:
        return snapshot
    with_slices = {
        (item.namespace, item.labels.get(SERVICE_NAME_LABEL, "")) for item in snapshot.slices
    }
    added = [
        mirrored
        for item in snapshot.endpoints
        if (item.namespace, item.name) not in with_slices and is_label(item.name)
        for mirrored in _slices(item)
    ]
    if not added:
        return snapshot
    slices = sorted((*snapshot.slices, *added), key=lambda item: (item.namespace, item.name))
    return replace(snapshot, slices=tuple(slices))


def _slices(item: Endpoints) -> list[EndpointSlice]:
    """One slice for each subset and family; their names sort in the order of the subsets."""
    found: list[EndpointSlice] = []
    for index, subset in enumerate(item.subsets or ()):
        for family in (IPV4, IPV6):
            endpoints = [
                *_endpoints(subset.addresses, family, ready=True),
                *_endpoints(subset.not_ready_addresses, family, ready=False),
            ]
            if endpoints:
                suffix = f"-mirrored-{index:04}-{family.lower()}"
                found.append(
                    EndpointSlice(
                        metadata=ObjectMeta(
                            name=item.name[: MAX_SUBDOMAIN - len(suffix)] + suffix,
                            namespace=item.namespace,
                            labels={
                                **item.labels,
                                SERVICE_NAME_LABEL: item.name,
                                MANAGED_BY_LABEL: "nodeport-rules",
                            },
                        ),
                        address_type=family,
                        endpoints=endpoints,
                        ports=_ports(subset),
                    )
                )
    return found


def _ports(subset: EndpointSubset) -> list[SlicePort]:
    return [
        SlicePort(name=port.name or "", protocol=port.protocol or "TCP", port=port.port)
        for port in subset.ports or ()
    ]


def _endpoints(
    addresses: Sequence[EndpointAddress] | None, family: str, *, ready: bool
) -> list[SliceEndpoint]:
    return [
        SliceEndpoint(
            addresses=[address.ip],
            conditions=EndpointConditions(ready=ready, serving=ready, terminating=False),
            node_name=address.node_name,
        )
        for address in addresses or ()
        if family_of(address.ip) == family
    ]
