"""The chains of one service port: KUBE-SEP, KUBE-SVC, KUBE-SVL, KUBE-EXT and KUBE-FW.

Every rule is the text that iptables-save prints for it (decision 1 of the design), so that wanted
and live rules compare as text.
"""

from __future__ import annotations

from functools import cache

import msgspec

from nodeport_rules.model.endpoints import Endpoint
from nodeport_rules.model.family import Family
from nodeport_rules.model.plan import ServicePlan, Target
from nodeport_rules.model.settings import LocalTraffic, NodeSettings
from nodeport_rules.ruleset.names import SERVICE_CLUSTER_PREFIX, ChainNames, endpoint_chain
from nodeport_rules.ruleset.ruleset import Chain

_PROBABILITY_STEPS = 1 << 31
_AFFINITY_MASK = {
    Family.IPV4: "255.255.255.255",
    Family.IPV6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
}


class ServiceChains(msgspec.Struct, frozen=True):
    """All chains of one service port in table nat, by kind; leaves first."""

    endpoints: tuple[Chain, ...]
    policies: tuple[Chain, ...]
    external: Chain | None
    firewall: Chain | None


def policy_chain(names: ChainNames, target: Target) -> str:
    """The chain that chooses among the endpoints of `target`."""
    return names.local if target is Target.LOCAL else names.cluster


def has_firewall_chain(plan: ServicePlan) -> bool:
    """Whether there is a KUBE-FW chain: only where there are endpoints, as in kube-proxy."""
    port = plan.service_port
    return plan.has_endpoints and bool(port.load_balancer_ips and port.source_ranges)


@cache
def probability(endpoints_left: int) -> str:
    """The text of 1/n as iptables-save prints it: `0.33333333349` for a third.

    kube-proxy writes ten decimals; the kernel keeps round(p × 2³¹) of it (xt_statistic), and
    iptables-save prints that over 2³¹ with 11 decimals.
    """
    written = float(f"{1 / endpoints_left:.10f}")
    return f"{round(written * _PROBABILITY_STEPS) / _PROBABILITY_STEPS:.11f}"


def local_traffic_match(settings: NodeSettings, negate: bool) -> tuple[str, str]:
    """What matches a pod's traffic, as (text before `-d`, text after it).

    iptables-save prints `-s` before `-d` and `-i` after it.
    """
    detector = settings.local_detector
    sign = "! " if negate else ""
    if detector.kind is LocalTraffic.CIDR:
        return f"{sign}-s {detector.value} ", ""
    if detector.kind is LocalTraffic.INTERFACE:
        return "", f"{sign}-i {detector.value} "
    return "", ""


def service_chains(
    plan: ServicePlan, names: ChainNames, settings: NodeSettings, comments: bool
) -> ServiceChains:
    """The chains of one service port.

    `comments` false leaves the service's name out of SVC and SEP rules, as kube-proxy does above
    1,000 endpoints.
    """
    port = plan.service_port
    protocol = port.protocol
    chain_of = {
        endpoint.text: endpoint_chain(port.name, protocol, endpoint.text)
        for endpoint in plan.reachable_endpoints()
    }
    policies = []
    if plan.cluster_endpoints and port.uses_cluster_endpoints:
        policies.append(
            _policy_chain(plan, names.cluster, plan.cluster_endpoints, chain_of, settings, comments)
        )
    if plan.local_endpoints and port.uses_local_endpoints:
        policies.append(
            _policy_chain(plan, names.local, plan.local_endpoints, chain_of, settings, comments)
        )
    return ServiceChains(
        endpoints=_endpoint_chains(plan, chain_of, settings, comments),
        policies=tuple(policies),
        external=_external_chain(plan, names, settings) if plan.serves_external else None,
        firewall=_firewall_chain(plan, names, settings) if has_firewall_chain(plan) else None,
    )


def _endpoint_chains(
    plan: ServicePlan, chain_of: dict[str, str], settings: NodeSettings, comments: bool
) -> tuple[Chain, ...]:
    """KUBE-SEP: masquerade an endpoint that reaches itself, remember the client, translate."""
    port = plan.service_port
    comment = f'-m comment --comment "{port.name}" ' if comments else ""
    length = settings.family.host_prefix_length
    protocol = port.protocol
    mask = _AFFINITY_MASK[settings.family]
    chains = []
    for endpoint in plan.reachable_endpoints():
        name = chain_of[endpoint.text]
        affinity = (
            f"-m recent --set --name {name} --mask {mask} --rsource "
            if port.affinity_seconds
            else ""
        )
        chains.append(
            Chain(
                name,
                (
                    f"-A {name} -s {endpoint.ip}/{length} {comment}-j KUBE-MARK-MASQ",
                    f"-A {name} -p {protocol} {comment}{affinity}-m {protocol}"
                    f" -j DNAT --to-destination {endpoint.text}",
                ),
            )
        )
    return tuple(chains)


