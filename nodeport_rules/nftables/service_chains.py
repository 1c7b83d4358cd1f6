"""The chains of one service port: KUBE-SVC, KUBE-SVL, KUBE-SEP, KUBE-EXT and KUBE-FW.

A KUBE-SVC (or KUBE-SVL) chain chooses one of its n slots by chance. Slot s stands in one of a fixed
number of maps under the key number << 16 | s (see `names`): for most Services its value is the
endpoint's address, and the chain translates at once; with session affinity it is the endpoint's own
KUBE-SEP chain, which also remembers the client. Either way the element of the endpoint in its
`endpoints-…` map counts the connections that it got.
"""

from __future__ import annotations

import msgspec

from nodeport_rules.model.endpoints import Endpoint
from nodeport_rules.model.family import Family
from nodeport_rules.model.plan import ServicePlan, Target
from nodeport_rules.model.settings import LocalTraffic, NodeSettings
from nodeport_rules.nftables.names import Place, affinity_set, comment, duration
from nodeport_rules.ruleset.names import ChainNames, endpoint_chain
from nodeport_rules.ruleset.ruleset import Chain, Map

AFFINITY_CLIENTS = 65535
"""Clients that one endpoint remembers at most, as in kube-proxy."""


def family_word(settings: NodeSettings) -> str:
    """The family as nft spells it: `ip` or `ip6`."""
    return "ip" if settings.family is Family.IPV4 else "ip6"


def address_type(settings: NodeSettings) -> str:
    """The type of an address: `ipv4_addr` or `ipv6_addr`."""
    return "ipv4_addr" if settings.family is Family.IPV4 else "ipv6_addr"


def mark_text(settings: NodeSettings) -> str:
    """The masquerade mark as nft prints it: `0x00004000`."""
    return f"0x{1 << settings.masquerade_bit:08x}"


def set_mark(settings: NodeSettings) -> str:
    """The statement that marks a packet to be masqueraded."""
    return f"meta mark set meta mark | {mark_text(settings)}"


def pod_traffic(settings: NodeSettings, negate: bool) -> str:
    """What matches a pod's traffic (or, negated, all other), with a blank after it; or nothing."""
    detector = settings.local_detector
    sign = "!= " if negate else ""
    if detector.kind is LocalTraffic.CIDR:
        return f"{family_word(settings)} saddr {sign}{detector.value} "
    if detector.kind is LocalTraffic.INTERFACE:
        name = detector.value.replace("+", "*") if detector.value.endswith("+") else detector.value
        return f'iifname {sign}"{name}" '
    return ""


class ServiceObjects(msgspec.Struct, frozen=True):
    """All that one service port has in the table besides its dispatch elements."""

    endpoint_chains: tuple[Chain, ...]
    policies: tuple[Chain, ...]
    external: Chain | None
    firewall: Chain | None
    client_sets: tuple[Map, ...]
    slots: tuple[tuple[str, str, str], ...]
    """(map, key, value) of every element of `endpoints-…` and `choices-…` maps."""


def policy_chain(names: ChainNames, target: Target) -> str:
    """The chain that chooses among the endpoints of `target`."""
    return names.local if target is Target.LOCAL else names.cluster


def policy_chains(plan: ServicePlan, names: ChainNames) -> list[tuple[str, tuple[Endpoint, ...]]]:
    """The KUBE-SVC and KUBE-SVL chains that the plan needs, each with its endpoints."""
    port = plan.service_port
    found = []
    if plan.cluster_endpoints and port.uses_cluster_endpoints:
        found.append((names.cluster, plan.cluster_endpoints))
    if plan.local_endpoints and port.uses_local_endpoints:
        found.append((names.local, plan.local_endpoints))
    return found


def service_objects(
    plan: ServicePlan, names: ChainNames, places: dict[str, Place], settings: NodeSettings
) -> ServiceObjects:
    """The chains, sets and slots of one service port."""
    port = plan.service_port
    needed = policy_chains(plan, names)
    slots: list[tuple[str, str, str]] = []
    policies: list[Chain] = []
    endpoint_chains: dict[str, Chain] = {}
    for name, endpoints in needed:
        place = places[name]
        for slot, endpoint in enumerate(endpoints):
            value = f"{endpoint.ip} . {endpoint.port}"
            slots.append((place.endpoints_map(port.protocol), str(place.offset + slot), value))
        if not port.affinity_seconds:
            policies.append(_choosing_chain(plan, name, place, len(endpoints), settings))
            continue
        chains = [endpoint_chain(port.name, port.protocol, e.text) for e in endpoints]
        for slot, (endpoint, chain) in enumerate(zip(endpoints, chains, strict=True)):
            key = str(place.offset + slot)
            slots.append((place.choices_map, key, f"goto {chain}"))
            if chain not in endpoint_chains:
                endpoint_chains[chain] = _endpoint_chain(
                    plan, chain, endpoint, place, slot, settings
                )
        policies.append(_sticky_chain(plan, name, place, chains, settings))
    return ServiceObjects(
        endpoint_chains=tuple(endpoint_chains.values()),
        policies=tuple(policies),
        external=_external_chain(plan, names, settings),
        firewall=_firewall_chain(plan, names, settings),
        client_sets=tuple(_client_set(plan, chain, settings) for chain in endpoint_chains),
        slots=tuple(slots),
    )


