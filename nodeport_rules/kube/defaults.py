"""What the API server fills in when an object is created, filled in.

Objects that are complete already, as all from a cluster are, come back as they are: the same
values, not copies. What cannot be understood is left for `kube.validate` to name.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec.structs import replace

from nodeport_rules.kube.objects import (
    ClientIPConfig,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    KubeObject,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Node,
    Service,
    ServicePortSpec,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
    SlicePort,
)
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.kube.text_rules import parse_address

AFFINITY_TIMEOUT_SECONDS = 10800
DEFAULT_NAMESPACE = "default"

_EXTERNAL_TYPES = ("NodePort", "LoadBalancer")
_Object = TypeVar("_Object", bound=KubeObject)


def with_defaults(snapshot: Snapshot) -> Snapshot:
    """The snapshot with every object completed."""
    return replace(
        snapshot,
        services=tuple(service_with_defaults(item) for item in snapshot.services),
        slices=tuple(slice_with_defaults(item) for item in snapshot.slices),
        endpoints=tuple(endpoints_with_defaults(item) for item in snapshot.endpoints),
        nodes=tuple(node_with_defaults(item) for item in snapshot.nodes),
        pods=tuple(_in_namespace(item) for item in snapshot.pods),
        workloads=tuple(_in_namespace(item) for item in snapshot.workloads),
    )


def _in_namespace(item: _Object) -> _Object:
    if item.metadata.namespace:
        return item
    return replace(item, metadata=replace(item.metadata, namespace=DEFAULT_NAMESPACE))


# ---------------------------------------------------------------------------------- Service


def service_with_defaults(service: Service) -> Service:
    """The Service with namespace, type, policies, affinity, ports and families filled in.

    Cluster IPs and node ports that are missing stay so; see `kube.assume`.
    """
    service = _in_namespace(service)
    spec = service.spec
    changes: dict[str, Any] = {}
    kind = spec.type or "ClusterIP"
    if not spec.type:
        changes["type"] = kind
    if not spec.session_affinity:
        changes["session_affinity"] = "None"
    elif spec.session_affinity == "ClientIP":
        _affinity(spec, changes)
    if kind != "ExternalName" and not spec.internal_traffic_policy:
        changes["internal_traffic_policy"] = "Cluster"
    if (kind in _EXTERNAL_TYPES or spec.external_ips) and not spec.external_traffic_policy:
        changes["external_traffic_policy"] = "Cluster"
    if kind == "LoadBalancer" and spec.allocate_load_balancer_node_ports is None:
        changes["allocate_load_balancer_node_ports"] = True
    if spec.ports and not all(_port_is_complete(port) for port in spec.ports):
        changes["ports"] = [_port_with_defaults(port) for port in spec.ports]
    if kind != "ExternalName":
        _addresses(spec, changes)
    if changes:
        service = replace(service, spec=replace(spec, **changes))
    return _ingress(service)


def _affinity(spec: ServiceSpec, changes: dict[str, Any]) -> None:
    config = spec.session_affinity_config
    client = config.client_ip if config else None
    if client is None or client.timeout_seconds is None:
        changes["session_affinity_config"] = SessionAffinityConfig(
            client_ip=ClientIPConfig(timeout_seconds=AFFINITY_TIMEOUT_SECONDS)
        )


def _port_is_complete(port: ServicePortSpec) -> bool:
    return bool(port.protocol and port.target_port)


def _port_with_defaults(port: ServicePortSpec) -> ServicePortSpec:
    return replace(port, protocol=port.protocol or "TCP", target_port=port.target_port or port.port)


def _addresses(spec: ServiceSpec, changes: dict[str, Any]) -> None:
    """clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy from one another.

    A Service with one address of two (PreferDualStack or RequireDualStack, and no families named)
    stays without families: which the second one is, `kube.assume` knows.
    """
    if spec.cluster_ip and spec.cluster_ips and spec.ip_families and spec.ip_family_policy:
        return
    addresses = spec.cluster_ips or ([spec.cluster_ip] if spec.cluster_ip else [])
    if addresses and not spec.cluster_ips:
        changes["cluster_ips"] = addresses
    if addresses and not spec.cluster_ip:
        changes["cluster_ip"] = addresses[0]
    families = spec.ip_families or []
    policy = spec.ip_family_policy
    if not policy and addresses:
        policy = "SingleStack" if max(len(addresses), len(families)) < 2 else "RequireDualStack"
        changes["ip_family_policy"] = policy
    if addresses and not families and addresses[0] != "None":
        parsed = [parse_address(address) for address in addresses]
        found = [address.family for address in parsed if address is not None]
        if len(set(found)) == len(addresses) and (len(found) > 1 or policy == "SingleStack"):
            changes["ip_families"] = found


def _ingress(service: Service) -> Service:
    """ipMode VIP for each load-balancer address, as the API server has it."""
    status = service.status
    ingress = status.load_balancer.ingress if status and status.load_balancer else None
    if not ingress or not any(entry.ip and not entry.ip_mode for entry in ingress):
        return service
    completed: list[LoadBalancerIngress] = [
        replace(entry, ip_mode="VIP") if entry.ip and not entry.ip_mode else entry
        for entry in ingress
    ]
    balancer = LoadBalancerStatus(ingress=completed)
    return replace(service, status=ServiceStatus(load_balancer=balancer))


# ---------------------------------------------------------------------------------- others


def slice_with_defaults(item: EndpointSlice) -> EndpointSlice:
    """The slice with namespace, and its ports' name ("") and protocol (TCP), filled in."""
    item = _in_namespace(item)
    ports = item.ports
    if not ports or all(port.name is not None and port.protocol for port in ports):
        return item
    return replace(
        item,
        ports=[
            SlicePort(name=port.name or "", protocol=port.protocol or "TCP", port=port.port)
            for port in ports
        ],
    )


def endpoints_with_defaults(item: Endpoints) -> Endpoints:
    """The Endpoints object with namespace, and its ports' protocol (TCP), filled in."""
    item = _in_namespace(item)
    subsets = item.subsets or []
    if all(port.protocol for subset in subsets for port in subset.ports or ()):
        return item
    return replace(item, subsets=[_subset(subset) for subset in subsets])


def _subset(subset: EndpointSubset) -> EndpointSubset:
    ports = [replace(port, protocol=port.protocol or "TCP") for port in subset.ports or ()]
    return replace(subset, ports=ports)


def node_with_defaults(node: Node) -> Node:
    """The Node with podCIDRs filled in from a lone podCIDR."""
    spec = node.spec
    if spec.pod_cidr and not spec.pod_cidrs:
        return replace(node, spec=replace(spec, pod_cidrs=[spec.pod_cidr]))
    return node
