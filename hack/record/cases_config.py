"""States that are about kube-proxy's configuration, the Node and the host."""

from collections.abc import Iterator
from typing import Any

from state import DUAL, NODE, Object, State, config, node, port, ready, standard

_TWO_EACH = ("192.168.1.100/24", "192.168.1.101/24", "2001:db8:1::100/64", "2001:db8:1::200/64")
_ONE_EACH = ("192.168.1.100/24", "2001:db8:1::100/64")
_INTERNAL_V4 = ("InternalIP", "192.168.1.100")
_INTERNAL_V6 = ("InternalIP", "2001:db8:1::100")


def _case(name: str, of_node: Object | None = None, **changed: Any) -> State:
    return standard(State(name, config(**changed), of_node))


def detect_local() -> Iterator[State]:
    """How a pod's traffic is told apart."""
    by_node: Object = {"detectLocalMode": "NodeCIDR", "clusterCIDR": ""}
    yield _case("detect-node-cidr", **by_node)
    yield _case("detect-node-cidr-v4", node(pod_cidrs=["10.244.0.0/24"]), **by_node)
    # kube-proxy does not start when the node's first family has no CIDR.
    only_v6 = node((_INTERNAL_V6, _INTERNAL_V4), ["fd00:10:244::/64"])
    yield _case("detect-node-cidr-v6", only_v6, **by_node)
    yield _case(
        "detect-interface-prefix",
        detectLocalMode="InterfaceNamePrefix",
        detectLocal={"interfaceNamePrefix": "veth"},
    )
    yield _case("detect-cluster-cidr-v4", clusterCIDR="10.244.0.0/16")
    yield _case("detect-cluster-cidr-host-bits", clusterCIDR="fd00:10:244::9/48,10.244.3.5/16")


def node_port_addresses() -> Iterator[State]:
    """Which local addresses accept node ports."""
    for name, wanted in {
        "loopback-and-eth0": ["127.0.0.0/8", "192.168.1.0/24"],
        "loopback-only": ["127.0.0.0/8"],
        "loopback-v6": ["::1/128"],
        "v4-only": ["192.168.1.0/24"],
        "v6-only": ["2001:db8:1::/64"],
        "all-v4": ["0.0.0.0/0"],
        "no-match": ["203.0.113.0/24", "2001:db8:ffff::/64"],
        "overlapping": ["192.168.0.0/16", "192.168.1.100/32", "192.168.1.0/24", "0.0.0.0/0"],
        "host-bits": ["192.168.1.77/24", "2001:db8:1::77/64"],
    }.items():
        yield _case(f"nodeport-{name}", nodePortAddresses=wanted)
    wanted = ["192.168.1.0/24", "2001:db8:1::/64"]
    for name, chosen in {"two-each": wanted, "two-each-primary": ["primary"]}.items():
        settings = config(nodePortAddresses=chosen)
        yield standard(State(f"nodeport-{name}", settings, host=_TWO_EACH))
    settings = config(nodePortAddresses=["fe80::/10", "192.168.1.0/24"])
    addresses = (*_ONE_EACH, "fe80::77/64")
    yield standard(State("nodeport-link-local", settings, host=addresses))
    off: Object = {"iptables": {"localhostNodePorts": False}}
    for name, chosen in {
        "only": ["127.0.0.0/8"],
        "all": ["0.0.0.0/0", "::/0"],
    }.items():
        yield _case(f"nodeport-no-localhost-{name}", nodePortAddresses=chosen, **off)


_NODES: dict[str, list[tuple[str, str]]] = {
    "v4-only": [_INTERNAL_V4],
    "v6-only": [_INTERNAL_V6],
    "none": [("Hostname", NODE)],
    "external-only": [("ExternalIP", "192.168.1.100"), ("ExternalIP", "2001:db8:1::100")],
    "external-first": [
        ("ExternalIP", "192.168.1.77"),
        ("ExternalIP", "2001:db8:1::77"),
        _INTERNAL_V4,
        _INTERNAL_V6,
    ],
    "mixed": [_INTERNAL_V4, ("ExternalIP", "2001:db8:1::77")],
    "two-internal": [("InternalIP", "192.168.1.77"), _INTERNAL_V6, _INTERNAL_V4],
}


