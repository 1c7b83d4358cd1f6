"""What is assumed for manifests, that it is said, and that it stays where it is."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeport_rules.errors import UsageError
from nodeport_rules.kube.assume import AssumeSettings
from nodeport_rules.kube.load import Loaded, load

Object = dict[str, Any]


def loaded(*items: Object, **assume: Any) -> Loaded:
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    return load(["-"], stdin=io.BytesIO(content), assume=AssumeSettings(**assume))


def service(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}], **spec},
    }


def selecting(name: str, app: str, **spec: Any) -> Object:
    return service(name, selector={"app": app}, **spec)


def pod_spec(**more: Any) -> Object:
    return {
        "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}],
        **more,
    }


def workload(kind: str, name: str, app: str, **more: Any) -> Object:
    spec = {
        "template": {
            "metadata": {"labels": {"app": app}},
            "spec": more.pop("pod", None) or pod_spec(),
        }
    }
    metadata = {"name": name, **more.pop("metadata", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": {**spec, **more},
    }


def pod(name: str, app: str, **more: Any) -> Object:
    metadata = {"name": name, "labels": {"app": app}, **more.pop("metadata", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": more.pop("spec", None) or pod_spec(),
        **more,
    }


def node(name: str, number: int, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDRs": [f"10.1.{number}.0/24", f"fd01:{number}::/64"]},
        "status": {"addresses": [{"type": "InternalIP", "address": f"192.168.1.{number}"}]},
    }


def owner(kind: str, name: str) -> Object:
    return {"ownerReferences": [{"kind": kind, "name": name, "controller": True}]}


def faults(result: Loaded) -> list[str]:
    return [f"{fault.subject}: {fault.field}: {fault.message}" for fault in result.faults]


def endpoints(result: Loaded) -> dict[str, list[tuple[str, str | None]]]:
    """Slice name to (address, node)."""
    return {
        item.name: [(each.addresses[0], each.node_name) for each in item.endpoints or ()]
        for item in result.snapshot.slices
    }


def nodes_of(result: Loaded) -> list[str | None]:
    return [name for found in endpoints(result).values() for _address, name in found]


# ---------------------------------------------------------------------------------- Services


def test_cluster_ip_and_node_port() -> None:
    result = loaded(service("web", type="NodePort"))
    (found,) = result.snapshot.services
    address, node_port = found.spec.cluster_ip, (found.spec.ports or [])[0].node_port
    assert [str(line) for line in result.assumptions] == [
        f"Service default/web: cluster IP {address}",
        f"Service default/web: node port {node_port} for port 80/TCP",
    ]
    assert (found.spec.cluster_ips, found.spec.ip_families) == ([address], ["IPv4"])
    assert 30000 <= (node_port or 0) <= 32767


FAMILIES: list[tuple[Object, Object, list[str]]] = [
    ({}, {}, ["IPv4"]),
    ({"ipFamilyPolicy": "SingleStack"}, {}, ["IPv4"]),
    ({"ipFamilyPolicy": "PreferDualStack"}, {}, ["IPv4", "IPv6"]),
    ({"ipFamilyPolicy": "RequireDualStack"}, {}, ["IPv4", "IPv6"]),
    ({"ipFamilies": ["IPv6"]}, {}, ["IPv6"]),
    ({"ipFamilies": ["IPv6", "IPv4"]}, {}, ["IPv6", "IPv4"]),
    ({"ipFamilies": ["IPv6"], "ipFamilyPolicy": "PreferDualStack"}, {}, ["IPv6", "IPv4"]),
    ({}, {"service_cidrs": ("fd00::/108", "10.0.0.0/16")}, ["IPv6"]),
    ({"ipFamilyPolicy": "PreferDualStack"}, {"service_cidrs": ("10.0.0.0/16",)}, ["IPv4"]),
    ({"clusterIP": "10.96.0.9", "ipFamilyPolicy": "PreferDualStack"}, {}, ["IPv4", "IPv6"]),
    ({"clusterIP": "fd00::9", "ipFamilyPolicy": "PreferDualStack"}, {}, ["IPv6", "IPv4"]),
    (
        {
            "clusterIP": "10.96.0.9",
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack",
        },
        {},
        ["IPv4", "IPv6"],
    ),
    (
        {
            "clusterIP": "10.96.0.9",
            "clusterIPs": ["10.96.0.9"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "PreferDualStack",
        },
        {},
        ["IPv4"],
    ),
]


@pytest.mark.parametrize(("spec", "assume", "families"), FAMILIES)
def test_families(spec: Object, assume: Object, families: list[str]) -> None:
    result = loaded(service("web", **spec), **assume)
    assert faults(result) == []
    found = result.snapshot.services[0].spec
    assert found.ip_families == families
    assert ["IPv6" if ":" in each else "IPv4" for each in found.cluster_ips or ()] == families
    assert found.cluster_ip == (found.cluster_ips or [])[0]


def test_families_that_cannot_be_had() -> None:
    for spec in ({"ipFamilyPolicy": "RequireDualStack"}, {"ipFamilies": ["IPv6"]}):
        result = loaded(service("web", **spec), service("other"), service_cidrs=("10.0.0.0/16",))
        assert faults(result) == [
            "Service default/web: spec.ipFamilies: wants IPv6, but no service CIDR of that family "
            "is known; give one (--service-cidr)"
        ]


def test_service_cidr_objects_count_unless_flags_are_given() -> None:
    def cidr(name: str, *cidrs: str) -> Object:
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": name},
            "spec": {"cidrs": list(cidrs)},
        }

    objects = [service("web"), cidr("extra", "10.5.0.0/24"), cidr("kubernetes", "10.6.0.0/24")]
    by_objects = loaded(*objects).snapshot.services[0].spec.cluster_ip
    by_flags = loaded(*objects, service_cidrs=("10.7.0.0/24",)).snapshot.services[0].spec.cluster_ip
    assert (by_objects or "").startswith("10.6.0.")
    assert (by_flags or "").startswith("10.7.0.")


PORTS: list[tuple[str, Object, list[str]]] = [
    ("ClusterIP", {"type": "ClusterIP"}, []),
    ("headless", {"clusterIP": "None"}, []),
    ("ExternalName", {"type": "ExternalName", "externalName": "x.example"}, []),
    ("load balancer", {"type": "LoadBalancer"}, ["node port # for port 80/TCP"]),
    (
        "load balancer without node ports",
        {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False},
        [],
    ),
    (
        "local",
        {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
        ["health-check node port #", "node port # for port 80/TCP"],
    ),
    (
        "local, no load balancer",
        {"type": "NodePort", "externalTrafficPolicy": "Local"},
        ["node port # for port 80/TCP"],
    ),
    (
        "only what is missing",
        {
            "type": "NodePort",
            "ports": [{"port": 80, "name": "a", "nodePort": 30080}, {"port": 81, "name": "b"}],
        },
        ["node port # for port b (81/TCP)"],
    ),
]


@pytest.mark.parametrize(
    ("spec", "expected"), [row[1:] for row in PORTS], ids=[r[0] for r in PORTS]
)
def test_which_ports_are_assumed(spec: Object, expected: list[str]) -> None:
    result = loaded(service("web", **spec))
    numbers = {
        str(number)
        for each in result.snapshot.services
        for number in (
            each.spec.health_check_node_port,
            *(p.node_port for p in each.spec.ports or ()),
        )
        if number
    }
    shown = []
    for line in result.assumptions:
        words = ["#" if word in numbers else word for word in line.what.split()]
        shown.append(" ".join(words))
    assert [line for line in shown if "port" in line] == expected


def test_given_values_are_not_assumed_again() -> None:
    first = loaded(service("web", type="NodePort")).snapshot.services[0].spec
    port = (first.ports or [])[0].node_port
    taken = service("a", type="NodePort", clusterIP=first.cluster_ip,
                    ports=[{"port": 1, "nodePort": port, "protocol": "UDP"}])  # fmt: skip
    result = loaded(service("web", type="NodePort"), taken)
    moved = result.snapshot.services[1].spec
    assert moved.cluster_ip != first.cluster_ip
    assert (moved.ports or [])[0].node_port != port
    assert [str(line) for line in result.assumptions] == [
        f"Service default/web: cluster IP {moved.cluster_ip} "
        f"(its hash gives {first.cluster_ip}, which Service default/a has)",
        f"Service default/web: node port {(moved.ports or [])[0].node_port} for port 80/TCP "
        f"(its hash gives {port}, which Service default/a has)",
    ]


def test_full_ranges_are_faults() -> None:
    result = loaded(
        service("a", type="NodePort"),
        service("b", type="NodePort"),
        service_cidrs=("10.0.0.0/30",),
        node_port_range=(30000, 30000),
    )
    assert len(result.assumptions) == 2
    assert sorted(fault.split(": ", 1)[1] for fault in faults(result)) == [
        "spec.clusterIP: is missing, and no cluster IP is left to assume; give it",
        "spec.ports[0].nodePort: is missing, and no node port is left to assume; give it",
    ]


def test_never() -> None:
    result = loaded(
        selecting("web", "web", type="LoadBalancer", externalTrafficPolicy="Local"),
        workload("Deployment", "web", "web"),
        selecting("lonely", "nobody", clusterIP="10.96.0.9"),
        never=True,
    )
    hint = "give it, or drop --assume never"
    assert faults(result) == [
        f"Service default/web: spec.clusterIP: is missing; {hint}",
        f"Service default/web: spec.ports[0].nodePort: is missing; {hint}",
        f"Service default/web: spec.healthCheckNodePort: is missing; {hint}",
        f"Service default/web: spec.selector: has no EndpointSlice or Endpoints object; {hint}",
    ]
    assert result.assumptions == ()
    assert result.snapshot.slices == ()


@pytest.mark.parametrize(
    "assume",
    [
        {"service_cidrs": ("10.0.0.0",)},
        {"node_port_range": (2, 1)},
        {"node_port_range": (0, 1)},
        {"node_port_range": (1, 65536)},
        {"pod_cidrs": ("x\n",)},
    ],
)
def test_settings_that_cannot_be_used(assume: Object) -> None:
    with pytest.raises(UsageError):
        loaded(selecting("web", "web", type="NodePort"), **assume)


# ---------------------------------------------------------------------------------- endpoints


def test_replicas_and_what_is_said() -> None:
    result = loaded(
        selecting("web", "web", clusterIP="10.96.0.9"),
        workload("Deployment", "w", "web", replicas=3),
    )
    assert list(endpoints(result)) == ["web-assumed-ipv4"]
    found = endpoints(result)["web-assumed-ipv4"]
    assert len(set(found)) == 3
    pods = ", ".join(f"{address} on node-1" for address, _node in found)
    assert [str(line) for line in result.assumptions] == [
        f"Deployment default/w: pods {pods}",
        "Service default/web: 3 endpoints from Deployment default/w",
    ]
    assert result.snapshot.slices[0].labels["kubernetes.io/service-name"] == "web"


COUNTS: list[tuple[str, Sequence[Object], int]] = [
    ("replicas not given", [workload("Deployment", "w", "web")], 1),
    ("none", [workload("Deployment", "w", "web", replicas=0)], 0),
    (
        "several workloads",
        [workload("Deployment", "w", "web"), workload("StatefulSet", "s", "web", replicas=2)],
        3,
    ),
    ("DaemonSet once a node", [workload("DaemonSet", "d", "web"), node("n1", 1), node("n2", 2)], 2),
    (
        "DaemonSet on some nodes",
        [
            workload(
                "DaemonSet",
                "d",
                "web",
                pod=pod_spec(nodeSelector={"disk": "ssd", "kubernetes.io/os": "linux"}),
            ),
            node("n1", 1, disk="ssd"),
            node("n2", 2),
        ],
        1,
    ),
    ("other labels", [workload("Deployment", "w", "api")], 0),
    ("other namespace", [workload("Deployment", "w", "web", metadata={"namespace": "other"})], 0),
    (
        "owned ReplicaSet",
        [
            workload("Deployment", "w", "web", replicas=2),
            workload("ReplicaSet", "w-abc", "web", replicas=2, metadata=owner("Deployment", "w")),
        ],
        2,
    ),
    (
        "ReplicaSet of a Deployment elsewhere",
        [workload("ReplicaSet", "w-abc", "web", replicas=2, metadata=owner("Deployment", "w"))],
        2,
    ),
    (
        "Pods replace replicas",
        [
            workload("StatefulSet", "w", "web", replicas=5),
            pod("w-0", "web", metadata=owner("StatefulSet", "w")),
        ],
        1,
    ),
    (
        "Pods replace replicas two steps up",
        [
            workload("Deployment", "w", "web", replicas=5),
            workload("ReplicaSet", "w-abc", "web", replicas=5, metadata=owner("Deployment", "w")),
            pod("w-abc-0", "web", metadata=owner("ReplicaSet", "w-abc")),
        ],
        1,
    ),
    (
        "Pods replace replicas, ReplicaSet not in the input",
        [
            workload("Deployment", "w", "web", replicas=5),
            pod("w-abc-0", "web", metadata=owner("ReplicaSet", "w-abc")),
        ],
        1,
    ),
    ("lone Pods beside workloads", [workload("Deployment", "w", "web"), pod("p", "web")], 2),
    (
        "ended Pods",
        [
            pod("a", "web", status={"phase": "Succeeded"}),
            pod("b", "web", status={"phase": "Failed"}),
        ],
        0,
    ),
    ("waiting Pods", [pod("a", "web", status={"phase": "Pending"})], 0),
    ("running Pod without address", [pod("a", "web", status={"phase": "Running"})], 1),
]


@pytest.mark.parametrize(
    ("items", "count"), [row[1:] for row in COUNTS], ids=[r[0] for r in COUNTS]
)
def test_how_many_endpoints(items: Sequence[Object], count: int) -> None:
    result = loaded(selecting("web", "web"), *items)
    assert faults(result) == []
    assert len(nodes_of(result)) == count, endpoints(result)


NOT_ASSUMED: list[tuple[str, Sequence[Object]]] = [
    ("no selector", [service("web")]),
    ("headless", [selecting("web", "web", clusterIP="None")]),
    ("ExternalName", [selecting("web", "web", type="ExternalName", externalName="x.example")]),
    (
        "Endpoints object",
        [
            selecting("web", "web"),
            {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"}},
        ],
    ),
    (
        "own slice",
        [
            selecting("web", "web"),
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "addressType": "IPv6",
                "metadata": {"name": "x", "labels": {"kubernetes.io/service-name": "web"}},
            },
        ],
    ),
]


@pytest.mark.parametrize("items", [row[1] for row in NOT_ASSUMED], ids=[r[0] for r in NOT_ASSUMED])
def test_services_for_which_no_endpoints_are_assumed(items: Sequence[Object]) -> None:
    result = loaded(*items, workload("Deployment", "w", "web"))
    assert nodes_of(result) == []
    assert [line for line in result.assumptions if "endpoint" in line.what] == []


def test_nothing_matches() -> None:
    result = loaded(selecting("web", "web", clusterIP="10.96.0.9"))
    assert [str(line) for line in result.assumptions] == [
        "Service default/web: no endpoints (nothing in the input matches its selector)"
    ]


def test_pods_as_the_cluster_has_them() -> None:
    def running(name: str, address: str, ready: str, **metadata: Any) -> Object:
        return pod(
            name,
            "web",
            metadata=metadata,
            spec=pod_spec(nodeName="n1"),
            status={
                "phase": "Running",
                "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": ready}],
            },
        )

    items = [
        running("a", "10.9.0.1", "True"),
        running("b", "10.9.0.2", "False"),
        running("c", "10.9.0.3", "True", deletionTimestamp="2026-01-01T00:00:00Z"),
        node("n1", 1, **{"topology.kubernetes.io/zone": "zone-a"}),
    ]
    for publish, ready in ((False, [True, False, False]), (True, [True, True, True])):
        result = loaded(selecting("web", "web", publishNotReadyAddresses=publish), *items)
        found = result.snapshot.slices[0].endpoints or []
        conditions = [each.conditions for each in found]
        assert [each.addresses for each in found] == [["10.9.0.1"], ["10.9.0.2"], ["10.9.0.3"]]
        assert [each.ready for each in conditions if each] == ready
        assert [each.serving for each in conditions if each] == [True, False, True]
        assert [each.terminating for each in conditions if each] == [False, False, True]
        assert {(each.node_name, each.zone) for each in found} == {("n1", "zone-a")}


def test_addresses_come_from_the_nodes_own_ranges() -> None:
    spec = {"ipFamilyPolicy": "PreferDualStack"}
    result = loaded(
        selecting("web", "web", **spec),
        workload("Deployment", "w", "web", replicas=4),
        node("n1", 1),
        node("n2", 2),
    )
    found = endpoints(result)
    assert sorted(found) == ["web-assumed-ipv4", "web-assumed-ipv6"]
    for address, name in [pair for pairs in found.values() for pair in pairs]:
        number = (name or "")[1:]
        assert address.startswith((f"10.1.{number}.", f"fd01:{number}:"))
    assert sorted(name or "" for _address, name in found["web-assumed-ipv4"]) == [
        "n1",
        "n1",
        "n2",
        "n2",
    ]


def test_host_network() -> None:
    daemons = workload("DaemonSet", "d", "web", pod=pod_spec(hostNetwork=True))
    known = loaded(
        selecting("web", "web", clusterIP="10.96.0.9"), daemons, node("n1", 1), node("n2", 2)
    )
    assert endpoints(known) == {"web-assumed-ipv4": [("192.168.1.1", "n1"), ("192.168.1.2", "n2")]}
    unknown = loaded(selecting("web", "web", clusterIP="10.96.0.9"), daemons)
    assert [str(line) for line in unknown.assumptions] == [
        "DaemonSet default/d: no IPv4 endpoint on node-1 (it uses the host network, and no "
        "IPv4 address of that node is in the input)",
        "Service default/web: no endpoints from DaemonSet default/d",
    ]


def test_named_target_ports() -> None:
    sidecar = {
        "name": "s",
        "restartPolicy": "Always",
        "ports": [{"name": "side", "containerPort": 15000}],
    }
    once = {"name": "o", "ports": [{"name": "once", "containerPort": 1}]}
    other = pod_spec(containers=[{"name": "c", "ports": [{"name": "http", "containerPort": 9090}]}])
    ports = [
        {"name": "a", "port": 80, "targetPort": "http"},
        {"name": "b", "port": 81, "targetPort": "side"},
        {"name": "c", "port": 82, "targetPort": "once"},
        {"name": "d", "port": 83, "targetPort": "http", "protocol": "UDP"},
        {"name": "e", "port": 84},
    ]
    result = loaded(
        selecting("web", "web", ports=ports),
        workload("Deployment", "w1", "web", pod=pod_spec(initContainers=[sidecar, once])),
        workload("Deployment", "w2", "web", pod=other),
        workload("Deployment", "w3", "web", pod=other),
    )
    found = {
        item.name: [(port.name, port.protocol, port.port) for port in item.ports or ()]
        for item in result.snapshot.slices
    }
    assert found == {
        "web-assumed-ipv4": [("a", "TCP", 8080), ("b", "TCP", 15000), ("e", "TCP", 84)],
        "web-assumed-ipv4-2": [("a", "TCP", 9090), ("e", "TCP", 84)],
    }
    assert [len(pairs) for pairs in endpoints(result).values()] == [1, 2]
    deployments = "Deployment default/w1 and Deployment default/w2"
    assert faults(result) == [
        f'Service default/web: spec.ports[2].targetPort: is "once", but no container of '
        f"{deployments} has a TCP port of that name; this port gets no endpoint",
        f'Service default/web: spec.ports[3].targetPort: is "http", but no container of '
        f"{deployments} has a UDP port of that name; this port gets no endpoint",
    ]


# ---------------------------------------------------------------------------------- stability

apps = st.sampled_from(["a", "b", "c", "d"])
some_services = st.builds(
    lambda number, app, kind: selecting(f"service-{number}", app, type=kind),
    st.integers(0, 40),
    apps,
    st.sampled_from(["ClusterIP", "NodePort"]),
)
some_workloads = st.builds(
    lambda kind, app, replicas: workload(kind, f"workload-{app}", app, replicas=replicas),
    st.sampled_from(["Deployment", "StatefulSet"]),
    apps,
    st.integers(0, 4),
)
some_objects = st.lists(
    some_services | some_workloads,
    unique_by=lambda item: (item["kind"], item["metadata"]["name"]),
    min_size=1,
    max_size=12,
)


def values_of(result: Loaded) -> dict[str, object]:
    """Every assumed value by what has it."""
    found: dict[str, object] = {}
    for each in result.snapshot.services:
        found[f"{each.name} IP"] = each.spec.cluster_ip
        found[f"{each.name} port"] = (each.spec.ports or [])[0].node_port
    for line in result.assumptions:
        if line.what.startswith("pod"):
            found[line.subject] = line.what
    return found


@settings(max_examples=60)
@given(some_objects, st.randoms(use_true_random=False))
def test_order_does_not_matter(items: list[Object], random: Any) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    one, other = loaded(*items), loaded(*shuffled)
    assert one.snapshot.services == other.snapshot.services
    assert one.snapshot.slices == other.snapshot.slices
    assert one.assumptions == other.assumptions


@settings(max_examples=60)
@given(some_objects, st.integers(0, 11), st.sampled_from(["10.96.0.0/12", "10.0.0.0/27"]))
def test_removing_one_object_moves_no_other_but_by_collision(
    items: list[Object], index: int, cidr: str
) -> None:
    assume = {"service_cidrs": (cidr,), "pod_cidrs": (cidr.replace("10.", "11."),)}
    removed = items[index % len(items)]
    all_of, rest = (
        loaded(*items, **assume),
        loaded(*(i for i in items if i is not removed), **assume),
    )
    before, after = values_of(all_of), values_of(rest)
    collided = {line.subject.rpartition("/")[2] for line in all_of.assumptions if line.note}
    for key in before.keys() & after.keys():
        name = key.rpartition("/")[2].split(" ")[0]
        if name not in collided:
            assert before[key] == after[key], key


def test_more_replicas_move_none() -> None:
    few, many = (
        loaded(selecting("web", "web"), workload("Deployment", "w", "web", replicas=count))
        for count in (3, 30)
    )
    assert endpoints(many)["web-assumed-ipv4"][:3] == endpoints(few)["web-assumed-ipv4"]
