"""One rule as nft prints it, as meaning.

A rule is a row of statements without anything between them, so where one that is not understood
ends is not known either: everything up to the next word that can only begin a verdict, a
translation, `counter`, `log` or `comment` counts as not understood.
"""

from __future__ import annotations

from collections.abc import Sequence

from nodeport_rules.nftables.action_meaning import ACTIONS
from nodeport_rules.nftables.match_meaning import (
    MatchReader,
    TableContext,
    read_conntrack,
    read_family,
    read_fib,
    read_fields,
    read_interface,
    read_mark,
)
from nodeport_rules.nftables.words import Unclear, Words
from nodeport_rules.ruleset.meaning import (
    ActUnknown,
    AnyStep,
    Choose,
    Lookup,
    MatchUnknown,
    RuleMeaning,
)

_READERS: dict[Sequence[str], MatchReader] = {
    **ACTIONS,
    ("iifname",): read_interface,
    ("iif",): read_interface,
    ("meta", "iifname"): read_interface,
    ("meta", "iif"): read_interface,
    ("meta", "nfproto"): read_family,
    ("meta", "protocol"): read_family,
    ("meta", "mark"): read_mark,
    ("mark",): read_mark,
    ("fib",): read_fib,
    ("ct",): read_conntrack,
}
_FIELD_WORDS = frozenset({"ip", "ip6", "meta", "tcp", "udp", "sctp", "th"})
_LONGEST = 3

_CLEAR_BEGINNINGS = frozenset(
    [
        "accept",
        "drop",
        "return",
        "continue",
        "reject",
        "jump",
        "goto",
        "masquerade",
        "counter",
        "log",
        "comment",
    ]
)
"""Reserved words that stand nowhere inside of a match."""
_ACTING = frozenset(
    [
        "snat",
        "redirect",
        "queue",
        "tproxy",
        "dup",
        "fwd",
        "synproxy",
        "notrack",
        "flow",
        "add",
        "update",
        "delete",
    ]
)
"""Statements that do something and are not understood."""


def read_rule(text: str, table: TableContext) -> RuleMeaning:
    """The meaning of a rule; what is not understood stands in it as text."""
    try:
        words = Words(text)
    except Unclear:
        return RuleMeaning((MatchUnknown(text), ActUnknown(text)), text)
    steps: list[AnyStep] = []
    while not words.at_end():
        begin = words.position
        try:
            steps += _statement(words, table)
        except Unclear:
            words.position = begin
            steps.append(_not_understood(words))
        if steps and isinstance(steps[-1], Lookup | Choose):
            # With an element the verdict decides; without one the rule ends (nft_lookup_eval).
            break
    return RuleMeaning(tuple(steps), text)


def _statement(words: Words, table: TableContext) -> list[AnyStep]:
    for length in range(_LONGEST, 0, -1):
        beginning = tuple(words.peek(ahead) for ahead in range(length))
        reader = _READERS.get(beginning)
        if reader is not None:
            words.position += length
            return reader(words, table)
    if words.peek() in _FIELD_WORDS:
        return read_fields(words, table)
    raise Unclear(words.text)


def _not_understood(words: Words) -> MatchUnknown | ActUnknown:
    """Passes what is not understood. It counts as an action where it ends the rule."""
    begin = words.position
    first, second = words.peek(), words.peek(1)
    if first == "xt":
        # `xt match comment`: the name of an extension of iptables.
        words.position += 2
    _pass_one(words)
    while not words.at_end() and not _begins_clearly(words):
        _pass_one(words)
    passed = words.words_since(begin)
    acts = first in _ACTING or (first, second) == ("xt", "target") or "set" in passed
    shown = words.since(begin)
    return ActUnknown(shown) if acts or words.at_end() else MatchUnknown(shown)


def _pass_one(words: Words) -> None:
    """Passes a word, or a pair of braces with all that is in it."""
    try:
        if words.peek() == "{":
            words.braces()
        else:
            words.position += 1
    except Unclear:
        # Braces that nothing closes: the position is at the end.
        pass


def _begins_clearly(words: Words) -> bool:
    if words.peek() == "dnat":
        after = (words.peek(1), words.peek(2))
        return after[0] == "to" or (after[0] in ("ip", "ip6") and after[1] in ("to", "addr"))
    return words.peek() in _CLEAR_BEGINNINGS
