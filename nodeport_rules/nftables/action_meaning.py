"""What nftables rules do, as meaning; and choices by chance, which matches and actions share.

Each reader begins after the word by which it was found and returns the steps; it raises Unclear for
what it does not understand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nodeport_rules.nftables.match_meaning import MARK_BITS, TableContext
from nodeport_rules.nftables.sets_meaning import (
    braced_pairs,
    duration_seconds,
    read_slots,
    read_verdict,
)
from nodeport_rules.nftables.words import Unclear, Words, number_of
from nodeport_rules.ruleset.canonical import canonical_address, port_number
from nodeport_rules.ruleset.meaning import (
    Accept,
    AnyStep,
    Choose,
    Drop,
    Goto,
    Jump,
    Masquerade,
    MatchChance,
    Reject,
    Remember,
    Return,
    SetMark,
    Translate,
)

MOST_SLOTS = 65536
"""Slots of a choice that are written out; more are not understood."""

_ABOUT_PORTS = {"random", "fully-random", "persistent"}
_OPERATIONS = {"&": 0, "and": 0, "^": 1, "xor": 1, "|": 2, "or": 2}
"""How strongly they bind: a weaker one may follow a stronger one, read from left to right."""
_LOG_OPTIONS = {"prefix", "level", "group", "snaplen", "queue-threshold"}
_LOG_FLAGS = {"tcp", "ip"}


def read_mark_change(words: Words, _table: TableContext) -> list[AnyStep]:
    """`0x1`, `meta mark & 0xff | 0x1`, after `meta mark set`."""
    if not (words.accept("meta", "mark") or words.accept("mark")):
        return [SetMark(0, words.number())]
    keep, flip, binding = MARK_BITS, 0, 0
    while words.peek() in _OPERATIONS:
        operation = _OPERATIONS[words.take()]
        value = number_of(words.take())
        if operation < binding:
            raise Unclear(words.text)
        binding = operation
        if operation == _OPERATIONS["&"]:
            keep, flip = keep & value, flip & value
        elif operation == _OPERATIONS["^"]:
            flip ^= value
        else:
            keep, flip = keep & ~value, flip | value
    if words.peek() in ("<<", ">>", "("):
        raise Unclear(words.text)
    return [SetMark(keep, flip)]


def read_choice(words: Words, table: TableContext) -> list[AnyStep]:
    """`random mod 2 vmap { 0 : goto A, 1 : goto B }`, `random mod 4 < 1`, after `numgen`."""
    slots, offset = _random(words)
    if words.accept("vmap"):
        values = _chosen(words, table, slots, offset, verdicts=True)
        verdicts = tuple(read_verdict(value, table.chains) for value in values)
        return _by_chance(len(verdicts), slots, [Choose(verdicts)])
    operator = words.take() if words.peek() in ("==", "!=", "<", "<=", ">", ">=") else "=="
    value = words.number() - offset
    below, up_to = min(max(value, 0), slots), min(max(value + 1, 0), slots)
    count = {
        "==": up_to - below,
        "!=": slots - up_to + below,
        "<": below,
        "<=": up_to,
        ">": slots - up_to,
        ">=": slots - below,
    }
    return [MatchChance(count[operator] / slots)]


def _random(words: Words) -> tuple[int, int]:
    """`random mod 4 offset 65536` as number of slots and the first one's number."""
    words.expect("random", "mod")
    slots = number_of(words.take())
    offset = number_of(words.take()) if words.accept("offset") else 0
    if not slots:
        raise Unclear(words.text)
    return slots, offset


def _chosen(
    words: Words, table: TableContext, slots: int, offset: int, *, verdicts: bool
) -> list[str]:
    """What a map, named or in braces, holds for the numbers from `offset` on; gaps left out."""
    if slots > MOST_SLOTS:
        raise Unclear(words.text)
    if words.peek().startswith("@"):
        named = table.named.get(words.take()[1:])
        if named is None or (named.data == "verdict") is not verdicts:
            raise Unclear(words.text)
        values = named.slots
    else:
        values = read_slots(braced_pairs(words.braces()))
    return [values[key] for key in range(offset, offset + slots) if key in values]


def _by_chance(found: int, slots: int, steps: list[AnyStep]) -> list[AnyStep]:
    """The steps, done for that part of the packets whose number has an element.

    Where there is none, the rule ends (nft_lookup_eval sets NFT_BREAK), like at a match that fails.
    """
    if not found:
        return [MatchChance(0.0)]
    return steps if found == slots else [MatchChance(found / slots), *steps]


def read_dnat(words: Words, table: TableContext) -> list[AnyStep]:
    """`to 10.0.0.1:80`, `ip to numgen random mod 2 map { … }`, after `dnat`.

    nft 1.0.6 does not print the `addr . port` of `dnat ip addr . port to … map`.
    """
    if words.peek() in ("ip", "ip6") and words.take() != table.family:
        raise Unclear(words.text)
    words.accept("addr", ".", "port")
    words.expect("to")
    if words.accept("numgen"):
        slots, offset = _random(words)
        words.expect("map")
        values = _chosen(words, table, slots, offset, verdicts=False)
        destinations = tuple(_mapped(value, table) for value in values)
        steps = _by_chance(len(destinations), slots, [Translate(destinations)])
    else:
        steps = [Translate((_destination(words.value(), table),))]
    _about_ports(words)
    return steps


