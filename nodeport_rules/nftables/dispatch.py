"""The elements that lead to Services: of the maps `services`, `node-ports` and their kin."""

from __future__ import annotations

import ipaddress
from collections import defaultdict

from nodeport_rules.model.plan import ServicePlan, Target
from nodeport_rules.model.settings import NodeSettings
from nodeport_rules.nftables.service_chains import policy_chain
from nodeport_rules.ruleset.names import ChainNames

REJECT = "goto KUBE-REJECT"
DROP = "drop"


class Dispatch:
    """Collects elements, plan by plan; `elements[map]` holds them by key."""

    def __init__(self, settings: NodeSettings) -> None:
        self.elements: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._settings = settings
        for address in settings.node_port_addresses or ():
            # Node ports never answer on loopback addresses in this mode.
            if not ipaddress.ip_address(address).is_loopback:
                self.elements["node-port-ips"][address] = ""

    def add(self, plan: ServicePlan, names: ChainNames) -> None:
        """Adds every element of one service port."""
        port = plan.service_port
        if port.cluster_ip:
            self.elements["cluster-ips"][port.cluster_ip] = ""
            key = self._key(plan, port.cluster_ip)
            if plan.internal in (Target.CLUSTER, Target.LOCAL):
                self.elements["services"][key] = f"goto {policy_chain(names, plan.internal)}"
            else:
                self.elements["no-endpoint-services"][key] = _refusal(plan.internal)
        for address in (*port.external_ips, *port.load_balancer_ips):
            self._external(plan, names, self._key(plan, address))
        if port.source_ranges:
            for address in port.load_balancer_ips:
                self.elements["firewall"][self._key(plan, address)] = f"goto {names.firewall}"
        if port.node_port:
            key = f"{port.protocol} . {port.node_port}"
            if plan.serves_external:
                self.elements["node-ports"][key] = f"goto {names.external}"
            if plan.external in (Target.REJECT, Target.DROP):
                self.elements["no-endpoint-node-ports"][key] = _refusal(plan.external)
        self._hairpins(plan)

    def _external(self, plan: ServicePlan, names: ChainNames, key: str) -> None:
        if plan.serves_external:
            self.elements["services"].setdefault(key, f"goto {names.external}")
        if plan.external in (Target.REJECT, Target.DROP):
            self.elements["no-endpoint-services"].setdefault(key, _refusal(plan.external))

    def _hairpins(self, plan: ServicePlan) -> None:
        """Endpoints of this node that may reach themselves: then the source has to be replaced."""
        for endpoint in plan.reachable_endpoints():
            if endpoint.node_name == self._settings.node_name:
                key = (
                    f"{endpoint.ip} . {endpoint.ip} . {plan.service_port.protocol}"
                    f" . {endpoint.port}"
                )
                self.elements["hairpins"][key] = ""

    def _key(self, plan: ServicePlan, address: str) -> str:
        return f"{address} . {plan.service_port.protocol} . {plan.service_port.port}"


def _refusal(target: Target) -> str:
    return REJECT if target is Target.REJECT else DROP
