"""Why a packet to a Service goes where it goes: which service port it is for, which endpoints are
left out and for what reason, and what would have to change.

Decides nothing itself: what is used is what `plan` says.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from nodeport_rules.model.endpoints import Endpoint
from nodeport_rules.model.family import contains
from nodeport_rules.model.plan import (
    Place,
    ServicePlan,
    Target,
    allowed_by_topology,
    plan_service_port,
)
from nodeport_rules.model.service_ports import ServicePort
from nodeport_rules.model.settings import LocalDetector, LocalTraffic, NodeSettings

_NAMED = 3
"""Endpoints that a sentence names."""


class AddressKind(StrEnum):
    """What an address is to a service port."""

    CLUSTER_IP = "cluster IP"
    EXTERNAL_IP = "external IP"
    LOAD_BALANCER_IP = "load-balancer IP"
    NODE_PORT = "node port"


class Asked(msgspec.Struct, frozen=True):
    """A packet's destination as a Service has it."""

    port: ServicePort
    kind: AddressKind

    @property
    def policy_field(self) -> str:
        """The field of spec that says which endpoints may be used."""
        internal = self.kind is AddressKind.CLUSTER_IP
        return "internalTrafficPolicy" if internal else "externalTrafficPolicy"

    @property
    def policy_local(self) -> bool:
        """Whether that field says Local."""
        if self.kind is AddressKind.CLUSTER_IP:
            return self.port.internal_policy_local
        return self.port.external_policy_local


class Reason(StrEnum):
    """Why an endpoint gets none of the traffic."""

    NOT_READY = "not ready"
    NOT_SERVING = "terminating, no longer serving"
    TERMINATING = "terminating, others are ready"
    OTHER_NODE = "on another node, policy Local"
    NODE_HINT = "hinted for other nodes"
    ZONE_HINT = "hinted for other zones"


class LeftOut(msgspec.Struct, frozen=True):
    """An endpoint that gets none of the traffic."""

    endpoint: Endpoint
    reason: Reason


