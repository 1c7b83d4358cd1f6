"""Two Services that claim one address, port and protocol: the older one wins, on every node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.running import Finished, run
from tests.unit.cli.objects import TWO_NODES, Object, rules_with, service, write

OLD, YOUNG = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"

Claim = tuple[str, Callable[[str, str | None, str], Object], str, str]


def _cluster_ip(name: str, created: str | None, own: str) -> Object:
    return service(name, created, clusterIP="10.96.0.10")


def _external_ip(name: str, created: str | None, own: str) -> Object:
    return service(name, created, clusterIP=own, externalIPs=["203.0.113.7"])


def _node_port(name: str, created: str | None, own: str) -> Object:
    ports = [{"port": 80, "nodePort": 30080}]
    return service(name, created, type="NodePort", clusterIP=own, ports=ports)


def _load_balancer(name: str, created: str | None, own: str) -> Object:
    made: dict[str, Any] = service(
        name, created, type="LoadBalancer", clusterIP=own, allocateLoadBalancerNodePorts=False
    )
    return {**made, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.8"}]}}}


CLAIMS: list[Claim] = [
    ("cluster IP", _cluster_ip, "spec.clusterIP", "-d 10.96.0.10/32"),
    ("external IP", _external_ip, "spec.externalIPs", "-d 203.0.113.7/32"),
    ("node port", _node_port, "spec.ports[].nodePort", "--dport 30080"),
    ("load-balancer IP", _load_balancer, "status.loadBalancer.ingress", "-d 203.0.113.8/32"),
]
each_claim = pytest.mark.parametrize("claim", CLAIMS, ids=[claim[0] for claim in CLAIMS])


def render(tmp_path: Path, *objects: Object, more: tuple[str, ...] = ()) -> Finished:
    return run("render", "-f", write(tmp_path, *objects), *more)


def pair(claim: Claim, a: tuple[str, str | None], b: tuple[str, str | None]) -> list[Object]:
    make = claim[1]
    return [make(a[0], a[1], "10.96.0.101"), make(b[0], b[1], "10.96.0.102")]


@each_claim
@pytest.mark.parametrize(
    ("a", "b", "winner"),
    [
        (("a", YOUNG), ("b", OLD), "b"),
        (("a", OLD), ("b", YOUNG), "a"),
        (("a", OLD), ("b", OLD), "a"),
        (("a", None), ("b", OLD), "b"),
        (("a", None), ("b", None), "a"),
    ],
    ids=["older sorts last", "older sorts first", "same age", "one in no cluster yet", "no ages"],
)
def test_the_older_service_wins_then_the_lower_name(
    tmp_path: Path,
    claim: Claim,
    a: tuple[str, str | None],
    b: tuple[str, str | None],
    winner: str,
) -> None:
    _, _, field, claimed = claim
    objects = pair(claim, a, b)
    finished = render(tmp_path, *objects, more=("--keep-going",)).expect(1)
    assert {
        name
        for name in ("a", "b")
        for rule in rules_with(finished.stdout, claimed)
        if f'"default/{name} ' in rule or f'"default/{name}"' in rule
    } == {winner}
    (error,) = finished.said("error")
    loser = "b" if winner == "a" else "a"
    assert f"Service default/{loser}: {field}: " in error
    assert f"belongs to Service default/{winner}" in error


@each_claim
def test_without_keep_going_nothing_is_printed(tmp_path: Path, claim: Claim) -> None:
    finished = render(tmp_path, *pair(claim, ("a", OLD), ("b", YOUNG))).expect(2)
    assert finished.stdout == ""


@each_claim
def test_the_order_of_the_input_changes_nothing(tmp_path: Path, claim: Claim) -> None:
    objects = pair(claim, ("a", YOUNG), ("b", OLD))
    one = render(tmp_path, *objects, more=("--keep-going",))
    other = render(tmp_path, *reversed(objects), more=("--keep-going",))
    assert one.stdout == other.stdout


@pytest.mark.parametrize(
    ("claim", "kept"),
    [(claim, "-d 10.96.0.102/32") for claim in CLAIMS if claim[0] != "cluster IP"],
    ids=[claim[0] for claim in CLAIMS if claim[0] != "cluster IP"],
)
def test_the_loser_keeps_its_other_addresses(tmp_path: Path, claim: Claim, kept: str) -> None:
    finished = render(
        tmp_path, *pair(claim, ("a", OLD), ("b", YOUNG)), more=("--keep-going",)
    ).expect(1)
    assert rules_with(finished.stdout, kept, "default/b")


def test_a_conflict_is_said_once_whatever_nodes_and_families(tmp_path: Path) -> None:
    """A node port is claimed in both families, on every node."""
    objects = []
    for name, number in (("a", 1), ("b", 2)):
        addresses = [f"10.96.0.{number}", f"fd00:10:96::{number}"]
        ports = [{"port": 80, "nodePort": 30080}]
        made = service(name, type="NodePort", ports=ports, clusterIP=addresses[0])
        made["spec"] |= {"clusterIPs": addresses, "ipFamilies": ["IPv4", "IPv6"]}
        made["spec"] |= {"ipFamilyPolicy": "RequireDualStack"}
        objects.append(made)
    more = ("--keep-going", "--family", "dual", "--all-nodes", "-o", "json")
    finished = render(tmp_path, *objects, *TWO_NODES, more=more).expect(1)
    (error,) = finished.said("error")
    assert "node port 30080/tcp belongs to Service default/a" in error


def test_different_protocols_and_ports_do_not_conflict(tmp_path: Path) -> None:
    def made(name: str, own: str, port: int, protocol: str, node_port: int) -> Object:
        ports = [{"port": port, "protocol": protocol, "nodePort": node_port}]
        external = ["203.0.113.7"]
        return service(name, type="NodePort", clusterIP=own, ports=ports, externalIPs=external)

    finished = render(
        tmp_path,
        made("a", "10.96.0.1", 53, "TCP", 30053),
        made("b", "10.96.0.2", 53, "UDP", 30053),
        made("c", "10.96.0.3", 54, "TCP", 30054),
    ).expect(0)
    assert finished.said("error") == []
