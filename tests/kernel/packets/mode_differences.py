"""Where the two modes treat packets differently: kube-proxy's do, and so do ours.

One entry for each row of the table at the end of kube-proxy's behaviour page. An entry says what
becomes, in nftables mode, of a packet about which iptables mode has decided so and so; a packet to
which no entry applies has to fare alike in both. The order matters: what comes first decides where
the packet goes, what comes last only looks at what is left of it.

Two rows of the table are not here. That a Service of another proxy's is dropped as unallocated is a
fault of kube-proxy's that ours does not have. That forbidden sources are dropped at another place
makes no difference to a packet: in both modes it is dropped, and not translated before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from nodeport_rules.model.plan import ServicePlan, Target
from nodeport_rules.model.settings import LocalTraffic
from nodeport_rules.ruleset.meaning import State as Tracked
from nodeport_rules.ruleset.packet import Packet

from .addresses import contains, is_local, is_loopback
from .decisions import DROPPED, PASSED, REFUSED, Decision, Fate, Outcome
from .recordings import State

Key = tuple[str, str, int]
"""Address, protocol, port."""


@dataclass(frozen=True)
class Facts:
    """What a state says about a packet's destination and source."""

    state: State

    @cached_property
    def cluster_ips(self) -> frozenset[str]:
        return frozenset(plan.service_port.cluster_ip for plan in self.state.plans)

    @cached_property
    def by_cluster_ip(self) -> dict[Key, ServicePlan]:
        found = {}
        for plan in self.state.plans:
            port = plan.service_port
            found[port.cluster_ip, port.protocol, port.port] = plan
        return found

    @cached_property
    def by_load_balancer_ip(self) -> dict[Key, ServicePlan]:
        return {
            (address, plan.service_port.protocol, plan.service_port.port): plan
            for plan in self.state.plans
            for address in plan.service_port.load_balancer_ips
        }

    @cached_property
    def by_external_ip(self) -> dict[Key, ServicePlan]:
        return {
            (address, plan.service_port.protocol, plan.service_port.port): plan
            for plan in self.state.plans
            for address in plan.service_port.external_ips
        }

    @cached_property
    def by_external_address(self) -> dict[Key, ServicePlan]:
        """By external and load-balancer IPs."""
        return self.by_load_balancer_ip | self.by_external_ip

    @cached_property
    def endpoints_here(self) -> frozenset[Key]:
        """The endpoints of any Service that are said to be on this node."""
        here = self.state.iptables.node_name
        return frozenset(
            (endpoint.ip, plan.service_port.protocol, endpoint.port)
            for plan in self.state.plans
            for endpoint in plan.reachable_endpoints()
            if endpoint.node_name == here
        )

    @cached_property
    def by_node_port(self) -> dict[tuple[str, int], ServicePlan]:
        return {
            (plan.service_port.protocol, plan.service_port.node_port): plan
            for plan in self.state.plans
            if plan.service_port.node_port
        }

    def key(self, packet: Packet) -> Key:
        return packet.destination, packet.protocol, packet.port

    def node_port_plan(self, packet: Packet) -> ServicePlan | None:
        """The service port with that node port, where the packet is to the node itself."""
        if not is_local(packet.destination):
            return None
        return self.by_node_port.get((packet.protocol, packet.port))

    def takes_node_ports(self, address: str) -> bool:
        """Whether node ports answer on an address of the node's in nftables mode."""
        selected = self.state.nftables.node_port_addresses
        if is_loopback(address):
            return False
        return is_local(address) if selected is None else address in selected

    def is_pods(self, packet: Packet) -> bool:
        """Whether the packet counts as a pod's."""
        detector = self.state.iptables.local_detector
        if detector.kind is LocalTraffic.CIDR:
            return contains(detector.value, packet.source)
        if detector.kind is LocalTraffic.INTERFACE:
            prefix = detector.value.removesuffix("+")
            return not packet.from_node and packet.interface.startswith(prefix)
        return False

    def is_marked(self, packet: Packet) -> bool:
        """Whether the packet is to be masqueraded wherever it goes."""
        settings = self.state.iptables
        if self.key(packet) in self.by_cluster_ip:
            if settings.masquerade_all:
                return True
            undetected = settings.local_detector.kind is LocalTraffic.NOT_DETECTED
            return not undetected and not self.is_pods(packet)
        plan = self.by_external_address.get(self.key(packet)) or self.node_port_plan(packet)
        if plan is None:
            return False
        if not plan.service_port.external_policy_local:
            return True
        return not self.is_pods(packet) and is_local(packet.source)

    def is_forbidden(self, packet: Packet) -> bool:
        """Whether the packet goes to a load balancer that its source may not reach."""
        plan = self.by_load_balancer_ip.get(self.key(packet))
        if plan is None or not plan.service_port.source_ranges:
            return False
        ranges = plan.service_port.source_ranges
        if any(contains(one, packet.source) for one in ranges):
            return False
        node_ip = self.state.iptables.node_ip
        node_may = bool(node_ip) and any(contains(one, node_ip) for one in ranges)
        return not (node_may and packet.source in plan.service_port.load_balancer_ips)


def _fates(decision: Decision) -> set[Fate]:
    return {outcome.fate for outcome in decision.outcomes}


def _each(decision: Decision, change: Callable[[Outcome], Outcome]) -> Decision:
    return Decision(frozenset(map(change, decision.outcomes)), decision.stays)


Change = Callable[[Packet, Facts, Decision], Decision]

