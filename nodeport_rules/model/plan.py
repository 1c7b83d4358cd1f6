"""Where each kind of traffic to a service port goes on one node.

Decided once, here; a backend only writes it down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from nodeport_rules.model.endpoints import Endpoint, ServicePortKey
from nodeport_rules.model.service_ports import ServicePort


class Target(StrEnum):
    """Where a kind of traffic goes."""

    CLUSTER = "cluster"
    """To the cluster endpoints."""
    LOCAL = "local"
    """To the endpoints of this node."""
    REJECT = "reject"
    """Refused: there is no endpoint anywhere."""
    DROP = "drop"
    """Dropped: there are endpoints, but none that the traffic policy allows here."""


class Place(msgspec.Struct, frozen=True):
    """The node that rules are made for, as far as the choice of endpoints goes."""

    node_name: str
    zone: str = ""
    """The Node's label `topology.kubernetes.io/zone`; empty when it has none."""


class ServicePlan(msgspec.Struct, frozen=True):
    """The decision for one service port."""

    service_port: ServicePort
    cluster_endpoints: tuple[Endpoint, ...]
    """Empty when neither traffic policy uses them."""
    local_endpoints: tuple[Endpoint, ...]
    """Empty when neither traffic policy uses them."""
    has_endpoints: bool
    """Whether anybody could serve it, here or elsewhere."""
    internal: Target
    """Traffic to the cluster IP."""
    external: Target
    """Traffic from outside to node port, external and load-balancer IPs (where it has any)."""

    @property
    def serves_external(self) -> bool:
        """Whether node port, external and load-balancer IPs lead anywhere (to KUBE-EXT)."""
        return self.has_endpoints and self.service_port.external

    def endpoints_of(self, target: Target) -> tuple[Endpoint, ...]:
        """The endpoints that `target` stands for; none for REJECT and DROP."""
        if target is Target.CLUSTER:
            return self.cluster_endpoints
        return self.local_endpoints if target is Target.LOCAL else ()

    def reachable_endpoints(self) -> tuple[Endpoint, ...]:
        """Cluster and local endpoints together, in their order, each once."""
        if not self.local_endpoints:
            return self.cluster_endpoints
        if not self.cluster_endpoints:
            return self.local_endpoints
        together = {e.text: e for e in (*self.cluster_endpoints, *self.local_endpoints)}
        return tuple(together[text] for text in sorted(together))


def plan_service_ports(
    ports: Sequence[ServicePort],
    endpoints: Mapping[ServicePortKey, tuple[Endpoint, ...]],
    place: Place,
) -> list[ServicePlan]:
    """One plan for each service port, in their order."""
    return [plan_service_port(port, endpoints.get(port.key, ()), place) for port in ports]


def plan_service_port(
    port: ServicePort, endpoints: tuple[Endpoint, ...], place: Place
) -> ServicePlan:
    """Which endpoints the service port uses on this node, and where its traffic goes.

    kube-proxy's rules: cluster endpoints are the ready ones that topology allows, else those that
    still serve while they terminate; local endpoints are the ready ones on this node, else the
    serving and terminating ones there. The two fallbacks are independent of each other.
    """
    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()
    ready = tuple(e for e in endpoints if e.ready)
    if len(ready) == len(endpoints):
        ready = endpoints
    draining = tuple(e for e in endpoints if e.serving and e.terminating)
    if port.uses_cluster_endpoints:
        cluster = allowed_by_topology(ready, place) or draining
    if port.uses_local_endpoints:
        local = _on_node(ready, place) or _on_node(draining, place)
        has_endpoints = bool(ready or draining)
    else:
        has_endpoints = bool(cluster)
    return ServicePlan(
        service_port=port,
        cluster_endpoints=cluster,
        local_endpoints=local,
        has_endpoints=has_endpoints,
        internal=_target(port.internal_policy_local, has_endpoints, cluster, local),
        external=_target(port.external_policy_local, has_endpoints, cluster, local),
    )


def _target(
    policy_local: bool,
    has_endpoints: bool,
    cluster: tuple[Endpoint, ...],
    local: tuple[Endpoint, ...],
) -> Target:
    if not has_endpoints:
        return Target.REJECT
    if policy_local:
        return Target.LOCAL if local else Target.DROP
    return Target.CLUSTER if cluster else Target.DROP


def _on_node(endpoints: tuple[Endpoint, ...], place: Place) -> tuple[Endpoint, ...]:
    return tuple(e for e in endpoints if e.node_name == place.node_name)


def allowed_by_topology(ready: tuple[Endpoint, ...], place: Place) -> tuple[Endpoint, ...]:
    """Of the ready endpoints those that hints leave for this node (KEP-2433, KEP-3015).

    Hints count only when every ready endpoint has them and one names this node, or, failing that,
    this node's zone; else all may be used.
    """
    hinted = tuple(e for e in ready if place.node_name in e.node_hints)
    if hinted and all(e.node_hints for e in ready):
        return hinted
    if place.zone:
        hinted = tuple(e for e in ready if place.zone in e.zone_hints)
        if hinted and all(e.zone_hints for e in ready):
            return hinted
    return ready
