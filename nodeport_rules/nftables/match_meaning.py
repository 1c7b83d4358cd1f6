"""The matches of nftables rules as meaning.

Each reader begins after the word by which it was found and returns the steps; it raises Unclear for
what it does not understand.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from nodeport_rules.nftables.sets_meaning import (
    Key,
    Kind,
    NamedSet,
    address_range,
    braced_elements,
    braced_pairs,
    port_range,
    read_elements,
    read_verdicts,
)
from nodeport_rules.nftables.words import Unclear, Words, number_of
from nodeport_rules.ruleset.canonical import canonical_protocol
from nodeport_rules.ruleset.meaning import (
    AnyStep,
    Field,
    Lookup,
    MatchAddress,
    MatchInterface,
    MatchLocal,
    MatchMark,
    MatchPort,
    MatchProtocol,
    MatchRemembered,
    MatchSet,
    MatchState,
    State,
    Verdict,
)

MARK_BITS = 0xFFFFFFFF
NEVER = MatchAddress(Field.DESTINATION, ())
"""A match that no packet passes: one of the other family, in a table for both."""

_MARK_LENGTH = 32
_STATES = {
    "new": State.NEW,
    "established": State.ESTABLISHED,
    "related": State.RELATED,
    "invalid": State.INVALID,
}
_ADDRESSES = {"saddr": Field.SOURCE, "daddr": Field.DESTINATION}
_PORT_PROTOCOLS = ("tcp", "udp", "sctp", "th")
_FAMILY_NAMES = {"ipv4": "ip", "ipv6": "ip6", "ip": "ip", "ip6": "ip6"}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_LAST_PORT = 0xFFFF


class TableContext(msgspec.Struct):
    """What rules of a table refer to, and the sets and maps that they bring along themselves."""

    family: str
    """`ip` or `ip6`: the packets at hand, whatever the table's own family."""
    chains: frozenset[str]
    named: dict[str, NamedSet]
    translated: bool = False
    """The table is iptables-nft's, so nft has tried to translate the matches of iptables."""
    sets: dict[str, frozenset[Key]] = {}
    maps: dict[str, dict[Key, Verdict]] = {}


class _Selector(msgspec.Struct, frozen=True):
    """A field of the packet, and what has to hold for the packet to have it."""

    field: Field
    kind: Kind
    needs: tuple[AnyStep, ...] = ()


def read_fields(words: Words, table: TableContext) -> list[AnyStep]:
    """`ip daddr …`, `tcp dport …`, and several of them joined by dots; begins at the first word."""
    begin = words.position
    selectors = [_selector(words, table)]
    while words.accept("."):
        selectors.append(_selector(words, table))
    shown = words.since(begin)
    steps = list(dict.fromkeys(step for one in selectors for step in one.needs))
    if words.accept("vmap"):
        return [*steps, _verdict_lookup(words, table, selectors, shown)]
    operator = words.take() if words.peek() in _COMPARISONS else "=="
    if words.peek().startswith("@"):
        name = words.take()[1:]
        return [*steps, _in_named(table, selectors, name, _negation(operator))]
    if words.peek() == "{":
        return [*steps, _in_braces(words, table, selectors, shown, _negation(operator))]
    if len(selectors) > 1:
        raise Unclear(words.text)
    return [*steps, _single(words.value(), selectors[0], operator)]


def _selector(words: Words, table: TableContext) -> _Selector:
    first, second = words.take(), words.take()
    if first in ("ip", "ip6") and (second in _ADDRESSES or (first, second) == ("ip", "protocol")):
        needs = () if first == table.family else (NEVER,)
        if second == "protocol":
            return _Selector(Field.PROTOCOL, Kind.PROTOCOL, needs)
        kind = Kind.IPV4 if first == "ip" else Kind.IPV6
        return _Selector(_ADDRESSES[second], kind, needs)
    if (first, second) == ("meta", "l4proto"):
        return _Selector(Field.PROTOCOL, Kind.PROTOCOL)
    if first in _PORT_PROTOCOLS and second == "dport":
        protocol = () if first == "th" else (MatchProtocol(first),)
        return _Selector(Field.DESTINATION_PORT, Kind.PORT, protocol)
    raise Unclear(words.text)


def _negation(operator: str) -> bool:
    if operator not in ("==", "!="):
        raise Unclear(operator)
    return operator == "!="


def _kinds(selectors: list[_Selector]) -> tuple[Kind, ...]:
    return tuple(one.kind for one in selectors)


def _fields(selectors: list[_Selector]) -> tuple[Field, ...]:
    return tuple(one.field for one in selectors)


def _named(table: TableContext, name: str, kinds: tuple[Kind, ...]) -> NamedSet:
    found = table.named.get(name)
    if found is None or found.kinds != kinds:
        raise Unclear(name)
    return found


def _in_named(
    table: TableContext, selectors: list[_Selector], name: str, negate: bool
) -> MatchSet | MatchRemembered:
    found = _named(table, name, _kinds(selectors))
    fields = _fields(selectors)
    if not found.is_set:
        raise Unclear(name)
    if found.dynamic:
        # What such a set holds changes with every packet: only clients are understood.
        if negate or fields != (Field.SOURCE,) or found.timeout is None:
            raise Unclear(name)
        return MatchRemembered(name, found.timeout)
    # Raises Unclear where the contents are not understood.
    _ = found.contents
    return MatchSet(fields, name, negate)


