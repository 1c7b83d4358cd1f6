"""Plans to rules: the whole nftables table of one node and family."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from nodeport_rules.model.plan import ServicePlan
from nodeport_rules.model.settings import LocalTraffic, NodeSettings
from nodeport_rules.nftables.dispatch import Dispatch
from nodeport_rules.nftables.names import TABLE, places
from nodeport_rules.nftables.parse import PROGRAM, parse_listing
from nodeport_rules.nftables.service_chains import (
    ServiceObjects,
    family_word,
    mark_text,
    pod_traffic,
    policy_chains,
    service_objects,
)
from nodeport_rules.resources import render_template
from nodeport_rules.ruleset.names import ChainNames
from nodeport_rules.ruleset.ruleset import Chain, Map, Ruleset, Table


def compile_ruleset(
    plans: Iterable[ServicePlan],
    settings: NodeSettings,
    *,
    service_cidrs: Sequence[str] = (),
    other_cluster_ips: Sequence[str] = (),
) -> Ruleset:
    """Our table for one node and family.

    What goes to an address of `service_cidrs` that no Service has is dropped, but for
    `other_cluster_ips`, which another proxy takes care of.
    """
    dispatch = Dispatch(settings)
    named = [
        (plan, ChainNames.of(plan.service_port.name, plan.service_port.protocol)) for plan in plans
    ]
    place_of = places(chain for plan, names in named for chain, _ in policy_chains(plan, names))
    objects: list[ServiceObjects] = []
    for plan, names in named:
        objects.append(service_objects(plan, names, place_of, settings))
        dispatch.add(plan, names)
    dispatch.elements["other-cluster-ips"].update(dict.fromkeys(other_cluster_ips, ""))
    skeleton = _skeleton(settings, service_cidrs)
    maps = [
        Map(one.name, one.declaration, dispatch.elements.get(one.name, {}), one.is_set)
        for one in skeleton.maps
    ]
    return Ruleset(
        PROGRAM,
        (
            Table(
                TABLE,
                (*_service_chains(objects), *skeleton.chains),
                family=family_word(settings),
                maps=(*maps, *_slot_maps(objects, settings), *_client_sets(objects)),
            ),
        ),
    )


def _skeleton(settings: NodeSettings, service_cidrs: Sequence[str]) -> Table:
    """The table without any Service, from the template."""
    not_local: str | None = None
    if settings.masquerade_all:
        not_local = ""
    elif settings.local_detector.kind is not LocalTraffic.NOT_DETECTED:
        not_local = pod_traffic(settings, negate=True)
    text = render_template(
        "nftables.nft.j2",
        family=family_word(settings),
        mark=mark_text(settings),
        not_local=not_local,
        all_addresses=settings.node_port_addresses is None,
        service_cidrs=service_cidrs,
    )
    return parse_listing(text).tables[0]


def _service_chains(objects: Sequence[ServiceObjects]) -> list[Chain]:
    """All chains of Services, leaves first."""
    chains = [chain for one in objects for chain in one.endpoint_chains]
    chains += [chain for one in objects for chain in one.policies]
    chains += [one.external for one in objects if one.external is not None]
    chains += [one.firewall for one in objects if one.firewall is not None]
    return chains


def _slot_maps(objects: Sequence[ServiceObjects], settings: NodeSettings) -> list[Map]:
    """The maps `endpoints-…` and `choices-…` that are used, by name."""
    slots: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for one in objects:
        for name, key, value in one.slots:
            slots[name][key] = value
    return [
        Map(name, slot_map_declaration(name, family_word(settings)), slots[name])
        for name in sorted(slots)
    ]


def slot_map_declaration(name: str, family: str) -> tuple[str, ...]:
    """The properties of a map of slots, as nft prints them."""
    if name.startswith("choices-"):
        return ("typeof numgen random mod 65536 : verdict",)
    protocol = name.split("-")[1]
    return (f"typeof numgen random mod 65536 : {family} daddr . {protocol} dport", "counter")


def _client_sets(objects: Sequence[ServiceObjects]) -> list[Map]:
    return [client_set for one in objects for client_set in one.client_sets]
