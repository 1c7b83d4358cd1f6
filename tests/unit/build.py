"""Short ways to make objects for tests."""

from __future__ import annotations

from typing import Any

import msgspec

from nodeport_rules.kube.objects import EndpointSlice, Node, Service
from nodeport_rules.kube.snapshot import Snapshot

NODE = "node-1"
ZONE = "zone-a"


def service(name: str = "web", **fields: Any) -> Service:
    """A complete Service; `fields` are of spec, but metadata, ports and ingress (status)."""
    metadata = {"name": name, "namespace": "default", **fields.pop("metadata", {})}
    ingress = fields.pop("ingress", None)
    spec = {
        "type": "ClusterIP",
        "clusterIP": "10.96.0.10",
        "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
        "internalTrafficPolicy": "Cluster",
        **fields,
    }
    spec.setdefault("clusterIPs", [spec["clusterIP"]] if spec["clusterIP"] else None)
    document = {"metadata": metadata, "spec": spec}
    if ingress is not None:
        document["status"] = {"loadBalancer": {"ingress": ingress}}
    return msgspec.convert(document, Service)


def endpoint(
    address: str,
    *,
    node: str | None = NODE,
    ready: bool | None = True,
    serving: bool | None = None,
    terminating: bool | None = None,
    zones: tuple[str, ...] = (),
    nodes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """An endpoint of a slice, as the API writes it."""
    conditions = {"ready": ready, "serving": serving, "terminating": terminating}
    hints = {
        "forZones": [{"name": zone} for zone in zones],
        "forNodes": [{"name": name} for name in nodes],
    }
    return {
        "addresses": [address],
        "conditions": {key: value for key, value in conditions.items() if value is not None},
        "nodeName": node,
        "hints": hints,
    }


def endpoint_slice(
    *endpoints: dict[str, Any],
    name: str = "web-1",
    service: str = "web",
    address_type: str = "IPv4",
    ports: list[dict[str, Any]] | None = None,
    labels: dict[str, str] | None = None,
) -> EndpointSlice:
    """A slice of a Service's endpoints; one unnamed TCP port 8080 unless told otherwise."""
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": service, **(labels or {})},
            },
            "addressType": address_type,
            "endpoints": list(endpoints),
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}] if ports is None else ports,
        },
        EndpointSlice,
    )


def node(
    name: str = NODE,
    *,
    internal: tuple[str, ...] = ("192.168.1.100", "2001:db8:1::100"),
    external: tuple[str, ...] = (),
    pod_cidrs: tuple[str, ...] = (),
    zone: str = ZONE,
) -> Node:
    """A Node with its addresses."""
    addresses = [{"type": "InternalIP", "address": address} for address in internal]
    addresses += [{"type": "ExternalIP", "address": address} for address in external]
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "labels": {"topology.kubernetes.io/zone": zone} if zone else {},
            },
            "spec": {"podCIDRs": list(pod_cidrs)},
            "status": {"addresses": addresses},
        },
        Node,
    )


def snapshot(*objects: Service | EndpointSlice | Node) -> Snapshot:
    """The objects as a snapshot, each kind in the order given."""
    return Snapshot(
        services=tuple(one for one in objects if isinstance(one, Service)),
        slices=tuple(one for one in objects if isinstance(one, EndpointSlice)),
        nodes=tuple(one for one in objects if isinstance(one, Node)),
    )
