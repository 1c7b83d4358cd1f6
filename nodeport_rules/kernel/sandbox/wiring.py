"""The devices, addresses and routes of a sandbox, as input of `ip -batch`.

Every machine hangs on a pair of veth devices: the client, the nodes and machines outside of the
cluster on the wire (a namespace that only forwards), the pods on their node. All links are
point to point with /32 and /128 routes, as some CNI plugins do it; no bridge is needed.

The functions here only make text; every name in it is made here, every address was checked by
`Topology`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from nodeport_rules.kernel.iptables_tools import Family
from nodeport_rules.kernel.sandbox.topology import (
    Entry,
    NodeMachine,
    Topology,
    family_of,
    first_of_family,
)

GATEWAY: dict[Family, str] = {"ipv4": "169.254.1.1", "ipv6": "fe80::1"}
"""The wire's address on each of its links."""

ANYWHERE: dict[Family, str] = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}

CLIENT_DEVICE = "client"

ENTRY_TABLE = 100
"""Routing table of the wire that only packets of the client are looked up in.

A node that passes a packet for a Service address on must not get it back from the wire.
"""

COMMON_SYSCTLS = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/default/accept_redirects": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/route_localnet": "0",
    "ipv4/conf/default/route_localnet": "0",
    "ipv4/ip_forward": "0",
    "ipv4/ip_local_port_range": "1024 65535",
    "ipv4/icmp_ratelimit": "0",
}
"""For every machine; a new namespace may begin with the host's values.

A refusal is an ICMP message; with the kernel's rate limit, many at once would look like drops.
"""

COMMON_SYSCTLS_IPV6 = {
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv6/conf/default/disable_ipv6": "0",
    "ipv6/conf/lo/disable_ipv6": "0",
    "ipv6/conf/all/forwarding": "0",
    "ipv6/conf/default/forwarding": "0",
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/all/accept_redirects": "0",
    "ipv6/conf/default/accept_redirects": "0",
    "ipv6/icmp/ratelimit": "0",
}
"""Without duplicate address detection an IPv6 address can be used at once."""

FORWARDING_SYSCTLS = {"ipv4/ip_forward": "1"}

FORWARDING_SYSCTLS_IPV6 = {
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/forwarding": "1",
}

NODE_SYSCTLS = {"ipv4/conf/all/route_localnet": "1", "ipv4/conf/default/route_localnet": "1"}
"""As kube-proxy sets it in iptables mode with `localhostNodePorts`."""


def sysctls(*, forwards: bool, is_node: bool, ipv6: bool) -> dict[str, str]:
    """What a machine's sysctls are set to, by name below net/."""
    values = dict(COMMON_SYSCTLS)
    if ipv6:
        values |= COMMON_SYSCTLS_IPV6
    if forwards:
        values |= FORWARDING_SYSCTLS
        if ipv6:
            values |= FORWARDING_SYSCTLS_IPV6
    if is_node:
        values |= NODE_SYSCTLS
    return values


def host_network(address: str) -> str:
    """The network that holds this address alone, such as 192.0.2.10/32."""
    return str(ipaddress.ip_network(address))


def address_line(network: str, device: str) -> str:
    """An address with its prefix length, usable at once (see `COMMON_SYSCTLS_IPV6`)."""
    no_detection = " nodad" if family_of(network) == "ipv6" else ""
    return f"address add {network} dev {device}{no_detection}"


def veth_pair(device: str, peer_descriptor: int) -> list[str]:
    """A pair of devices: `device` here, `eth0` in the namespace of that descriptor."""
    return [
        f"link add {device} type veth peer name eth0 netns /proc/self/fd/{peer_descriptor}",
        f"link set {device} up",
    ]


def leaf_lines(addresses: Iterable[str], gateways: dict[Family, str]) -> list[str]:
    """Inside a machine: its loopback, its `eth0` with its addresses, and a way out by family."""
    lines = ["link set lo up", "link set eth0 up"]
    own = tuple(addresses)
    lines += [address_line(host_network(address), "eth0") for address in own]
    for family, gateway in gateways.items():
        source = first_of_family(own, family)
        if source is not None:
            lines.append(
                f"route add {ANYWHERE[family]} via {gateway} dev eth0 onlink src {source}"
                if family == "ipv4"
                else f"route add {ANYWHERE[family]} via {gateway} dev eth0 src {source}"
            )
    return lines


def wire_link_lines(device: str, addresses: Iterable[str]) -> list[str]:
    """On the wire: the gateway's addresses on `device`, and the way to the machine behind it."""
    own = tuple(addresses)
    lines = []
    if first_of_family(own, "ipv4") is not None:
        lines.append(address_line(f"{GATEWAY['ipv4']}/32", device))
    if first_of_family(own, "ipv6") is not None:
        lines.append(address_line(f"{GATEWAY['ipv6']}/64", device))
    lines += [f"route add {host_network(address)} dev {device}" for address in own]
    return lines


def wire_to_node_lines(node: NodeMachine, device: str, networks: Iterable[str]) -> list[str]:
    """On the wire: the way to networks that lie behind a node."""
    return [_via_node(network, node, device, "") for network in networks]


def entry_line(entry: Entry, topology: Topology, device: str) -> str:
    """On the wire: the client's way to a Service address, in place of an earlier one."""
    node = topology.node(entry.node)
    return _via_node(entry.network, node, device, f" table {ENTRY_TABLE}")


def _via_node(network: str, node: NodeMachine, device: str, table: str) -> str:
    gateway = first_of_family(node.addresses, family_of(network))
    onlink = " onlink" if family_of(network) == "ipv4" else ""
    return f"route replace {network} via {gateway} dev {device}{onlink}{table}"


def entry_rule_line() -> str:
    """On the wire, once a family: packets of the client are looked up among the entries first."""
    return f"rule add iif {CLIENT_DEVICE} lookup {ENTRY_TABLE} priority 100"


def node_to_pod_lines(node: NodeMachine, device: str, addresses: Iterable[str]) -> list[str]:
    """On a node: its own address towards the pod, and the way there.

    The node's own address on the link is what MASQUERADE takes for packets to the pod.
    """
    own = tuple(addresses)
    lines = []
    ipv4, ipv6 = (first_of_family(node.addresses, family) for family in ("ipv4", "ipv6"))
    if ipv4 is not None and first_of_family(own, "ipv4") is not None:
        lines.append(address_line(f"{ipv4}/32", device))
    if first_of_family(own, "ipv6") is not None:
        lines.append(address_line(f"{GATEWAY['ipv6']}/64", device))
    for address in own:
        source = ipv4 if family_of(address) == "ipv4" else ipv6
        lines.append(f"route add {host_network(address)} dev {device} src {source}")
    return lines


def node_own_lines(node: NodeMachine) -> list[str]:
    """On a node: addresses of its pod networks that no pod has lead nowhere."""
    return [f"route add unreachable {network}" for network in node.pod_cidrs]
