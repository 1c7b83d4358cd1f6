"""Plans to rules: the whole iptables ruleset of one node and family."""

from __future__ import annotations

from collections.abc import Iterable

from nodeport_rules.iptables.dispatch import Dispatch
from nodeport_rules.iptables.parse import jump_target, parse_rules
from nodeport_rules.iptables.service_chains import service_chains
from nodeport_rules.model.family import Family
from nodeport_rules.model.plan import ServicePlan
from nodeport_rules.model.settings import NodeSettings
from nodeport_rules.resources import render_template
from nodeport_rules.ruleset.names import ChainNames, is_per_service
from nodeport_rules.ruleset.ruleset import Chain, Ruleset, Table
from nodeport_rules.ruleset.structure import structure_faults

LARGE_CLUSTER_ENDPOINTS = 1000
"""Above this many endpoints kube-proxy leaves comments out of SVC and SEP rules."""

PROGRAMS = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}


def compile_ruleset(
    plans: Iterable[ServicePlan], settings: NodeSettings, total_endpoints: int
) -> Ruleset:
    """All rules of one node and family.

    `total_endpoints` counts every endpoint once for each service port that has it, ready or not,
    whether or not this node uses it: it decides about the comments, as in kube-proxy.

    Chains stand leaves first, in the order of the service ports; chain names being hashes, that
    is no order of names, which iptables-nft-save 1.8.9 would need minutes for (decision 2).
    """
    comments = total_endpoints <= LARGE_CLUSTER_ENDPOINTS
    dispatch = Dispatch(settings)
    endpoints: list[Chain] = []
    policies: list[Chain] = []
    external: list[Chain] = []
    firewall: list[Chain] = []
    for plan in plans:
        names = ChainNames.of(plan.service_port.name, plan.service_port.protocol)
        chains = service_chains(plan, names, settings, comments)
        endpoints.extend(chains.endpoints)
        policies.extend(chains.policies)
        if chains.external is not None:
            external.append(chains.external)
        if chains.firewall is not None:
            firewall.append(chains.firewall)
        dispatch.add(plan, names)
    dispatch.finish()
    skeleton = _skeleton(settings)
    return Ruleset(
        PROGRAMS[settings.family],
        (
            _filled(skeleton.table("filter"), (), dispatch),
            _filled(skeleton.table("nat"), (*endpoints, *policies, *external, *firewall), dispatch),
        ),
    )


def _skeleton(settings: NodeSettings) -> Ruleset:
    """The rules that depend on no Service, from the template."""
    text = render_template(
        "iptables.rules.j2",
        mark=settings.masquerade_mark,
        conntrack_liberal=settings.conntrack_liberal,
        nfacct=settings.nfacct,
        guard_localhost=settings.family is Family.IPV4 and settings.localhost_node_ports,
    )
    return parse_rules(text, PROGRAMS[settings.family])


def _filled(skeleton: Table, per_service: Iterable[Chain], dispatch: Dispatch) -> Table:
    """The skeleton's table with the Services' chains and dispatch rules in it.

    KUBE-MARK-MASQ, which they all jump to, stands first; the dispatch chains come after them.
    """
    leaves = [chain for chain in skeleton.chains if chain.name == "KUBE-MARK-MASQ"]
    others = [
        Chain(chain.name, (*chain.rules, *dispatch.rules.get((skeleton.name, chain.name), ())))
        for chain in skeleton.chains
        if chain.name != "KUBE-MARK-MASQ"
    ]
    return Table(skeleton.name, (*leaves, *per_service, *others), skeleton.hooks)


def ruleset_faults(ruleset: Ruleset) -> list[str]:
    """What is wrong with the structure of an iptables ruleset of ours; empty when nothing is."""
    return structure_faults(ruleset, jump_target, is_per_service)
