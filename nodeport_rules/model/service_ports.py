"""Service ports: what of a Service matters to one family's rules."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nodeport_rules.kube.objects import Service
from nodeport_rules.model.endpoints import SERVICE_PROXY_NAME_LABEL, ServicePortKey
from nodeport_rules.model.family import Family, contains, of_family

DEFAULT_AFFINITY_SECONDS = 10800


class ServicePort(msgspec.Struct, frozen=True):
    """One port of one Service for one family, with every address it answers on."""

    key: ServicePortKey
    name: str
    """`namespace/name`, and `:portname` after it when the port has a name."""
    protocol: str
    """`tcp`, `udp` or `sctp`."""
    port: int
    cluster_ip: str
    """Empty when an older Service has claimed the address (`model.claims`)."""
    node_port: int
    """0: none."""
    external_ips: tuple[str, ...]
    """Empty with the feature gate `AllowServiceExternalIPs` off."""
    load_balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    """CIDRs that may reach the load-balancer IPs; empty: everybody."""
    external: bool
    """Whether it has a node port, a load-balancer IP or an external IP.

    External IPs count for this with the feature gate off, too (recorded): then the choice of
    endpoints is the same, and only the way there is missing.
    """
    external_policy_local: bool
    internal_policy_local: bool
    affinity_seconds: int
    """Session affinity by client IP; 0: none."""
    health_check_node_port: int
    """0: none."""
    created: str
    """`creationTimestamp` (RFC 3339, UTC), empty when the Service is not in a cluster."""

    @property
    def uses_cluster_endpoints(self) -> bool:
        return not self.internal_policy_local or self.external

    @property
    def uses_local_endpoints(self) -> bool:
        return self.internal_policy_local or (self.external and self.external_policy_local)

    def allows_source(self, address: str) -> bool:
        """Whether `source_ranges` let the address reach the load-balancer IPs."""
        ranges = self.source_ranges
        return not ranges or any(contains(cidr, address) for cidr in ranges)


def service_counts(service: Service) -> bool:
    """Whether this proxy has rules for the Service.

    Recorded: of the two labels that set objects aside, kube-proxy looks at that for another proxy
    on Services, and at that for headless ones on slices.
    """
    labels = service.metadata.labels or {}
    return (
        service.spec.type != "ExternalName"
        and service.spec.cluster_ip not in (None, "", "None")
        and SERVICE_PROXY_NAME_LABEL not in labels
    )


def service_ports(
    services: Iterable[Service], family: Family, allow_external_ips: bool = True
) -> list[ServicePort]:
    """All service ports of the family, ordered by namespace, name, port and protocol.

    `services` are complete: with defaults and addresses. `allow_external_ips` is kube-proxy's
    feature gate `AllowServiceExternalIPs`.
    """
    found: list[ServicePort] = []
    for service in services:
        if not service_counts(service):
            continue
        cluster_ips = of_family(service.spec.cluster_ips or [service.spec.cluster_ip or ""], family)
        if cluster_ips and cluster_ips[0]:
            found.extend(_ports_of(service, family, cluster_ips[0], allow_external_ips))
    found.sort(key=lambda p: (p.key.namespace, p.key.service, p.port, p.protocol))
    return found


def _ports_of(
    service: Service, family: Family, cluster_ip: str, allow_external_ips: bool
) -> Iterable[ServicePort]:
    spec = service.spec
    namespace, name = service.namespace, service.name
    external_local = spec.external_traffic_policy == "Local"
    external_ips = of_family(spec.external_ips, family)
    load_balancer_ips = _load_balancer_ips(service, family)
    health_check = (
        spec.health_check_node_port or 0 if spec.type == "LoadBalancer" and external_local else 0
    )
    for port in spec.ports or ():
        port_name = port.name or ""
        protocol = (port.protocol or "TCP").lower()
        yield ServicePort(
            key=ServicePortKey(namespace, name, port_name, protocol),
            name=f"{namespace}/{name}:{port_name}" if port_name else f"{namespace}/{name}",
            protocol=protocol,
            port=port.port,
            cluster_ip=cluster_ip,
            node_port=port.node_port or 0,
            external_ips=external_ips if allow_external_ips else (),
            load_balancer_ips=load_balancer_ips,
            source_ranges=_source_ranges(service, family),
            external=bool(port.node_port or external_ips or load_balancer_ips),
            external_policy_local=external_local,
            internal_policy_local=spec.internal_traffic_policy == "Local",
            affinity_seconds=_affinity_seconds(service),
            health_check_node_port=health_check,
            created=service.metadata.creation_timestamp or "",
        )


def _load_balancer_ips(service: Service, family: Family) -> tuple[str, ...]:
    """Ingress addresses that the node itself is to answer on.

    An ingress without an address, or with `ipMode: Proxy`, is the load balancer's own business
    (KEP-1860).
    """
    status = service.status
    if status is None or status.load_balancer is None:
        return ()
    usable = [
        ingress.ip
        for ingress in status.load_balancer.ingress or ()
        if ingress.ip and ingress.ip_mode in (None, "VIP")
    ]
    return of_family(usable, family)


def _source_ranges(service: Service, family: Family) -> tuple[str, ...]:
    ranges = of_family(service.spec.load_balancer_source_ranges, family)
    if any(cidr.endswith("/0") for cidr in ranges):
        return ()
    return ranges


def _affinity_seconds(service: Service) -> int:
    spec = service.spec
    if spec.session_affinity != "ClientIP":
        return 0
    config = spec.session_affinity_config
    if config is None or config.client_ip is None or config.client_ip.timeout_seconds is None:
        return DEFAULT_AFFINITY_SECONDS
    return config.client_ip.timeout_seconds