def primary_addresses() -> Iterator[State]:
    """`nodePortAddresses: primary`, for unusual Nodes.

    In some of them the node's address is none of the host's: then nothing accepts node ports.
    """
    primary = config(nodePortAddresses=["primary"])
    for name in ("v4-only", "v6-only", "external-only", "two-internal"):
        yield standard(State(f"primary-{name}", primary, node(_NODES[name]), _ONE_EACH))
    for name, address in {"v4": "192.168.1.55", "v6": "2001:db8:1::100"}.items():
        settings = config(nodePortAddresses=["primary"], bindAddress=address)
        yield standard(State(f"primary-bind-{name}", settings, host=_ONE_EACH))


def own_address() -> Iterator[State]:
    """The node's own address, as seen in the source ranges that hold it."""
    for name in ("v4-only", "none", "external-first", "mixed", "two-internal"):
        yield _each_range(State(f"own-address-{name}", of_node=node(_NODES[name])))
    for name, address in {
        "v4": "192.168.1.55",
        "v6": "2001:db8:1::55",
        "loopback": "127.0.0.1",
    }.items():
        yield _each_range(State(f"own-address-bind-{name}", config(bindAddress=address)))


def _each_range(state: State) -> State:
    """Add a Service for each address that might be taken for the node's own."""
    for number, last in enumerate(("100", "77", "55", "loopback")):
        ranges = [f"192.168.1.{last}/32", f"2001:db8:1::{last}/128"]
        if last == "loopback":
            ranges = ["127.0.0.0/8", "::1/128"]
        state.service(
            f"range-{last}",
            None,
            "LoadBalancer",
            families=DUAL,
            ingress=[{"ip": f"203.0.113.{number}"}, {"ip": f"2001:db8:2::{number}"}],
            loadBalancerSourceRanges=ranges,
            allocateLoadBalancerNodePorts=False,
        )
        state.slice(f"range-{last}", ready("10.244.0.5"))
        state.slice(f"range-{last}", ready("fd00:10:244::5"), family="IPv6")
    return state


def external_ips_off() -> Iterator[State]:
    """External IPs that do not count, on Services that have nothing else outside and that have."""
    state = State("no-external-ips", config(featureGates={"AllowServiceExternalIPs": False}))
    addresses = ["198.51.100.7", "2001:db8:3::7"]
    number = 0
    for kind in ("ClusterIP", "NodePort"):
        for inside in ("Cluster", "Local"):
            for outside in ("Cluster", "Local"):
                for where in ((), (NODE,), ("node-2",)):
                    number += 1
                    name = f"off-{number:02d}"
                    policies: Object = {
                        "internalTrafficPolicy": inside,
                        "externalTrafficPolicy": outside,
                        "externalIPs": addresses,
                    }
                    state.service(name, [port(1000 + number)], kind, families=DUAL, **policies)
                    for on in where:
                        state.slice(name, ready(f"10.244.0.{number}", on=on))
    yield state


def marks_and_gates() -> Iterator[State]:
    """The masquerade mark and the node's name."""
    bridge: Object = {
        "clusterCIDR": "",
        "detectLocalMode": "BridgeInterface",
        "detectLocal": {"bridgeInterface": "cni0"},
    }
    yield _case("masquerade-bit-0", iptables={"masqueradeBit": 0})
    yield _case("masquerade-bit-31", iptables={"masqueradeBit": 31})
    yield _case("masquerade-all-bridge", iptables={"masqueradeAll": True}, **bridge)
    yield _case("masquerade-all-no-way", iptables={"masqueradeAll": True}, clusterCIDR="")
    yield _case("hostname-upper-case", hostnameOverride=" NODE-1 ")


def cases() -> Iterator[State]:
    """All of them."""
    yield from detect_local()
    yield from node_port_addresses()
    yield from primary_addresses()
    yield from own_address()
    yield from external_ips_off()
    yield from marks_and_gates()
