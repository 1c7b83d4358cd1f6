"""The ways of all outcomes of a packet as one tree for each hook: rules, and what they led to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from nodeport_rules.report.explain_words import ARROW, actions_in_words, matches_in_words
from nodeport_rules.ruleset.meaning import (
    AnyStep,
    Choose,
    Goto,
    Jump,
    Lookup,
    RulesMeaning,
    Translate,
)
from nodeport_rules.ruleset.packet import Ending, Event, EventKind, Outcome

_SERVICE_COMMENT = re.compile(r'comment "([^"\s]+/[^"]*)"')
_ANY_COMMENT = re.compile(r'comment "([^"]*)"')
_FINAL = (Ending.REJECTED, Ending.DROPPED)


class RuleBook:
    """Finds what a rule means by the place and text that events name."""

    def __init__(self, rules: RulesMeaning) -> None:
        self._chains = {
            (table.name, chain.name): chain
            for table in rules.tables
            for chain in table.chains.values()
        }
        self._read: dict[tuple[str, str], dict[str, tuple[AnyStep, ...]]] = {}

    def steps(self, event: Event) -> tuple[AnyStep, ...]:
        """The steps of the rule that matched; empty for what is no rule."""
        place = event.table, event.chain
        if place not in self._read:
            chain = self._chains.get(place)
            rules = chain.rules if chain else ()
            self._read[place] = {rule.text: rule.steps for rule in rules}
        return self._read[place].get(event.text, ())


class Step(msgspec.Struct):
    """A rule that matched, with all that happened because of it."""

    kind: EventKind
    chain: str
    rule: str
    """As its tool prints it."""
    matches: str
    """In words."""
    does: str
    """In words; what it leads to is the chain of `children`."""
    share: float = 0.0
    """The part of all packets that come through here."""
    chance: float = 1.0
    """The part of the packets that come to this rule for which it matched."""
    mark: int | None = None
    steps: list[Step] = []
    ends: list[tuple[str, int, float]] = []
    """Where it translates to one of several: address, port, share."""
    comment: str = ""
    """What the rule's writer says of it, where that names a Service."""
    leads_nowhere: bool = False
    """It went to a chain in which nothing matched."""


class Section(msgspec.Struct):
    """One base chain that packets came through."""

    point: str
    table: str
    chain: str
    share: float = 0.0
    steps: list[Step] = []

    @property
    def quiet(self) -> bool:
        """Whether nothing happens here but calls of chains in which nothing matches."""
        return all(step.leads_nowhere for step in self.steps)


def sections_of(outcomes: Sequence[Outcome], book: RuleBook) -> list[Section]:
    """The base chains on the ways, in their order, each with the tree of what matched there."""
    found: dict[tuple[str, str, str, int], Section] = {}
    order: list[tuple[str, str, str, int]] = []
    for outcome in outcomes:
        previous = -1
        for key, events in _by_base_chain(outcome.events):
            if key not in found:
                found[key] = Section(key[2], key[0], key[1])
                order.insert(previous + 1, key)
            previous = order.index(key)
            section = found[key]
            section.share += outcome.share
            _add(section, events, outcome, book)
    return [found[key] for key in order]


def _by_base_chain(
    events: Iterable[Event],
) -> Iterator[tuple[tuple[str, str, str, int], list[Event]]]:
    """The events of each base chain with (table, chain, hook, how often it was entered before)."""
    key: tuple[str, str, str, int] | None = None
    inside: list[Event] = []
    times: dict[tuple[str, str, str], int] = {}
    for event in events:
        if event.kind is EventKind.HOOK:
            if key is not None:
                yield key, inside
            place = (event.table, event.chain, event.text)
            times[place] = times.get(place, -1) + 1
            key, inside = (*place, times[place]), []
        elif inside and _is_same_rule(inside[-1], event):
            inside[-1] = _together(inside[-1], event)
        else:
            inside.append(event)
    if key is not None:
        yield key, inside


