"""The sandbox of `nodeport-rules demo`: from compiled objects to measured connections."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import msgspec

from nodeport_rules.cli.compilation import Compilation, require_sound, rules_text
from nodeport_rules.errors import UsageError
from nodeport_rules.kernel import accounting, iptables_tools
from nodeport_rules.kernel.errors import KernelError
from nodeport_rules.kernel.sandbox import (
    NodeMachine,
    Outcome,
    PodMachine,
    Sandbox,
    Target,
    Topology,
)
from nodeport_rules.kernel.sandbox.sctp import send_inits
from nodeport_rules.kernel.sandbox.topology import Protocol
from nodeport_rules.kube.load import Loaded
from nodeport_rules.kube.objects import Node
from nodeport_rules.model.endpoints import Endpoint
from nodeport_rules.model.family import Family, of_family
from nodeport_rules.model.node import pod_cidrs
from nodeport_rules.model.options import DetectLocalMode, ProxyOptions
from nodeport_rules.model.plan import ServicePlan
from nodeport_rules.model.plan import Target as PlanTarget
from nodeport_rules.report.measured import Measurement, NodeMeasurement
from nodeport_rules.report.walk import CountedStep, named_destinations, since, walk

CLIENT = {Family.IPV4: "192.0.2.10", Family.IPV6: "2001:db8:2::10"}

FAILING_CONNECTIONS = 10
"""How many connections are tried where none is meant to be answered."""

FAILURES = {PlanTarget.REJECT: "refused", PlanTarget.DROP: "dropped"}
"""What a connection meets where a plan has no endpoints for it."""

DROP_SECONDS = 1.0
"""How long a connection that is meant to be dropped is waited for."""


class Demonstrated(msgspec.Struct, frozen=True):
    """A node of the sandbox with what was compiled for it."""

    name: str
    address: str
    plans: list[ServicePlan]


class Demo:
    """One state of the objects, compiled for every node, for one family."""

    def __init__(self, loaded: Loaded, family: Family) -> None:
        self.family = family
        self._loaded = loaded
        compilation = self._compilation(nfacct=False)
        require_sound(compilation, [family])
        self.nodes = [
            Demonstrated(name, _address_of(node, family), compilation.plans(name, family))
            for name, node in sorted(compilation.nodes.items())
        ]
        self.service_ports = [
            plan.service_port for plan in self.nodes[0].plans if plan.service_port.node_port
        ]
        if not self.service_ports:
            raise UsageError(
                f"none of these Services has an {family.api_name} node port: give one of type "
                "NodePort or LoadBalancer"
            )
        self._pod_names = self._name_pods()

    def _compilation(self, *, nfacct: bool) -> Compilation:
        """Pods are told apart by their node's podCIDRs, which every node here has."""
        options = ProxyOptions(detect_local_mode=DetectLocalMode.NODE_CIDR, nfacct=nfacct)
        return Compilation(self._loaded, options)

    def plans_of(self, position: int) -> list[ServicePlan]:
        """What each node does with the service port at a position of `service_ports`."""
        key = self.service_ports[position].key
        return [plan for node in self.nodes for plan in node.plans if plan.service_port.key == key]

    # ------------------------------------------------------------------------------- machines

    def _endpoints(self) -> Iterator[Endpoint]:
        """Every endpoint that a node port may lead to; one for each address."""
        seen: set[str] = set()
        for node in self.nodes:
            for plan in node.plans:
                if not plan.service_port.node_port:
                    continue
                for endpoint in plan.reachable_endpoints():
                    if endpoint.ip not in seen:
                        seen.add(endpoint.ip)
                        yield endpoint

    def _name_pods(self) -> dict[str, str]:
        """A name for the machine at each endpoint's address; a node's address is the node."""
        names = {node.address: node.name for node in self.nodes}
        taken = set(names.values())
        free = (name for number in count(1) if (name := f"pod-{number}") not in taken)
        for endpoint in sorted(self._endpoints(), key=_by_place):
            if endpoint.ip not in names:
                names[endpoint.ip] = next(free)
        return names

    def pod_name(self, endpoint: Endpoint) -> str:
        """The name under which an endpoint answers."""
        return self._pod_names[endpoint.ip]

    def node_of(self, endpoint: Endpoint) -> str | None:
        """The node that an endpoint's machine is put behind; None: outside of the cluster."""
        known = {node.name for node in self.nodes}
        if endpoint.node_name in known:
            return endpoint.node_name
        address = ipaddress.ip_address(endpoint.ip)
        for node in self._loaded.snapshot.nodes:
            for cidr in of_family(pod_cidrs(node), self.family):
                if address in ipaddress.ip_network(cidr):
                    return node.name
        return None

    @property
    def client(self) -> str:
        """The client's address."""
        return CLIENT[self.family]

    def places(self) -> dict[str, str]:
        """Where each pod is, by the pod's name: its address and its node."""
        return {
            self.pod_name(one): f"{one.ip} on {self.node_of(one) or 'no node'}"
            for one in self._endpoints()
        }

    def owners(self) -> dict[str, str]:
        """Whose each address is, in words."""
        nodes = {node.address: f"{node.name}: masqueraded" for node in self.nodes}
        return {self.client: "the client's own", **nodes}

    def topology(self) -> Topology:
        """The machines of the sandbox. Raises TopologyError when the objects contradict."""
        own = {node.address for node in self.nodes}
        objects = {node.name: node for node in self._loaded.snapshot.nodes}
        return Topology(
            nodes=tuple(
                NodeMachine(
                    node.name,
                    (node.address,),
                    of_family(pod_cidrs(objects[node.name]), self.family),
                )
                for node in self.nodes
            ),
            pods=tuple(
                PodMachine(self.pod_name(endpoint), self.node_of(endpoint), (endpoint.ip,))
                for endpoint in self._endpoints()
                if endpoint.ip not in own
            ),
            client=(self.client,),
        )

    @contextmanager
    def running(self) -> Iterator[Sandbox]:
        """The sandbox with its servers up and the rules loaded on every node."""
        with Sandbox(self.topology()) as sandbox:
            for node in self.nodes:
                for plan in node.plans:
                    self._serve(sandbox, plan)
            compilation = self._compilation(nfacct=self._make_counters(sandbox))
            for node in self.nodes:
                text = rules_text(compilation.rules(node.name, self.family))
                namespace = sandbox.namespace(node.name)
                iptables_tools.restore(self.family.value, text, namespace=namespace)
            yield sandbox

    def _serve(self, sandbox: Sandbox, plan: ServicePlan) -> None:
        protocol = _protocol(plan.service_port.protocol)
        if plan.service_port.node_port and protocol != "sctp":
            for endpoint in plan.reachable_endpoints():
                sandbox.serve(self.pod_name(endpoint), protocol, endpoint.port)

    def _make_counters(self, sandbox: Sandbox) -> bool:
        """Make kube-proxy's nfacct counters; whether this kernel has such counters at all."""
        try:
            for node in self.nodes:
                accounting.create_counters(namespace=sandbox.namespace(node.name))
        except KernelError:
            return False
        return True

    # ------------------------------------------------------------------------------ measuring

    def measure(self, sandbox: Sandbox, position: int, connections: int) -> Measurement:
        """Open `connections` to the node port, an equal part of them to each node."""
        before = [self._counters(sandbox, node) for node in self.nodes]
        share = max(connections // len(self.nodes), 1)
        found = []
        plans = self.plans_of(position)
        for node, plan in zip(self.nodes, plans, strict=True):
            meant = plan.external in (PlanTarget.CLUSTER, PlanTarget.LOCAL)
            number = share if meant else FAILING_CONNECTIONS
            target = Target(
                _protocol(plan.service_port.protocol), node.address, plan.service_port.node_port
            )
            outcomes = self._connect(sandbox, node.name, target, number, meant)
            answers = tuple((one.pod or one.result, one.source) for one in outcomes)
            failing = FAILURES.get(plan.external, "")
            found.append(NodeMeasurement(node.name, failing, self._expected(plan), answers))
        after = [self._counters(sandbox, node) for node in self.nodes]
        steps = walk([since(*pair) for pair in zip(before, after, strict=True)])
        destinations = {
            endpoint.text: self.pod_name(endpoint)
            for plan in plans
            for endpoint in plan.reachable_endpoints()
        }
        sticky = bool(self.service_ports[position].affinity_seconds)
        return Measurement(tuple(found), named_destinations(steps, destinations), sticky)

    def _expected(self, plan: ServicePlan) -> tuple[str, ...]:
        endpoints: tuple[Endpoint, ...] = ()
        if plan.external is PlanTarget.CLUSTER:
            endpoints = plan.cluster_endpoints
        elif plan.external is PlanTarget.LOCAL:
            endpoints = plan.local_endpoints
        return tuple(self.pod_name(endpoint) for endpoint in endpoints)

    def _counters(self, sandbox: Sandbox, node: Demonstrated) -> list[CountedStep]:
        rules = iptables_tools.counted_rules(
            self.family.value, "nat", namespace=sandbox.namespace(node.name)
        )
        return [CountedStep(one.chain, one.text, one.target, one.packets) for one in rules]

    def _connect(
        self, sandbox: Sandbox, node: str, target: Target, number: int, meant: bool
    ) -> tuple[Outcome, ...]:
        if target.protocol != "sctp":
            timeout = 5.0 if meant else DROP_SECONDS
            return tuple(sandbox.connect("client", [target] * number, timeout=timeout))
        decisions = send_inits(
            sandbox.namespace("client"), target, count=number, decided_in=sandbox.namespace(node)
        )
        return tuple(
            Outcome(target, one.result)
            if one.connection is None
            else Outcome(
                target,
                "answered",
                self._pod_names.get(one.connection.translated_to[0], "?"),
                one.connection.reply.destination,
            )
            for one in decisions
        )


def _by_place(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.node_name or "", int(ipaddress.ip_address(endpoint.ip))


def _address_of(node: Node, family: Family) -> str:
    internal = [one.address for one in node.status.addresses or () if one.type == "InternalIP"]
    found = of_family(internal, family)
    if not found:
        raise UsageError(f"Node {node.name} has no {family.api_name} address of type InternalIP")
    return found[0]


def _protocol(name: str) -> Protocol:
    protocols: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
    return protocols[name]
