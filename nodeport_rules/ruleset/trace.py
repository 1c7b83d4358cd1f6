"""A packet's way through rules, without a kernel.

Follows a packet through the hooks of one node, chain by chain, and splits where rules leave the
choice to chance. What comes out is every possible end with its share.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nodeport_rules.ruleset.meaning import (
    Accept,
    AnyStep,
    Choose,
    Drop,
    Goto,
    Hook,
    HookPoint,
    Jump,
    Lookup,
    Masquerade,
    MatchChance,
    MatchRemembered,
    Reject,
    Remember,
    Return,
    RulesMeaning,
    SetMark,
    State,
    Translate,
)
from nodeport_rules.ruleset.packet import Ending, Event, EventKind, Host, Outcome, Packet
from nodeport_rules.ruleset.trace_index import ChainIndex, StepKind, hooks_by_point
from nodeport_rules.ruleset.trace_match import PacketState
from nodeport_rules.ruleset.trace_tail import Tails
from nodeport_rules.ruleset.trace_walk import Entry, Frame, Traced, Walk

MAX_DEPTH = 64
"""Jumps deep; the kernel allows 16 (NFT_JUMP_STACK_SIZE), so more is a loop."""


class Tracer:
    """Traces packets through the rules of one host."""

    def __init__(self, rules: RulesMeaning, host: Host) -> None:
        self._tables = rules.tables
        self._host = host
        self._hooks = hooks_by_point(rules.tables)
        self._indexes: dict[tuple[int, str], ChainIndex] = {}
        self._tails = Tails(rules.tables, host)
        self._outcomes: list[Outcome] = []
        self._entered: list[tuple[str, ...]] = []
        self._entries: list[Entry] = []
        self._clients_of: frozenset[str] = frozenset()
        self._watched: frozenset[tuple[str, str]] = frozenset()

    def watch(self, chains: Iterable[tuple[str, str]]) -> None:
        """From now on, `trace_fully` notes where packets enter these chains: (table, chain)."""
        self._watched = frozenset(chains)
        self._tails.found.clear()

    def trace(self, packet: Packet) -> list[Outcome]:
        """Every possible end of the packet, in the order in which the rules come to them."""
        return list(self.trace_fully(packet).outcomes)

    def trace_fully(self, packet: Packet) -> Traced:
        """The same with the watched chains that were entered."""
        if packet.remembered != self._clients_of:
            self._clients_of = packet.remembered
            self._tails.found.clear()
        state = PacketState(
            packet.source,
            packet.destination,
            packet.protocol,
            packet.port,
            packet.interface,
            packet.state,
            packet.mark,
        )
        point = HookPoint.OUTPUT if packet.from_node else HookPoint.PREROUTING
        return self._run(Walk(state, 1.0, point, packet.from_node, self._hooks[point]))

    def resume(self, entry: Entry, source: str) -> Traced:
        """The rest of the way from a watched chain on, for a packet from another source.

        The same as tracing that packet from the beginning, as far as this entry goes, when no rule
        before it tells the two sources apart.
        """
        packet = msgspec.structs.replace(entry.walk.packet, source=source)
        return self._run(msgspec.structs.replace(entry.walk, packet=packet))

    def _run(self, walk: Walk) -> Traced:
        self._outcomes, self._entered, self._entries = [], [], []
        self._finish(walk)
        return Traced(tuple(self._outcomes), tuple(self._entered), tuple(self._entries))

    def _finish(self, walk: Walk) -> None:
        """Takes a walk and all that it splits into to their ends, in the order of the rules."""
        waiting = [walk]
        while waiting:
            waiting.extend(reversed(self._advance(waiting.pop())))

    def _advance(self, walk: Walk) -> list[Walk]:
        """Takes a walk to its end, or to where it splits: then the branches."""
        while True:
            if walk.frames:
                branches = self._run_rule(walk)
                if branches is not None:
                    return branches
            elif walk.hooks:
                self._enter_base_chain(walk)
            elif not self._next_point(walk):
                ended = Ending.TRANSLATED if walk.packet.translated else Ending.PASSED
                self._end(walk, ended)
                return []

    # ---------------------------------------------------------------------------- hook points

    def _next_point(self, walk: Walk) -> bool:
        """Moves on to the next hook point; False when the packet has left the rules behind."""
        point, local = walk.point, self._host.is_local(walk.packet.destination)
        if point in (HookPoint.PREROUTING, HookPoint.OUTPUT):
            walk.destination_settled = True
        elif point is not HookPoint.FORWARD:
            walk.source_settled = True
        if point is HookPoint.PREROUTING:
            walk.point = HookPoint.INPUT if local else HookPoint.FORWARD
        elif point in (HookPoint.FORWARD, HookPoint.OUTPUT):
            walk.point = HookPoint.POSTROUTING
        elif point is HookPoint.POSTROUTING and walk.from_node and local and not walk.looped:
            # What the node sends to itself comes in again by the loopback interface.
            walk.point, walk.looped, walk.packet.interface = HookPoint.PREROUTING, True, "lo"
        else:
            return False
        walk.hooks = self._hooks[walk.point]
        return True

    def _enter_base_chain(self, walk: Walk) -> None:
        (position, name), *rest = walk.hooks
        walk.hooks = tuple(rest)
        table = self._tables[position]
        hook = table.chains[name].hook
        if hook is not None and hook.is_nat and not self._sees_nat(walk):
            return
        walk.table, walk.base_chain = position, name
        walk.frames = (Frame(name, 0),)
        walk.record(Event(EventKind.HOOK, table.name, name, 0, hook.point if hook else ""))

    def _sees_nat(self, walk: Walk) -> bool:
        """Nat chains see new connections alone, and no address is translated twice."""
        if walk.packet.state is not State.NEW:
            return False
        if walk.point in (HookPoint.PREROUTING, HookPoint.OUTPUT):
            return not walk.destination_settled
        return not walk.source_settled

    # ---------------------------------------------------------------------------- rules

    def _run_rule(self, walk: Walk) -> list[Walk] | None:
        """The rule at the top frame; the branches, where the walk splits or ends there."""
        frame = walk.frames[-1]
        index = self._index(walk.table, frame.chain)
        packet = walk.packet
        position = frame.rule
        if not frame.step:
            position = index.next_candidate(position, packet.destination, packet.port)
        if position >= len(index.rules):
            return self._return(walk)
        rule = index.rules[position]
        for number in range(frame.step, len(rule.steps)):
            kind, step, matches = rule.steps[number]
            if kind is StepKind.MATCH:
                if matches(packet):
                    continue
                break
            here = Frame(frame.chain, position, number)
            if kind is StepKind.ACTION:
                branches = self._act(walk, here, step, rule.text)
                if branches is not None or not walk.frames or walk.frames[-1] is not frame:
                    return branches
            elif isinstance(step, MatchChance):
                return self._by_chance(walk, here, step.probability)
            elif not self._passes(walk, here, step, rule.text):
                break
        else:
            if not rule.acts:
                self._matched(walk, Frame(frame.chain, position), rule.text)
        self._go_on(walk, Frame(frame.chain, position))
        return None

    def _passes(self, walk: Walk, at: Frame, step: AnyStep, text: str) -> bool:
        """Whether a match that does not depend on the packet alone lets it on in the rule."""
        if isinstance(step, MatchRemembered):
            return self._is_remembered(walk, step)
        walk.not_understood += (text,)
        self._matched(walk, at, text, EventKind.NOT_UNDERSTOOD)
        return False

    def _is_remembered(self, walk: Walk, step: MatchRemembered) -> bool:
        """Whether the client was here before; it was not, unless the packet says so."""
        if step.name not in self._clients_of:
            return False
        walk.sticky_seconds = step.seconds
        return True

    def _go_on(self, walk: Walk, at: Frame) -> None:
        """With the next rule of the same chain."""
        walk.frames = (*walk.frames[:-1], Frame(at.chain, at.rule + 1))
        walk.chance = 1.0

    def _by_chance(self, walk: Walk, at: Frame, probability: float) -> list[Walk]:
        hit, miss = walk.branch(probability), walk.branch(1 - probability)
        hit.frames = (*walk.frames[:-1], Frame(at.chain, at.rule, at.step + 1))
        self._go_on(miss, at)
        return [hit, miss] if miss.share > 0 else [hit]

    def _act(self, walk: Walk, at: Frame, step: AnyStep, text: str) -> list[Walk] | None:
        """One action. None: the walk goes on, here or (with other frames) in another chain."""
        match step:
            case Translate():
                return self._translate(walk, at, step, text)
            case Choose():
                return self._choose(walk, at, step, text)
            case Lookup():
                key = tuple(walk.packet.value(field) for field in step.fields)
                verdict = self._tables[walk.table].maps.get(step.map_name, {}).get(key)
                if verdict is None:
                    self._go_on(walk, at)
                    return None
                return self._act(walk, at, verdict, text)
            case SetMark():
                before = walk.packet.mark
                walk.packet.mark = (before & step.keep) ^ step.flip
                self._matched(walk, at, text, mark=walk.packet.mark)
            case Masquerade():
                self._matched(walk, at, text)
                walk.masqueraded = True
                walk.frames = ()
            case Remember(name=name):
                walk.remembered = (*walk.remembered, name)
            case _:
                self._matched(walk, at, text)
                return self._verdict(walk, at, step)
        return None

    def _verdict(self, walk: Walk, at: Frame, verdict: AnyStep) -> list[Walk] | None:
        match verdict:
            case Jump(chain=chain):
                back = Frame(at.chain, at.rule + 1)
                walk.frames = (*walk.frames[:-1], back, Frame(chain, 0))
                self._enter(walk, chain)
            case Goto(chain=chain):
                walk.frames = (*walk.frames[:-1], Frame(chain, 0))
                self._enter(walk, chain)
            case Return():
                return self._return(walk)
            case Accept():
                hook = self._base_hook(walk)
                # In a nat chain, accepting says nothing about letting the packet through.
                walk.accepted = walk.accepted or not (hook and hook.is_nat)
                walk.frames = ()
            case Reject():
                return self._end(walk, Ending.REJECTED)
            case Drop():
                return self._end(walk, Ending.DROPPED)
        if len(walk.frames) > MAX_DEPTH:
            walk.not_understood += (f"chain {at.chain}: jumps without end",)
            return self._end(walk, Ending.DROPPED)
        walk.chance = 1.0
        return None

    def _enter(self, walk: Walk, chain: str) -> None:
        """Notes how to go on from here, when the chain is watched."""
        table = self._tables[walk.table].name
        if (table, chain) in self._watched:
            packet = msgspec.structs.replace(walk.packet)
            before, walk.entries = walk.entries, (*walk.entries, chain)
            # Taken before the path grows: resumed walks begin their events here.
            kept = msgspec.structs.replace(walk, packet=packet, chance=1.0)
            self._entries.append(Entry(table, chain, before, kept))

    def _base_hook(self, walk: Walk) -> Hook | None:
        return self._tables[walk.table].chains[walk.base_chain].hook

    def _return(self, walk: Walk) -> list[Walk] | None:
        """Back to the chain that jumped here; from a base chain, its policy."""
        if len(walk.frames) > 1:
            walk.frames = walk.frames[:-1]
            return None
        hook = self._base_hook(walk)
        walk.frames = ()
        if hook is not None and hook.drops_at_end:
            name = self._tables[walk.table].name
            walk.record(Event(EventKind.POLICY, name, walk.base_chain, 0, "policy drop"))
            return self._end(walk, Ending.DROPPED)
        return None

    # ---------------------------------------------------------------------------- choices

    def _translate(self, walk: Walk, at: Frame, step: Translate, text: str) -> list[Walk] | None:
        """DNAT: each destination as likely; the nat chains of this hook point are then done."""
        if not step.destinations:
            self._go_on(walk, at)
            return None
        chance = 1 / len(step.destinations)
        for address, port in step.destinations:
            branch = walk.branch(chance)
            branch.chance = walk.chance * chance
            self._matched(branch, at, text)
            branch.packet.destination = address
            branch.packet.port = port or branch.packet.port
            branch.packet.translated = True
            branch.destination_settled = True
            branch.frames = ()
            if not self._end_as_before(branch):
                self._finish(branch)
        return []

    def _end_as_before(self, walk: Walk) -> bool:
        """Ends a translated walk like an earlier one, where no rule can tell the two apart."""
        key = self._tails.key_of(walk)
        if key is None:
            return False
        if key not in self._tails.found:
            self._tails.found[key] = self._tail_of(walk)
        tail = self._tails.found[key]
        if tail is None:
            return False
        for end in tail:
            self._entered.append(walk.entries)
            self._outcomes.append(
                msgspec.structs.replace(
                    end,
                    share=walk.share * end.share,
                    address=walk.packet.destination,
                    port=walk.packet.port,
                    events=walk.events() + end.events,
                    remembered=walk.remembered + end.remembered,
                    sticky_seconds=walk.sticky_seconds,
                    not_understood=(*walk.not_understood, *end.not_understood),
                )
            )
        return True

    def _tail_of(self, walk: Walk) -> list[Outcome] | None:
        """What follows for a walk like this one; None where it enters watched chains."""
        kept = self._outcomes, self._entered, self._entries
        packet = msgspec.structs.replace(walk.packet)
        alone = Walk(packet, 1.0, walk.point, walk.from_node, walk.hooks)
        alone.destination_settled = True
        alone.looped, alone.masqueraded, alone.accepted = (
            walk.looped,
            walk.masqueraded,
            walk.accepted,
        )
        tail = self._run(alone)
        self._outcomes, self._entered, self._entries = kept
        return None if tail.entries else list(tail.outcomes)

    def _choose(self, walk: Walk, at: Frame, step: Choose, text: str) -> list[Walk]:
        chance = 1 / len(step.verdicts)
        branches: list[Walk] = []
        for verdict in step.verdicts:
            branch = walk.branch(chance)
            self._matched(branch, at, text)
            more = self._verdict(branch, at, verdict)
            branches.extend([branch] if more is None else more)
        return branches

    # ---------------------------------------------------------------------------- records

    def _matched(
        self,
        walk: Walk,
        at: Frame,
        text: str,
        kind: EventKind = EventKind.MATCHED,
        mark: int | None = None,
    ) -> None:
        name = self._tables[walk.table].name
        depth = max(len(walk.frames) - 1, 0)
        walk.record(Event(kind, name, at.chain, depth, text, walk.chance, mark))
        walk.chance = 1.0

    def _end(self, walk: Walk, ending: Ending) -> list[Walk]:
        packet = walk.packet
        self._entered.append(walk.entries)
        self._outcomes.append(
            Outcome(
                ending=ending,
                share=walk.share,
                address=packet.destination,
                port=packet.port,
                masqueraded=walk.masqueraded,
                accepted=walk.accepted,
                mark=packet.mark,
                remembered=walk.remembered,
                sticky_seconds=walk.sticky_seconds,
                events=walk.events(),
                not_understood=tuple(dict.fromkeys(walk.not_understood)),
            )
        )
        return []

    def _index(self, table: int, chain: str) -> ChainIndex:
        index = self._indexes.get((table, chain))
        if index is None:
            index = ChainIndex(self._tables[table].chains[chain], self._tables[table], self._host)
            self._indexes[table, chain] = index
        return index
