"""Large random mixes of everything, from fixed seeds."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

from state import DUAL, NODE, V4, V6, ZONE, State, config, endpoint, port, slice_port

Object = dict[str, Any]

_NODES = (NODE, "node-2", "node-3", None)
_ZONES = (ZONE, "zone-b", "zone-c")
_RANGES = (
    "192.168.1.0/24",
    "198.51.100.0/24",
    "198.51.100.77/25",
    "10.0.0.0/8",
    "2001:db8:1::/64",
    "2001:db8:7::1/48",
    "0.0.0.0/0",
    "::/0",
)
_HOSTNAME: Object = {"hostname": "lb.example.net"}
_HEADLESS = {"service.kubernetes.io/headless": ""}
_OTHER_PROXY = {"service.kubernetes.io/service-proxy-name": "other"}
_CONDITIONS: tuple[Object, ...] = (
    {},
    {},
    {},
    {"ready": False, "serving": False},
    {"ready": False, "serving": True, "terminating": True},
    {"ready": False, "serving": False, "terminating": True},
    {"ready": True, "serving": True, "terminating": True},
)


def _settings(pick: random.Random) -> Object:
    detect: Object = pick.choice(
        (
            {},
            {"clusterCIDR": ""},
            {"clusterCIDR": "10.244.0.0/16"},
            {"detectLocalMode": "NodeCIDR"},
            {
                "detectLocalMode": "InterfaceNamePrefix",
                "detectLocal": {"interfaceNamePrefix": "veth"},
            },
            {"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "cni0"}},
        )
    )
    iptables: Object = {}
    if pick.random() < 0.3:
        iptables["masqueradeBit"] = pick.choice((0, 3, 20, 31))
    if pick.random() < 0.2:
        iptables["masqueradeAll"] = True
    if pick.random() < 0.3:
        iptables["localhostNodePorts"] = False
    more: Object = {"iptables": iptables} if iptables else {}
    addresses: list[str] = pick.choice(
        (
            [],
            [],
            ["primary"],
            ["127.0.0.0/8", "192.168.1.0/24"],
            ["127.0.0.0/8"],
            ["203.0.113.0/24", "::/0"],
            ["2001:db8:1::/64"],
            ["0.0.0.0/0", "::/0"],
        )
    )
    if addresses:
        more["nodePortAddresses"] = addresses
    if pick.random() < 0.15:
        more["featureGates"] = {"AllowServiceExternalIPs": False}
    return config(**detect, **more)


def _spec(pick: random.Random, kind: str, number: int) -> Object:
    """The policies, external IPs and affinity of one Service."""
    spec: Object = {}
    if kind != "ClusterIP" or pick.random() < 0.3:
        if pick.random() < 0.4 or kind == "ClusterIP":
            spec["externalIPs"] = [f"198.51.100.{number + 1}", f"2001:db8:3::{number + 1:x}"]
        if pick.random() < 0.5:
            spec["externalTrafficPolicy"] = "Local"
    if pick.random() < 0.35:
        spec["internalTrafficPolicy"] = "Local"
    if pick.random() < 0.25:
        spec["sessionAffinity"] = "ClientIP"
        seconds = pick.choice((1, 600, 86400))
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
    return spec


def _add_service(pick: random.Random, state: State, number: int) -> None:
    """One Service with everything chosen at random, and its slices."""
    name = f"{pick.choice(('web', 'db', 'api', 'queue'))}-{number}"
    namespace = pick.choice(("default", "team-a", "team-b"))
    families = pick.choice((V4, V6, DUAL, DUAL))
    kind = pick.choice(("ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer"))
    count = pick.choice((1, 1, 2, 3))
    ports, feet = [], []
    for index in range(count):
        of_port = f"p{index}" if count > 1 or pick.random() < 0.5 else ""
        protocol = pick.choice(("TCP", "TCP", "UDP", "SCTP"))
        ports.append(port(80 + 1000 * index, of_port, protocol, 8000 + index))
        if pick.random() < 0.9:
            feet.append(slice_port(8000 + index, of_port, protocol))
    spec = _spec(pick, kind, number)
    ingress: list[Object] = []
    if kind == "LoadBalancer":
        if pick.random() < 0.5:
            spec["loadBalancerSourceRanges"] = pick.sample(_RANGES, pick.randint(1, 3))
        if pick.random() < 0.3:
            spec["allocateLoadBalancerNodePorts"] = False
        if pick.random() < 0.9:
            mode = {"ipMode": pick.choice(("VIP", "VIP", "Proxy"))}
            ingress = [{"ip": f"203.0.113.{number + 1}", **mode}, {"ip": f"2001:db8:2::{number:x}"}]
            ingress += pick.choice(([], [{"ip": f"203.0.113.{number + 101}"}], [_HOSTNAME]))
    labels = _OTHER_PROXY if pick.random() < 0.05 else None
    state.service(
        name,
        ports,
        kind,
        families=families,
        namespace=namespace,
        labels=labels,
        ingress=ingress,
        **spec,
    )
    for family in families:
        _add_slices(pick, state, (namespace, name), family, feet)


def _add_slices(
    pick: random.Random, state: State, service: tuple[str, str], family: str, feet: list[Object]
) -> None:
    hinted = pick.choice((None, None, "zones", "nodes", "both"))
    sloppy = pick.random() < 0.3
    for part in range(pick.choice((0, 1, 1, 1, 2))):
        endpoints: list[Object] = []
        for _ in range(pick.randint(1, 3)):
            on = pick.choice(_NODES)
            third, last = _NODES.index(on), pick.randint(1, 250)
            last = last * 2 + part  # no two slices of a Service name the same address
            prefix = "10.244" if family == "IPv4" else f"fd00:10:244:{third + 1}:"
            address = f"{prefix}:{last:x}"
            if family == "IPv4":
                address = f"10.244.{third * 2 + last // 250}.{1 + last % 250}"
            hints: Object = {}
            if hinted in ("zones", "both") and not (sloppy and pick.random() < 0.3):
                hints["zones"] = pick.sample(_ZONES, pick.randint(1, 2))
            if hinted in ("nodes", "both") and not (sloppy and pick.random() < 0.3):
                hints["nodes"] = [on or NODE]
            if all(address not in e["addresses"] for e in endpoints):
                endpoints.append(endpoint(address, on, **pick.choice(_CONDITIONS), **hints))
        namespace, name = service
        labels = pick.choice((None,) * 12 + (_HEADLESS, _OTHER_PROXY))
        state.slice(name, endpoints, feet, family=family, namespace=namespace, labels=labels)


def cases(seeds: Iterable[int] = range(10)) -> Iterator[State]:
    """One state a seed."""
    for seed in seeds:
        pick = random.Random(seed)
        state = State(f"random-{seed:02d}", _settings(pick))
        for number in range(pick.randint(12, 16)):
            _add_service(pick, state, number)
        yield state
