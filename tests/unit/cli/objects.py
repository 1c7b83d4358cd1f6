"""Objects for the tests of the command, as a manifest would have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Object = dict[str, Any]


def service(name: str = "web", created: str | None = None, **spec: Any) -> Object:
    """A Service with a cluster IP and one port, 80; `spec` adds to it or replaces."""
    metadata: Object = {"name": name, "namespace": "default"}
    if created:
        metadata["creationTimestamp"] = created
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80, "targetPort": 8080}], **spec},
    }


def node_port_service(name: str = "web", node_port: int = 30080, **spec: Any) -> Object:
    """A Service of type NodePort."""
    ports = [{"port": 80, "targetPort": 8080, "nodePort": node_port}]
    return service(name, **{"type": "NodePort", "ports": ports, **spec})


def endpoint_slice(
    service_name: str = "web", endpoints: tuple[tuple[str, str], ...] = (("10.244.1.5", "node-1"),)
) -> Object:
    """The EndpointSlice of a Service; `endpoints` are addresses and nodes."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service_name}-abc",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "protocol": "TCP", "port": 8080}],
        "endpoints": [{"addresses": [ip], "nodeName": node} for ip, node in endpoints],
    }


def node(name: str, address: str, pod_cidr: str = "") -> Object:
    """A Node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDR": pod_cidr} if pod_cidr else {},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }


TWO_NODES = [node("node-1", "192.168.1.1", "10.244.1.0/24"), node("node-2", "192.168.1.2")]


def as_text(*objects: Object) -> str:
    """One JSON List."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def write(folder: Path, *objects: Object, name: str = "objects.json") -> str:
    """The objects in a file; its name."""
    path = folder / name
    path.write_text(as_text(*objects))
    return str(path)


def rules_with(text: str, *parts: str) -> list[str]:
    """The rules (not the chains' declarations) that hold all of the parts."""
    return [
        line
        for line in text.splitlines()
        if line.startswith(("-A ", "-I ")) and all(part in line for part in parts)
    ]
