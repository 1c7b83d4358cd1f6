"""The sandbox itself: built from a `Topology`, torn down as a whole."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from nodeport_rules.kernel.errors import NamespaceError, TopologyError
from nodeport_rules.kernel.iptables_tools import Family
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.processes import run
from nodeport_rules.kernel.sandbox import wiring
from nodeport_rules.kernel.sandbox.servers import EchoServers
from nodeport_rules.kernel.sandbox.topology import (
    Entry,
    NodeMachine,
    PodMachine,
    Protocol,
    Topology,
    family_of,
    first_of_family,
)
from nodeport_rules.kernel.sandbox.traffic import AT_ONCE, Outcome, Target, open_connections

WIRE = "the wire"
CLIENT = "client"


class Sandbox:
    """A running sandbox; use it in a `with` block, or call `close`.

    The process must be allowed to make network namespaces (see
    `nodeport_rules.kernel.namespaces.ensure_network_namespaces`). One thread at a time may use it.
    """

    def __init__(self, topology: Topology) -> None:
        """Build everything; raises `KernelError` (and leaves nothing) when that fails."""
        self.topology = Topology(topology.nodes, (), topology.client)
        self._stack = ExitStack()
        self._namespaces: dict[str, NetworkNamespace] = {}
        self._node_devices: dict[str, str] = {}
        self._links = 0
        if topology.uses_ipv6 and not Path("/proc/sys/net/ipv6").is_dir():
            raise NamespaceError("the sandbox is to have IPv6 addresses, but this host has no IPv6")
        try:
            self._servers = EchoServers()
            self._stack.callback(self._servers.close)
            self._build(topology)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the servers and let go of every namespace. May be repeated."""
        self._stack.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------- building

    def _build(self, topology: Topology) -> None:
        wire = self._machine(WIRE, forwards=True)
        self._configure(wire, ["link set lo up"])
        self._attach_to_wire(CLIENT, wiring.CLIENT_DEVICE, topology.client)
        self._configure(wire, [wiring.entry_rule_line()])
        if topology.uses_ipv6:
            self._configure(wire, [wiring.entry_rule_line()], family="ipv6")
        for number, node in enumerate(topology.nodes):
            device = f"node{number}"
            self._node_devices[node.name] = device
            self._attach_to_wire(node.name, device, node.addresses, is_node=True)
            self._configure(wire, wiring.wire_to_node_lines(node, device, node.pod_cidrs))
            self._configure(self._namespaces[node.name], wiring.node_own_lines(node))
        self.add_pods(*topology.pods)
        for entry in topology.entries:
            self.add_entry(entry)

    def _machine(
        self, name: str, *, forwards: bool = False, is_node: bool = False
    ) -> NetworkNamespace:
        namespace = self._stack.enter_context(NetworkNamespace.create(name))
        self._namespaces[name] = namespace
        ipv6 = Path("/proc/sys/net/ipv6").is_dir()
        namespace.set_sysctls(wiring.sysctls(forwards=forwards, is_node=is_node, ipv6=ipv6))
        return namespace

    def _attach_to_wire(
        self, name: str, device: str, addresses: Sequence[str], *, is_node: bool = False
    ) -> None:
        wire = self._namespaces[WIRE]
        machine = self._machine(name, forwards=is_node, is_node=is_node)
        lines = wiring.veth_pair(device, machine.fileno())
        lines += wiring.wire_link_lines(device, addresses)
        self._configure(wire, lines, peers=[machine])
        self._configure(machine, wiring.leaf_lines(addresses, wiring.GATEWAY))

    def _configure(
        self,
        namespace: NetworkNamespace,
        lines: Iterable[str],
        *,
        peers: Sequence[NetworkNamespace] = (),
        family: Family | None = None,
    ) -> None:
        """Run lines of `ip -batch` inside a namespace; `peers` are those the lines refer to."""
        text = "".join(f"{line}\n" for line in lines)
        if not text:
            return
        version = {"ipv4": ["-4"], "ipv6": ["-6"], None: []}[family]
        with namespace.entered():
            run(
                ["ip", *version, "-batch", "-"],
                text=text,
                keep_open=[peer.fileno() for peer in peers],
            )

    def add_pods(self, *pods: PodMachine) -> None:
        """Add pods, and machines outside of the cluster, while it runs."""
        self.topology = self.topology.with_pods(*pods)
        wire = self._namespaces[WIRE]
        for pod in pods:
            self._links += 1
            if pod.node is None:
                self._attach_to_wire(pod.name, f"out{self._links}", pod.addresses)
                continue
            node = self.topology.node(pod.node)
            device = f"pod{self._links}"
            machine = self._machine(pod.name)
            lines = wiring.veth_pair(device, machine.fileno())
            lines += wiring.node_to_pod_lines(node, device, pod.addresses)
            self._configure(self._namespaces[node.name], lines, peers=[machine])
            gateways: dict[Family, str] = {"ipv6": wiring.GATEWAY["ipv6"]}
            own = first_of_family(node.addresses, "ipv4")
            if own is not None:
                gateways["ipv4"] = own
            self._configure(machine, wiring.leaf_lines(pod.addresses, gateways))
            elsewhere = [wiring.host_network(one) for one in _outside_of(node, pod.addresses)]
            to_node = wiring.wire_to_node_lines(node, self._node_devices[node.name], elsewhere)
            self._configure(wire, to_node)

    def add_entry(self, entry: Entry) -> None:
        """Let the client's packets for an address or network come in at a node, from now on."""
        self.topology = self.topology.with_entries(entry)
        device = self._node_devices[entry.node]
        line = wiring.entry_line(entry, self.topology, device)
        self._configure(self._namespaces[WIRE], [line])

    # -------------------------------------------------------------------------------- using

    def namespace(self, machine: str) -> NetworkNamespace:
        """The namespace of the client ("client"), a node or a pod; raises `TopologyError`."""
        try:
            return self._namespaces[machine]
        except KeyError:
            raise TopologyError(f"there is no machine {machine} in the sandbox") from None

    def serve(self, machine: str, protocol: Protocol, port: int) -> None:
        """Let a machine answer on all its addresses; doing so already is fine."""
        for one in self.topology.machines:
            if one.name == machine:
                for address in one.addresses:
                    self._servers.serve(machine, self._namespaces[machine], protocol, address, port)
                return
        raise TopologyError(f"there is no node or pod {machine} in the sandbox")

    def connect(
        self,
        machine: str,
        targets: Sequence[Target],
        *,
        source: str | None = None,
        timeout: float = 5.0,
        at_once: int = AT_ONCE,
    ) -> list[Outcome]:
        """Open connections from a machine: see `traffic.open_connections`."""
        return open_connections(
            self.namespace(machine), targets, source=source, timeout=timeout, at_once=at_once
        )

    @property
    def server_pid(self) -> int:
        """The process id of the echo servers, which is the sandbox's only process."""
        return self._servers.pid


def _outside_of(node: NodeMachine, addresses: Iterable[str]) -> list[str]:
    """Those addresses that no pod network of the node contains."""
    networks = [ipaddress.ip_network(one) for one in node.pod_cidrs]
    return [
        one
        for one in addresses
        if not any(
            ipaddress.ip_address(one) in network
            for network in networks
            if family_of(str(network)) == family_of(one)
        )
    ]
