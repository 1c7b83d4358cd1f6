"""The node's addresses and devices, and who sends packets from where.

The addresses of the node are those of the host on which kube-proxy was recorded. Nobody else's
address here is in any recording, but for the networks that pods live in.
"""

from __future__ import annotations

import ipaddress

from nodeport_rules.model.family import Family

WORLD = "eth0"
POD_DEVICE = "cni0"
OTHER_POD_DEVICE = "veth0"
"""For states that tell pods apart by the prefix `veth` of their devices."""
DEVICES = (WORLD, POD_DEVICE, OTHER_POD_DEVICE)
SINK = "sink"
MASQUERADED = {Family.IPV4: "192.0.2.1", Family.IPV6: "2001:db8:cccc::1"}
"""The node's address on the way out. It is no other one's, so that masquerading shows even where
the packet is the node's own."""

NODE = {Family.IPV4: "192.168.1.100", Family.IPV6: "2001:db8:1::100"}
NODE_NETWORKS = ("192.168.1.100/24", "2001:db8:1::100/64")
LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
MORE_LOCAL = {Family.IPV4: "100.100.0.1", Family.IPV6: "fd00:31::1"}
"""Another address of the node, which kube-proxy did not see: not one that was selected."""
MORE_LOCAL_NETWORKS = ("100.100.0.0/16", "fd00:31::/64")
"""Every address in them is the node's own, so that it can be many clients."""

OUTSIDE = {Family.IPV4: "198.18.0.1", Family.IPV6: "2001:db8:aaaa::1"}
"""In no source range of any recording."""
POD = {Family.IPV4: "10.244.0.200", Family.IPV6: "fd00:10:244::c8"}
"""A pod of this node that is nobody's endpoint."""
REMOTE_POD = {Family.IPV4: "10.244.200.1", Family.IPV6: "fd00:10:244:c8::1"}
"""A pod of another node."""

NOBODY = {Family.IPV4: "192.0.2.80", Family.IPV6: "2001:db8:bbbb::80"}
"""An address in the world that no Service has."""
SERVICE_CIDRS = ("10.96.0.0/16", "fd00:10:96::/112")
UNALLOCATED = {Family.IPV4: "10.96.255.254", Family.IPV6: "fd00:10:96::fffe"}
UNUSED_PORT = 9
UNUSED_NODE_PORT = 32766


def is_loopback(address: str) -> bool:
    """Whether the address is in 127.0.0.0/8 or is ::1."""
    return ipaddress.ip_address(address).is_loopback


def contains(cidr: str, address: str) -> bool:
    """Whether the address is in the network, which may have blanks around it and host bits."""
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr.strip(), strict=False)


def is_local(address: str) -> bool:
    """Whether the address is one of the node's."""
    return (
        is_loopback(address)
        or address in NODE.values()
        or address in MASQUERADED.values()
        or any(contains(network, address) for network in MORE_LOCAL_NETWORKS)
    )