def _mapped(text: str, table: TableContext) -> tuple[str, int]:
    """`10.0.0.1 . 80`, or an address alone, as maps hold it."""
    address, dot, port = text.partition(" . ")
    return _end(address.strip(), port.strip() if dot else None, table)


def _destination(text: str, table: TableContext) -> tuple[str, int]:
    """`10.0.0.1:80`, `[fd00::1]:80`, or an address alone."""
    host, colon, port = text, "", ""
    if table.family == "ip":
        host, colon, port = text.partition(":")
    elif text.startswith("["):
        host, colon, port = text[1:].partition("]:")
    return _end(host, port if colon else None, table)


def _end(host: str, port_text: str | None, table: TableContext) -> tuple[str, int]:
    address = canonical_address(host)
    port = 0 if port_text is None else port_number(port_text)
    if address is None or port is None or (":" in address) is not (table.family == "ip6"):
        raise Unclear(host)
    return address, port


def _about_ports(words: Words) -> None:
    """Passes flags that only decide which port is taken."""
    while words.peek() and set(words.peek().split(",")) <= _ABOUT_PORTS:
        words.take()


def read_masquerade(words: Words, _table: TableContext) -> list[AnyStep]:
    """Nothing, `fully-random`, `to :1024-65535`, after `masquerade`."""
    if words.accept("to") and not words.value().startswith(":"):
        raise Unclear(words.text)
    _about_ports(words)
    return [Masquerade()]


def read_reject(words: Words, _table: TableContext) -> list[AnyStep]:
    """Nothing, `with icmp host-unreachable`, `with tcp reset`, after `reject`."""
    if words.accept("with"):
        words.take()
        words.accept("type")
        words.value()
    return [Reject()]


def read_update(words: Words, table: TableContext) -> list[AnyStep]:
    """`@clients { ip saddr }`, after `update` or `add`.

    A counter may stand in it, and the set's own time-out; another one would last for this element
    alone, which no step says.
    """
    name = words.take()
    named = table.named.get(name[1:])
    if not name.startswith("@") or named is None or not named.is_set:
        raise Unclear(words.text)
    words.expect("{", table.family, "saddr")
    while not words.accept("}"):
        if words.accept("timeout"):
            if duration_seconds(words.value()) != named.timeout:
                raise Unclear(words.text)
        else:
            words.expect("counter")
            read_counter(words, table)
    return [Remember(named.name)]


def read_jump(words: Words, table: TableContext) -> list[AnyStep]:
    return [Jump(_chain(words, table))]


def read_goto(words: Words, table: TableContext) -> list[AnyStep]:
    return [Goto(_chain(words, table))]


def _chain(words: Words, table: TableContext) -> str:
    name = words.value()
    if name not in table.chains:
        raise Unclear(words.text)
    return name


def read_counter(words: Words, _table: TableContext) -> list[AnyStep]:
    """`packets 1 bytes 60`, `name "x"` or nothing, after `counter`."""
    if words.accept("packets"):
        words.take()
        words.expect("bytes")
        words.take()
    elif words.accept("name"):
        words.take()
    return []


def read_log(words: Words, _table: TableContext) -> list[AnyStep]:
    """The options of `log`, which changes nothing."""
    while True:
        if words.peek() in _LOG_OPTIONS:
            words.take()
            words.take()
        elif words.accept("flags"):
            if words.take() in _LOG_FLAGS:
                words.take()
        else:
            return []


def read_comment(words: Words, _table: TableContext) -> list[AnyStep]:
    if not words.take().startswith('"'):
        raise Unclear(words.text)
    return []


def _verdict(*steps: AnyStep) -> Callable[[Words, TableContext], list[AnyStep]]:
    def read(_words: Words, _table: TableContext) -> list[AnyStep]:
        return list(steps)

    return read


ACTIONS: dict[Sequence[str], Callable[[Words, TableContext], list[AnyStep]]] = {
    ("accept",): _verdict(Accept()),
    ("drop",): _verdict(Drop()),
    ("return",): _verdict(Return()),
    # Goes on with the rule, where anything follows it (nft_do_chain).
    ("continue",): _verdict(),
    ("jump",): read_jump,
    ("goto",): read_goto,
    ("reject",): read_reject,
    ("counter",): read_counter,
    ("log",): read_log,
    ("comment",): read_comment,
    ("masquerade",): read_masquerade,
    ("dnat",): read_dnat,
    ("update",): read_update,
    ("add",): read_update,
    ("meta", "mark", "set"): read_mark_change,
    ("mark", "set"): read_mark_change,
    ("numgen",): read_choice,
}
"""What is understood, by the words that it begins with."""
