"""The fields that are used of the cluster's objects, as msgspec structs.

Names and nesting are the API's own (camelCase on the wire). Absent and null are the same: None.
Types are those of the API; whether a value makes sense is for `kube.validate`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class KubeStruct(
    msgspec.Struct, frozen=True, rename="camel", gc=False, omit_defaults=True, kw_only=True
):
    """Base of all structs here: frozen, unknown fields passed over."""


class OwnerReference(KubeStruct, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class ObjectMeta(KubeStruct, frozen=True):
    name: str = ""
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generate_name: str | None = None
    owner_references: list[OwnerReference] | None = None


class KubeObject(KubeStruct, frozen=True):
    """What every object has."""

    metadata: ObjectMeta

    @property
    def namespace(self) -> str:
        """The namespace, `default` when not given (as kubectl would fill in)."""
        return self.metadata.namespace or "default"

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels or {}


# ---------------------------------------------------------------------------------- Service


class ServicePortSpec(KubeStruct, frozen=True):
    port: int
    name: str | None = None
    protocol: str | None = None
    target_port: int | str | None = None
    node_port: int | None = None
    app_protocol: str | None = None


class ClientIPConfig(KubeStruct, frozen=True):
    timeout_seconds: int | None = None


class SessionAffinityConfig(KubeStruct, frozen=True):
    client_ip: ClientIPConfig | None = msgspec.field(default=None, name="clientIP")


class ServiceSpec(KubeStruct, frozen=True):
    type: str | None = None
    selector: dict[str, str] | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = msgspec.field(default=None, name="clusterIPs")
    ip_families: list[str] | None = None
    ip_family_policy: str | None = None
    ports: list[ServicePortSpec] | None = None
    external_ips: list[str] | None = msgspec.field(default=None, name="externalIPs")
    external_name: str | None = None
    external_traffic_policy: str | None = None
    internal_traffic_policy: str | None = None
    health_check_node_port: int | None = None
    session_affinity: str | None = None
    session_affinity_config: SessionAffinityConfig | None = None
    load_balancer_ip: str | None = msgspec.field(default=None, name="loadBalancerIP")
    load_balancer_source_ranges: list[str] | None = None
    allocate_load_balancer_node_ports: bool | None = None
    publish_not_ready_addresses: bool | None = None
    traffic_distribution: str | None = None


class LoadBalancerIngress(KubeStruct, frozen=True):
    ip: str | None = None
    ip_mode: str | None = None
    hostname: str | None = None


class LoadBalancerStatus(KubeStruct, frozen=True):
    ingress: list[LoadBalancerIngress] | None = None


class ServiceStatus(KubeStruct, frozen=True):
    load_balancer: LoadBalancerStatus | None = None


class Service(KubeObject, frozen=True):
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus | None = None


# ---------------------------------------------------------------------------------- endpoints


class EndpointConditions(KubeStruct, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForZone(KubeStruct, frozen=True):
    name: str


class ForNode(KubeStruct, frozen=True):
    name: str


class EndpointHints(KubeStruct, frozen=True):
    for_zones: list[ForZone] | None = None
    for_nodes: list[ForNode] | None = None


class SliceEndpoint(KubeStruct, frozen=True):
    addresses: list[str]
    conditions: EndpointConditions | None = None
    hostname: str | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None


class SlicePort(KubeStruct, frozen=True):
    name: str | None = None
    protocol: str | None = None
    port: int | None = None


class EndpointSlice(KubeObject, frozen=True):
    address_type: str
    endpoints: list[SliceEndpoint] | None = None
    ports: list[SlicePort] | None = None


class EndpointAddress(KubeStruct, frozen=True):
    ip: str
    node_name: str | None = None
    hostname: str | None = None


class EndpointPort(KubeStruct, frozen=True):
    port: int
    name: str | None = None
    protocol: str | None = None


class EndpointSubset(KubeStruct, frozen=True):
    addresses: list[EndpointAddress] | None = None
    not_ready_addresses: list[EndpointAddress] | None = None
    ports: list[EndpointPort] | None = None


class Endpoints(KubeObject, frozen=True):
    subsets: list[EndpointSubset] | None = None


# ---------------------------------------------------------------------------------- nodes


class NodeAddress(KubeStruct, frozen=True):
    type: str
    address: str


class Taint(KubeStruct, frozen=True):
    key: str
    value: str | None = None
    effect: str = ""


class NodeSpec(KubeStruct, frozen=True):
    pod_cidr: str | None = msgspec.field(default=None, name="podCIDR")
    pod_cidrs: list[str] | None = msgspec.field(default=None, name="podCIDRs")
    taints: list[Taint] | None = None


class NodeStatus(KubeStruct, frozen=True):
    addresses: list[NodeAddress] | None = None


class Node(KubeObject, frozen=True):
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class ServiceCIDRSpec(KubeStruct, frozen=True):
    cidrs: list[str] | None = None


class ServiceCIDR(KubeObject, frozen=True):
    spec: ServiceCIDRSpec = ServiceCIDRSpec()


# ---------------------------------------------------------------------------------- workloads


class ContainerPort(KubeStruct, frozen=True):
    container_port: int
    name: str | None = None
    protocol: str | None = None
    host_port: int | None = None


class Container(KubeStruct, frozen=True):
    name: str = ""
    ports: list[ContainerPort] | None = None
    restart_policy: str | None = None


class PodSpec(KubeStruct, frozen=True):
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    host_network: bool | None = None
    node_name: str | None = None
    node_selector: dict[str, str] | None = None


class PodIP(KubeStruct, frozen=True):
    ip: str | None = None


class PodCondition(KubeStruct, frozen=True):
    type: str
    status: str


class PodStatus(KubeStruct, frozen=True):
    phase: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    pod_ips: list[PodIP] | None = msgspec.field(default=None, name="podIPs")
    conditions: list[PodCondition] | None = None


class Pod(KubeObject, frozen=True):
    spec: PodSpec = PodSpec()
    status: PodStatus | None = None


class PodTemplate(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()


class LabelSelector(KubeStruct, frozen=True):
    match_labels: dict[str, str] | None = None
    match_expressions: list[dict[str, Any]] | None = None


class WorkloadSpec(KubeStruct, frozen=True):
    template: PodTemplate = PodTemplate()
    replicas: int | None = None
    selector: LabelSelector | None = None


class Workload(KubeObject, frozen=True):
    """A Deployment, StatefulSet, DaemonSet or ReplicaSet; `kind` says which."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]
    spec: WorkloadSpec = WorkloadSpec()
