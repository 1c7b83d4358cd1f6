"""Where the two modes treat packets differently, by name: kube-proxy's do, and so do ours.

One entry for each row of the behaviour page's table. An entry says what becomes, in nftables mode,
of a packet that iptables mode treats so and so; a packet to which no entry applies has to fare
alike in both. The order matters: what comes first decides where the packet goes, what comes last
only looks at what is left of it.

Two rows are not here. That a Service of another proxy's is dropped as unallocated is a fault of
kube-proxy's that ours does not have. That forbidden sources are dropped at another place makes no
difference to a packet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from msgspec.structs import replace

from nodeport_rules.model.endpoints import Endpoint
from nodeport_rules.model.family import contains
from nodeport_rules.model.plan import ServicePlan, Target
from nodeport_rules.model.settings import LocalTraffic, NodeSettings
from nodeport_rules.ruleset.meaning import State
from nodeport_rules.ruleset.packet import Ending, Host, Outcome, Packet, is_loopback

Key = tuple[str, str, int]
"""Address, protocol, port."""

Outcomes = Sequence[Outcome]


class ModeFacts:
    """What the objects say about a packet's destination and source, for one node and family."""

    def __init__(
        self,
        plans: Sequence[ServicePlan],
        iptables: NodeSettings,
        nftables: NodeSettings,
        host: Host,
        service_cidrs: Sequence[str] = (),
        other_cluster_ips: Sequence[str] = (),
    ) -> None:
        self._plans = plans
        self._nftables = nftables
        self.iptables = iptables
        self.host = host
        self.service_cidrs = tuple(service_cidrs)
        self.other_cluster_ips = frozenset(other_cluster_ips)

    @cached_property
    def cluster_ips(self) -> frozenset[str]:
        return frozenset(plan.service_port.cluster_ip for plan in self._plans)

    @cached_property
    def by_cluster_ip(self) -> dict[Key, ServicePlan]:
        return self._by_address(lambda plan: (plan.service_port.cluster_ip,))

    @cached_property
    def by_load_balancer_ip(self) -> dict[Key, ServicePlan]:
        return self._by_address(lambda plan: plan.service_port.load_balancer_ips)

    @cached_property
    def by_external_ip(self) -> dict[Key, ServicePlan]:
        return self._by_address(lambda plan: plan.service_port.external_ips)

    @cached_property
    def by_external_address(self) -> dict[Key, ServicePlan]:
        """By external and load-balancer IPs."""
        return self.by_load_balancer_ip | self.by_external_ip

    @cached_property
    def health_check_ports(self) -> frozenset[int]:
        return frozenset(plan.service_port.health_check_node_port for plan in self._plans) - {0}

    @cached_property
    def endpoints_here(self) -> frozenset[Key]:
        """The endpoints of any Service that are on this node."""
        return frozenset(
            (endpoint.ip, plan.service_port.protocol, endpoint.port)
            for plan in self._plans
            for endpoint in plan.reachable_endpoints()
            if self._is_here(endpoint)
        )

    @cached_property
    def _by_node_port(self) -> dict[tuple[str, int], ServicePlan]:
        return {
            (plan.service_port.protocol, plan.service_port.node_port): plan
            for plan in self._plans
            if plan.service_port.node_port
        }

    def node_port_plan(self, packet: Packet) -> ServicePlan | None:
        """The service port with that node port, where the packet is to the node itself."""
        if not self.host.is_local(packet.destination):
            return None
        return self._by_node_port.get((packet.protocol, packet.port))

    def takes_node_ports(self, address: str) -> bool:
        """Whether node ports answer on an address of the node's in nftables mode."""
        selected = self._nftables.node_port_addresses
        if is_loopback(address):
            return False
        return self.host.is_local(address) if selected is None else address in selected

    def is_forbidden(self, packet: Packet) -> bool:
        """Whether the packet goes to a load balancer that its source may not reach."""
        plan = self.by_load_balancer_ip.get(key_of(packet))
        if plan is None or plan.service_port.allows_source(packet.source):
            return False
        node_may = plan.service_port.allows_source(self.iptables.node_ip)
        return not (node_may and packet.source in plan.service_port.load_balancer_ips)

    def is_marked(self, packet: Packet) -> bool:
        """Whether the packet is to be masqueraded wherever it goes."""
        settings = self.iptables
        if key_of(packet) in self.by_cluster_ip:
            if settings.masquerade_all:
                return True
            undetected = settings.local_detector.kind is LocalTraffic.NOT_DETECTED
            return not undetected and not self._is_pods(packet)
        plan = self.by_external_address.get(key_of(packet)) or self.node_port_plan(packet)
        if plan is None:
            return False
        if not plan.service_port.external_policy_local:
            return True
        return not self._is_pods(packet) and self.host.is_local(packet.source)

    def _is_pods(self, packet: Packet) -> bool:
        detector = self.iptables.local_detector
        if detector.kind is LocalTraffic.CIDR:
            return contains(detector.value, packet.source)
        if detector.kind is LocalTraffic.INTERFACE:
            name = detector.value.removesuffix("+")
            whole = name == detector.value
            found = packet.interface
            return not packet.from_node and (found == name if whole else found.startswith(name))
        return False

    def _is_here(self, endpoint: Endpoint) -> bool:
        return endpoint.node_name == self.iptables.node_name

    def _by_address(
        self, addresses: Callable[[ServicePlan], tuple[str, ...]]
    ) -> dict[Key, ServicePlan]:
        return {
            (address, plan.service_port.protocol, plan.service_port.port): plan
            for plan in self._plans
            for address in addresses(plan)
        }


