"""Whether Nodes, ServiceCIDRs, Pods and workloads are sound."""

from __future__ import annotations

from msgspec.structs import replace

from nodeport_rules.errors import quote
from nodeport_rules.kube.objects import (
    Container,
    Node,
    NodeAddress,
    Pod,
    PodIP,
    PodSpec,
    ServiceCIDR,
    Workload,
)
from nodeport_rules.kube.problems import MAX_PORT, PROTOCOLS, Problems

ZONE_LABEL = "topology.kubernetes.io/zone"
MAX_REPLICAS = 10_000
"""Replicas of one workload for which endpoints are assumed at most."""

_IP_TYPES = ("InternalIP", "ExternalIP")


def check_node(node: Node, problems: Problems) -> Node:
    """The Node with addresses and CIDRs in canonical form."""
    problems.subdomain("metadata.name", node.metadata.name)
    zone = node.labels.get(ZONE_LABEL)
    if zone is not None:
        problems.label_value(f"metadata.labels[{quote(ZONE_LABEL)}]", zone)
    cidrs = _cidrs(node.spec.pod_cidrs, "spec.podCIDRs", problems)
    addresses: list[NodeAddress] = []
    for index, address in enumerate(node.status.addresses or ()):
        text = address.address
        if address.type in _IP_TYPES:
            parsed = problems.address(f"status.addresses[{index}].address", text)
            text = parsed.text if parsed is not None else text
        addresses.append(NodeAddress(type=address.type, address=text))
    if cidrs != (node.spec.pod_cidrs or []):
        node = replace(node, spec=replace(node.spec, pod_cidrs=cidrs))
    if addresses != (node.status.addresses or []):
        node = replace(node, status=replace(node.status, addresses=addresses))
    return node


def check_service_cidr(item: ServiceCIDR, problems: Problems) -> ServiceCIDR:
    """The ServiceCIDR with its CIDRs in canonical form."""
    problems.subdomain("metadata.name", item.metadata.name)
    cidrs = _cidrs(item.spec.cidrs, "spec.cidrs", problems)
    if not item.spec.cidrs:
        problems.add("spec.cidrs", "is empty")
    return replace(item, spec=replace(item.spec, cidrs=cidrs))


def _cidrs(listed: list[str] | None, field: str, problems: Problems) -> list[str]:
    found = [problems.cidr(f"{field}[{index}]", text) for index, text in enumerate(listed or ())]
    return [text for text in found if text is not None]


def check_pod(pod: Pod, problems: Problems) -> Pod:
    """The Pod with its addresses in canonical form, all of them in podIPs."""
    problems.subdomain("metadata.name", pod.metadata.name)
    problems.label("metadata.namespace", pod.namespace)
    _check_pod_spec(pod.spec, "spec", problems)
    status = pod.status
    if status is None or not (status.pod_ips or status.pod_ip):
        return pod
    listed = [entry.ip for entry in status.pod_ips or () if entry.ip]
    field = "status.podIPs[{}].ip" if listed else "status.podIP"
    addresses = [
        problems.address(field.format(index), text)
        for index, text in enumerate(listed or [status.pod_ip or ""])
    ]
    texts = [PodIP(ip=address.text) for address in addresses if address is not None]
    return replace(pod, status=replace(status, pod_ips=texts))


def check_workload(workload: Workload, problems: Problems) -> Workload:
    """The workload as it is."""
    problems.subdomain("metadata.name", workload.metadata.name)
    problems.label("metadata.namespace", workload.namespace)
    if workload.spec.replicas is not None and workload.kind != "DaemonSet":
        problems.number("spec.replicas", workload.spec.replicas, 0, MAX_REPLICAS)
    _check_pod_spec(workload.spec.template.spec, "spec.template.spec", problems)
    return workload


def _check_pod_spec(spec: PodSpec, field: str, problems: Problems) -> None:
    if spec.node_name:
        problems.subdomain(f"{field}.nodeName", spec.node_name)
    for name, containers in (
        ("containers", spec.containers),
        ("initContainers", spec.init_containers),
    ):
        for index, container in enumerate(containers or ()):
            _check_container(container, f"{field}.{name}[{index}]", problems)


def _check_container(container: Container, field: str, problems: Problems) -> None:
    for index, port in enumerate(container.ports or ()):
        inside = f"{field}.ports[{index}]"
        problems.number(f"{inside}.containerPort", port.container_port, 1, MAX_PORT)
        if port.protocol:
            problems.one_of(f"{inside}.protocol", port.protocol, PROTOCOLS)
        if port.name:
            problems.container_port_name(f"{inside}.name", port.name)
