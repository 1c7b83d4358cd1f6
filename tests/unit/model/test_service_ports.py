"""What of a Service counts for one family."""

from __future__ import annotations

from typing import Any

import pytest

from nodeport_rules.model.family import Family
from nodeport_rules.model.service_ports import ServicePort, service_ports
from tests.unit.build import service


def ports(
    family: Family = Family.IPV4, allow_external_ips: bool = True, **spec: Any
) -> list[ServicePort]:
    return service_ports([service(**spec)], family, allow_external_ips)


@pytest.mark.parametrize(
    ("what", "spec"),
    [
        ("headless", {"clusterIP": "None"}),
        ("without cluster IP", {"clusterIP": ""}),
        ("ExternalName", {"type": "ExternalName"}),
        (
            "another proxy's",
            {"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": "cilium"}}},
        ),
        ("of the other family", {"clusterIP": "fd00::1"}),
        ("without ports", {"ports": []}),
    ],
)
def test_services_that_have_no_rules(what: str, spec: dict[str, Any]) -> None:
    assert ports(**spec) == [], what


def test_the_label_for_headless_ones_says_nothing_of_a_service() -> None:
    """Recorded: kube-proxy looks at it on slices only."""
    assert ports(metadata={"labels": {"service.kubernetes.io/headless": ""}})


def test_each_family_sees_its_own_addresses() -> None:
    spec: dict[str, Any] = {
        "type": "LoadBalancer",
        "clusterIPs": ["10.96.0.10", "fd00::10"],
        "externalIPs": ["203.0.113.1", "2001:db8::1", "203.0.113.2"],
        "loadBalancerSourceRanges": ["198.51.100.0/24", "2001:db8:5::/48"],
        "ingress": [{"ip": "203.0.113.9"}, {"ip": "2001:db8::9", "ipMode": "VIP"}],
    }
    (four,), (six,) = ports(Family.IPV4, **spec), ports(Family.IPV6, **spec)
    assert (four.cluster_ip, six.cluster_ip) == ("10.96.0.10", "fd00::10")
    assert four.external_ips == ("203.0.113.1", "203.0.113.2")
    assert six.external_ips == ("2001:db8::1",)
    assert (four.load_balancer_ips, six.load_balancer_ips) == (("203.0.113.9",), ("2001:db8::9",))
    assert (four.source_ranges, six.source_ranges) == (("198.51.100.0/24",), ("2001:db8:5::/48",))


@pytest.mark.parametrize(
    ("ingress", "expected"),
    [
        ([{"ip": "203.0.113.9"}], ("203.0.113.9",)),
        ([{"ip": "203.0.113.9", "ipMode": "VIP"}], ("203.0.113.9",)),
        ([{"ip": "203.0.113.9", "ipMode": "Proxy"}], ()),
        ([{"hostname": "lb.example.org"}], ()),
        ([{"ip": ""}], ()),
    ],
)
def test_ingress_addresses(ingress: list[dict[str, str]], expected: tuple[str, ...]) -> None:
    (port,) = ports(type="LoadBalancer", ingress=ingress)
    assert port.load_balancer_ips == expected


def test_a_range_of_everything_is_no_restriction_in_its_family_alone() -> None:
    spec: dict[str, Any] = {
        "clusterIPs": ["10.96.0.10", "fd00::10"],
        "loadBalancerSourceRanges": ["198.51.100.0/24", "0.0.0.0/0", "2001:db8:5::/48"],
    }
    assert ports(Family.IPV4, **spec)[0].source_ranges == ()
    assert ports(Family.IPV6, **spec)[0].source_ranges == ("2001:db8:5::/48",)


def test_the_feature_gate_takes_external_ips_away_but_not_what_they_mean_for_policies() -> None:
    (port,) = ports(
        externalIPs=["203.0.113.1"], internalTrafficPolicy="Local", allow_external_ips=False
    )
    assert port.external_ips == ()
    assert port.external, "recorded: it still counts as external"
    assert port.uses_cluster_endpoints


@pytest.mark.parametrize(
    ("service_type", "policy", "expected"),
    [
        ("LoadBalancer", "Local", 31000),
        ("LoadBalancer", "Cluster", 0),
        ("NodePort", "Local", 0),
    ],
)
def test_health_check_node_port(service_type: str, policy: str, expected: int) -> None:
    (port,) = ports(type=service_type, externalTrafficPolicy=policy, healthCheckNodePort=31000)
    assert port.health_check_node_port == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, 0),
        ({"sessionAffinity": "None"}, 0),
        ({"sessionAffinity": "ClientIP"}, 10800),
        (
            {
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            },
            60,
        ),
    ],
)
def test_affinity(spec: dict[str, Any], expected: int) -> None:
    assert ports(**spec)[0].affinity_seconds == expected


def test_names_and_order() -> None:
    many = [
        service("b", ports=[{"port": 9, "name": "x"}, {"port": 8, "name": "y"}]),
        service("a", metadata={"namespace": "z"}),
        service("a"),
        service("c", ports=[{"port": 53, "protocol": "UDP"}, {"port": 53, "name": "t"}]),
    ]
    found = service_ports(many, Family.IPV4)
    assert [(p.name, p.protocol, p.port) for p in found] == [
        ("default/a", "tcp", 80),
        ("default/b:y", "tcp", 8),
        ("default/b:x", "tcp", 9),
        ("default/c:t", "tcp", 53),
        ("default/c", "udp", 53),
        ("z/a", "tcp", 80),
    ]
