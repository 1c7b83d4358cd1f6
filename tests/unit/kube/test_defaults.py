"""What the API server would fill in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nodeport_rules.kube.defaults import (
    endpoints_with_defaults,
    node_with_defaults,
    service_with_defaults,
    slice_with_defaults,
    with_defaults,
)
from nodeport_rules.kube.objects import Endpoints, EndpointSlice, Node, Service
from nodeport_rules.kube.snapshot import Snapshot

BASE = {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}
PORT = {"port": 80, "protocol": "TCP", "targetPort": 80}
V4, V6 = "10.96.0.10", "fd00::a"

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("nothing given", {}, BASE),
    ("empty texts", {"type": "", "sessionAffinity": "", "internalTrafficPolicy": ""}, BASE),
    ("port", {"ports": [{"port": 80}]}, {**BASE, "ports": [PORT]}),
    ("target port 0", {"ports": [{"port": 80, "targetPort": 0}]}, {**BASE, "ports": [PORT]}),
    (
        "named target port",
        {"ports": [{"port": 80, "protocol": "UDP", "targetPort": "dns"}]},
        {**BASE, "ports": [{"port": 80, "protocol": "UDP", "targetPort": "dns"}]},
    ),
    (
        "node port",
        {"type": "NodePort"},
        {**BASE, "type": "NodePort", "externalTrafficPolicy": "Cluster"},
    ),
    (
        "load balancer",
        {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
        {
            **BASE,
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "allocateLoadBalancerNodePorts": True,
        },
    ),
    (
        "external IPs",
        {"externalIPs": ["192.0.2.1"]},
        {**BASE, "externalIPs": ["192.0.2.1"], "externalTrafficPolicy": "Cluster"},
    ),
    (
        "affinity",
        {"sessionAffinity": "ClientIP"},
        {
            **BASE,
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
        },
    ),
    (
        "affinity with a timeout",
        {
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 9}},
        },
        {
            **BASE,
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 9}},
        },
    ),
    (
        "lone clusterIP",
        {"clusterIP": V4},
        {
            **BASE,
            "clusterIP": V4,
            "clusterIPs": [V4],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
        },
    ),
    (
        "clusterIPs alone, both families",
        {"clusterIPs": [V6, V4]},
        {
            **BASE,
            "clusterIP": V6,
            "clusterIPs": [V6, V4],
            "ipFamilies": ["IPv6", "IPv4"],
            "ipFamilyPolicy": "RequireDualStack",
        },
    ),
    (
        "one address of two",
        {"clusterIP": V4, "ipFamilyPolicy": "PreferDualStack"},
        {**BASE, "clusterIP": V4, "clusterIPs": [V4], "ipFamilyPolicy": "PreferDualStack"},
    ),
    (
        "headless",
        {"clusterIP": "None"},
        {**BASE, "clusterIP": "None", "clusterIPs": ["None"], "ipFamilyPolicy": "SingleStack"},
    ),
    (
        "external name",
        {"type": "ExternalName", "externalName": "example.org"},
        {"type": "ExternalName", "externalName": "example.org", "sessionAffinity": "None"},
    ),
    (
        "addresses that are none",
        {"clusterIP": "x"},
        {**BASE, "clusterIP": "x", "clusterIPs": ["x"], "ipFamilyPolicy": "SingleStack"},
    ),
]


@pytest.mark.parametrize(
    ("given", "expected"), [row[1:] for row in CASES], ids=[r[0] for r in CASES]
)
def test_service(given: dict[str, Any], expected: dict[str, Any]) -> None:
    service = msgspec.convert({"metadata": {"name": "a"}, "spec": given}, Service)
    completed = service_with_defaults(service)
    assert msgspec.to_builtins(completed.spec) == expected
    assert completed.metadata.namespace == "default"
    assert service_with_defaults(completed) is completed


def test_complete_objects_are_not_copied() -> None:
    port = {"port": 80, "protocol": "TCP", "targetPort": 80}
    spec = {
        **BASE,
        "clusterIP": V4,
        "clusterIPs": [V4],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [port],
    }
    metadata = {"name": "a", "namespace": "b"}
    service = msgspec.convert({"metadata": metadata, "spec": spec}, Service)
    item = msgspec.convert(
        {
            "metadata": metadata,
            "addressType": "IPv4",
            "ports": [{"name": "", "protocol": "TCP", "port": 1}],
        },
        EndpointSlice,
    )
    completed = with_defaults(Snapshot(services=(service,), slices=(item,)))
    assert completed.services[0] is service
    assert completed.slices[0] is item


def test_load_balancer_mode() -> None:
    ingress = [{"ip": "192.0.2.1"}, {"hostname": "x"}, {"ip": "192.0.2.2", "ipMode": "Proxy"}]
    service = msgspec.convert(
        {"metadata": {"name": "a"}, "status": {"loadBalancer": {"ingress": ingress}}}, Service
    )
    status = msgspec.to_builtins(service_with_defaults(service).status)
    assert status["loadBalancer"]["ingress"] == [
        {"ip": "192.0.2.1", "ipMode": "VIP"},
        {"hostname": "x"},
        {"ip": "192.0.2.2", "ipMode": "Proxy"},
    ]


def test_slice_endpoints_and_node() -> None:
    metadata = {"name": "a"}
    item = msgspec.convert(
        {"metadata": metadata, "addressType": "IPv4", "ports": [{"port": 1}]}, EndpointSlice
    )
    assert msgspec.to_builtins(slice_with_defaults(item).ports) == [
        {"name": "", "protocol": "TCP", "port": 1}
    ]
    endpoints = msgspec.convert(
        {"metadata": metadata, "subsets": [{"ports": [{"port": 1}]}]}, Endpoints
    )
    assert msgspec.to_builtins(endpoints_with_defaults(endpoints).subsets) == [
        {"ports": [{"port": 1, "protocol": "TCP"}]}
    ]
    node = msgspec.convert({"metadata": metadata, "spec": {"podCIDR": "10.1.0.0/24"}}, Node)
    assert node_with_defaults(node).spec.pod_cidrs == ["10.1.0.0/24"]
