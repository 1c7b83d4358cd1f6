"""What a Node object and the options make of a node's settings."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nodeport_rules.kube.objects import Node
from nodeport_rules.kube.proxy_configuration import ProxyConfiguration
from nodeport_rules.model.family import Family
from nodeport_rules.model.node import family_state, node_settings, plan_node
from nodeport_rules.model.options import DetectLocalMode, ProxyOptions, proxy_options
from nodeport_rules.model.settings import LocalDetector, LocalTraffic, NodeSettings
from tests.unit.build import endpoint, endpoint_slice, node, service, snapshot

V4, V6 = Family.IPV4, Family.IPV6


def options(**fields: Any) -> ProxyOptions:
    """The options of a configuration file with these fields; they must be sound."""
    found, faults = proxy_options(msgspec.convert(fields, ProxyConfiguration))
    assert faults == []
    return found


def settings(of: Node | None = None, family: Family = V4, **fields: Any) -> NodeSettings:
    host = fields.pop("host_addresses", ())
    return node_settings(options(**fields), family, "node-1", of, host)


CIDR, INTERFACE = LocalTraffic.CIDR, LocalTraffic.INTERFACE
NOTHING = LocalDetector()


@pytest.mark.parametrize(
    ("what", "fields", "four", "six"),
    [
        ("nothing", {}, NOTHING, NOTHING),
        (
            "cluster CIDRs",
            {"clusterCIDR": "10.244.0.0/16,fd00:10:244::/48"},
            LocalDetector(CIDR, "10.244.0.0/16"),
            LocalDetector(CIDR, "fd00:10:244::/48"),
        ),
        (
            "one cluster CIDR, with host bits",
            {"clusterCIDR": "10.244.1.2/16"},
            LocalDetector(CIDR, "10.244.0.0/16"),
            NOTHING,
        ),
        (
            "node CIDRs",
            {"detectLocalMode": "NodeCIDR", "clusterCIDR": "10.0.0.0/8"},
            LocalDetector(CIDR, "10.244.7.0/24"),
            NOTHING,
        ),
        (
            "bridge",
            {"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "cni0"}},
            LocalDetector(INTERFACE, "cni0"),
            LocalDetector(INTERFACE, "cni0"),
        ),
        (
            "prefix",
            {
                "detectLocalMode": "InterfaceNamePrefix",
                "detectLocal": {"interfaceNamePrefix": "cali"},
            },
            LocalDetector(INTERFACE, "cali+"),
            LocalDetector(INTERFACE, "cali+"),
        ),
    ],
)
def test_how_a_pods_traffic_is_told_apart(
    what: str, fields: dict[str, Any], four: LocalDetector, six: LocalDetector
) -> None:
    here = node(pod_cidrs=("10.244.7.0/24",))
    assert settings(here, V4, **fields).local_detector == four, what
    assert settings(here, V6, **fields).local_detector == six, what


def test_node_cidr_mode_without_pod_cidrs_detects_nothing() -> None:
    assert settings(node(), detectLocalMode="NodeCIDR").local_detector == NOTHING
    assert settings(None, detectLocalMode="NodeCIDR").local_detector == NOTHING


@pytest.mark.parametrize(
    ("what", "here", "fields", "four", "six"),
    [
        ("internal addresses", node(), {}, "192.168.1.100", "2001:db8:1::100"),
        (
            "internal ones before external ones",
            node(internal=("10.0.0.1",), external=("203.0.113.1", "2001:db8::1")),
            {},
            "10.0.0.1",
            "2001:db8::1",
        ),
        ("no Node", None, {}, "127.0.0.1", "::1"),
        ("a Node without addresses", node(internal=()), {}, "127.0.0.1", "::1"),
        (
            "flags do not stand in for a Node that has none of the family",
            node(internal=("10.0.0.1",)),
            {"host_addresses": ["10.0.0.1", "fd00::1"]},
            "10.0.0.1",
            "::1",
        ),
        ("bind address", node(), {"bindAddress": "10.9.9.9"}, "10.9.9.9", "2001:db8:1::100"),
        ("bind to all", node(), {"bindAddress": "0.0.0.0"}, "192.168.1.100", "2001:db8:1::100"),
        ("bind to all, IPv6", node(), {"bindAddress": "::"}, "192.168.1.100", "2001:db8:1::100"),
        ("flags", None, {"host_addresses": ["10.1.1.1", "fd00::1"]}, "10.1.1.1", "fd00::1"),
    ],
)
def test_the_nodes_address(
    what: str, here: Node | None, fields: dict[str, Any], four: str, six: str
) -> None:
    assert settings(here, V4, **fields).node_ip == four, what
    assert settings(here, V6, **fields).node_ip == six, what


ALL = None
SELECTED = [
    # what, nodePortAddresses, IPv4 addresses, IPv6 addresses, node ports on 127.0.0.0/8
    ("empty", [], ALL, ALL, True),
    ("everything", ["0.0.0.0/0", "::/0"], ALL, ALL, True),
    (
        "one family only: the other accepts on all",
        ["192.168.1.0/24"],
        ("192.168.1.100",),
        ALL,
        False,
    ),
    ("IPv6 only: IPv4 accepts on all", ["2001:db8:1::/64"], ALL, ("2001:db8:1::100",), True),
    ("primary", ["primary"], ("192.168.1.100",), ("2001:db8:1::100",), False),
    ("loopback", ["127.0.0.0/8"], ("127.0.0.1",), ALL, True),
    (
        "loopback and more",
        ["127.0.0.0/8", "192.168.0.0/16", "::1/128"],
        ("127.0.0.1", "192.168.1.100"),
        ("::1",),
        True,
    ),
    ("nothing on this node", ["172.16.0.0/12"], (), ALL, False),
]


@pytest.mark.parametrize(("what", "addresses", "four", "six", "localhost"), SELECTED)
def test_node_port_addresses(
    what: str,
    addresses: list[str],
    four: tuple[str, ...] | None,
    six: tuple[str, ...] | None,
    localhost: bool,
) -> None:
    fields = {"nodePortAddresses": addresses}
    found = settings(node(), V4, **fields)
    assert found.node_port_addresses == four, what
    assert found.localhost_node_ports is localhost, what
    found = settings(node(), V6, **fields)
    assert found.node_port_addresses == six, what
    assert not found.localhost_node_ports, "node ports never answer on ::1"


def test_flags_tell_better_than_the_node_object_what_is_local() -> None:
    fields: dict[str, Any] = {
        "nodePortAddresses": ["10.0.0.0/8", "192.168.1.0/24"],
        "host_addresses": ["192.168.1.101", "10.5.5.5", "172.16.0.1"],
    }
    assert settings(node(), **fields).node_port_addresses == ("10.5.5.5", "192.168.1.101")
    fields["nodePortAddresses"] = ["primary"]
    assert settings(node(), **fields).node_port_addresses == (), "its address is not on the host"


def test_primary_without_an_address_of_the_family_is_every_address() -> None:
    four_only = node(internal=("192.168.1.100",))
    assert settings(four_only, V6, nodePortAddresses=["primary"]).node_port_addresses is None
    assert settings(None, V4, nodePortAddresses=["primary"]).localhost_node_ports


def test_an_external_address_is_no_local_one() -> None:
    here = node(internal=("10.0.0.1",), external=("203.0.113.1",))
    found = settings(here, nodePortAddresses=["203.0.113.0/24"])
    assert found.node_port_addresses == ()


def test_localhost_node_ports_can_be_switched_off() -> None:
    found = settings(node(), iptables={"localhostNodePorts": False})
    assert not found.localhost_node_ports


def test_zone_and_mark() -> None:
    found = settings(node(zone="zone-q"), iptables={"masqueradeBit": 31})
    assert (found.zone, found.masquerade_mark) == ("zone-q", "0x80000000")
    assert settings(node(zone=""), iptables={"masqueradeBit": 0}).masquerade_mark == "0x1"


def test_endpoints_count_once_for_each_service_port_that_has_them_ready_or_not() -> None:
    state = family_state(
        snapshot(
            service("web", ports=[{"port": 80}]),
            service("two", clusterIP="10.96.0.11", ports=[{"port": 1, "name": "a"}]),
            endpoint_slice(endpoint("10.244.0.1"), endpoint("10.244.0.2", ready=False)),
            endpoint_slice(endpoint("10.244.0.1"), name="stray", service="nobody"),
            endpoint_slice(
                endpoint("10.244.0.1"),
                name="two-1",
                service="two",
                ports=[{"name": "a", "port": 1}, {"name": "b", "port": 2}],
            ),
        ),
        V4,
        options(),
    )
    assert state.total_endpoints == 3
    plans = plan_node(state, settings(node()))
    assert [len(plan.cluster_endpoints) for plan in plans] == [1, 1]


def test_modes_are_known() -> None:
    assert {str(mode) for mode in DetectLocalMode} == {
        "ClusterCIDR",
        "NodeCIDR",
        "BridgeInterface",
        "InterfaceNamePrefix",
    }
