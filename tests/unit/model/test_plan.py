"""Which endpoints a service port uses on a node, and where its traffic goes."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import pytest

from nodeport_rules.kube.objects import EndpointSlice, Service
from nodeport_rules.model.endpoints import endpoints_by_service_port
from nodeport_rules.model.family import Family
from nodeport_rules.model.plan import Place, ServicePlan, Target, plan_service_ports
from nodeport_rules.model.service_ports import service_ports
from tests.unit.build import NODE, ZONE, endpoint, endpoint_slice, service

HERE = Place(NODE, ZONE)


def plan_of(of: Service, *slices: EndpointSlice, place: Place = HERE) -> ServicePlan:
    (plan,) = plan_service_ports(
        service_ports([of], Family.IPV4), endpoints_by_service_port(slices, Family.IPV4), place
    )
    return plan


def ips(plan: ServicePlan, which: str) -> list[str]:
    return [found.ip.rpartition(".")[2] for found in getattr(plan, f"{which}_endpoints")]


Conditions = dict[str, Any]

READY: Conditions = {"ready": True, "serving": True, "terminating": False}
NOT_READY: Conditions = {"ready": False, "serving": False, "terminating": False}
STARTING: Conditions = {"ready": False, "serving": True, "terminating": False}
DRAINING: Conditions = {"ready": False, "serving": True, "terminating": True}
ENDING: Conditions = {"ready": False, "serving": False, "terminating": True}
PUBLISHED_ENDING: Conditions = {"ready": True, "serving": True, "terminating": True}
UNKNOWN: Conditions = {"ready": None, "serving": None, "terminating": None}

HERE_AND_THERE = (NODE, "node-2")
CLUSTER_IP: dict[str, Any] = {}
CLUSTER_IP_LOCAL: dict[str, Any] = {"internalTrafficPolicy": "Local"}
NODE_PORT: dict[str, Any] = {
    "type": "NodePort",
    "ports": [{"port": 80, "nodePort": 30080}],
    "externalTrafficPolicy": "Cluster",
}
NODE_PORT_LOCAL: dict[str, Any] = {**NODE_PORT, "externalTrafficPolicy": "Local"}
BOTH_LOCAL: dict[str, Any] = {**NODE_PORT_LOCAL, **CLUSTER_IP_LOCAL}


class Case(NamedTuple):
    what: str
    spec: dict[str, Any]
    endpoints: list[tuple[str, Conditions]]
    """(node, conditions), addresses 10.244.0.1, .2 … in this order."""
    cluster: list[str]
    local: list[str]
    internal: Target
    external: Target


H, T = HERE_AND_THERE
CASES = [
    Case("nothing", CLUSTER_IP, [], [], [], Target.REJECT, Target.REJECT),
    Case("nothing, Local", BOTH_LOCAL, [], [], [], Target.REJECT, Target.REJECT),
    Case(
        "ready ones",
        CLUSTER_IP,
        [(H, READY), (T, READY)],
        ["1", "2"],
        [],
        Target.CLUSTER,
        Target.CLUSTER,
    ),
    Case("null means ready", CLUSTER_IP, [(H, UNKNOWN)], ["1"], [], Target.CLUSTER, Target.CLUSTER),
    Case("not ready", CLUSTER_IP, [(H, NOT_READY)], [], [], Target.REJECT, Target.REJECT),
    Case(
        "serving, but neither ready nor terminating",
        NODE_PORT_LOCAL,
        [(H, STARTING)],
        [],
        [],
        Target.REJECT,
        Target.REJECT,
    ),
    Case(
        "draining ones only when none is ready",
        CLUSTER_IP,
        [(H, DRAINING), (T, READY)],
        ["2"],
        [],
        Target.CLUSTER,
        Target.CLUSTER,
    ),
    Case(
        "draining ones when none is ready",
        CLUSTER_IP,
        [(H, DRAINING), (T, ENDING), (T, NOT_READY)],
        ["1"],
        [],
        Target.CLUSTER,
        Target.CLUSTER,
    ),
    Case("ending ones never", CLUSTER_IP, [(H, ENDING)], [], [], Target.REJECT, Target.REJECT),
    Case(
        "ready and terminating (publishNotReadyAddresses) is ready",
        NODE_PORT_LOCAL,
        [(H, PUBLISHED_ENDING), (H, DRAINING)],
        ["1"],
        ["1"],
        Target.CLUSTER,
        Target.LOCAL,
    ),
    Case(
        "internal Local: cluster endpoints are not looked at",
        CLUSTER_IP_LOCAL,
        [(H, READY), (T, READY)],
        [],
        ["1"],
        Target.LOCAL,
        Target.CLUSTER,
    ),
    Case(
        "internal Local without local endpoint is dropped",
        CLUSTER_IP_LOCAL,
        [(T, READY)],
        [],
        [],
        Target.DROP,
        Target.DROP,
    ),
    Case(
        "internal Local, draining elsewhere only: dropped",
        CLUSTER_IP_LOCAL,
        [(T, DRAINING)],
        [],
        [],
        Target.DROP,
        Target.DROP,
    ),
    Case(
        "internal Local, draining here",
        CLUSTER_IP_LOCAL,
        [(H, DRAINING), (T, READY)],
        [],
        ["1"],
        Target.LOCAL,
        Target.CLUSTER,
    ),
    Case(
        "external Local",
        NODE_PORT_LOCAL,
        [(H, READY), (T, READY)],
        ["1", "2"],
        ["1"],
        Target.CLUSTER,
        Target.LOCAL,
    ),
    Case(
        "external Local without local endpoint is dropped outside only",
        NODE_PORT_LOCAL,
        [(T, READY)],
        ["1"],
        [],
        Target.CLUSTER,
        Target.DROP,
    ),
    Case(
        "the two fallbacks are independent: ready elsewhere, draining here",
        NODE_PORT_LOCAL,
        [(H, DRAINING), (T, READY)],
        ["2"],
        ["1"],
        Target.CLUSTER,
        Target.LOCAL,
    ),
    Case(
        "both Local with a node port uses both lists",
        BOTH_LOCAL,
        [(H, READY), (T, READY)],
        ["1", "2"],
        ["1"],
        Target.LOCAL,
        Target.LOCAL,
    ),
    Case(
        "both Local without local endpoint",
        BOTH_LOCAL,
        [(T, READY)],
        ["1"],
        [],
        Target.DROP,
        Target.DROP,
    ),
    Case(
        "external Local on a Service that is not external counts for nothing",
        {"externalTrafficPolicy": "Local"},
        [(T, READY)],
        ["1"],
        [],
        Target.CLUSTER,
        Target.DROP,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_endpoints_and_targets(case: Case) -> None:
    found = [
        endpoint(f"10.244.0.{number}", node=where, **conditions)
        for number, (where, conditions) in enumerate(case.endpoints, 1)
    ]
    plan = plan_of(service(**case.spec), endpoint_slice(*found))
    assert (ips(plan, "cluster"), ips(plan, "local")) == (case.cluster, case.local)
    assert plan.internal is case.internal
    if plan.service_port.external:
        assert plan.external is case.external


HINTS = [
    # what, node hints, zone hints of the three ready endpoints, place, who is left
    ("no hints", [(), (), ()], [(), (), ()], HERE, ["1", "2", "3"]),
    (
        "zone hints",
        [(), (), ()],
        [("zone-a",), ("zone-b",), ("zone-a", "zone-b")],
        HERE,
        ["1", "3"],
    ),
    ("one without zone hint", [(), (), ()], [("zone-a",), (), ("zone-b",)], HERE, ["1", "2", "3"]),
    ("no hint names the zone", [(), (), ()], [("zone-b",)] * 3, HERE, ["1", "2", "3"]),
    ("the node has no zone", [(), (), ()], [("zone-a",)] * 3, Place(NODE), ["1", "2", "3"]),
    ("node hints", [("node-1",), ("node-2",), ("node-1",)], [(), (), ()], HERE, ["1", "3"]),
    (
        "node hints come before zone hints",
        [("node-1",), ("node-2",), ("node-2",)],
        [("zone-b",), ("zone-a",), ("zone-a",)],
        HERE,
        ["1"],
    ),
    (
        "node hints that do not name the node: zone hints",
        [("node-2",)] * 3,
        [("zone-b",), ("zone-a",), ("zone-b",)],
        HERE,
        ["2"],
    ),
    (
        "one without node hint: zone hints",
        [("node-1",), (), ("node-1",)],
        [("zone-a",), ("zone-a",), ("zone-b",)],
        HERE,
        ["1", "2"],
    ),
]


@pytest.mark.parametrize(("what", "nodes", "zones", "place", "left"), HINTS, ids=lambda v: str(v))
def test_topology_hints(
    what: str,
    nodes: list[tuple[str, ...]],
    zones: list[tuple[str, ...]],
    place: Place,
    left: list[str],
) -> None:
    found = [
        endpoint(f"10.244.0.{number}", nodes=n, zones=z)
        for number, (n, z) in enumerate(zip(nodes, zones, strict=True), 1)
    ]
    # What is not ready has no say in whether hints count.
    found.append(endpoint("10.244.0.9", ready=False))
    plan = plan_of(service(**NODE_PORT_LOCAL), endpoint_slice(*found), place=place)
    assert ips(plan, "cluster") == left, what
    assert ips(plan, "local") == ["1", "2", "3"], "topology plays no part in local endpoints"


STATES = [READY, NOT_READY, STARTING, DRAINING, ENDING, PUBLISHED_ENDING]
SPECS = [CLUSTER_IP, CLUSTER_IP_LOCAL, NODE_PORT, NODE_PORT_LOCAL, BOTH_LOCAL]


@pytest.mark.parametrize("spec", SPECS, ids=["cip", "cip-local", "np", "np-local", "both-local"])
def test_every_mix_of_two_endpoints_follows_the_sentences(spec: dict[str, Any]) -> None:
    """The behaviour page's sentences, each checked for every mix of conditions, node and hint."""
    kinds = list(itertools.product(STATES, HERE_AND_THERE, ((), ("zone-a",), ("zone-b",))))
    for one, two in itertools.product(kinds, kinds):
        found = [
            endpoint(f"10.244.0.{number}", node=where, zones=zones, **conditions)
            for number, (conditions, where, zones) in enumerate((one, two), 1)
        ]
        plan = plan_of(service(**spec), endpoint_slice(*found))
        port = plan.service_port
        ready = {str(n) for n, (c, _, _) in enumerate((one, two), 1) if c["ready"]}
        draining = {
            str(n) for n, (c, _, _) in enumerate((one, two), 1) if c["serving"] and c["terminating"]
        }
        here = {str(n) for n, (_, where, _) in enumerate((one, two), 1) if where == NODE}
        hints = {str(n): zones for n, (_, _, zones) in enumerate((one, two), 1)}
        cluster, local = set(ips(plan, "cluster")), set(ips(plan, "local"))
        context = f"{one} {two}"
        if port.uses_cluster_endpoints:
            in_zone = {n for n in ready if "zone-a" in hints[n]}
            allowed = in_zone if in_zone and all(hints[n] for n in ready) else ready
            assert cluster == (allowed or draining), context
        else:
            assert cluster == set(), context
        if port.uses_local_endpoints:
            assert local == ((ready & here) or (draining & here)), context
        else:
            assert local == set(), context
        assert plan.has_endpoints is bool(ready or draining), context
        for policy_local, target in (
            (port.internal_policy_local, plan.internal),
            (port.external_policy_local, plan.external),
        ):
            if not port.external and policy_local and not port.internal_policy_local:
                continue
            used = local if policy_local else cluster
            if not plan.has_endpoints:
                assert target is Target.REJECT, context
            elif policy_local or port.uses_cluster_endpoints:
                wanted = Target.LOCAL if policy_local else Target.CLUSTER
                assert target is (wanted if used else Target.DROP), context


def test_reachable_endpoints_are_each_there_once_and_in_order() -> None:
    found = [endpoint("10.244.0.9"), endpoint("10.244.0.10"), endpoint("10.244.0.8", node="other")]
    plan = plan_of(service(**NODE_PORT_LOCAL), endpoint_slice(*found))
    assert [e.text for e in plan.reachable_endpoints()] == [
        "10.244.0.10:8080",
        "10.244.0.8:8080",
        "10.244.0.9:8080",
    ]
