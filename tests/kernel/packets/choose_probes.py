"""The packets that a recorded state is tried with."""

from __future__ import annotations

import ipaddress
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from nodeport_rules.model.endpoints import ServicePortKey
from nodeport_rules.model.family import Family
from nodeport_rules.model.plan import ServicePlan
from nodeport_rules.model.settings import LocalTraffic
from nodeport_rules.ruleset.meaning import State as Tracked
from nodeport_rules.ruleset.packet import Packet

from . import addresses
from .addresses import LOOPBACK, MORE_LOCAL, NOBODY, NODE, OUTSIDE, POD, REMOTE_POD, is_local
from .probes import Probe
from .recordings import State

PROTOCOLS = ("tcp", "udp", "sctp")
SURENESS = 8
"""One of all possible endpoints is missed with a probability of exp(-8)."""
WITHOUT_CHOICE = 2
MANY_ENDPOINTS = 20
"""Above so many, not every source is tried with every address."""


def packets_for(endpoints: int) -> int:
    """How many packets to send to see each of so many endpoints, each being equally likely.

    After k packets one of n is missing with probability n (1 - 1/n)^k < n exp(-k/n).
    """
    if endpoints < 2:
        return WITHOUT_CHOICE
    return math.ceil(endpoints * (math.log(endpoints) + SURENESS))


@dataclass(frozen=True)
class Sender:
    """Somebody who sends packets, and how they get to the node."""

    address: str
    interface: str = ""
    """Empty: the node itself."""
    clients: str = ""
    """A network with more senders of the same kind, for session affinity."""