class Why(msgspec.Struct, frozen=True):
    """Why a packet to a service port goes where it goes."""

    asked: Asked
    target: Target
    used: tuple[Endpoint, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """Sentences about what else decides."""
    changes: tuple[str, ...]
    """What would have to change for the packet to reach an endpoint; empty when it does."""


class Arrival(msgspec.Struct, frozen=True):
    """How a packet comes, as far as the choice of endpoints goes."""

    source: str
    destination: str
    interface: str
    from_node: bool
    """Its source is an address of the node."""


def asked_for(
    ports: Iterable[ServicePort], destination: str, protocol: str, port: int, *, is_local: bool
) -> Asked | None:
    """The service port that has this address and port; None when none has.

    `is_local`: the address is one of the node's own, so that it may be a node port.
    """
    node_port: Asked | None = None
    for one in ports:
        if one.protocol != protocol:
            continue
        if one.port == port:
            kind = kind_of_address(one, destination)
            if kind is not None:
                return Asked(one, kind)
        if is_local and one.node_port == port and node_port is None:
            node_port = Asked(one, AddressKind.NODE_PORT)
    return node_port


def kind_of_address(port: ServicePort, address: str) -> AddressKind | None:
    """What the address is to the service port, node ports aside."""
    if address == port.cluster_ip:
        return AddressKind.CLUSTER_IP
    if address in port.load_balancer_ips:
        return AddressKind.LOAD_BALANCER_IP
    return AddressKind.EXTERNAL_IP if address in port.external_ips else None


def why(
    asked: Asked,
    endpoints: tuple[Endpoint, ...],
    settings: NodeSettings,
    arrival: Arrival,
    *,
    arrives: bool = False,
) -> Why:
    """Why a packet for that service port goes where it goes on the node of `settings`.

    `arrives`: rules are known to lead it to an endpoint, so that nothing has to change.
    """
    place = Place(settings.node_name, settings.zone)
    plan = plan_service_port(asked.port, endpoints, place)
    inside = arrival.from_node or is_pod_traffic(settings.local_detector, arrival)
    target = target_of(plan, asked, inside=inside)
    used = plan.endpoints_of(target)
    local = asked.policy_local and target is not Target.CLUSTER
    left_out = left_out_of(endpoints, used, place, local=local)
    barred = [] if arrives else barriers(asked, settings, arrival)
    changes = [change for _, change in barred]
    if not arrives:
        changes += _changes_of_endpoints(asked, target, endpoints, place)
    notes = [note for note, _ in barred]
    notes += _notes(asked, target, used, inside=inside)
    return Why(asked, target, used, left_out, tuple(notes), tuple(changes))


def target_of(plan: ServicePlan, asked: Asked, *, inside: bool) -> Target:
    """Where the plan sends the packet.

    `inside`: it comes from a pod that is told apart, or from the node itself; for those a Local
    policy for external traffic does not count.
    """
    if asked.kind is AddressKind.CLUSTER_IP:
        return plan.internal
    if inside and asked.policy_local and plan.serves_external and plan.cluster_endpoints:
        return Target.CLUSTER
    return plan.external


def is_pod_traffic(detector: LocalDetector, arrival: Arrival) -> bool:
    """Whether rules take the packet for one of a pod's."""
    if detector.kind is LocalTraffic.CIDR:
        return contains(detector.value, arrival.source)
    if detector.kind is LocalTraffic.INTERFACE:
        name = detector.value
        if name.endswith("+"):
            return arrival.interface.startswith(name[:-1])
        return arrival.interface == name
    return False


# ------------------------------------------------------------------------------ endpoints left out


def left_out_of(
    endpoints: Sequence[Endpoint], used: Sequence[Endpoint], place: Place, *, local: bool
) -> tuple[LeftOut, ...]:
    """The endpoints that are not used, each with its reason; `local`: a Local policy counts."""
    taken = {endpoint.text for endpoint in used}
    ready = tuple(endpoint for endpoint in endpoints if endpoint.ready)
    # Without a zone only hints for nodes decide, so what these leave tells the two hints apart.
    by_node = len(allowed_by_topology(ready, Place(place.node_name))) < len(ready)
    hint = Reason.NODE_HINT if by_node else Reason.ZONE_HINT
    return tuple(
        LeftOut(endpoint, _reason(endpoint, place, hint, local=local))
        for endpoint in endpoints
        if endpoint.text not in taken
    )


def _reason(endpoint: Endpoint, place: Place, hint: Reason, *, local: bool) -> Reason:
    if local and endpoint.node_name != place.node_name:
        return Reason.OTHER_NODE
    if endpoint.ready:
        return hint
    if endpoint.terminating:
        return Reason.TERMINATING if endpoint.serving else Reason.NOT_SERVING
    return Reason.NOT_READY


# ------------------------------------------------------------------------------ what would help


def barriers(asked: Asked, settings: NodeSettings, arrival: Arrival) -> list[tuple[str, str]]:
    """What keeps the packet out, whatever the endpoints: (what it is, what would help)."""
    if asked.kind is AddressKind.LOAD_BALANCER_IP and not _source_allowed(asked, settings, arrival):
        ranges = ", ".join(asked.port.source_ranges)
        return [
            (
                f"loadBalancerSourceRanges allow {ranges}; the source {arrival.source} is in none",
                f"add a range with {arrival.source} to loadBalancerSourceRanges",
            )
        ]
    if asked.kind is not AddressKind.NODE_PORT:
        return []
    if ipaddress.ip_address(arrival.destination).is_loopback and not settings.localhost_node_ports:
        return [
            (
                "node ports do not answer on loopback addresses here",
                "use another address of the node; kube-proxy serves 127.0.0.1 only in iptables"
                " mode, for IPv4, with localhostNodePorts",
            )
        ]
    selected = settings.node_port_addresses
    if selected is not None and arrival.destination not in selected:
        answers = " and ".join(selected) if selected else "no address of this node"
        return [
            (
                f"by nodePortAddresses, node ports answer on {answers}, not on"
                f" {arrival.destination}",
                f"take {arrival.destination} into nodePortAddresses",
            )
        ]
    return []


def _source_allowed(asked: Asked, settings: NodeSettings, arrival: Arrival) -> bool:
    if asked.port.allows_source(arrival.source):
        return True
    node_allowed = bool(settings.node_ip) and asked.port.allows_source(settings.node_ip)
    return node_allowed and arrival.source in asked.port.load_balancer_ips


def _changes_of_endpoints(
    asked: Asked, target: Target, endpoints: Sequence[Endpoint], place: Place
) -> list[str]:
    node = place.node_name
    if target is Target.REJECT:
        if not endpoints:
            return [
                "give it endpoints: pods that its selector matches, with its targetPort, or an"
                " EndpointSlice of your own"
            ]
        return [f"make {_one_of(endpoints)} ready"]
    if target is not Target.DROP:
        return []
    here = [endpoint for endpoint in endpoints if endpoint.node_name == node]
    local = f"make {_one_of(here)} on {node} ready" if here else f"run a ready endpoint on {node}"
    return [f"set {asked.policy_field}: Cluster, or {local}"]


def _one_of(endpoints: Sequence[Endpoint]) -> str:
    names = [endpoint.text for endpoint in endpoints[:_NAMED]]
    if len(endpoints) > _NAMED:
        names.append(f"{len(endpoints) - _NAMED} more")
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _notes(asked: Asked, target: Target, used: Sequence[Endpoint], *, inside: bool) -> list[str]:
    notes = []
    external = asked.kind is not AddressKind.CLUSTER_IP
    if external and inside and asked.policy_local and target is Target.CLUSTER:
        notes.append(
            "traffic from pods and from the node itself does not follow externalTrafficPolicy:"
            " Local; it goes to endpoints on all nodes"
        )
    if used and not any(endpoint.ready for endpoint in used):
        notes.append("no endpoint is ready: those that terminate but still serve are used")
    if used and asked.port.affinity_seconds:
        notes.append(
            "session affinity: a client that comes back within"
            f" {asked.port.affinity_seconds} s gets the endpoint it had; shares are of new clients"
        )
    return notes
