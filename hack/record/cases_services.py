"""States that are about what a Service says: addresses, ranges, labels, ports, affinity."""

from collections.abc import Iterator
from typing import Any

from state import DUAL, V6, State, config, endpoint, port, ready, slice_port

Object = dict[str, Any]

_LOCAL_V4, _LOCAL_V6 = "10.244.0.5", "fd00:10:244::5"


def _fed(state: State, name: str) -> None:
    """Give a Service an endpoint of each family on this node."""
    state.slice(name, ready(_LOCAL_V4))
    state.slice(name, ready(_LOCAL_V6), family="IPv6")


def _source_ranges() -> State:
    state = State("source-ranges")
    for number, ranges in enumerate(
        (
            ["0.0.0.0/0"],
            ["::/0"],
            ["0.0.0.0/0", "198.51.100.0/24"],
            ["198.51.100.0/24", "::/0"],
            [" 198.51.100.0/24 ", "\t198.51.100.128/25"],
            ["198.51.100.77/24", "2001:db8:1::77/64"],
            ["198.51.100.0/24", "198.51.100.0/24", "198.51.100.1/24"],
            ["192.168.1.0/24"],
            ["192.168.1.100/32", "192.168.0.0/16", "2001:db8:1::100/128"],
            ["2001:db8:1::/64"],
            ["198.51.100.0/24"],
            ["203.0.113.0/24"],
            ["2001:DB8:0001::/48", "2001:db8:2:0:0::/64"],
            ["198.51.100.9/32", "10.0.0.0/8", "172.16.0.0/12"],
        )
    ):
        name = f"ranged-{number:02d}"
        ingress = [{"ip": f"203.0.113.{number + 1}"}, {"ip": f"2001:db8:2::{number + 1:x}"}]
        state.service(
            name,
            None,
            "LoadBalancer",
            families=DUAL,
            ingress=ingress,
            loadBalancerSourceRanges=ranges,
            allocateLoadBalancerNodePorts=False,
        )
        _fed(state, name)
    return state


def _source_ranges_more() -> State:
    state = State("source-ranges-more")
    ranged: Object = {"loadBalancerSourceRanges": ["192.168.1.0/24", "198.51.100.0/24"]}
    ingress = [{"ip": "203.0.113.1"}, {"ip": "203.0.113.2"}]
    state.service("several-ips", None, "LoadBalancer", ingress=ingress, **ranged)
    state.slice("several-ips", ready(_LOCAL_V4))
    ingress = [{"ip": "203.0.113.3"}]
    state.service("dry", None, "LoadBalancer", ingress=ingress, **ranged)
    ingress = [{"ip": "203.0.113.4"}]
    local: Object = {"externalTrafficPolicy": "Local"}
    state.service("away", None, "LoadBalancer", ingress=ingress, **ranged, **local)
    state.slice("away", ready("10.244.1.6", on="node-2"))
    state.service("pending", None, "LoadBalancer", **ranged)
    state.slice("pending", ready(_LOCAL_V4))
    ingress = [{"ip": "203.0.113.6"}]
    both = ["203.0.113.6", "198.51.100.6"]
    state.service("ip-twice", None, "LoadBalancer", ingress=ingress, externalIPs=both, **ranged)
    state.slice("ip-twice", ready(_LOCAL_V4))
    ingress = [{"ip": "192.168.1.100"}]
    state.service("node-is-lb", None, "LoadBalancer", ingress=ingress, **ranged)
    state.slice("node-is-lb", ready(_LOCAL_V4))
    ingress = [{"ip": "203.0.113.8"}]
    sticky: Object = {**ranged, "sessionAffinity": "ClientIP"}
    state.service("sticky", None, "LoadBalancer", ingress=ingress, **sticky, **local)
    state.slice("sticky", ready(_LOCAL_V4) + ready("10.244.1.6", on="node-2"))
    return state


