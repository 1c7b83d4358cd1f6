"""The cluster that the packet tests run on: machines, Services, and the rules of both nodes.

One state holds every Service the tests need, so that it is built and compiled once. Each Service
has the same port and the same node port for all three protocols.

Pods with an odd number are on node-1, the others on node-2. The wire delivers the client's packets
for cluster IPs and external IPs to node-1, those for load-balancer IPs to node-2.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodeport_rules.cli.compilation import Compilation, compile_sources, require_sound, rules_text
from nodeport_rules.kernel import accounting, iptables_tools
from nodeport_rules.kernel.iptables_tools import Family
from nodeport_rules.kernel.sandbox import Entry, NodeMachine, PodMachine, Sandbox, Topology
from nodeport_rules.kube.assume import AssumeSettings
from nodeport_rules.model import family as model_family
from nodeport_rules.model.options import ProxyOptions

NODES = ("node-1", "node-2")
PODS = 30
PORT = 80
OTHER_PORT = 81
"""A port that no Service has."""
TARGET_PORT = 8080
PROTOCOLS = ("tcp", "udp", "sctp")

CLIENT = {"ipv4": "192.0.2.10", "ipv6": "2001:db8:2::10"}
STRANGER = {"ipv4": "198.51.100.20", "ipv6": "2001:db8:3::20"}
"""Another address of the client, outside of every source range."""
CROWD = {
    "ipv4": tuple(f"192.0.2.{100 + number}" for number in range(20)),
    "ipv6": tuple(f"2001:db8:2::{100 + number}" for number in range(20)),
}
"""More addresses of the client, for session affinity."""

OUTSIDE = "outside"
"""A machine beyond the nodes that has some Services' addresses too: it answers what the nodes'
rules let pass."""

SHARE_SIZES = (1, 2, 3, 7, 30)

AFFINITY_SECONDS = 2


@dataclass(frozen=True)
class TestService:
    """A Service: its number (which makes all its addresses), pods behind it, and other fields."""

    __test__ = False

    name: str
    number: int
    pods: tuple[int, ...]
    spec: dict[str, Any]
    terminating: bool = False

    @property
    def node_port(self) -> int:
        return 30000 + self.number

    def cluster_ip(self, family: Family) -> str:
        return f"10.96.0.{self.number}" if family == "ipv4" else f"fd00:10:96::{self.number:x}"

    def external_ip(self, family: Family) -> str:
        return f"203.0.113.{self.number}" if family == "ipv4" else f"2001:db8:9::{self.number:x}"

    def load_balancer_ip(self, family: Family) -> str:
        number = 128 + self.number
        return f"203.0.113.{number}" if family == "ipv4" else f"2001:db8:9::{number:x}"


SOURCE_RANGES = ["192.0.2.0/24", "2001:db8:2::/64"]
NODE_RANGES = ["192.168.1.0/24", "2001:db8:1::/64"]
AFFINITY = {
    "sessionAffinity": "ClientIP",
    "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}},
}

SERVICES = {
    service.name: service
    for service in (
        TestService("everywhere", 1, (1, 2, 3), {}),
        TestService("outside-local", 2, (1, 2, 3), {"externalTrafficPolicy": "Local"}),
        TestService("inside-local", 3, (1, 2, 3), {"internalTrafficPolicy": "Local"}),
        TestService(
            "remote-only",
            4,
            (2,),
            {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"},
        ),
        TestService("empty", 5, (), {}),
        TestService("alone", 6, (1,), {}),
        TestService("guarded", 7, (1, 2, 3), {"loadBalancerSourceRanges": SOURCE_RANGES}),
        TestService("guarded-for-nodes", 8, (1, 2), {"loadBalancerSourceRanges": NODE_RANGES}),
        TestService("sticky", 9, (1, 2, 3), AFFINITY),
        TestService("ending", 10, (1, 2), {}, terminating=True),
        *(
            TestService(f"share-{size}", 20 + place, tuple(range(1, size + 1)), {})
            for place, size in enumerate(SHARE_SIZES)
        ),
    )
}


def pod_name(number: int) -> str:
    return f"pod-{number}"


def pod_node(number: int) -> str:
    return NODES[(number - 1) % 2]


def pod_address(number: int, family: Family) -> str:
    node = (number - 1) % 2 + 1
    if family == "ipv4":
        return f"10.244.{node}.{10 + number}"
    return f"fd00:10:244:{node}::{16 + number:x}"


def node_address(name: str, family: Family) -> str:
    number = NODES.index(name) + 1
    return f"192.168.1.{number}" if family == "ipv4" else f"2001:db8:1::{number}"


def pod_cidrs(name: str) -> list[str]:
    number = NODES.index(name) + 1
    return [f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"]


def topology() -> Topology:
    families: tuple[Family, Family] = ("ipv4", "ipv6")
    return Topology(
        nodes=tuple(
            NodeMachine(
                name, tuple(node_address(name, family) for family in families), (*pod_cidrs(name),)
            )
            for name in NODES
        ),
        pods=(
            *(
                PodMachine(
                    pod_name(number),
                    pod_node(number),
                    tuple(pod_address(number, family) for family in families),
                )
                for number in range(1, PODS + 1)
            ),
            PodMachine(OUTSIDE, None, outside_addresses()),
        ),
        client=tuple(
            address
            for family in families
            for address in (CLIENT[family], STRANGER[family], *CROWD[family])
        ),
        entries=(
            Entry("10.96.0.0/24", "node-1"),
            Entry("fd00:10:96::/64", "node-1"),
            Entry("203.0.113.0/25", "node-1"),
            Entry("2001:db8:9::/121", "node-1"),
            Entry("203.0.113.128/25", "node-2"),
            Entry("2001:db8:9::80/121", "node-2"),
        ),
    )


def outside_addresses() -> tuple[str, ...]:
    """The addresses for which it matters that rules pass them on."""
    families: tuple[Family, Family] = ("ipv4", "ipv6")
    return tuple(
        address
        for family in families
        for address in (
            SERVICES["empty"].external_ip(family),
            SERVICES["empty"].load_balancer_ip(family),
            SERVICES["everywhere"].cluster_ip(family),
        )
    )


def objects() -> dict[str, Any]:
    """All objects of the cluster as one v1 List."""
    items = [*map(_node_object, NODES)]
    for service in SERVICES.values():
        items.append(_service_object(service))
        items += [_slice_object(service, family) for family in ("ipv4", "ipv6")]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _node_object(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDRs": pod_cidrs(name)},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": node_address(name, "ipv4")},
                {"type": "InternalIP", "address": node_address(name, "ipv6")},
            ]
        },
    }


def _service_object(service: TestService) -> dict[str, Any]:
    ips = [service.cluster_ip("ipv4"), service.cluster_ip("ipv6")]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service.name, "namespace": "default"},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": ips[0],
            "clusterIPs": ips,
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack",
            "externalIPs": [service.external_ip("ipv4"), service.external_ip("ipv6")],
            "ports": [
                {
                    "name": protocol,
                    "protocol": protocol.upper(),
                    "port": PORT,
                    "targetPort": TARGET_PORT,
                    "nodePort": service.node_port,
                }
                for protocol in PROTOCOLS
            ],
            **service.spec,
        },
        "status": {
            "loadBalancer": {
                "ingress": [
                    {"ip": service.load_balancer_ip("ipv4")},
                    {"ip": service.load_balancer_ip("ipv6")},
                ]
            }
        },
    }


def _slice_object(service: TestService, family: Family) -> dict[str, Any]:
    conditions = {
        "ready": not service.terminating,
        "serving": True,
        "terminating": service.terminating,
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service.name}-{family}",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": service.name},
        },
        "addressType": {"ipv4": "IPv4", "ipv6": "IPv6"}[family],
        "ports": [
            {"name": protocol, "protocol": protocol.upper(), "port": TARGET_PORT}
            for protocol in PROTOCOLS
        ],
        "endpoints": [
            {
                "addresses": [pod_address(number, family)],
                "nodeName": pod_node(number),
                "conditions": conditions,
            }
            for number in service.pods
        ],
    }


class Cluster:
    """The running sandbox with the compiled rules on both nodes."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self._pods = {
            address: pod.name for pod in sandbox.topology.pods for address in pod.addresses
        }
        for pod in sandbox.topology.pods:
            for port in (PORT, OTHER_PORT) if pod.name == OUTSIDE else (TARGET_PORT,):
                sandbox.serve(pod.name, "tcp", port)
                sandbox.serve(pod.name, "udp", port)
        compilation = compile_objects(folder, objects())
        for node in NODES:
            namespace = sandbox.namespace(node)
            accounting.create_counters(namespace=namespace)
            load_rules(sandbox, compilation, node)

    def pod_at(self, address: str) -> str:
        """The pod that has an address; the address itself when none has it."""
        return self._pods.get(address, address)

    def rules(self, node: str, family: Family, about: str) -> str:
        """The rules on a node that name something, for messages."""
        saved = iptables_tools.save(family, namespace=self.sandbox.namespace(node), counters=True)
        return "\n".join(line for line in saved.splitlines() if about in line)


def compile_objects(folder: Path, cluster: dict[str, Any]) -> Compilation:
    """Compile objects as `render` does, with both nodes' detection of pods and nfacct counters."""
    source = folder / "objects.json"
    source.write_text(json.dumps(cluster))
    options = ProxyOptions(
        cluster_cidrs={
            model_family.Family.IPV4: "10.244.0.0/16",
            model_family.Family.IPV6: "fd00:10:244::/48",
        },
        nfacct=True,
    )
    compilation = compile_sources([str(source)], options, AssumeSettings())
    require_sound(compilation)
    return compilation


def load_rules(sandbox: Sandbox, compilation: Compilation, node: str) -> None:
    """Load what was compiled for a node into its namespace, both families."""
    for family in model_family.BOTH_FAMILIES:
        text = rules_text(compilation.rules(node, family))
        iptables_tools.restore(family.value, text, namespace=sandbox.namespace(node))