def key_of(packet: Packet) -> Key:
    """Where the packet goes, as the facts are looked up."""
    return packet.destination, packet.protocol, packet.port


def _has(outcomes: Outcomes, ending: Ending) -> bool:
    return any(outcome.ending is ending for outcome in outcomes)


def _only(outcomes: Outcomes, *endings: Ending) -> bool:
    return all(outcome.ending in endings for outcome in outcomes)


def _becomes(packet: Packet, ending: Ending) -> Outcomes:
    """That one end, without any translation."""
    return [
        Outcome(
            ending=ending,
            share=1.0,
            address=packet.destination,
            port=packet.port,
            masqueraded=False,
            accepted=False,
            events=(),
            mark=packet.mark,
        )
    ]


Change = Callable[[Packet, ModeFacts, Outcomes], Outcomes]

DIFFERENCES: dict[str, Change] = {}
"""By name: from what iptables mode does with a packet to what nftables mode does."""


def in_nftables_mode(
    packet: Packet, facts: ModeFacts, outcomes: Outcomes
) -> tuple[Outcomes, list[str]]:
    """What iptables mode's outcomes are in nftables mode, and the differences that made it so."""
    applied = []
    for name, change in DIFFERENCES.items():
        changed = change(packet, facts, outcomes)
        if changed is not outcomes:
            applied.append(name)
            outcomes = changed
    return outcomes, applied


def _difference(name: str) -> Callable[[Change], Change]:
    def register(change: Change) -> Change:
        DIFFERENCES[name] = change
        return change

    return register


# ------------------------------------------------------------------------------ the node's ports