def _ingress() -> State:
    state = State("lb-ingress")
    variants: list[tuple[list[Object], Object]] = [
        ([{"ip": "203.0.113.1"}, {"ip": "203.0.113.2"}, {"ip": "203.0.113.1"}], {}),
        ([{"ip": "203.0.113.3", "ipMode": "Proxy"}], {}),
        ([{"ip": "203.0.113.4", "ipMode": "VIP"}, {"ip": "2001:db8:2::4"}], {}),
        ([{"hostname": "lb.example.net"}], {}),
        ([{"ip": "203.0.113.6", "hostname": "lb.example.net"}], {}),
        ([{"ip": "203.0.113.7"}], {"externalIPs": ["203.0.113.7"]}),
        ([{"ip": "203.0.113.8", "ipMode": "Proxy"}], {"externalTrafficPolicy": "Local"}),
        ([{"ip": "203.0.113.9"}, {"ip": "203.0.113.19", "ipMode": "Proxy"}], {}),
        ([{"ip": "192.168.1.100"}], {}),
        ([{"ip": "203.0.113.11"}], {"internalTrafficPolicy": "Local"}),
    ]
    for number, (ingress, more) in enumerate(variants):
        name = f"lb-{number:02d}"
        state.service(name, None, "LoadBalancer", families=DUAL, ingress=ingress, **more)
        _fed(state, name)
    state.service("dry", None, "LoadBalancer", ingress=[{"ip": "203.0.113.50"}, {"ip": "::50"}])
    return state


def _external_ips() -> State:
    state = State("external-ips-more")
    lists = (
        ["198.51.100.1", "198.51.100.1"],
        ["198.51.100.2", "2001:db8:3::2"],
        ["192.168.1.100", "2001:db8:1::100"],
        ["2001:db8:3::4", "198.51.100.4", "198.51.100.14"],
        ["2001:DB8:3:0:0:0:0:5", "2001:0db8:0003::0015"],
    )
    for number, addresses in enumerate(lists):
        for local in (False, True):
            name = f"ext-{number}-{'local' if local else 'cluster'}"
            more: Object = {"externalTrafficPolicy": "Local"} if local else {}
            state.service(
                name,
                [port(81 if local else 80)],
                families=DUAL if number % 2 else ("IPv4",),
                externalIPs=addresses,
                **more,
            )
            _fed(state, name)
    state.service("dry", families=DUAL, externalIPs=["198.51.100.9", "2001:db8:3::9"])
    state.service("v6-only", families=V6, externalIPs=["198.51.100.10", "2001:db8:3::10"])
    _fed(state, "v6-only")
    return state


def _health_checks() -> State:
    state = State("health-check-ports")
    ports = [port(80, "http"), port(443, "https", target=8443), port(53, "dns", "UDP", 5353)]
    feet = [slice_port(8080, "http"), slice_port(8443, "https"), slice_port(5353, "dns", "UDP")]
    local: Object = {"externalTrafficPolicy": "Local"}
    variants: list[tuple[Object, list[Object]]] = [
        (local, ready(_LOCAL_V4)),
        (local, ready("10.244.1.6", on="node-2")),
        (local, []),
        ({**local, "allocateLoadBalancerNodePorts": False}, ready(_LOCAL_V4)),
        ({**local, "internalTrafficPolicy": "Local"}, ready("10.244.1.6", on="node-2")),
        ({"allocateLoadBalancerNodePorts": False}, ready(_LOCAL_V4)),
    ]
    for number, (spec, endpoints) in enumerate(variants):
        name = f"hc-{number}"
        ingress = [{"ip": f"203.0.113.{number + 1}"}, {"ip": f"2001:db8:2::{number + 1}"}]
        state.service(name, ports, "LoadBalancer", families=DUAL, ingress=ingress, **spec)
        if endpoints:
            state.slice(name, endpoints, feet)
    state.service("pending", None, "LoadBalancer", **local)
    _fed(state, "pending")
    return state


def _excluded() -> State:
    state = State("labels-and-kinds")
    proxy = {"service.kubernetes.io/service-proxy-name": "other"}
    proxy_empty = {"service.kubernetes.io/service-proxy-name": ""}
    headless = {"service.kubernetes.io/headless": ""}
    for number, labels in enumerate((proxy, proxy_empty, headless)):
        state.service(f"labelled-{number}", None, "NodePort", labels=labels)
        state.slice(f"labelled-{number}", ready(_LOCAL_V4))
        state.service(f"slice-labelled-{number}", None, "NodePort")
        state.slice(f"slice-labelled-{number}", ready(_LOCAL_V4), labels=labels)
        state.service(f"one-slice-{number}", None, "NodePort")
        state.slice(f"one-slice-{number}", ready(_LOCAL_V4), labels=labels)
        state.slice(f"one-slice-{number}", ready("10.244.0.6"))
    state.service("many-publish", None, "NodePort", publishNotReadyAddresses=True)
    state.slice("many-publish", [endpoint(_LOCAL_V4, ready=False)])
    state.slice("nobody", ready(_LOCAL_V4))
    state.slice("", ready(_LOCAL_V4), name="nameless")
    state.slice("many-publish", ready(_LOCAL_V4), name="nobodys")
    del state.items[-1]["metadata"]["labels"]["kubernetes.io/service-name"]
    return state


