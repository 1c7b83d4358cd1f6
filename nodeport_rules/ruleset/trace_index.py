"""Which rules of a long chain a packet could match at all.

KUBE-SERVICES of iptables mode has a rule for each address of each Service; walking all of them for
each packet would make thousands of traces slow.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import defaultdict
from enum import Enum

import msgspec

from nodeport_rules.ruleset.canonical import single_address
from nodeport_rules.ruleset.meaning import (
    ActUnknown,
    AnyStep,
    ChainMeaning,
    Field,
    HookPoint,
    MatchAddress,
    MatchChance,
    MatchPort,
    MatchRemembered,
    MatchUnknown,
    RuleMeaning,
    TableMeaning,
)
from nodeport_rules.ruleset.packet import Host
from nodeport_rules.ruleset.trace_match import Matcher, PacketState, matcher_of

_SHORT = 16


class StepKind(Enum):
    """What the tracer does with a step."""

    MATCH = "match"
    CHANCE = "chance"
    MEMORY = "memory"
    UNKNOWN = "unknown"
    ACTION = "action"


class ReadyRule(msgspec.Struct, frozen=True):
    """A rule made ready to be applied to many packets."""

    text: str
    steps: tuple[tuple[StepKind, AnyStep, Matcher], ...]
    """Each step with its kind, and for a match the function that decides it."""
    acts: bool
    """Whether any step is an action."""


def _ready(rule: RuleMeaning, table: TableMeaning, host: Host) -> ReadyRule:
    steps = tuple(
        (kind, step, matcher_of(step, table, host) if kind is StepKind.MATCH else _never)
        for step in rule.steps
        for kind in (_kind(step),)
    )
    return ReadyRule(rule.text, steps, any(kind is StepKind.ACTION for kind, _, _ in steps))


def _never(_packet: PacketState) -> bool:
    return False


def _kind(step: AnyStep) -> StepKind:
    if isinstance(step, MatchChance):
        return StepKind.CHANCE
    if isinstance(step, MatchRemembered):
        return StepKind.MEMORY
    if isinstance(step, MatchUnknown | ActUnknown):
        return StepKind.UNKNOWN
    return StepKind.MATCH if type(step).__name__.startswith("Match") else StepKind.ACTION


class ChainIndex:
    """The rules of one chain, found by the packet's destination address and port.

    The candidates are all rules that could match, and only few that could not; in their order.
    """

    def __init__(self, chain: ChainMeaning, table: TableMeaning, host: Host) -> None:
        self.rules = tuple(_ready(rule, table, host) for rule in chain.rules)
        self._long = len(chain.rules) > _SHORT
        self._by_address: defaultdict[str, list[int]] = defaultdict(list)
        self._by_port: defaultdict[int, list[int]] = defaultdict(list)
        self._others: list[int] = []
        if self._long:
            for position, rule in enumerate(chain.rules):
                self._add(position, rule)
        self._cache: dict[tuple[str, int], list[int]] = {}

    def next_candidate(self, start: int, destination: str, port: int) -> int:
        """The position of the first candidate from `start` on; the number of rules if none."""
        if not self._long:
            return start
        key = (destination, port)
        found = self._cache.get(key)
        if found is None:
            found = list(
                heapq.merge(
                    self._by_address.get(destination, ()), self._by_port.get(port, ()), self._others
                )
            )
            self._cache[key] = found
        index = bisect_left(found, start)
        return found[index] if index < len(found) else len(self.rules)

    def _add(self, position: int, rule: RuleMeaning) -> None:
        for step in rule.steps:
            if isinstance(step, MatchAddress) and step.field is Field.DESTINATION:
                address = _single_address(step)
                if address is not None:
                    self._by_address[address].append(position)
                    return
        for step in rule.steps:
            if isinstance(step, MatchPort) and not step.negate and step.first == step.last:
                self._by_port[step.first].append(position)
                return
        self._others.append(position)


def _single_address(step: MatchAddress) -> str | None:
    """The one address that the step matches; None when it matches more or others."""
    if step.negate or len(step.networks) != 1:
        return None
    return single_address(step.networks[0])


def hooks_by_point(
    tables: tuple[TableMeaning, ...],
) -> dict[HookPoint, tuple[tuple[int, str], ...]]:
    """The base chains of each hook point in the order in which the kernel calls them."""
    found: defaultdict[HookPoint, list[tuple[int, int, str]]] = defaultdict(list)
    for position, table in enumerate(tables):
        for chain in table.chains.values():
            if chain.hook is not None:
                found[chain.hook.point].append((chain.hook.priority, position, chain.name))
    return {
        point: tuple((position, name) for _, position, name in sorted(found[point]))
        for point in HookPoint
    }
