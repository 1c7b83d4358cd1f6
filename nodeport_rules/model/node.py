"""One node: what its Node object and the options say about its rules, and its plans."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import msgspec

from nodeport_rules.kube.objects import Node
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.model.claims import Conflict, settle_claims
from nodeport_rules.model.endpoints import Endpoint, ServicePortKey, endpoints_by_service_port
from nodeport_rules.model.family import Family, of_family
from nodeport_rules.model.options import DetectLocalMode, ProxyOptions
from nodeport_rules.model.plan import Place, ServicePlan, plan_service_ports
from nodeport_rules.model.service_ports import ServicePort, service_counts, service_ports
from nodeport_rules.model.settings import LocalDetector, LocalTraffic, NodeSettings

ZONE_LABEL = "topology.kubernetes.io/zone"
_LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}


class FamilyState(msgspec.Struct, frozen=True):
    """What is the same on all nodes for one family: service ports and their endpoints."""

    family: Family
    ports: tuple[ServicePort, ...]
    endpoints: dict[ServicePortKey, tuple[Endpoint, ...]]
    total_endpoints: int
    """Every endpoint once for each service port that has it, ready or not."""
    conflicts: tuple[Conflict, ...]
    service_cidrs: tuple[str, ...] = ()
    """The Service CIDRs that are known for certain."""
    other_cluster_ips: tuple[str, ...] = ()
    """Cluster IPs of Services that are not this proxy's (labelled for another one)."""


def family_state(snapshot: Snapshot, family: Family, options: ProxyOptions) -> FamilyState:
    """The service ports and endpoints of one family, double claims settled."""
    claimed = service_ports(snapshot.services, family, options.allow_external_ips)
    ports, conflicts = settle_claims(claimed)
    endpoints = endpoints_by_service_port(snapshot.slices, family)
    total = sum(len(endpoints.get(port.key, ())) for port in ports)
    return FamilyState(
        family=family,
        ports=tuple(ports),
        endpoints=endpoints,
        total_endpoints=total,
        conflicts=tuple(conflicts),
        service_cidrs=_service_cidrs(snapshot, family, options),
        other_cluster_ips=_other_cluster_ips(snapshot, family),
    )


def _service_cidrs(snapshot: Snapshot, family: Family, options: ProxyOptions) -> tuple[str, ...]:
    """The Service CIDRs that a flag or a ServiceCIDR object gives, sorted."""
    cidrs = options.service_cidrs or tuple(
        cidr for one in snapshot.service_cidrs for cidr in one.spec.cidrs or ()
    )
    return tuple(sorted(set(of_family(cidrs, family))))


def _other_cluster_ips(snapshot: Snapshot, family: Family) -> tuple[str, ...]:
    """Cluster IPs of Services that this proxy has no rules for, sorted by their text."""
    others = (
        service.spec.cluster_ips or [service.spec.cluster_ip or ""]
        for service in snapshot.services
        if not service_counts(service)
    )
    found = {ip for ips in others for ip in of_family(ips, family) if ip not in ("", "None")}
    return tuple(sorted(found))


def plan_node(state: FamilyState, settings: NodeSettings) -> list[ServicePlan]:
    """The plan of every service port on the node of `settings`."""
    place = Place(settings.node_name, settings.zone)
    return plan_service_ports(state.ports, state.endpoints, place)


def node_settings(
    options: ProxyOptions,
    family: Family,
    node_name: str,
    node: Node | None,
    host_addresses: Sequence[str] = (),
) -> NodeSettings:
    """The settings of one node for one family.

    `node` is its Node object, None when that is not known. `host_addresses` are addresses that
    the host has, where that is known better than from the Node object.
    """
    node_ip = _node_ip(options, family, node, host_addresses)
    addresses = _node_port_addresses(options, family, node, node_ip, host_addresses)
    return NodeSettings(
        family=family,
        node_name=node_name,
        zone=node.labels.get(ZONE_LABEL, "") if node else "",
        node_ip=node_ip,
        local_detector=_local_detector(options, family, node),
        masquerade_bit=options.masquerade_bit,
        masquerade_all=options.masquerade_all,
        node_port_addresses=addresses,
        localhost_node_ports=_localhost_node_ports(options, family, node_ip),
        conntrack_liberal=options.conntrack_liberal,
        nfacct=options.nfacct,
    )


