"""One explained packet, as every form of printing it takes it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nodeport_rules.model.reasons import Why
from nodeport_rules.report.explain_tree import RuleBook, Section, sections_of
from nodeport_rules.report.explain_words import End, ends_of
from nodeport_rules.ruleset.meaning import RulesMeaning
from nodeport_rules.ruleset.packet import Ending, Outcome, Packet


class Explanation(msgspec.Struct, frozen=True):
    """A packet, its way through the rules of one node, and why."""

    packet: Packet
    origin: str
    """`outside`, `pod` or `node`."""
    node: str
    """Empty where nothing names it."""
    rules: str
    """Where the rules come from: `iptables rules compiled for node-1`, `the dump a.save`."""
    outcomes: tuple[Outcome, ...]
    sections: tuple[Section, ...]
    ends: tuple[End, ...]
    remembers: bool
    """Rules on the way remember clients: shares are those of new ones."""
    why: Why | None = None
    """None when no Service of the objects has this destination, or there are no objects."""
    misses: tuple[str, ...] | None = None
    """What comes near, when no Service of the objects has this destination."""
    lost: tuple[str, ...] = ()
    """Endpoints that the objects call for and the rules do not lead to."""
    strange: tuple[str, ...] = ()
    """Destinations that the rules lead to and the objects do not call for."""

    @property
    def not_understood(self) -> tuple[str, ...]:
        """Rules on the ways of which something was not understood."""
        return tuple(
            dict.fromkeys(rule for outcome in self.outcomes for rule in outcome.not_understood)
        )


def explanation(
    packet: Packet,
    outcomes: Sequence[Outcome],
    rules: RulesMeaning,
    *,
    origin: str,
    node: str,
    rules_from: str,
    why: Why | None = None,
    misses: tuple[str, ...] | None = None,
) -> Explanation:
    """Puts together what is known about one packet."""
    book = RuleBook(rules)
    ends = ends_of(outcomes)
    lost, strange = _disagreements(ends, why)
    remembers = any(outcome.remembered for outcome in outcomes)
    return Explanation(
        packet=packet,
        origin=origin,
        node=node,
        rules=rules_from,
        outcomes=tuple(outcomes),
        sections=tuple(sections_of(outcomes, book)),
        ends=tuple(ends),
        remembers=remembers,
        why=why,
        misses=misses,
        lost=lost,
        strange=strange,
    )


def _disagreements(ends: Sequence[End], why: Why | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where rules and objects do not agree; nothing where a packet is to end elsewhere."""
    if why is None or (why.changes and not why.used):
        return (), ()
    if why.changes:
        return (), ()
    reached = {end.text for end in ends if end.ending is Ending.TRANSLATED}
    wanted = {endpoint.text for endpoint in why.used}
    return (
        tuple(endpoint.text for endpoint in why.used if endpoint.text not in reached),
        tuple(sorted(reached - wanted)),
    )
