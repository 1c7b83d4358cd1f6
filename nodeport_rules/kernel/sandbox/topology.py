"""What a sandbox is to hold: machines and addresses as plain values, checked before use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from nodeport_rules.kernel.errors import TopologyError
from nodeport_rules.kernel.iptables_tools import Family

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Protocol = Literal["tcp", "udp", "sctp"]

FAMILY_OF_VERSION: dict[int, Family] = {4: "ipv4", 6: "ipv6"}

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def family_of(address: str) -> Family:
    """The family of an address or network in text form."""
    return FAMILY_OF_VERSION[ipaddress.ip_network(address, strict=False).version]


@dataclass(frozen=True)
class NodeMachine:
    """A node with rules of its own.

    The first address of a family is what it speaks as in that family; `pod_cidrs` are the networks
    that the other machines reach through it.
    """

    name: str
    addresses: tuple[str, ...]
    pod_cidrs: tuple[str, ...] = ()


@dataclass(frozen=True)
class PodMachine:
    """A pod behind a node; `node` None is a machine outside of the cluster, on the wire itself."""

    name: str
    node: str | None
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """Where the wire delivers a Service's address: packets of the client for `network` go to
    `node`."""

    network: str
    node: str


@dataclass(frozen=True)
class Topology:
    """Everything a sandbox holds. `client` are the addresses of the client outside of the cluster;
    the first of a family is the one it speaks as unless told otherwise.

    Raises `TopologyError` on making when a name or address is malformed or given twice, or when a
    pod or an entry names a node that is not there.
    """

    nodes: tuple[NodeMachine, ...]
    pods: tuple[PodMachine, ...] = ()
    client: tuple[str, ...] = ("192.0.2.10", "2001:db8:2::10")
    entries: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        names: set[str] = {"client"}
        for machine in self.machines:
            if not _NAME.fullmatch(machine.name):
                raise TopologyError(f"{machine.name!r} cannot be the name of a machine")
            if machine.name in names:
                raise TopologyError(f"two machines of the sandbox are called {machine.name}")
            names.add(machine.name)
        owners: dict[str, str] = {}
        for name, address in self._addresses():
            checked = _checked_address(name, address)
            if checked in owners:
                raise TopologyError(f"{owners[checked]} and {name} both have the address {address}")
            owners[checked] = name
        for node in self.nodes:
            for network in node.pod_cidrs:
                _checked_network(node.name, network)
        self._check_references()

    @property
    def machines(self) -> tuple[NodeMachine | PodMachine, ...]:
        """Nodes, then pods."""
        return (*self.nodes, *self.pods)

    def _addresses(self) -> Iterator[tuple[str, str]]:
        for address in self.client:
            yield "client", address
        for machine in self.machines:
            for address in machine.addresses:
                yield machine.name, address

    def _check_references(self) -> None:
        known = {node.name: node for node in self.nodes}
        for pod in self.pods:
            if pod.node is None:
                continue
            if pod.node not in known:
                raise TopologyError(f"the pod {pod.name} is on {pod.node}, which is no node here")
            self._check_families(pod.name, pod.addresses, known[pod.node])
        for entry in self.entries:
            _checked_network("an entry", entry.network)
            if entry.node not in known:
                raise TopologyError(f"{entry.network} enters at {entry.node}, no node here")
            self._check_families("an entry", (entry.network,), known[entry.node])

    @staticmethod
    def _check_families(who: str, addresses: tuple[str, ...], node: NodeMachine) -> None:
        for address in addresses:
            if first_of_family(node.addresses, family_of(address)) is None:
                raise TopologyError(
                    f"{who} has {address}, but its node {node.name} has no address of that family"
                )

    def with_pods(self, *pods: PodMachine) -> Topology:
        """The same with more pods."""
        return replace(self, pods=(*self.pods, *pods))

    def with_entries(self, *entries: Entry) -> Topology:
        """The same with more entries."""
        return replace(self, entries=(*self.entries, *entries))

    def node(self, name: str) -> NodeMachine:
        """The node of that name; raises `TopologyError`."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise TopologyError(f"there is no node {name} in the sandbox")

    @property
    def uses_ipv6(self) -> bool:
        """Whether any machine has an IPv6 address."""
        return any(family_of(address) == "ipv6" for _, address in self._addresses())


def first_of_family(addresses: tuple[str, ...], family: Family) -> str | None:
    """The first address of a family, in the order given; None when there is none."""
    return next((address for address in addresses if family_of(address) == family), None)


def _checked_address(name: str, address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as error:
        raise TopologyError(f"{name}: {error}") from error


def _checked_network(name: str, network: str) -> Network:
    try:
        return ipaddress.ip_network(network)
    except ValueError as error:
        raise TopologyError(f"{name}: {error}") from error