@_difference("node port on 127.0.0.1")
def _loopback(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    """Served in iptables mode with localhostNodePorts; to foreigners too, with route_localnet."""
    if not is_loopback(packet.destination) or facts.node_port_plan(packet) is None:
        return outcomes
    served = _has(outcomes, Ending.TRANSLATED)
    return _becomes(packet, Ending.PASSED) if served else outcomes


@_difference("node port on an address that is not primary")
def _not_primary(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    if is_loopback(packet.destination) or facts.takes_node_ports(packet.destination):
        return outcomes
    if key_of(packet) in facts.by_external_address or facts.node_port_plan(packet) is None:
        return outcomes
    served = _has(outcomes, Ending.TRANSLATED)
    return _becomes(packet, Ending.PASSED) if served else outcomes


@_difference("node port without usable endpoints, on other addresses")
def _node_port_without_endpoints(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    plan = facts.node_port_plan(packet)
    if plan is None or plan.external not in (Target.REJECT, Target.DROP):
        return outcomes
    if facts.takes_node_ports(packet.destination):
        return outcomes
    refused = _only(outcomes, Ending.REJECTED, Ending.DROPPED)
    return _becomes(packet, Ending.PASSED) if refused else outcomes


@_difference("packet to 127.0.0.1 from another address")
def _to_loopback(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    """KUBE-FIREWALL drops it where iptables mode serves node ports there."""
    guarded = facts.iptables.localhost_node_ports and is_loopback(packet.destination)
    if not guarded or is_loopback(packet.source):
        return outcomes
    dropped = _only(outcomes, Ending.DROPPED)
    return _becomes(packet, Ending.PASSED) if dropped else outcomes


# -------------------------------------------------------------------- addresses of the Services


@_difference("a port that the cluster IP does not have")
def _missing_port(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    if packet.state is not State.NEW:
        return outcomes
    if packet.destination not in facts.cluster_ips or key_of(packet) in facts.by_cluster_ip:
        return outcomes
    passed = _only(outcomes, Ending.PASSED)
    return _becomes(packet, Ending.REJECTED) if passed else outcomes


@_difference("an address of the Service CIDRs that no Service has")
def _unallocated(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    if packet.destination in facts.cluster_ips | facts.other_cluster_ips:
        return outcomes
    if key_of(packet) in facts.by_external_address or packet.state is not State.NEW:
        return outcomes
    inside = any(contains(cidr, packet.destination) for cidr in facts.service_cidrs)
    passed = inside and _only(outcomes, Ending.PASSED)
    return _becomes(packet, Ending.DROPPED) if passed else outcomes


@_difference("external address without endpoints, from the node")
def _external_from_node(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    plan = facts.by_external_address.get(key_of(packet))
    if plan is None or not packet.from_node or not _only(outcomes, Ending.PASSED):
        return outcomes
    endings = {Target.REJECT: Ending.REJECTED, Target.DROP: Ending.DROPPED}
    ending = endings.get(plan.external)
    return outcomes if ending is None else _becomes(packet, ending)


@_difference("forbidden source, Service without endpoints")
def _forbidden_without_endpoints(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    """Refused, or passed on from the node, in iptables mode, where there is no KUBE-FW chain."""
    refused = _only(outcomes, Ending.REJECTED)
    if refused and facts.is_forbidden(packet):
        return _becomes(packet, Ending.DROPPED)
    return outcomes


@_difference("forbidden source of a load-balancer IP that is an external IP too")
def _forbidden_but_external(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    """In iptables mode the rule for external IPs comes first, and it asks for no source."""
    if key_of(packet) not in facts.by_external_ip or not facts.is_forbidden(packet):
        return outcomes
    served = _has(outcomes, Ending.TRANSLATED)
    return _becomes(packet, Ending.DROPPED) if served else outcomes


# ------------------------------------------------------------------------- what accepts, and marks


@_difference("conntrack state INVALID")
def _invalid(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    if packet.state is not State.INVALID or facts.iptables.conntrack_liberal:
        return outcomes
    dropped = _only(outcomes, Ending.DROPPED)
    return _becomes(packet, Ending.PASSED) if dropped else outcomes


@_difference("marked or established traffic in FORWARD")
def _accepted_in_forward(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    """KUBE-FORWARD accepts it; nftables mode leaves it to others."""
    if packet.from_node or (
        facts.host.is_local(packet.destination) and packet.port in (facts.health_check_ports)
    ):
        return outcomes
    if not any(outcome.accepted for outcome in outcomes):
        return outcomes
    return [replace(outcome, accepted=False) for outcome in outcomes]


@_difference("health-check node port")
def _health_check(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    """Accepted in INPUT in iptables mode."""
    if packet.protocol != "tcp" or packet.port not in facts.health_check_ports:
        return outcomes
    if not facts.host.is_local(packet.destination):
        return outcomes
    if not any(outcome.accepted for outcome in outcomes):
        return outcomes
    return [replace(outcome, accepted=False) for outcome in outcomes]


@_difference("hairpin of an endpoint that is on another node")
def _remote_hairpin(packet: Packet, facts: ModeFacts, outcomes: Outcomes) -> Outcomes:
    """iptables mode masquerades it in every KUBE-SEP chain."""
    if facts.is_marked(packet):
        return outcomes

    def is_remote(outcome: Outcome) -> bool:
        here = (outcome.address, packet.protocol, outcome.port) in facts.endpoints_here
        return (
            outcome.ending is Ending.TRANSLATED
            and outcome.masqueraded
            and outcome.address == packet.source
            and not here
        )

    if not any(is_remote(outcome) for outcome in outcomes):
        return outcomes
    return [
        replace(outcome, masqueraded=False) if is_remote(outcome) else outcome
        for outcome in outcomes
    ]