class Chooser:
    """Chooses the probes for one state."""

    def __init__(self, state: State) -> None:
        self._state = state
        family = state.family
        detector = state.iptables.local_detector
        by_prefix = detector.kind is LocalTraffic.INTERFACE and detector.value.startswith("veth")
        self._pod_device = addresses.OTHER_POD_DEVICE if by_prefix else addresses.POD_DEVICE
        four = family is Family.IPV4
        self.outside = Sender(
            OUTSIDE[family],
            addresses.WORLD,
            "198.18.128.0/17" if four else "2001:db8:aaaa::1:0/112",
        )
        self.pod = Sender(
            POD[family], self._pod_device, "10.244.0.0/24" if four else "fd00:10:244::1:0/112"
        )
        self.remote_pod = Sender(
            REMOTE_POD[family],
            addresses.WORLD,
            "10.244.201.0/24" if four else "fd00:10:244:c9::/112",
        )
        self.node = Sender(NODE[family], "", "100.100.128.0/17" if four else "fd00:31::1:0/112")
        self.loopback = Sender(LOOPBACK[family], "", "127.1.0.0/16" if four else "::1/128")
        self._clients_of: dict[tuple[ServicePortKey, str], Iterator[str]] = {}

    def all(self) -> list[Probe]:
        """Every probe, each packet once."""
        found: dict[Packet, Probe] = {}
        for probe in self._all():
            before = found.get(probe.packet)
            if before is None or before.count < probe.count:
                found[probe.packet] = probe
        return list(found.values())

    def _all(self) -> Iterator[Probe]:
        for plan in self._state.plans:
            yield from self._cluster_ip(plan)
            yield from self._external_ips(plan)
            yield from self._load_balancer_ips(plan)
            yield from self._node_port(plan)
            yield from self._health_check(plan)
            yield from self._ports_it_does_not_have(plan)
        yield from self._nobodys()
        yield from self._other_states()

    # ------------------------------------------------------------------------ what Services have

    def _cluster_ip(self, plan: ServicePlan) -> Iterator[Probe]:
        port = plan.service_port
        if not port.cluster_ip:
            return
        for sender in (self.outside, self.pod, self.remote_pod, self.node):
            yield from self._to_service(plan, sender, port.cluster_ip, port.port)
        yield from self._hairpins(plan, port.cluster_ip, port.port)

    def _external_ips(self, plan: ServicePlan) -> Iterator[Probe]:
        port = plan.service_port
        for number, address in enumerate(port.external_ips):
            for sender in (self.outside, self.pod, self.remote_pod, self.node):
                yield from self._to_service(plan, sender, address, port.port)
            if not number:
                yield from self._hairpins(plan, address, port.port)
            yield self._plain(self.outside, address, port.protocol, addresses.UNUSED_PORT)

    def _load_balancer_ips(self, plan: ServicePlan) -> Iterator[Probe]:
        port = plan.service_port
        for number, address in enumerate(port.load_balancer_ips):
            senders = [self.outside, self.pod, self.node]
            if port.source_ranges:
                senders += self._about_ranges(plan)
                if address != NODE[self._state.family]:
                    senders.append(Sender(address, addresses.WORLD))
            for sender in senders:
                yield from self._to_service(plan, sender, address, port.port)
            if not number:
                yield from self._hairpins(plan, address, port.port)
            yield self._plain(self.outside, address, port.protocol, addresses.UNUSED_PORT)

    def _about_ranges(self, plan: ServicePlan) -> Iterator[Sender]:
        """Senders at both ends of every source range, inside and outside of it."""
        for text in plan.service_port.source_ranges:
            network = ipaddress.ip_network(text.strip(), strict=False)
            first, last = network[0], network[-1]
            if network.num_addresses > 2:
                first, last = first + 1, last - 1
            for address, inside in (
                (first, True),
                (last, True),
                (network[0] - 1, False),
                (network[-1] + 1, False),
            ):
                if is_local(str(address)):
                    continue
                yield self._sender_at(address, str(network) if inside else "")

    def _sender_at(
        self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, clients: str = ""
    ) -> Sender:
        of_node = ipaddress.ip_network(self.pod.clients)
        device = self._pod_device if address in of_node else addresses.WORLD
        return Sender(str(address), device, clients)

    def _node_port(self, plan: ServicePlan) -> Iterator[Probe]:
        port, family = plan.service_port, self._state.family
        if not port.node_port:
            return
        ways = [
            (self.outside, NODE[family]),
            (self.pod, NODE[family]),
            (self.node, NODE[family]),
            (self.outside, MORE_LOCAL[family]),
            (self.node, MORE_LOCAL[family]),
            (self.loopback, LOOPBACK[family]),
            (self.node, LOOPBACK[family]),
            (self.outside, LOOPBACK[family]),
        ]
        for sender, address in ways:
            yield from self._to_service(plan, sender, address, port.node_port)
        yield from self._hairpins(plan, NODE[family], port.node_port)

    def _health_check(self, plan: ServicePlan) -> Iterator[Probe]:
        port, family = plan.service_port, self._state.family
        if port.health_check_node_port:
            for sender, address in (
                (self.outside, NODE[family]),
                (self.pod, NODE[family]),
                (self.node, NODE[family]),
                (self.outside, MORE_LOCAL[family]),
            ):
                yield self._plain(sender, address, "tcp", port.health_check_node_port)

    def _hairpins(self, plan: ServicePlan, address: str, port: int) -> Iterator[Probe]:
        """An endpoint of this node, and one of another node, may reach themselves."""
        if plan.service_port.affinity_seconds and len(self._state.endpoints(plan)) > 1:
            return  # One client comes to one endpoint only.
        seen = set()
        for endpoint in plan.reachable_endpoints():
            is_here = endpoint.node_name == self._state.iptables.node_name
            if is_here in seen or endpoint.ip == NODE[self._state.family]:
                continue
            seen.add(is_here)
            device = self._pod_device if is_here else addresses.WORLD
            yield from self._to_service(plan, Sender(endpoint.ip, device), address, port)

    # ------------------------------------------------------------------- what they do not have

    def _ports_it_does_not_have(self, plan: ServicePlan) -> Iterator[Probe]:
        port = plan.service_port
        if not port.cluster_ip:
            return
        taken = {
            (one.service_port.protocol, one.service_port.port)
            for one in self._state.plans
            if one.service_port.cluster_ip == port.cluster_ip
        }
        for sender in (self.outside, self.pod, self.node):
            yield self._plain(sender, port.cluster_ip, port.protocol, addresses.UNUSED_PORT)
        for protocol in PROTOCOLS:
            if (protocol, port.port) not in taken:
                yield self._plain(self.pod, port.cluster_ip, protocol, port.port)

    def _nobodys(self) -> Iterator[Probe]:
        family = self._state.family
        for protocol in PROTOCOLS:
            for sender in (self.outside, self.pod, self.node):
                yield self._plain(sender, addresses.UNALLOCATED[family], protocol, 80)
                yield self._plain(sender, NOBODY[family], protocol, 80)
                yield self._plain(sender, NODE[family], protocol, addresses.UNUSED_NODE_PORT)
            yield self._plain(self.loopback, LOOPBACK[family], protocol, addresses.UNUSED_NODE_PORT)
        for sender in (self.node, self.outside):
            yield self._plain(sender, LOOPBACK[family], "tcp", addresses.UNUSED_NODE_PORT)
        for address in self._state.objects.other_cluster_ips:
            for sender in (self.outside, self.pod, self.node):
                yield self._plain(sender, address, "tcp", 80)

    def _other_states(self) -> Iterator[Probe]:
        """Packets that begin no connection."""
        family = self._state.family
        for sender in (self.outside, self.pod):
            device = sender.interface
            for destination, state in (
                (NOBODY[family], Tracked.INVALID),
                (NOBODY[family], Tracked.ESTABLISHED),
            ):
                protocol = "tcp" if state is Tracked.INVALID else "udp"
                packet = Packet(sender.address, destination, protocol, 80, device, state=state)
                yield Probe(packet, WITHOUT_CHOICE)

    # ------------------------------------------------------------------------------- helpers

    def _plain(self, sender: Sender, address: str, protocol: str, port: int) -> Probe:
        packet = Packet(
            sender.address, address, protocol, port, sender.interface, not sender.interface
        )
        return Probe(packet, WITHOUT_CHOICE)

    def _to_service(
        self, plan: ServicePlan, sender: Sender, address: str, port: int
    ) -> Iterator[Probe]:
        """Packets enough to see every endpoint that they may come to; none where that cannot be."""
        service_port = plan.service_port
        packet = self._plain(sender, address, service_port.protocol, port).packet
        endpoints = len(self._state.endpoints(plan))
        if endpoints > MANY_ENDPOINTS and (
            sender is not self.outside
            or address not in (service_port.cluster_ip, NODE[self._state.family])
        ):
            return
        count = packets_for(endpoints)
        if endpoints < 2 or not service_port.affinity_seconds:
            yield Probe(packet, count)
            return
        clients = self._clients(plan, sender, count)
        if len(clients) < count:
            yield Probe(packet, WITHOUT_CHOICE, any_endpoint=True)
            return
        yield Probe(replace(packet, source=clients[0]), 2 * count, clients)
        if sender in (self.node, self.loopback):
            # The others are addresses of the node's as well, but not of those that it is known by.
            yield Probe(packet, WITHOUT_CHOICE, any_endpoint=True)

    def _clients(self, plan: ServicePlan, sender: Sender, count: int) -> tuple[str, ...]:
        """So many clients that the service port has not seen yet; fewer where there are none."""
        if not sender.clients:
            return ()
        key = (plan.service_port.key, sender.clients)
        if key not in self._clients_of:
            known = {endpoint.ip for endpoint in self._state.endpoints(plan)}
            self._clients_of[key] = (
                str(address)
                for address in ipaddress.ip_network(sender.clients).hosts()
                if str(address) not in known | {NODE[self._state.family], sender.address}
            )
        return tuple(itertools.islice(self._clients_of[key], count))