def _is_same_rule(one: Event, other: Event) -> bool:
    """Whether both are of one rule, which did several things."""
    return (one.kind, one.chain, one.depth, one.text) == (
        other.kind,
        other.chain,
        other.depth,
        other.text,
    )


def _together(one: Event, other: Event) -> Event:
    mark = one.mark if other.mark is None else other.mark
    return msgspec.structs.replace(other, chance=one.chance * other.chance, mark=mark)


def _add(section: Section, events: Sequence[Event], outcome: Outcome, book: RuleBook) -> None:
    """Puts the events of one outcome into the section's tree, where they are not there yet."""
    above: list[tuple[Event, Step]] = []
    passed: set[int] = set()
    for number, event in enumerate(events):
        while above and _is_after(event, above[-1][0]):
            above.pop()
        siblings = above[-1][1].steps if above else section.steps
        following = events[number + 1] if number + 1 < len(events) else None
        chosen = ""
        if following is not None and _is_inside(following, event):
            chosen = f"{ARROW} {following.chain}"
        elif outcome.ending in _FINAL and _is_same_rule(event, outcome.events[-1]):
            chosen = outcome.ending.value
        step = _step([one for one in siblings if id(one) not in passed], event, chosen, book)
        if step is None:
            step = _new_step(event, chosen, book)
            siblings.append(step)
        passed.add(id(step))
        step.share += outcome.share
        if chosen:
            step.leads_nowhere = False
        _add_end(step, event, outcome, book)
        above.append((event, step))


def _is_inside(event: Event, before: Event) -> bool:
    """Whether `event`, the next one, happened in a chain that `before` led to."""
    return event.depth > before.depth or (
        event.depth == before.depth and event.chain != before.chain
    )


def _is_after(event: Event, above: Event) -> bool:
    """Whether `above` is over when `event` happens: the chain that it led to was left."""
    return event.depth < above.depth or (event.depth == above.depth and event.chain == above.chain)


def _step(siblings: Sequence[Step], event: Event, chosen: str, book: RuleBook) -> Step | None:
    """The step for that event among those that are there."""
    does = _does(event, chosen, book)
    for step in siblings:
        if step.rule == event.text and step.chain == event.chain and step.does == does:
            return step
    return None


def _new_step(event: Event, chosen: str, book: RuleBook) -> Step:
    steps = book.steps(event)
    understood = event.kind is EventKind.MATCHED
    goes = any(isinstance(one, Jump | Goto | Lookup | Choose) for one in steps)
    return Step(
        kind=event.kind,
        chain=event.chain,
        rule=event.text,
        matches=_matches(event, steps),
        does=_does(event, chosen, book),
        chance=event.chance,
        mark=event.mark,
        comment=_comment(event.text),
        leads_nowhere=goes and understood,
    )


def _matches(event: Event, steps: Sequence[AnyStep]) -> str:
    if event.kind is not EventKind.MATCHED:
        return event.text
    if steps:
        return matches_in_words(steps)
    # A rule that only counts and comments, as the last one of KUBE-FW chains.
    found = _ANY_COMMENT.search(event.text)
    return f"nothing to do: {found.group(1)}" if found else "nothing to do"


def _comment(rule: str) -> str:
    found = _SERVICE_COMMENT.search(rule)
    return found.group(1) if found else ""


def _does(event: Event, chosen: str, book: RuleBook) -> str:
    if event.kind is not EventKind.MATCHED:
        return ""
    return actions_in_words(book.steps(event), chosen, event.mark)


def _add_end(step: Step, event: Event, outcome: Outcome, book: RuleBook) -> None:
    many = any(
        isinstance(one, Translate) and len(one.destinations) > 1 for one in book.steps(event)
    )
    if not many:
        return
    for number, (address, port, share) in enumerate(step.ends):
        if (address, port) == (outcome.address, outcome.port):
            step.ends[number] = (address, port, share + outcome.share)
            return
    step.ends.append((outcome.address, outcome.port, outcome.share))
