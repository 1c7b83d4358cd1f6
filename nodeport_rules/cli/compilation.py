"""From sources to the rules of nodes: what every command that compiles objects shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from nodeport_rules.cli.output import say
from nodeport_rules.errors import Fault, InputError, UsageError, quote
from nodeport_rules.iptables.compile import compile_ruleset as iptables_ruleset
from nodeport_rules.iptables.transaction import Variant, restore_text
from nodeport_rules.kube.assume import AssumeSettings
from nodeport_rules.kube.load import Loaded, load
from nodeport_rules.kube.objects import KubeObject
from nodeport_rules.model.claims import Conflict
from nodeport_rules.model.family import BOTH_FAMILIES, Family
from nodeport_rules.model.node import FamilyState, family_state, node_settings, plan_node
from nodeport_rules.model.options import Backend, DetectLocalMode, ProxyOptions
from nodeport_rules.model.plan import ServicePlan
from nodeport_rules.model.settings import LocalTraffic, NodeSettings
from nodeport_rules.nftables.compile import compile_ruleset as nftables_ruleset
from nodeport_rules.nftables.parse import PROGRAM as NFT
from nodeport_rules.nftables.transaction import script as nft_script
from nodeport_rules.ruleset.ruleset import Ruleset

ASSUMED_NODE = "node-1"
_NAMED_NODES = 5


class NodeRules(msgspec.Struct, frozen=True):
    """The compiled rules of one node for one family."""

    node: str
    family: Family
    ruleset: Ruleset


Track = Callable[[str, Sequence[ServicePlan]], Iterable[ServicePlan]]
"""Passes plans on, and may show how far they have come."""


def _untracked(_label: str, plans: Sequence[ServicePlan]) -> Iterable[ServicePlan]:
    return plans


class Compilation:
    """Loaded objects and options, from which the rules of any node and family follow."""

    def __init__(
        self,
        loaded: Loaded,
        options: ProxyOptions,
        node_addresses: Sequence[str] = (),
        backend: Backend = Backend.IPTABLES,
    ) -> None:
        self.loaded = loaded
        self.options = options
        self.backend = backend
        self.nodes = {node.name: node for node in loaded.snapshot.nodes}
        self._node_addresses = tuple(node_addresses)
        self._states: dict[Family, FamilyState] = {}

    def state(self, family: Family) -> FamilyState:
        """Service ports and endpoints of the family, computed once for all nodes."""
        if family not in self._states:
            self._states[family] = family_state(self.loaded.snapshot, family, self.options)
        return self._states[family]

    def settings(self, node: str, family: Family) -> NodeSettings:
        """What the rules of one node and family depend on besides the Services."""
        found = self.nodes.get(node)
        return node_settings(self.options, family, node, found, self._node_addresses)

    def plans(self, node: str, family: Family) -> list[ServicePlan]:
        """Where each service port's traffic goes on that node."""
        return plan_node(self.state(family), self.settings(node, family))

    def rules(self, node: str, family: Family, track: Track = _untracked) -> NodeRules:
        """The rules of one node and family."""
        settings, state = self.settings(node, family), self.state(family)
        plans = plan_node(state, settings)
        tracked = track(f"Compiling for {node}, {family.api_name}", plans)
        if self.backend is Backend.NFTABLES:
            ruleset = nftables_ruleset(
                tracked,
                settings,
                service_cidrs=state.service_cidrs,
                other_cluster_ips=state.other_cluster_ips,
            )
        else:
            ruleset = iptables_ruleset(tracked, settings, state.total_endpoints)
        return NodeRules(node, family, ruleset)

    def faults(self, families: Iterable[Family]) -> list[Fault]:
        """All that is wrong with the input, addresses that two Services claim included."""
        conflicts = {c for family in families for c in self.state(family).conflicts}
        found = {*self.loaded.faults, *(self._conflict_fault(c) for c in conflicts)}
        return sorted(found)

    def _conflict_fault(self, conflict: Conflict) -> Fault:
        loser, winner = conflict.loser.key, conflict.winner.key
        same_age = conflict.loser.created == conflict.winner.created
        reason = "whose name sorts first" if same_age else "which is older"
        return Fault(
            self.loaded.snapshot.origin("Service", loser.namespace, loser.service),
            f"Service {loser.namespace}/{loser.service}",
            conflict.field,
            f"{conflict.address} belongs to Service {winner.namespace}/{winner.service}, {reason};"
            f" {conflict.loser.name} goes without it",
        )

    def choose_node(self) -> str:
        """The node when none was named: `hostnameOverride`, the only Node, else an assumed one.

        Raises UsageError where several Nodes are there to choose from.
        """
        if self.options.hostname_override:
            return self.options.hostname_override
        if len(self.nodes) > 1:
            raise UsageError(
                f"{self._known_nodes()}: name one with --node, or take --all-nodes -o FOLDER"
            )
        if self.nodes:
            return next(iter(self.nodes))
        say("assumed", f"node {ASSUMED_NODE}: there is no Node among the objects and no --node")
        return ASSUMED_NODE

    def warn_of_settings(self, node: str, families: Iterable[Family]) -> None:
        """Says where the settings ask for something that is not known of the node."""
        for family in families:
            settings = self.settings(node, family)
            undetected = settings.local_detector.kind is LocalTraffic.NOT_DETECTED
            if undetected and self.options.detect_local_mode is DetectLocalMode.NODE_CIDR:
                say(
                    "warning",
                    f"node {node}: detectLocalMode is NodeCIDR, but there is no {family.api_name}"
                    " podCIDR: no rule tells its pods' traffic apart (kube-proxy would wait)",
                )
            if self.options.node_port_primary and settings.node_port_addresses is None:
                say(
                    "warning",
                    f"node {node}: node ports are for its primary address, and no"
                    f" {family.api_name} one is known: they answer on all of its {family.api_name}"
                    " addresses; give --node-address",
                )

    def warn_of_unknown(self, nodes: Iterable[str]) -> None:
        """Says of which nodes there is no Node object, where others have one."""
        for name in nodes:
            if self.nodes and name not in self.nodes:
                say(
                    "warning",
                    f"node {name}: no such Node among the objects ({self._known_nodes()});"
                    " its zone, addresses and podCIDRs are not known",
                )

    def _known_nodes(self) -> str:
        names = sorted(self.nodes)
        shown = ", ".join(names[:_NAMED_NODES]) + (", …" if len(names) > _NAMED_NODES else "")
        return f"there are {len(names)} Nodes ({shown})" if len(names) > 1 else f"there is {shown}"


