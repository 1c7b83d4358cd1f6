"""A cluster state being put together: one Node, Services, EndpointSlices and the configuration.

Cluster IPs and node ports are counted up from fixed numbers, so a state is the same whenever it is
made, and the API server allocates nothing at random.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

NODE = "node-1"
ZONE = "zone-a"
V4, V6 = ("IPv4",), ("IPv6",)
DUAL = ("IPv4", "IPv6")
POD_CIDRS = ("10.244.0.0/24", "fd00:10:244::/64")


def config(**changed: object) -> Object:
    """A KubeProxyConfiguration; an argument of None leaves that field out."""
    whole: Object = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": NODE,
        "clusterCIDR": "10.244.0.0/16,fd00:10:244::/48",
        "conntrack": {"maxPerCore": 0},
        **changed,
    }
    return {k: v for k, v in whole.items() if v is not None}


def node(
    addresses: Sequence[tuple[str, str]] = (
        ("InternalIP", "192.168.1.100"),
        ("InternalIP", "2001:db8:1::100"),
    ),
    pod_cidrs: Sequence[str] = POD_CIDRS,
    labels: Mapping[str, str] | None = None,
) -> Object:
    """The Node that kube-proxy runs on."""
    if labels is None:
        labels = {"kubernetes.io/hostname": NODE, "topology.kubernetes.io/zone": ZONE}
    spec: Object = {"podCIDR": pod_cidrs[0], "podCIDRs": list(pod_cidrs)} if pod_cidrs else {}
    made: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": dict(labels)},
        "spec": spec,
    }
    if addresses:
        made["status"] = {"addresses": [{"type": t, "address": a} for t, a in addresses]}
    return made


def port(
    number: int = 80,
    name: str = "",
    protocol: str = "TCP",
    target: int = 8080,
    **more: object,
) -> Object:
    """A port of a Service."""
    named: Object = {"name": name} if name else {}
    return {**named, "port": number, "protocol": protocol, "targetPort": target, **more}


def endpoint(
    address: str,
    on: str | None = NODE,
    *,
    ready: bool | None = True,
    serving: bool | None = None,
    terminating: bool | None = None,
    zones: Sequence[str] | None = None,
    nodes: Sequence[str] | None = None,
) -> Object:
    """One endpoint of a slice; `on` is its node, `zones` and `nodes` its topology hints."""
    conditions = {"ready": ready, "serving": serving, "terminating": terminating}
    made: Object = {
        "addresses": [address],
        "conditions": {k: v for k, v in conditions.items() if v is not None},
    }
    if on is not None:
        made["nodeName"] = on
    hints: Object = {}
    if zones is not None:
        hints["forZones"] = [{"name": z} for z in zones]
    if nodes is not None:
        hints["forNodes"] = [{"name": n} for n in nodes]
    return {**made, "hints": hints} if hints else made


def ready(*addresses: str, on: str = NODE) -> list[Object]:
    """Ready endpoints at these addresses of one node."""
    return [endpoint(address, on) for address in addresses]


class State:
    """A state folder in the making."""

    def __init__(
        self,
        name: str,
        settings: Object | None = None,
        of_node: Object | None = None,
        host: Sequence[str] | None = None,
    ) -> None:
        """Start with a configuration, a Node and (rarely) other addresses of the host's eth0."""
        self.name = name
        self.settings = config() if settings is None else settings
        self.host = host
        self.items: list[Object] = [node() if of_node is None else of_node]
        self._services = 0
        self._node_ports = 30000
        self._health_ports = 32000
        self._slices = 0

    def service(
        self,
        name: str,
        ports: Iterable[Object] | None = None,
        kind: str = "ClusterIP",
        *,
        families: Sequence[str] = V4,
        namespace: str = "default",
        labels: Mapping[str, str] | None = None,
        ingress: Sequence[Object] = (),
        **spec: object,
    ) -> None:
        """Add a Service with a cluster IP of each family, and node ports where its type has any."""
        self._services += 1
        number = self._services
        ips = {"IPv4": f"10.96.{200 + number // 250}.{1 + number % 250}", "IPv6": _v6(number)}
        cluster_ips = [ips[family] for family in families]
        made_ports = [dict(p) for p in (ports or [port()])]
        external = kind in ("NodePort", "LoadBalancer")
        if external and spec.get("allocateLoadBalancerNodePorts", True):
            for one in made_ports:
                self._node_ports += 1
                one.setdefault("nodePort", self._node_ports)
        if kind == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
            self._health_ports += 1
            spec.setdefault("healthCheckNodePort", self._health_ports)
        whole: Object = {
            "type": kind,
            "clusterIP": cluster_ips[0],
            "clusterIPs": cluster_ips,
            "ipFamilies": list(families),
            "ipFamilyPolicy": "RequireDualStack" if len(families) == 2 else "SingleStack",
            "ports": made_ports,
            **spec,
        }
        metadata: Object = {"name": name, "namespace": namespace}
        if labels:
            metadata["labels"] = dict(labels)
        made: Object = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": whole}
        if ingress:
            made["status"] = {"loadBalancer": {"ingress": [dict(i) for i in ingress]}}
        self.items.append(made)

    def slice(
        self,
        service: str,
        endpoints: Sequence[Object],
        ports: Sequence[Object] | None = None,
        *,
        family: str = "IPv4",
        namespace: str = "default",
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Add an EndpointSlice of a Service; `ports` default to one without a name, 8080/TCP."""
        self._slices += 1
        made_ports = [{"name": "", "port": 8080, "protocol": "TCP"}] if ports is None else ports
        metadata = {
            "name": name or f"{service}-{self._slices:04d}",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service, **(labels or {})},
        }
        self.items.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": metadata,
                "addressType": family,
                "endpoints": list(endpoints),
                "ports": list(made_ports),
            }
        )

    def write(self, folder: Path) -> None:
        """Write the state as a folder that record.py reads."""
        target = folder / self.name
        target.mkdir(parents=True, exist_ok=True)
        state = {"apiVersion": "v1", "kind": "List", "items": self.items}
        text = json.dumps(state, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        (target / "objects.json").write_text(text, encoding="utf-8")
        settings = yaml.safe_dump(self.settings, default_flow_style=False)
        (target / "config.iptables.yaml").write_text(settings, encoding="utf-8")
        if self.host is not None:
            addresses = yaml.safe_dump({"addresses": list(self.host)})
            (target / "host.yaml").write_text(addresses, encoding="utf-8")


def _v6(number: int) -> str:
    return f"fd00:10:96::{0xC800 + number:x}"


def slice_port(number: int | None = 8080, name: str | None = "", protocol: str = "TCP") -> Object:
    """A port of a slice; None leaves the number or the name out."""
    made: Object = {"protocol": protocol}
    if name is not None:
        made["name"] = name
    if number is not None:
        made["port"] = number
    return made


def standard(state: State) -> State:
    """Add a few Services in which every kind of traffic occurs, in both families.

    For the states that are about the configuration: whatever it changes shows in some rule.
    """
    v4 = [endpoint("10.244.0.5"), endpoint("10.244.1.6", "node-2")]
    v6 = [endpoint("fd00:10:244::5"), endpoint("fd00:10:244:1::6", "node-2")]
    state.service("dry", None, "NodePort")
    state.service(
        "balanced",
        [port(80, "http")],
        "LoadBalancer",
        families=DUAL,
        ingress=[{"ip": "203.0.113.10"}, {"ip": "2001:db8:2::10"}],
        externalIPs=["198.51.100.7", "2001:db8:3::7"],
        externalTrafficPolicy="Local",
        loadBalancerSourceRanges=["192.168.1.0/24", "198.51.100.0/24", "2001:db8:1::/64"],
    )
    state.slice("balanced", v4, [slice_port(8080, "http")])
    state.slice("balanced", v6, [slice_port(8080, "http")], family="IPv6")
    return state