def _in_braces(
    words: Words, table: TableContext, selectors: list[_Selector], shown: str, negate: bool
) -> MatchAddress | MatchSet:
    """An anonymous set. But for one of addresses, it becomes a set named by its text."""
    text = words.braces()
    elements = braced_elements(text)
    if len(selectors) == 1 and selectors[0].kind in (Kind.IPV4, Kind.IPV6):
        networks = [
            network
            for element in elements
            for network in address_range(element, selectors[0].kind.value)
        ]
        return MatchAddress(selectors[0].field, tuple(networks), negate)
    name = f"{shown} {text}"
    table.sets[name], _ = read_elements(elements, _kinds(selectors))
    return MatchSet(_fields(selectors), name, negate)


def _verdict_lookup(
    words: Words, table: TableContext, selectors: list[_Selector], shown: str
) -> Lookup:
    fields, kinds = _fields(selectors), _kinds(selectors)
    if words.peek().startswith("@"):
        found = _named(table, words.take()[1:], kinds)
        # Raises Unclear where the verdicts are not understood.
        _ = found.verdicts
        return Lookup(fields, found.name)
    text = words.braces()
    name = f"{shown} {text}"
    table.maps[name] = read_verdicts(braced_pairs(text), kinds, table.chains)
    return Lookup(fields, name)


def _single(value: str, selector: _Selector, operator: str) -> AnyStep:
    if selector.kind is Kind.PORT:
        return _port(value, operator)
    negate = _negation(operator)
    if selector.kind is Kind.PROTOCOL:
        if not re.fullmatch(r"[\w-]+", value):
            raise Unclear(value)
        return MatchProtocol(canonical_protocol(value), negate)
    return MatchAddress(selector.field, address_range(value, selector.kind.value), negate)


def _port(value: str, operator: str) -> MatchPort:
    first, last = port_range(value)
    if operator in ("==", "!="):
        return MatchPort(first, last, operator == "!=")
    if first != last:
        raise Unclear(value)
    ends = {
        "<": (0, first - 1),
        "<=": (0, first),
        ">": (first + 1, _LAST_PORT),
        ">=": (first, _LAST_PORT),
    }
    return MatchPort(*ends[operator])


def read_family(words: Words, table: TableContext) -> list[AnyStep]:
    """`ipv4` (after `meta nfproto`), `ip` (after `meta protocol`)."""
    family = _FAMILY_NAMES.get(words.value())
    if family is None:
        raise Unclear(words.text)
    return [] if family == table.family else [NEVER]


def read_interface(words: Words, _table: TableContext) -> list[AnyStep]:
    """`"cni0"`, `!= "cali*"`, after `iifname` or `iif`."""
    negate = words.accept("!=")
    name = words.quoted()
    prefix = name.endswith("*")
    return [MatchInterface(name.removesuffix("*"), prefix, negate)]


def read_fib(words: Words, _table: TableContext) -> list[AnyStep]:
    """`daddr type local`, after `fib`.

    `daddr . iif type local` is not the same: there, an address counts only at the interface that
    has it (nft_fib4_eval_type), which no match of ours says.
    """
    field = _ADDRESSES.get(words.take())
    words.expect("type")
    negate = words.accept("!=")
    if field is None or words.value() != "local":
        raise Unclear(words.text)
    return [MatchLocal(field, negate)]


def read_conntrack(words: Words, table: TableContext) -> list[AnyStep]:
    """`state new`, `state { … }`, `status dnat`, after `ct`."""
    key = words.take()
    if key == "status":
        return [_status(words, table)]
    if key != "state":
        raise Unclear(words.text)
    operator = words.take() if words.peek() in ("!=", "!", "==") else ""
    if words.peek() == "{":
        names = braced_elements(words.braces())
    else:
        names = words.value().split(",")
        if operator in ("!=", "==") and len(names) > 1:
            # Compares with a state that is both, which no packet has.
            raise Unclear(words.text)
    if any(name not in _STATES for name in names):
        raise Unclear(words.text)
    return [MatchState(frozenset(_STATES[name] for name in names), operator in ("!=", "!"))]


def _status(words: Words, table: TableContext) -> MatchState:
    negate = words.accept("!")
    if table.translated or words.value() != "dnat":
        # Of `-m conntrack ! --ctstate ESTABLISHED,DNAT` nft 1.0.6 prints `ct status dnat`: the
        # states and the negation are lost.
        raise Unclear(words.text)
    return MatchState(frozenset({State.DNAT}), negate)


def read_mark(words: Words, _table: TableContext) -> list[AnyStep]:
    """`0x1`, `!= 0x1`, `& 0x4000 == 0x4000`, `0x80000000/1`, after `meta mark`."""
    mask = MARK_BITS
    if words.peek() in ("&", "and"):
        words.take()
        mask = number_of(words.take())
        if words.peek() not in ("==", "!="):
            raise Unclear(words.text)
    negate = words.accept("!=")
    if not negate:
        words.accept("==")
    value, slash, length = words.value().partition("/")
    if slash:
        # So nft prints a mask that is a run of bits from the left: `& 0x80000000 == 0x80000000`.
        bits = number_of(length)
        if bits > _MARK_LENGTH or mask != MARK_BITS:
            raise Unclear(words.text)
        mask = MARK_BITS << (_MARK_LENGTH - bits) & MARK_BITS
    return [MatchMark(number_of(value), mask, negate)]


MatchReader = Callable[[Words, TableContext], list[AnyStep]]
