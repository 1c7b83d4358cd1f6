"""Why endpoints are left out, and what would help: one line of the table for each reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nodeport_rules.model.endpoints import Endpoint, endpoints_by_service_port
from nodeport_rules.model.family import Family
from nodeport_rules.model.near_misses import near_misses
from nodeport_rules.model.plan import Target
from nodeport_rules.model.reasons import AddressKind, Arrival, Reason, Why, asked_for, why
from nodeport_rules.model.service_ports import ServicePort, service_ports
from nodeport_rules.model.settings import LocalDetector, LocalTraffic, NodeSettings
from tests.unit.build import endpoint, endpoint_slice, service

NODE_IP = "192.168.1.100"
OUTSIDE = "198.51.100.7"
POD = "10.244.0.9"
SETTINGS = NodeSettings(
    family=Family.IPV4,
    node_name="node-1",
    zone="zone-a",
    node_ip=NODE_IP,
    local_detector=LocalDetector(LocalTraffic.CIDR, "10.244.0.0/16"),
)

HERE = endpoint("10.244.0.5")
THERE = endpoint("10.244.1.6", node="node-2")
UNREADY = endpoint("10.244.0.7", ready=False)
UNREADY_THERE = endpoint("10.244.1.7", node="node-2", ready=False)
DRAINING = endpoint("10.244.0.8", ready=False, serving=True, terminating=True)
GONE = endpoint("10.244.0.9", ready=False, serving=False, terminating=True)
ZONE_A = endpoint("10.244.0.5", zones=("zone-a",))
ZONE_B = endpoint("10.244.1.6", node="node-2", zones=("zone-b",))
NODE_1 = endpoint("10.244.0.5", zones=("zone-a",), nodes=("node-1",))
NODE_2 = endpoint("10.244.1.6", node="node-2", zones=("zone-a",), nodes=("node-2",))


def service_port(**fields: Any) -> ServicePort:
    ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30080}]
    spec = {"type": "NodePort", "ports": ports, "externalTrafficPolicy": "Cluster", **fields}
    (port,) = service_ports([service(**spec)], Family.IPV4)
    return port


def endpoints_of(*found: dict[str, Any]) -> tuple[Endpoint, ...]:
    return next(iter(endpoints_by_service_port([endpoint_slice(*found)], Family.IPV4).values()), ())


def asking(
    port: ServicePort,
    *found: dict[str, Any],
    destination: str = NODE_IP,
    number: int = 30080,
    source: str = OUTSIDE,
    settings: NodeSettings = SETTINGS,
) -> Why:
    asked = asked_for([port], destination, "tcp", number, is_local=destination == NODE_IP)
    assert asked is not None
    arrival = Arrival(source, destination, "eth0", source == NODE_IP)
    return why(asked, endpoints_of(*found), settings, arrival)


@pytest.mark.parametrize(
    ("fields", "endpoints", "target", "used", "left_out"),
    [
        ({}, [HERE, THERE], Target.CLUSTER, ["10.244.0.5", "10.244.1.6"], {}),
        ({}, [HERE, UNREADY], Target.CLUSTER, ["10.244.0.5"], {"10.244.0.7": Reason.NOT_READY}),
        ({}, [HERE, DRAINING], Target.CLUSTER, ["10.244.0.5"], {"10.244.0.8": Reason.TERMINATING}),
        ({}, [HERE, GONE], Target.CLUSTER, ["10.244.0.5"], {"10.244.0.9": Reason.NOT_SERVING}),
        ({}, [DRAINING, GONE], Target.CLUSTER, ["10.244.0.8"], {"10.244.0.9": Reason.NOT_SERVING}),
        ({}, [ZONE_A, ZONE_B], Target.CLUSTER, ["10.244.0.5"], {"10.244.1.6": Reason.ZONE_HINT}),
        ({}, [NODE_1, NODE_2], Target.CLUSTER, ["10.244.0.5"], {"10.244.1.6": Reason.NODE_HINT}),
        ({}, [UNREADY], Target.REJECT, [], {"10.244.0.7": Reason.NOT_READY}),
        (
            {"externalTrafficPolicy": "Local"},
            [HERE, THERE, UNREADY],
            Target.LOCAL,
            ["10.244.0.5"],
            {"10.244.1.6": Reason.OTHER_NODE, "10.244.0.7": Reason.NOT_READY},
        ),
        (
            {"externalTrafficPolicy": "Local"},
            [THERE],
            Target.DROP,
            [],
            {"10.244.1.6": Reason.OTHER_NODE},
        ),
    ],
)
def test_which_endpoints_and_why_not_others(
    fields: dict[str, Any],
    endpoints: list[dict[str, Any]],
    target: Target,
    used: list[str],
    left_out: dict[str, Reason],
) -> None:
    found = asking(service_port(**fields), *endpoints)
    assert found.target is target
    assert [one.ip for one in found.used] == used
    assert {one.endpoint.ip: one.reason for one in found.left_out} == left_out


LOCAL = {"externalTrafficPolicy": "Local"}
BALANCED = {
    "type": "LoadBalancer",
    "ingress": [{"ip": "203.0.113.1"}],
    "loadBalancerSourceRanges": ["10.0.0.0/8"],
}


@pytest.mark.parametrize(
    ("fields", "endpoints", "more", "help_"),
    [
        ({}, [HERE], {}, None),
        ({}, [UNREADY], {}, "make 10.244.0.7:8080 ready"),
        ({}, [UNREADY, UNREADY_THERE], {}, "make one of 10.244.0.7:8080, 10.244.1.7:8080 ready"),
        ({}, [], {}, "give it endpoints"),
        (
            LOCAL,
            [THERE],
            {},
            "set externalTrafficPolicy: Cluster, or run a ready endpoint on node-1",
        ),
        (
            LOCAL,
            [THERE, UNREADY],
            {},
            "set externalTrafficPolicy: Cluster, or make 10.244.0.7:8080 on node-1 ready",
        ),
        (LOCAL, [THERE], {"source": POD}, None),
        (LOCAL, [THERE], {"source": NODE_IP}, None),
        (
            {"internalTrafficPolicy": "Local"},
            [THERE],
            {"destination": "10.96.0.10", "number": 80, "source": POD},
            "set internalTrafficPolicy: Cluster, or run a ready endpoint on node-1",
        ),
        (
            BALANCED,
            [HERE],
            {"destination": "203.0.113.1", "number": 80},
            "add a range with 198.51.100.7 to loadBalancerSourceRanges",
        ),
        (BALANCED, [HERE], {"destination": "203.0.113.1", "number": 80, "source": POD}, None),
        (BALANCED, [HERE], {}, None),
        (
            {},
            [HERE],
            {"settings": msgspec.structs.replace(SETTINGS, node_port_addresses=("172.31.0.1",))},
            "take 192.168.1.100 into nodePortAddresses",
        ),
    ],
)
def test_what_would_help(
    fields: dict[str, Any],
    endpoints: list[dict[str, Any]],
    more: dict[str, Any],
    help_: str | None,
) -> None:
    found = asking(service_port(**fields), *endpoints, **more)
    if help_ is None:
        assert found.changes == ()
        assert found.used
    else:
        assert len(found.changes) == 1
        assert found.changes[0].startswith(help_)


def test_a_node_port_on_loopback_without_localhost_node_ports() -> None:
    asked = asked_for([service_port()], "127.0.0.1", "tcp", 30080, is_local=True)
    assert asked is not None
    settings = msgspec.structs.replace(SETTINGS, localhost_node_ports=False)
    arrival = Arrival("127.0.0.1", "127.0.0.1", "", True)
    found = why(asked, endpoints_of(HERE), settings, arrival)
    assert "loopback" in found.notes[0]


def test_notes() -> None:
    inside = asking(service_port(**LOCAL), HERE, THERE, source=POD)
    assert "does not follow externalTrafficPolicy: Local" in inside.notes[0]
    sticky = asking(service_port(sessionAffinity="ClientIP"), HERE)
    assert "within 10800 s" in sticky.notes[0]
    draining = asking(service_port(), DRAINING)
    assert "no endpoint is ready" in draining.notes[0]


def test_pods_told_apart_by_interface() -> None:
    port = service_port(**LOCAL)
    asked = asked_for([port], NODE_IP, "tcp", 30080, is_local=True)
    assert asked is not None
    for name, interface, used in (("cni0", "cni0", 1), ("veth+", "veth12", 1), ("cni0", "eth0", 0)):
        detector = LocalDetector(LocalTraffic.INTERFACE, name)
        settings = msgspec.structs.replace(SETTINGS, local_detector=detector)
        arrival = Arrival(POD, NODE_IP, interface, False)
        assert len(why(asked, endpoints_of(THERE), settings, arrival).used) == used


@pytest.mark.parametrize(
    ("destination", "number", "kind"),
    [
        ("10.96.0.10", 80, AddressKind.CLUSTER_IP),
        ("203.0.113.1", 80, AddressKind.LOAD_BALANCER_IP),
        ("203.0.113.2", 80, AddressKind.EXTERNAL_IP),
        (NODE_IP, 30080, AddressKind.NODE_PORT),
        (NODE_IP, 80, None),
        ("10.96.0.10", 30080, None),
        ("203.0.113.9", 80, None),
    ],
)
def test_whose_address_it_is(destination: str, number: int, kind: AddressKind | None) -> None:
    port = service_port(**BALANCED, externalIPs=["203.0.113.2"])
    found = asked_for([port], destination, "tcp", number, is_local=destination == NODE_IP)
    assert (found.kind if found else None) == kind
    assert asked_for([port], destination, "udp", number, is_local=True) is None


@pytest.mark.parametrize(
    ("destination", "protocol", "number", "expected"),
    [
        ("10.96.0.10", "tcp", 81, ["10.96.0.10 is the cluster IP of Service default/web"]),
        ("10.96.0.10", "udp", 80, ["Service default/web has port 80 there for tcp, not for udp"]),
        ("203.0.113.9", "tcp", 30080, ["30080/tcp is a node port of Service default/web, but"]),
        (NODE_IP, "udp", 30080, ["30080/tcp is a node port of Service default/web"]),
        (NODE_IP, "tcp", 80, ["80 is the port of Service default/web at its cluster IP; its node"]),
        ("10.244.0.5", "tcp", 8080, ["it is the own address of an endpoint of default/web"]),
        ("203.0.113.9", "tcp", 9, []),
    ],
)
def test_near_misses(destination: str, protocol: str, number: int, expected: list[str]) -> None:
    port = service_port()
    endpoints = {port.key: endpoints_of(HERE)}
    local = destination == NODE_IP
    found = near_misses([port], endpoints, destination, protocol, number, is_local=local)
    assert len(found) == len(expected)
    assert all(one.startswith(begin) for one, begin in zip(found, expected, strict=True))