def _translation(plan: ServicePlan, place: Place, slots: int, first: int, word: str) -> str:
    """The statement that sends the packet to one of `slots` slots, from number `first` on."""
    protocol = plan.service_port.protocol
    return (
        f"meta l4proto {protocol} dnat {word} addr . port to numgen random"
        f" mod {slots} offset {place.offset + first} map @{place.endpoints_map(protocol)}"
    )


def _choosing_chain(
    plan: ServicePlan, name: str, place: Place, slots: int, settings: NodeSettings
) -> Chain:
    """KUBE-SVC or KUBE-SVL without session affinity: one rule, whatever the number of endpoints."""
    rule = _translation(plan, place, slots, 0, family_word(settings))
    return Chain(name, (rule,), comment=comment(plan.service_port.name))


def _sticky_chain(
    plan: ServicePlan, name: str, place: Place, chains: list[str], settings: NodeSettings
) -> Chain:
    """KUBE-SVC or KUBE-SVL with session affinity: where this client was before, else by chance."""
    word = family_word(settings)
    rules = [f"{word} saddr @{affinity_set(chain)} goto {chain}" for chain in chains]
    rules.append(f"numgen random mod {len(chains)} offset {place.offset} vmap @{place.choices_map}")
    return Chain(name, tuple(rules), comment=comment(plan.service_port.name))


def _endpoint_chain(
    plan: ServicePlan,
    name: str,
    endpoint: Endpoint,
    place: Place,
    slot: int,
    settings: NodeSettings,
) -> Chain:
    """KUBE-SEP: remembers the client, then translates through the endpoint's own slot."""
    word = family_word(settings)
    return Chain(
        name,
        (
            f"update @{affinity_set(name)} {{ {word} saddr }}",
            _translation(plan, place, 1, slot, word),
        ),
        comment=comment(f"{plan.service_port.name} -> {endpoint.text}"),
    )


def _client_set(plan: ServicePlan, chain: str, settings: NodeSettings) -> Map:
    """The clients that an endpoint remembers; only the kernel writes into it."""
    return Map(
        affinity_set(chain),
        (
            f"type {address_type(settings)}",
            f"size {AFFINITY_CLIENTS}",
            "flags dynamic,timeout",
            f"timeout {duration(plan.service_port.affinity_seconds)}",
        ),
        is_set=True,
        dynamic=True,
    )


def _external_chain(plan: ServicePlan, names: ChainNames, settings: NodeSettings) -> Chain | None:
    """KUBE-EXT: what comes by node port, external or load-balancer IP; None where nothing can."""
    port = plan.service_port
    if not plan.serves_external or not (
        port.node_port or port.external_ips or port.load_balancer_ips
    ):
        return None
    rules = []
    if not port.external_policy_local:
        rules.append(set_mark(settings))
    else:
        # Pods and the node itself are inside: for them the Local policy does not count.
        pods = pod_traffic(settings, negate=False)
        if pods:
            rules.append(f"{pods}goto {names.cluster}")
        rules.append(f"fib saddr type local {set_mark(settings)}")
        rules.append(f"fib saddr type local goto {names.cluster}")
    if plan.external in (Target.CLUSTER, Target.LOCAL):
        rules.append(f"goto {policy_chain(names, plan.external)}")
    return Chain(names.external, tuple(rules), comment=comment(port.name))


def _firewall_chain(plan: ServicePlan, names: ChainNames, settings: NodeSettings) -> Chain | None:
    """KUBE-FW: drops what comes from a source that the load balancer does not allow.

    Unlike in iptables mode it is there without endpoints too, as in kube-proxy's nftables mode.
    One rule a range: a set of its own for each Service would cost the kernel a scan over all sets.
    """
    port = plan.service_port
    if not port.load_balancer_ips or not port.source_ranges:
        return None
    word = family_word(settings)
    allowed = list(port.source_ranges)
    if settings.node_ip and port.allows_source(settings.node_ip):
        # Where the load-balancer IP is a local address, the node reaches it from that address.
        allowed.extend(port.load_balancer_ips)
    rules = [f"{word} saddr {_source(source)} return" for source in dict.fromkeys(allowed)]
    return Chain(names.firewall, (*rules, "drop"), comment=comment(port.name))


def _source(cidr: str) -> str:
    """A source as nft prints it: a single address without its prefix length."""
    return cidr.removesuffix("/32" if "." in cidr else "/128")
