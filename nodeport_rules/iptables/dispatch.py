"""The chains that list one rule after another for all Services: KUBE-SERVICES and its kin.

Table nat: KUBE-SERVICES, KUBE-NODEPORTS. Table filter: KUBE-SERVICES, KUBE-EXTERNAL-SERVICES,
KUBE-NODEPORTS, KUBE-PROXY-FIREWALL. The order of unrelated Services in them is ours (namespace,
name, port); two orders matter: KUBE-NODEPORTS is jumped to last, and for one node port the rule
for 127.0.0.0/8 comes before the general one.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict

from nodeport_rules.iptables.service_chains import (
    has_firewall_chain,
    policy_chain,
)
from nodeport_rules.model.family import Family
from nodeport_rules.model.plan import ServicePlan, Target
from nodeport_rules.model.settings import NodeSettings
from nodeport_rules.ruleset.names import ChainNames

NODE_PORTS_COMMENT = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"

_REJECT = {
    Family.IPV4: "REJECT --reject-with icmp-port-unreachable",
    Family.IPV6: "REJECT --reject-with icmp6-port-unreachable",
}


class Dispatch:
    """Collects the dispatch rules, plan by plan; `rules[table, chain]` holds them."""

    def __init__(self, settings: NodeSettings) -> None:
        self.rules: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._settings = settings
        self._length = settings.family.host_prefix_length

    def add(self, plan: ServicePlan, names: ChainNames) -> None:
        """Adds every dispatch rule of one service port."""
        self._cluster_ip(plan, names)
        self._external_ips(plan, names)
        self._load_balancer_ips(plan, names)
        self._node_port(plan, names)
        self._health_check_node_port(plan)

    def finish(self) -> None:
        """Adds what comes after all Services: the jumps to KUBE-NODEPORTS."""
        settings = self._settings
        start = "-A KUBE-SERVICES "
        comment = f'-m comment --comment "{NODE_PORTS_COMMENT}" '
        rules = self.rules["nat", "KUBE-SERVICES"]
        if settings.node_port_addresses is None:
            # Node ports never work on ::1, and on 127.0.0.0/8 only with route_localnet.
            exception = ""
            if settings.family is Family.IPV6:
                exception = "! -d ::1/128 "
            elif not settings.localhost_node_ports:
                exception = "! -d 127.0.0.0/8 "
            rules.append(
                f"{start}{exception}{comment}-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
            )
            return
        for address in settings.node_port_addresses:
            loopback = ipaddress.ip_address(address).is_loopback
            if loopback and (settings.family is Family.IPV6 or not settings.localhost_node_ports):
                continue
            rules.append(f"{start}-d {address}/{self._length} {comment}-j KUBE-NODEPORTS")

    def _cluster_ip(self, plan: ServicePlan, names: ChainNames) -> None:
        port = plan.service_port
        if not port.cluster_ip:
            return
        if plan.internal in (Target.CLUSTER, Target.LOCAL):
            self._jump(plan, port.cluster_ip, "cluster IP", policy_chain(names, plan.internal))
        else:
            self._refuse(
                "KUBE-SERVICES", plan, plan.internal, f"-d {port.cluster_ip}/{self._length} "
            )

    def _external_ips(self, plan: ServicePlan, names: ChainNames) -> None:
        for address in plan.service_port.external_ips:
            if plan.serves_external:
                self._jump(plan, address, "external IP", names.external)
            self._refuse_external(plan, address)

    def _load_balancer_ips(self, plan: ServicePlan, names: ChainNames) -> None:
        firewall = has_firewall_chain(plan)
        for address in plan.service_port.load_balancer_ips:
            if plan.serves_external:
                target = names.firewall if firewall else names.external
                self._jump(plan, address, "loadbalancer IP", target)
            if firewall:
                self._drop_forbidden_sources(plan, names, address)
            self._refuse_external(plan, address)

    def _drop_forbidden_sources(self, plan: ServicePlan, names: ChainNames, address: str) -> None:
        port = plan.service_port
        self.rules["filter", "KUBE-PROXY-FIREWALL"].append(
            f"-A KUBE-PROXY-FIREWALL -d {address}/{self._length} -p {port.protocol} -m comment"
            f' --comment "{port.name} traffic not accepted by {names.firewall}"'
            f" -m {port.protocol} --dport {port.port} -j DROP"
        )

    def _node_port(self, plan: ServicePlan, names: ChainNames) -> None:
        port = plan.service_port
        if not port.node_port:
            return
        protocol = port.protocol
        if plan.serves_external:
            rules = self.rules["nat", "KUBE-NODEPORTS"]
            match = f'-m comment --comment "{port.name}" -m {protocol} --dport {port.node_port}'
            settings = self._settings
            if settings.nfacct and settings.localhost_node_ports:
                rules.append(
                    f"-A KUBE-NODEPORTS -d 127.0.0.0/8 -p {protocol} {match} -m nfacct"
                    f" --nfacct-name  localhost_nps_accepted_pkts -j {names.external}"
                )
            rules.append(f"-A KUBE-NODEPORTS -p {protocol} {match} -j {names.external}")
        if plan.external in (Target.REJECT, Target.DROP):
            self._refuse(
                "KUBE-EXTERNAL-SERVICES",
                plan,
                plan.external,
                "",
                "-m addrtype --dst-type LOCAL ",
                port.node_port,
            )

    def _health_check_node_port(self, plan: ServicePlan) -> None:
        port = plan.service_port
        if port.health_check_node_port:
            self.rules["filter", "KUBE-NODEPORTS"].append(
                f'-A KUBE-NODEPORTS -p tcp -m comment --comment "{port.name} health check node'
                f' port" -m tcp --dport {port.health_check_node_port} -j ACCEPT'
            )

    def _jump(self, plan: ServicePlan, address: str, what: str, target: str) -> None:
        """A rule of nat KUBE-SERVICES: this address and port lead to that chain."""
        port = plan.service_port
        self.rules["nat", "KUBE-SERVICES"].append(
            f"-A KUBE-SERVICES -d {address}/{self._length} -p {port.protocol} -m comment"
            f' --comment "{port.name} {what}" -m {port.protocol} --dport {port.port} -j {target}'
        )

    def _refuse_external(self, plan: ServicePlan, address: str) -> None:
        if plan.external in (Target.REJECT, Target.DROP):
            self._refuse(
                "KUBE-EXTERNAL-SERVICES", plan, plan.external, f"-d {address}/{self._length} "
            )

    def _refuse(
        self,
        chain: str,
        plan: ServicePlan,
        target: Target,
        destination: str,
        extra: str = "",
        port_number: int = 0,
    ) -> None:
        """A rule of table filter for traffic that no endpoint takes."""
        port = plan.service_port
        reject = target is Target.REJECT
        reason = "has no endpoints" if reject else "has no local endpoints"
        verdict = _REJECT[self._settings.family] if reject else "DROP"
        self.rules["filter", chain].append(
            f"-A {chain} {destination}-p {port.protocol} -m comment --comment"
            f' "{port.name} {reason}" {extra}-m {port.protocol}'
            f" --dport {port_number or port.port} -j {verdict}"
        )
