"""Two Services that claim one address, port and protocol."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nodeport_rules.kube.objects import Service
from nodeport_rules.model.claims import settle_claims
from nodeport_rules.model.family import Family
from nodeport_rules.model.service_ports import ServicePort, service_ports
from tests.unit.build import service

OLD = {"creationTimestamp": "2026-01-01T00:00:00Z"}
NEW = {"creationTimestamp": "2026-02-01T00:00:00Z"}


def settled(*services: Service) -> tuple[dict[str, ServicePort], list[tuple[str, str, str]]]:
    ports, conflicts = settle_claims(service_ports(services, Family.IPV4))
    return (
        {port.name: port for port in ports},
        [(c.loser.name, c.winner.name, c.address) for c in conflicts],
    )


def claiming(name: str, number: int, **spec: Any) -> Service:
    return service(name, clusterIP=f"10.96.0.{number}", **spec)


@pytest.mark.parametrize(
    ("what", "one", "two", "loser"),
    [
        ("the older one wins", NEW, OLD, "one"),
        ("the older one wins, the other way round", OLD, NEW, "two"),
        ("of the same age the lower name", OLD, OLD, "two"),
        ("without age the lower name", {}, {}, "two"),
        ("one that is in a cluster is older than one that is not", {}, NEW, "one"),
    ],
)
def test_who_wins(what: str, one: dict[str, str], two: dict[str, str], loser: str) -> None:
    shared = {"externalIPs": ["203.0.113.1", "203.0.113.9"]}
    first = claiming("one", 1, metadata=one, **shared)
    second = claiming("two", 2, metadata=two, externalIPs=["203.0.113.9", "203.0.113.2"])
    winner = {"one": "two", "two": "one"}[loser]
    for order in ((first, second), (second, first)):
        ports, conflicts = settled(*order)
        assert conflicts == [(f"default/{loser}", f"default/{winner}", "203.0.113.9:80/tcp")], what
        assert "203.0.113.9" in ports[f"default/{winner}"].external_ips
        kept = {"one": ("203.0.113.1",), "two": ("203.0.113.2",)}[loser]
        assert ports[f"default/{loser}"].external_ips == kept
        assert ports[f"default/{loser}"].cluster_ip, "it loses that address only"


@pytest.mark.parametrize(
    ("what", "one", "two", "address"),
    [
        ("cluster IP", {}, {"clusterIP": "10.96.0.1"}, "10.96.0.1:80/tcp"),
        (
            "node port",
            {"ports": [{"port": 80, "nodePort": 30080}]},
            {"ports": [{"port": 81, "nodePort": 30080}]},
            "node port 30080/tcp",
        ),
        (
            "load-balancer IP that is another one's external IP",
            {"externalIPs": ["203.0.113.1"]},
            {"ingress": [{"ip": "203.0.113.1"}]},
            "203.0.113.1:80/tcp",
        ),
        (
            "external IP that is another one's cluster IP",
            {},
            {"externalIPs": ["10.96.0.1"]},
            "10.96.0.1:80/tcp",
        ),
    ],
)
def test_what_can_be_claimed(
    what: str, one: dict[str, Any], two: dict[str, Any], address: str
) -> None:
    first = service("one", **{"clusterIP": "10.96.0.1", **one})
    second = service("two", **{"clusterIP": "10.96.0.2", **two})
    _, conflicts = settled(first, second)
    assert conflicts == [("default/two", "default/one", address)], what


@pytest.mark.parametrize(
    ("what", "one", "two"),
    [
        (
            "another port",
            {"externalIPs": ["203.0.113.1"]},
            {"externalIPs": ["203.0.113.1"], "ports": [{"port": 81}]},
        ),
        (
            "another protocol",
            {"externalIPs": ["203.0.113.1"]},
            {"externalIPs": ["203.0.113.1"], "ports": [{"port": 80, "protocol": "UDP"}]},
        ),
        (
            "one node port, two protocols",
            {"ports": [{"port": 80, "nodePort": 30080}]},
            {"ports": [{"port": 80, "nodePort": 30080, "protocol": "UDP"}]},
        ),
        (
            "the same address twice in one Service",
            {"externalIPs": ["203.0.113.1"], "ingress": [{"ip": "203.0.113.1"}]},
            {},
        ),
    ],
)
def test_what_is_no_conflict(what: str, one: dict[str, Any], two: dict[str, Any]) -> None:
    ports, conflicts = settled(claiming("one", 1, **one), claiming("two", 2, **two))
    assert conflicts == [], what
    assert all(port.cluster_ip for port in ports.values())


def test_the_order_of_services_does_not_matter() -> None:
    generator = random.Random(3)
    services = [
        claiming(
            f"s{number}",
            number,
            externalIPs=[f"203.0.113.{generator.randrange(4)}"],
            metadata=generator.choice([OLD, NEW, {}]),
        )
        for number in range(1, 12)
    ]
    expected = settled(*services)
    for _ in range(20):
        generator.shuffle(services)
        assert settled(*services) == expected
