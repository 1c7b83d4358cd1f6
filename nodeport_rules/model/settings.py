"""What a node's rules depend on besides Services and endpoints, resolved for one family."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from nodeport_rules.model.family import Family


class LocalTraffic(StrEnum):
    """How a pod's traffic is told apart from other traffic."""

    CIDR = "cidr"
    """By source address (`detectLocalMode` ClusterCIDR and NodeCIDR)."""
    INTERFACE = "interface"
    """By the interface it comes from (BridgeInterface, InterfaceNamePrefix)."""
    NOT_DETECTED = "not detected"
    """Not at all: no rule depends on it."""


class LocalDetector(msgspec.Struct, frozen=True):
    """The match for a pod's traffic: a CIDR, or an interface name as iptables takes it.

    An interface name that ends in `+` matches every interface whose name begins so.
    """

    kind: LocalTraffic = LocalTraffic.NOT_DETECTED
    value: str = ""


class NodeSettings(msgspec.Struct, frozen=True):
    """Everything that the rules of one node and family depend on besides the objects."""

    family: Family
    node_name: str
    zone: str = ""
    node_ip: str = ""
    """The node's primary address of this family; the loopback address when it has none."""
    local_detector: LocalDetector = LocalDetector()
    masquerade_bit: int = 14
    masquerade_all: bool = False
    node_port_addresses: tuple[str, ...] | None = None
    """The local addresses that take node-port traffic; None: every local one."""
    localhost_node_ports: bool = True
    """Whether node ports answer on 127.0.0.0/8 (IPv4 only; needs route_localnet)."""
    conntrack_liberal: bool = False
    """Whether nf_conntrack_tcp_be_liberal is 1: packets of state INVALID are then not dropped."""
    nfacct: bool = False
    """Whether kube-proxy's two nfacct counters exist in this node's kernel."""

    @property
    def masquerade_mark(self) -> str:
        """The mark for packets to be masqueraded, in hexadecimal: `0x4000`."""
        return hex(1 << self.masquerade_bit)
