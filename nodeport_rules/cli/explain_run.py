"""One run of `explain`: objects, rules and node read, and packets followed through the rules."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from nodeport_rules.cli import explain_packets as packets
from nodeport_rules.cli import rules_input
from nodeport_rules.cli.compilation import Compilation
from nodeport_rules.cli.destination import Destination
from nodeport_rules.cli.explain_packets import Origin, Place, Target
from nodeport_rules.cli.flags import CompileFlags
from nodeport_rules.cli.output import plural, say, say_faults
from nodeport_rules.cli.resolve import (
    load_compilation,
    parse_address,
    parse_node_name,
    resolve_assuming,
    resolve_options,
)
from nodeport_rules.errors import InputError, UsageError, quote
from nodeport_rules.model.family import BOTH_FAMILIES, Family, family_of, of_family
from nodeport_rules.model.near_misses import near_misses
from nodeport_rules.model.node import FamilyState, node_settings, pod_cidrs
from nodeport_rules.model.options import Backend, ProxyOptions
from nodeport_rules.model.reasons import asked_for, why
from nodeport_rules.model.settings import LocalDetector, LocalTraffic, NodeSettings
from nodeport_rules.report.explanation import Explanation, explanation
from nodeport_rules.ruleset.meaning import MatchInterface, RulesMeaning
from nodeport_rules.ruleset.packet import Ending, Host, is_loopback
from nodeport_rules.ruleset.trace import Tracer

LISTED_ASSUMPTIONS = 10


class Explainer:
    """One run: what it reads and what it finds out."""

    def __init__(
        self,
        given: CompileFlags,
        dumps: Sequence[str],
        live: bool,
        table: str,
        node: str,
        backend: str,
    ) -> None:
        self._given, self._dumps, self._live, self._table = given, dumps, live, table
        self._node_flag, self._backend_flag = node, backend
        self._backend, self._options = Backend.IPTABLES, ProxyOptions()
        self._compilation: Compilation | None = None
        self._states: dict[Family, FamilyState] = {}
        self._node = ""
        self.faulty = False
        self.assumptions: list[str] = []

    def read(self, destination: Destination) -> None:
        """Reads the objects, says what was assumed and what is wrong with them."""
        if self._node_flag:
            self._node = parse_node_name(self._node_flag)
        if not self._given.filename:
            if destination.service is not None:
                raise UsageError(
                    f"{quote(destination.text)} is a Service's name: give its objects with -f, or"
                    " its address"
                )
            self._backend, self._options = resolve_options(self._given, self._backend_flag)
            return
        names = [self._node_flag] if self._node_flag else []
        compilation = load_compilation(self._given, self._backend_flag, names)
        families = (family_of(destination.address),) if destination.address else BOTH_FAMILIES
        self._compilation = compilation
        self._backend, self._options = compilation.backend, compilation.options
        self.faulty = _report(compilation, families, self._given)
        self.assumptions = [str(one) for one in compilation.loaded.assumptions]
        self._states = {family: compilation.state(family) for family in families}
        if not self._node:
            _refuse_several(compilation)
            self._node = compilation.choose_node()
        compilation.warn_of_unknown([self._node])

    def explain(self, destination: Destination, source: str, interface: str) -> list[Explanation]:
        """Every target that the destination stands for."""
        family = packets.family_of_destination(destination, self._states)
        place = self._place(family, assume=not destination.address or source == "node")
        targets = packets.targets_of(destination, place, self._states.get(family))
        if not source:
            say(
                "note",
                f"from outside: source {packets.OUTSIDE[family]}, a documentation address; choose"
                " another one with --from",
            )
        rules = self._rules(family)
        if not interface and source != "node":
            _note_interfaces(rules)
        tracer = Tracer(rules, Host(frozenset(place.addresses)))
        return [
            self._explained(target, place, source, interface, rules, tracer) for target in targets
        ]

    # ---------------------------------------------------------------------------- the node

    @property
    def _compiles(self) -> bool:
        """Whether the rules come from the objects."""
        return not (self._dumps or self._live)

    def _settings(self, family: Family) -> NodeSettings:
        if self._compilation is not None:
            return self._compilation.settings(self._node, family)
        return node_settings(
            self._options, family, self._node, None, tuple(self._given.node_address or ())
        )

    def _settings_behind_rules(self, place: Place, origin: Origin) -> NodeSettings:
        """The node's settings; for rules of others, which know how to tell pods by, one where pods
        are told by what this packet was taken from."""
        settings = place.settings
        detected = settings.local_detector.kind is not LocalTraffic.NOT_DETECTED
        if detected or origin is not Origin.POD or self._compiles:
            return settings
        return replace(settings, local_detector=LocalDetector(LocalTraffic.CIDR, place.pod_cidr))

    def _place(self, family: Family, *, assume: bool) -> Place:
        """The node; `assume`: it needs an address of its own, if need be an assumed one."""
        settings = self._settings(family)
        flagged = [parse_address(address) for address in self._given.node_address or ()]
        found = self._compilation.nodes.get(self._node) if self._compilation else None
        addresses = rules_input.node_addresses(found, flagged, family)
        if self._live and not flagged:
            addresses = rules_input.live_addresses(family)
        elif not addresses and assume and self._compiles:
            address = packets.ASSUMED_NODE_ADDRESS[family]
            say("assumed", f"node {self._node}: address {address} (--node-address gives another)")
            addresses = (address,)
        if not self._compiles:
            rules_input.warn_if_nothing_local(addresses)
        if settings.node_ip in addresses and not is_loopback(settings.node_ip):
            addresses = tuple(dict.fromkeys((settings.node_ip, *addresses)))
        return packets.Place(family, addresses, settings, self._pod_cidr(family, settings))

    def _pod_cidr(self, family: Family, settings: NodeSettings) -> str:
        found = self._compilation.nodes.get(self._node) if self._compilation else None
        detector = settings.local_detector
        candidates = [
            *pod_cidrs(found),
            *([detector.value] if detector.kind is LocalTraffic.CIDR else []),
            *self._options.cluster_cidrs.values(),
            *resolve_assuming(self._given, ()).pod_cidrs,
        ]
        return next(iter(of_family(candidates, family)), "")

    # ---------------------------------------------------------------------------- the rules

    def _rules(self, family: Family) -> RulesMeaning:
        if self._dumps:
            found = rules_input.meaning_from_dumps(self._dumps)
            if family not in found:
                raise UsageError(
                    f"--rules: there are no {family.api_name} rules, which the destination needs"
                )
            return found[family]
        if self._live:
            return rules_input.meaning_live(family, self._backend, self._table)
        if self._compilation is None:
            raise UsageError("no rules: give objects with -f, a dump with --rules, or --live")
        self._compilation.warn_of_settings(self._node, [family])
        return rules_input.meaning_from_compilation(self._compilation, self._node, family)

    def _rules_from(self) -> str:
        if self._dumps:
            return f"rules of {', '.join(self._dumps)}"
        if self._live:
            return f"{self._backend} rules of this host"
        return f"{self._backend} rules compiled for {self._node}"

    # ---------------------------------------------------------------------------- one packet

    def _explained(
        self,
        target: Target,
        place: Place,
        source: str,
        interface: str,
        rules: RulesMeaning,
        tracer: Tracer,
    ) -> Explanation:
        state = self._states.get(place.family)
        endpoints = state.endpoints if state else {}
        everybody = (one for having in endpoints.values() for one in having)
        packet, origin = packets.packet_to(target, place, source, interface, everybody)
        outcomes = tracer.trace(packet)
        arrives = all(one.ending is Ending.TRANSLATED for one in outcomes)
        reasons, misses = None, None
        if state is not None:
            local = place.is_local(target.address)
            where = target.address, target.protocol, target.port
            asked = asked_for(state.ports, *where, is_local=local)
            if asked is None:
                misses = near_misses(state.ports, endpoints, *where, is_local=local)
                if self._compiles:
                    rules_input.warn_if_nothing_local(place.addresses)
            else:
                having = endpoints.get(asked.port.key, ())
                settings = self._settings_behind_rules(place, origin)
                arrival = packets.arrival_of(packet)
                reasons = why(asked, having, settings, arrival, arrives=arrives)
        return explanation(
            packet,
            outcomes,
            rules,
            origin=origin.value,
            node=self._node,
            rules_from=self._rules_from(),
            why=reasons,
            misses=misses,
        )


def _refuse_several(compilation: Compilation) -> None:
    if len(compilation.nodes) > 1 and not compilation.options.hostname_override:
        names = sorted(compilation.nodes)
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise UsageError(
            f"there are {len(names)} Nodes ({shown}): name the one that the packet comes to with"
            " --node"
        )


def _report(compilation: Compilation, families: Sequence[Family], given: CompileFlags) -> bool:
    """Says what was assumed and what is wrong; whether anything was. Raises InputError for faults,
    unless the rest is to be explained."""
    loaded = compilation.loaded
    for note in loaded.notes:
        say("note", note)
    faults = compilation.faults(families)
    if faults and not given.keep_going:
        raise InputError(faults)
    if len(loaded.assumptions) > LISTED_ASSUMPTIONS and not given.verbose:
        say("assumed", f"{plural(len(loaded.assumptions), 'value')}; -v lists them")
    else:
        for assumption in loaded.assumptions:
            note = f" ({assumption.note})" if assumption.note else ""
            say("assumed", f"{assumption.subject}: {assumption.what}{note}")
    if faults:
        count = say_faults(faults)
        say("warning", f"{plural(count, 'fault')}; what they concern is left out")
    return bool(faults)


def _note_interfaces(rules: RulesMeaning) -> None:
    """Says that rules ask for the interface, which nobody has named."""
    names = {
        f"{step.name}{'*' if step.prefix else ''}"
        for table in rules.tables
        for chain in table.chains.values()
        for rule in chain.rules
        for step in rule.steps
        if isinstance(step, MatchInterface)
    }
    if names:
        shown = ", ".join(sorted(names)[:5])
        say("note", f"rules ask for the interface ({shown}); name the packet's with -i")