def _policy_chain(
    plan: ServicePlan,
    name: str,
    endpoints: tuple[Endpoint, ...],
    chain_of: dict[str, str],
    settings: NodeSettings,
    comments: bool,
) -> Chain:
    """KUBE-SVC or KUBE-SVL: where this client was before, else one of them, each with 1/n."""
    port = plan.service_port
    rules = _masquerade_cluster_ip(plan, name, settings)

    def comment(endpoint: Endpoint) -> str:
        return f'-m comment --comment "{port.name} -> {endpoint.text}" ' if comments else ""

    if port.affinity_seconds:
        mask = _AFFINITY_MASK[settings.family]
        for endpoint in endpoints:
            chain = chain_of[endpoint.text]
            rules.append(
                f"-A {name} {comment(endpoint)}-m recent --rcheck --seconds"
                f" {port.affinity_seconds} --reap --name {chain} --mask {mask} --rsource -j {chain}"
            )
    left = len(endpoints)
    for endpoint in endpoints:
        chance = (
            f"-m statistic --mode random --probability {probability(left)} " if left > 1 else ""
        )
        rules.append(f"-A {name} {comment(endpoint)}{chance}-j {chain_of[endpoint.text]}")
        left -= 1
    return Chain(name, tuple(rules))


def _masquerade_cluster_ip(plan: ServicePlan, name: str, settings: NodeSettings) -> list[str]:
    """The first rule of the chain that the cluster IP leads to: mark what is no pod's traffic."""
    port = plan.service_port
    serves_cluster_ip = name.startswith(SERVICE_CLUSTER_PREFIX) is not port.internal_policy_local
    if not serves_cluster_ip or not port.cluster_ip:
        return []
    if settings.masquerade_all:
        source, interface = "", ""
    elif settings.local_detector.kind is LocalTraffic.NOT_DETECTED:
        return []
    else:
        source, interface = local_traffic_match(settings, negate=True)
    length = settings.family.host_prefix_length
    return [
        f"-A {name} {source}-d {port.cluster_ip}/{length} {interface}-p {port.protocol}"
        f' -m comment --comment "{port.name} cluster IP" -m {port.protocol} --dport {port.port}'
        " -j KUBE-MARK-MASQ"
    ]


def _external_chain(plan: ServicePlan, names: ChainNames, settings: NodeSettings) -> Chain:
    """KUBE-EXT: what comes by node port, external or load-balancer IP."""
    port = plan.service_port
    name = names.external
    start = f"-A {name} "
    rules = []
    if not port.external_policy_local:
        rules.append(
            f"{start}-m comment --comment"
            f' "masquerade traffic for {port.name} external destinations" -j KUBE-MARK-MASQ'
        )
    else:
        # Pods and the node itself are inside: for them the Local policy does not count, as if
        # their packet had gone out and come back through a load balancer.
        if settings.local_detector.kind is not LocalTraffic.NOT_DETECTED:
            match = "".join(local_traffic_match(settings, negate=False))
            rules.append(
                f'{start}{match}-m comment --comment "pod traffic for {port.name} external'
                f' destinations" -j {names.cluster}'
            )
        rules.append(
            f'{start}-m comment --comment "masquerade LOCAL traffic for {port.name} external'
            ' destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ'
        )
        rules.append(
            f'{start}-m comment --comment "route LOCAL traffic for {port.name} external'
            f' destinations" -m addrtype --src-type LOCAL -j {names.cluster}'
        )
    if plan.external in (Target.CLUSTER, Target.LOCAL):
        rules.append(f"{start}-j {policy_chain(names, plan.external)}")
    return Chain(name, tuple(rules))


def _firewall_chain(plan: ServicePlan, names: ChainNames, settings: NodeSettings) -> Chain:
    """KUBE-FW: the sources that may reach the load-balancer IP; others fall through, and are
    dropped in filter KUBE-PROXY-FIREWALL."""
    port = plan.service_port
    name = names.firewall
    sources = list(port.source_ranges)
    if settings.node_ip and port.allows_source(settings.node_ip):
        # Where the load-balancer IP is a local address, the node reaches it from that very address.
        length = settings.family.host_prefix_length
        sources += [f"{ip}/{length}" for ip in port.load_balancer_ips]
    rules = [
        f'-A {name} -s {source} -m comment --comment "{port.name} loadbalancer IP"'
        f" -j {names.external}"
        for source in sources
    ]
    rules.append(
        f'-A {name} -m comment --comment "other traffic to {port.name} will be dropped by'
        ' KUBE-PROXY-FIREWALL"'
    )
    return Chain(name, tuple(rules))
