"""Whether a Service is sound, with a fault for everything that is not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from nodeport_rules.errors import quote
from nodeport_rules.kube.objects import LoadBalancerStatus, Service, ServicePortSpec, ServiceStatus
from nodeport_rules.kube.problems import MAX_PORT, PROTOCOLS, Problems
from nodeport_rules.kube.text_rules import IPV4, IPV6, is_label, ordinary_ipv4

MAX_AFFINITY_SECONDS = 86400

_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_POLICIES = ("Cluster", "Local")
_FAMILIES = (IPV4, IPV6)
_FAMILY_POLICIES = ("SingleStack", "PreferDualStack", "RequireDualStack")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def check_service(service: Service, problems: Problems) -> Service:
    """The Service with its texts in canonical form; for use only when no problem was added."""
    problems.label("metadata.name", service.metadata.name)
    problems.label("metadata.namespace", service.namespace)
    service = _creation(service, problems)
    spec = service.spec
    changes: dict[str, Any] = {}
    problems.one_of("spec.type", spec.type, _TYPES)
    _check_policies(service, problems)
    _check_ports(service, problems)
    if spec.type != "ExternalName":
        _check_cluster_ips(service, problems, changes)
    if spec.external_ips:
        addresses = _addresses(spec.external_ips, problems)
        if addresses != spec.external_ips:
            changes["external_ips"] = addresses
    if spec.load_balancer_source_ranges:
        ranges = _source_ranges(spec.load_balancer_source_ranges, problems)
        if ranges != spec.load_balancer_source_ranges:
            changes["load_balancer_source_ranges"] = ranges
    if changes:
        service = replace(service, spec=replace(spec, **changes))
    return _check_ingress(service, problems)


def _creation(service: Service, problems: Problems) -> Service:
    """The creation time in UTC, so that of two Services the older one can be told by its text."""
    text = service.metadata.creation_timestamp
    if text is None or _TIMESTAMP.fullmatch(text):
        return service
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        problems.add("metadata.creationTimestamp", f"is {quote(text)}, no time as in RFC 3339")
        return service
    moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    shown = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(service, metadata=replace(service.metadata, creation_timestamp=shown))


def _check_policies(service: Service, problems: Problems) -> None:
    spec = service.spec
    if spec.internal_traffic_policy is not None:
        problems.one_of("spec.internalTrafficPolicy", spec.internal_traffic_policy, _POLICIES)
    if spec.external_traffic_policy:
        problems.one_of("spec.externalTrafficPolicy", spec.external_traffic_policy, _POLICIES)
    problems.one_of("spec.sessionAffinity", spec.session_affinity, ("None", "ClientIP"))
    config = spec.session_affinity_config
    if spec.session_affinity == "ClientIP" and config and config.client_ip:
        problems.number(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            config.client_ip.timeout_seconds or 0,
            1,
            MAX_AFFINITY_SECONDS,
        )
    problems.number("spec.healthCheckNodePort", spec.health_check_node_port or 0, 0, MAX_PORT)


# ---------------------------------------------------------------------------------- ports


def _check_ports(service: Service, problems: Problems) -> None:
    spec = service.spec
    ports = spec.ports or []
    if not ports and spec.type != "ExternalName" and spec.cluster_ip != "None":
        problems.add("spec.ports", "is empty; a Service needs a port at least")
    for index, port in enumerate(ports):
        if not _is_plain_port(port):
            _check_port(port, f"spec.ports[{index}]", problems)
        if port.node_port and spec.type not in ("NodePort", "LoadBalancer"):
            field = f"spec.ports[{index}].nodePort"
            problems.add(field, f"is given, but the Service is of type {quote(spec.type or '')}")
    if len(ports) < 2:
        return
    for index, port in enumerate(ports):
        if not port.name:
            field = f"spec.ports[{index}].name"
            problems.add(field, "is missing; with several ports each needs a name")
    problems.unique("spec.ports[{}]", (port.name for port in ports), "name")
    problems.unique(
        "spec.ports[{}]", ((port.port, port.protocol) for port in ports), "port and protocol"
    )
    problems.unique(
        "spec.ports[{}]",
        ((port.node_port, port.protocol) if port.node_port else None for port in ports),
        "nodePort and protocol",
    )


def _is_plain_port(port: ServicePortSpec) -> bool:
    """Whether a port is sound, the quick way."""
    target = port.target_port
    return (
        0 < port.port <= MAX_PORT
        and port.protocol in PROTOCOLS
        and isinstance(target, int)
        and 0 < target <= MAX_PORT
        and 0 <= (port.node_port or 0) <= MAX_PORT
        and (not port.name or is_label(port.name))
    )


def _check_port(port: ServicePortSpec, field: str, problems: Problems) -> None:
    problems.number(f"{field}.port", port.port, 1, MAX_PORT)
    problems.one_of(f"{field}.protocol", port.protocol, PROTOCOLS)
    problems.number(f"{field}.nodePort", port.node_port or 0, 0, MAX_PORT)
    if port.name:
        problems.label(f"{field}.name", port.name)
    if isinstance(port.target_port, str):
        problems.container_port_name(f"{field}.targetPort", port.target_port)
    elif port.target_port != port.port:
        problems.number(f"{field}.targetPort", port.target_port or 0, 1, MAX_PORT)


# ---------------------------------------------------------------------------------- addresses


def _check_cluster_ips(service: Service, problems: Problems, changes: dict[str, Any]) -> None:
    spec = service.spec
    _check_families(service, problems)
    listed = spec.cluster_ips or []
    if not listed:
        return
    if "None" in listed:
        if len(listed) > 1 or spec.cluster_ip != "None":
            problems.add("spec.clusterIPs", 'must be "None" alone, as clusterIP, or addresses')
        elif spec.type != "ClusterIP":
            problems.add("spec.clusterIPs", 'may be "None" only for type ClusterIP')
        return
    if (
        len(listed) == 1
        and listed[0] == spec.cluster_ip
        and ordinary_ipv4(listed[0])
        and (not spec.ip_families or spec.ip_families[0] == IPV4)
    ):
        return
    # A lone clusterIP was copied to clusterIPs (kube.defaults): name the field people wrote.
    lone = listed == [spec.cluster_ip]
    parsed = [
        problems.address(
            "spec.clusterIP" if lone else f"spec.clusterIPs[{index}]", text, ordinary=True
        )
        for index, text in enumerate(listed)
    ]
    good = [address for address in parsed if address is not None]
    if len(good) < len(parsed):
        return
    texts = [address.text for address in good]
    families = [address.family for address in good]
    if len(families) > 2 or len(set(families)) < len(families):
        problems.add("spec.clusterIPs", "holds more than one address of a family")
    elif spec.ip_families and spec.ip_families[: len(families)] != families:
        shown = ", ".join(families)
        problems.add("spec.clusterIPs", f"has the families {shown}, ipFamilies says otherwise")
    first = problems.address("spec.clusterIP", spec.cluster_ip or "")
    if first is not None and first.text != texts[0]:
        problems.add("spec.clusterIP", f"is {first.text}, but clusterIPs begins with {texts[0]}")
    if texts != listed or spec.cluster_ip != texts[0]:
        changes["cluster_ips"], changes["cluster_ip"] = texts, texts[0]


def _check_families(service: Service, problems: Problems) -> None:
    spec = service.spec
    for index, family in enumerate(spec.ip_families or ()):
        problems.one_of(f"spec.ipFamilies[{index}]", family, _FAMILIES)
    if spec.ip_families and len(set(spec.ip_families)) < len(spec.ip_families):
        problems.add("spec.ipFamilies", "names a family twice")
    if spec.ip_family_policy:
        problems.one_of("spec.ipFamilyPolicy", spec.ip_family_policy, _FAMILY_POLICIES)
    several = len(spec.ip_families or ()) > 1 or len(spec.cluster_ips or ()) > 1
    if several and spec.ip_family_policy == "SingleStack":
        problems.add("spec.ipFamilyPolicy", "is SingleStack, but two families are given")


def _addresses(listed: list[str], problems: Problems) -> list[str]:
    found = [
        problems.address(f"spec.externalIPs[{index}]", text, ordinary=True)
        for index, text in enumerate(listed)
    ]
    return [address.text for address in found if address is not None]


def _source_ranges(listed: list[str], problems: Problems) -> list[str]:
    """The ranges without blanks around them and with host bits masked, as kube-proxy reads them."""
    found = [
        problems.cidr(f"spec.loadBalancerSourceRanges[{index}]", text.strip())
        for index, text in enumerate(listed)
    ]
    return [text for text in found if text is not None]


def _check_ingress(service: Service, problems: Problems) -> Service:
    status = service.status
    ingress = status.load_balancer.ingress if status and status.load_balancer else None
    if not ingress:
        return service
    changed = False
    entries = []
    for index, entry in enumerate(ingress):
        if entry.ip_mode:
            field = f"status.loadBalancer.ingress[{index}].ipMode"
            problems.one_of(field, entry.ip_mode, ("VIP", "Proxy"))
        if entry.ip and not ordinary_ipv4(entry.ip):
            address = problems.address(f"status.loadBalancer.ingress[{index}].ip", entry.ip)
            if address is not None and address.text != entry.ip:
                entry = replace(entry, ip=address.text)
                changed = True
        entries.append(entry)
    if not changed:
        return service
    return replace(service, status=ServiceStatus(load_balancer=LoadBalancerStatus(ingress=entries)))