def _long_names() -> State:
    state = State("long-names-more")
    name, space, of_port = "n" * 63, "s" * 63, "p" * 63
    ports = [port(80, of_port), port(81, "q")]
    ranged: Object = {"loadBalancerSourceRanges": ["198.51.100.0/24"]}
    ingress = [{"ip": "203.0.113.1"}, {"ip": "2001:db8:2::1"}]
    state.service(
        name, ports, "LoadBalancer", families=DUAL, namespace=space, ingress=ingress, **ranged
    )
    feet = [slice_port(8080, of_port), slice_port(8081, "q")]
    state.slice(name, ready(_LOCAL_V4), feet, namespace=space, name="a")
    state.slice(name, ready(_LOCAL_V6), feet, namespace=space, name="b", family="IPv6")
    state.service(name, ports, "NodePort", families=DUAL)
    return state


def _affinity() -> State:
    state = State("affinity-more")
    ports = [port(53, "udp", "UDP", 5353), port(132, "sctp", "SCTP", 1132), port(80, "tcp")]
    feet = [slice_port(5353, "udp", "UDP"), slice_port(1132, "sctp", "SCTP")]
    feet.append(slice_port(8080, "tcp"))
    v4 = ready(_LOCAL_V4, "10.244.0.6") + ready("10.244.1.6", on="node-2")
    v6 = ready(_LOCAL_V6) + ready("fd00:10:244:1::6", on="node-2")
    variants: list[tuple[str, int, Object]] = [
        ("sticky", 10800, {}),
        ("sticky-local", 1, {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}),
        ("sticky-outside", 86400, {"externalTrafficPolicy": "Local"}),
    ]
    for name, seconds, more in variants:
        state.service(
            name,
            ports,
            "NodePort",
            families=DUAL,
            sessionAffinity="ClientIP",
            sessionAffinityConfig={"clientIP": {"timeoutSeconds": seconds}},
            **more,
        )
        state.slice(name, v4, feet)
        state.slice(name, v6, feet, family="IPv6")
    state.service("sticky-terminating", families=DUAL, sessionAffinity="ClientIP")
    going = endpoint(_LOCAL_V4, ready=False, serving=True, terminating=True)
    state.slice("sticky-terminating", [going])
    return state


def _one_family() -> State:
    state = State("dual-stack-one-family")
    variants: list[tuple[str, Object]] = [
        ("plain", {}),
        ("local", {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}),
    ]
    for name, spec in variants:
        for family, address in (("IPv4", _LOCAL_V4), ("IPv6", _LOCAL_V6)):
            full = f"{name}-{family.lower()}"
            number = 1 + len(state.items)
            ingress = [{"ip": f"203.0.113.{number}"}, {"ip": f"2001:db8:2::{number}"}]
            state.service(full, None, "LoadBalancer", families=DUAL, ingress=ingress, **spec)
            state.slice(full, ready(address), family=family)
    state.service("v6-first", None, "NodePort", families=("IPv6", "IPv4"))
    _fed(state, "v6-first")
    state.service("v6-single", None, "NodePort", families=V6)
    _fed(state, "v6-single")
    return state


def _node_ports() -> State:
    state = State("node-port-protocols", config(nodePortAddresses=["127.0.0.0/8", "::1/128"]))
    same = [port(53, "udp", "UDP", nodePort=30053), port(53, "tcp", nodePort=30053)]
    same.append(port(53, "sctp", "SCTP", nodePort=30053))
    feet = [slice_port(8080, name, name.upper()) for name in ("udp", "tcp", "sctp")]
    variants: dict[str, Object] = {"cluster": {}, "dry": {}}
    variants["local"] = {"externalTrafficPolicy": "Local"}
    for name, spec in variants.items():
        ports = [{**p, "nodePort": p["nodePort"] + len(state.items)} for p in same]
        state.service(name, ports, "NodePort", families=DUAL, **spec)
        if name != "dry":
            state.slice(name, ready("10.244.1.6", on="node-2"), feet)
            state.slice(name, ready("fd00:10:244:1::6", on="node-2"), feet, family="IPv6")
    return state


def cases() -> Iterator[State]:
    """All of them."""
    yield _source_ranges()
    yield _source_ranges_more()
    yield _ingress()
    yield _external_ips()
    yield _health_checks()
    yield _excluded()
    yield _long_names()
    yield _affinity()
    yield _one_family()
    yield _node_ports()