def _addresses_of_type(node: Node | None, address_type: str) -> list[str]:
    if node is None:
        return []
    return [a.address for a in node.status.addresses or () if a.type == address_type]


def _node_ip(
    options: ProxyOptions, family: Family, node: Node | None, host_addresses: Sequence[str]
) -> str:
    """The node's primary address: `bindAddress`, else the first internal one, else the first
    external one of its Node, else (as in kube-proxy) the loopback address.

    Without a Node object the first address that a flag gives takes the Node's place.
    """
    if family in options.bind_addresses:
        return options.bind_addresses[family]
    candidates = [
        *_addresses_of_type(node, "InternalIP"),
        *_addresses_of_type(node, "ExternalIP"),
        *(host_addresses if node is None else ()),
    ]
    return next(iter(of_family(candidates, family)), _LOOPBACK[family])


def _local_detector(options: ProxyOptions, family: Family, node: Node | None) -> LocalDetector:
    mode = options.detect_local_mode
    if mode is DetectLocalMode.BRIDGE_INTERFACE:
        return LocalDetector(LocalTraffic.INTERFACE, options.bridge_interface)
    if mode is DetectLocalMode.INTERFACE_NAME_PREFIX:
        return LocalDetector(LocalTraffic.INTERFACE, f"{options.interface_name_prefix}+")
    if mode is DetectLocalMode.NODE_CIDR:
        cidr = next(iter(of_family(pod_cidrs(node), family)), "")
    else:
        cidr = options.cluster_cidrs.get(family, "")
    return LocalDetector(LocalTraffic.CIDR, cidr) if cidr else LocalDetector()


def pod_cidrs(node: Node | None) -> list[str]:
    """The node's podCIDRs, both families; empty when it has none."""
    if node is None:
        return []
    return node.spec.pod_cidrs or ([node.spec.pod_cidr] if node.spec.pod_cidr else [])


def _node_port_cidrs(options: ProxyOptions, family: Family, node_ip: str) -> tuple[str, ...]:
    if options.node_port_primary:
        known = node_ip != _LOOPBACK[family]
        return (f"{node_ip}/{family.host_prefix_length}",) if known else ()
    return of_family(options.node_port_cidrs, family)


def _node_port_addresses(
    options: ProxyOptions,
    family: Family,
    node: Node | None,
    node_ip: str,
    host_addresses: Sequence[str],
) -> tuple[str, ...] | None:
    """The local addresses that `nodePortAddresses` selects; None for all of them.

    A family for which the list has no CIDR accepts on all of its local addresses, in both modes of
    kube-proxy. What is local is told by flags, else by the Node object: its internal addresses
    and the node's primary one. Other external addresses may belong to a device in front of it.
    """
    cidrs = _node_port_cidrs(options, family, node_ip)
    if not cidrs or any(cidr.endswith("/0") for cidr in cidrs):
        return None
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
    known = host_addresses or [*_addresses_of_type(node, "InternalIP"), node_ip]
    local = {_LOOPBACK[family], *of_family(list(known), family)}
    selected = [
        address
        for address in map(ipaddress.ip_address, local)
        if any(address in network for network in networks)
    ]
    return tuple(str(address) for address in sorted(selected, key=int))


def _localhost_node_ports(options: ProxyOptions, family: Family, node_ip: str) -> bool:
    """Whether node ports answer on 127.0.0.0/8: never for IPv6, and for IPv4 only where the
    selected addresses include loopback at all."""
    if family is Family.IPV6 or not options.localhost_node_ports:
        return False
    cidrs = _node_port_cidrs(options, family, node_ip)
    loopback = ipaddress.ip_network("127.0.0.0/8")
    return not cidrs or any(ipaddress.ip_network(cidr).overlaps(loopback) for cidr in cidrs)
