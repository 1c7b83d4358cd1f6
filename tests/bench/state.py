"""A large cluster as one JSON List, for timing: `make_state`.

As a script: `python tests/bench/state.py SERVICES ENDPOINTS_EACH > state.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

NODES = 100
_SERVICES_A_NAMESPACE = 50


def make_state(services: int, endpoints_each: int) -> bytes:
    """`kubectl get nodes,services,endpointslices -A -o json` of a cluster of that size.

    Every third Service is a NodePort one (so far as there are node ports), one in fifty is a
    LoadBalancer, all have one port; each has one EndpointSlice. The same arguments give the same
    bytes. At most 200,000 services of 60 endpoints.
    """
    items = [*_nodes(), *_services(services), *_slices(services, endpoints_each)]
    envelope = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {}}
    return json.dumps(envelope, indent=1).encode()


def _metadata(name: str, namespace: str, number: int) -> dict[str, Any]:
    return {
        "creationTimestamp": f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T11:26:14Z",
        "name": name,
        "namespace": namespace,
        "resourceVersion": str(100_000 + number),
        "uid": f"{number:08x}-f102-4317-b1fb-{number * 7919 % 2**48:012x}",
    }


def _names(number: int) -> tuple[str, str]:
    """Namespace and name of a Service."""
    return f"team-{number // _SERVICES_A_NAMESPACE:03}", f"service-{number:05}"


def _nodes() -> Iterator[dict[str, Any]]:
    for number in range(NODES):
        name = f"node-{number + 1}"
        metadata = _metadata(name, "", number)
        del metadata["namespace"]
        metadata["labels"] = {
            "kubernetes.io/hostname": name,
            "topology.kubernetes.io/zone": f"zone-{'abc'[number % 3]}",
        }
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata,
            "spec": {"podCIDR": f"10.{number}.0.0/16", "podCIDRs": [f"10.{number}.0.0/16"]},
            "status": {
                "addresses": [
                    {"address": f"192.168.1.{number + 100}", "type": "InternalIP"},
                    {"address": name, "type": "Hostname"},
                ]
            },
        }


def _services(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        namespace, name = _names(number)
        port: dict[str, Any] = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}
        address = f"172.{16 + number // 65536}.{number // 256 % 256}.{number % 256}"
        metadata = _metadata(name, namespace, number)
        metadata["labels"] = {"app.kubernetes.io/name": name}
        spec: dict[str, Any] = {
            "clusterIP": address,
            "clusterIPs": [address],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [port],
            "selector": {"app.kubernetes.io/name": name},
            "sessionAffinity": "None",
            "type": "ClusterIP",
        }
        status: dict[str, Any] = {"loadBalancer": {}}
        if number % 3 == 0 and number // 3 < 2768:
            port["nodePort"] = 30000 + number // 3
            spec["externalTrafficPolicy"] = "Cluster"
            spec["type"] = "NodePort"
            if number % 50 == 0:
                spec["type"] = "LoadBalancer"
                ip = f"198.51.{number // 256 % 256}.{number % 256}"
                status["loadBalancer"] = {"ingress": [{"ip": ip, "ipMode": "VIP"}]}
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": spec,
            "status": status,
        }


def _slices(count: int, endpoints_each: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        namespace, name = _names(number)
        metadata = _metadata(f"{name}-{number * 31 % 100_000:05}", namespace, 200_000 + number)
        metadata["generateName"] = f"{name}-"
        metadata["labels"] = {
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": name,
        }
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "controller": True, "kind": "Service", "name": name}
        ]
        yield {
            "addressType": "IPv4",
            "apiVersion": "discovery.k8s.io/v1",
            "endpoints": [
                _endpoint(namespace, name, number * endpoints_each + index)
                for index in range(endpoints_each)
            ],
            "kind": "EndpointSlice",
            "metadata": metadata,
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }


def _endpoint(namespace: str, name: str, number: int) -> dict[str, Any]:
    """The endpoint of this number; pods are dealt out to the nodes in turn."""
    node, place = number % NODES, number // NODES + 2
    return {
        "addresses": [f"10.{node}.{place // 256 % 256}.{place % 256}"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": f"node-{node + 1}",
        "targetRef": {
            "kind": "Pod",
            "name": f"{name}-{number:07}",
            "namespace": namespace,
        },
        "zone": f"zone-{'abc'[node % 3]}",
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(make_state(int(sys.argv[1]), int(sys.argv[2])))