def compile_sources(
    sources: Sequence[str],
    options: ProxyOptions,
    assuming: AssumeSettings,
    *,
    backend: Backend = Backend.IPTABLES,
    node_addresses: Sequence[str] = (),
    extra_objects: Iterable[KubeObject] = (),
) -> Compilation:
    """Reads and completes the objects; what is wrong with them is in `faults` of the result."""
    loaded = load(sources, assume=assuming, extra_objects=extra_objects)
    return Compilation(loaded, options, node_addresses, backend)


def require_sound(compilation: Compilation, families: Iterable[Family] = BOTH_FAMILIES) -> None:
    """Raises InputError with every fault when there is one."""
    faults = compilation.faults(families)
    if faults:
        raise InputError(faults)


def rules_text(rules: NodeRules, variant: Variant = Variant.NFT) -> str:
    """The text for iptables-restore (ip6tables-restore) or nft, whichever the rules are for."""
    return "".join(rules_pieces(rules, variant))


def rules_pieces(rules: NodeRules, variant: Variant = Variant.NFT) -> Iterator[str]:
    """The same in pieces."""
    if rules.ruleset.program == NFT:
        return nft_script(rules.ruleset)
    return restore_text(rules.ruleset, variant)


def parse_families(text: str | None, *, default_dual: bool) -> tuple[Family, ...]:
    """The families that `--family` names."""
    if text is None:
        return BOTH_FAMILIES if default_dual else (Family.IPV4,)
    if text == "dual":
        return BOTH_FAMILIES
    try:
        return (Family(text),)
    except ValueError:
        raise UsageError(f"--family {quote(text)}: it is ipv4, ipv6 or dual") from None


def parse_variant(text: str) -> Variant:
    """The iptables that `--iptables-variant` names."""
    try:
        return Variant(text)
    except ValueError:
        raise UsageError(f"--iptables-variant {quote(text)}: it is nft or legacy") from None