DIFFERENCES: dict[str, Change] = {}
"""By name: from the decision of iptables mode to that of nftables mode."""


def _difference(name: str) -> Callable[[Change], Change]:
    def register(change: Change) -> Change:
        DIFFERENCES[name] = change
        return change

    return register


def in_nftables_mode(packet: Packet, facts: Facts, decision: Decision) -> tuple[Decision, set[str]]:
    """What iptables mode's decision is in nftables mode, and the differences that made it so."""
    applied = set()
    for name, change in DIFFERENCES.items():
        changed = change(packet, facts, decision)
        if changed != decision:
            applied.add(name)
            decision = changed
    return decision, applied


# ------------------------------------------------------------------------------ the node's ports


@_difference("foreign packet to a node port on 127.0.0.1")
def _foreign_to_loopback(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    if packet.from_node or not is_loopback(packet.destination):
        return decision
    # Without route_localnet, which only iptables mode sets, the kernel drops it by itself.
    return DROPPED if facts.node_port_plan(packet) is not None else decision


@_difference("node port on 127.0.0.1")
def _loopback(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    served = packet.from_node and is_loopback(packet.destination) and facts.node_port_plan(packet)
    return PASSED if served and Fate.TRANSLATED in _fates(decision) else decision


@_difference("node port on an address that is not primary")
def _not_primary(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    if is_loopback(packet.destination) or facts.takes_node_ports(packet.destination):
        return decision
    if facts.key(packet) in facts.by_external_address or facts.node_port_plan(packet) is None:
        return decision
    return PASSED if Fate.TRANSLATED in _fates(decision) else decision


@_difference("node port without usable endpoints, on other addresses")
def _node_port_without_endpoints(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    plan = facts.node_port_plan(packet)
    if plan is None or plan.external not in (Target.REJECT, Target.DROP):
        return decision
    if facts.takes_node_ports(packet.destination) or decision not in (REFUSED, DROPPED):
        return decision
    return decision if is_loopback(packet.destination) and not packet.from_node else PASSED


@_difference("the node to 127.0.0.1 from another of its addresses")
def _node_to_loopback(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    guarded = facts.state.iptables.localhost_node_ports and packet.from_node
    if not guarded or not is_loopback(packet.destination) or is_loopback(packet.source):
        return decision
    return PASSED if decision == DROPPED else decision


# -------------------------------------------------------------------- addresses of the Services


@_difference("a port that the cluster IP does not have")
def _missing_port(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    key = facts.key(packet)
    if packet.destination not in facts.cluster_ips or key in facts.by_cluster_ip:
        return decision
    return REFUSED if decision == PASSED else decision


@_difference("an address of the Service CIDRs that no Service has")
def _unallocated(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    objects = facts.state.objects
    known = facts.cluster_ips | set(objects.other_cluster_ips)
    if packet.destination in known or facts.key(packet) in facts.by_external_address:
        return decision
    inside = any(contains(cidr, packet.destination) for cidr in objects.service_cidrs)
    return DROPPED if inside and decision == PASSED else decision


@_difference("external address without endpoints, from the node")
def _external_from_node(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    plan = facts.by_external_address.get(facts.key(packet))
    if plan is None or not packet.from_node or decision != PASSED:
        return decision
    if plan.external is Target.REJECT:
        return REFUSED
    return DROPPED if plan.external is Target.DROP else decision


@_difference("forbidden source, Service without endpoints")
def _forbidden_without_endpoints(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    return DROPPED if decision == REFUSED and facts.is_forbidden(packet) else decision


@_difference("forbidden source of a load-balancer IP that is an external IP too")
def _forbidden_but_external(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    # In iptables mode the rule for external IPs comes first, and it asks for no source.
    if facts.key(packet) not in facts.by_external_ip or not facts.is_forbidden(packet):
        return decision
    return DROPPED if Fate.TRANSLATED in _fates(decision) else decision


# ------------------------------------------------------------------------- what accepts, and marks


@_difference("marked or established traffic in FORWARD")
def _accepted_in_forward(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    if packet.from_node:
        return decision

    def change(outcome: Outcome) -> Outcome:
        expected = outcome.source or packet.state is Tracked.ESTABLISHED
        return replace(outcome, accepted=False) if expected else outcome

    return _each(decision, change)


@_difference("health-check node port")
def _health_check(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    ports = {plan.service_port.health_check_node_port for plan in facts.state.plans}
    if packet.protocol != "tcp" or packet.port not in ports or not is_local(packet.destination):
        return decision
    return _each(decision, lambda outcome: replace(outcome, accepted=False))


@_difference("hairpin of an endpoint that is on another node")
def _remote_hairpin(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    key = facts.key(packet)
    plan = (
        facts.by_cluster_ip.get(key)
        or facts.by_external_address.get(key)
        or facts.node_port_plan(packet)
    )
    if plan is None or facts.is_marked(packet):
        return decision

    def change(outcome: Outcome) -> Outcome:
        if outcome.fate is not Fate.TRANSLATED or outcome.address != packet.source:
            return outcome
        if (outcome.address, packet.protocol, outcome.port) in facts.endpoints_here:
            return outcome
        return replace(outcome, source="")

    return _each(decision, change)


@_difference("conntrack state INVALID")
def _invalid(packet: Packet, facts: Facts, decision: Decision) -> Decision:
    if packet.state is not Tracked.INVALID or facts.state.iptables.conntrack_liberal:
        return decision
    return PASSED if decision == DROPPED else decision
