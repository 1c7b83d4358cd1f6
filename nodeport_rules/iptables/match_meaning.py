"""The matches of iptables rules (`-m …`) as meaning.

Each reader gets the options of one `-m`, the rule's protocol and the family; it returns the steps,
or None when there is an option that it does not understand: then the whole match is not understood.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

from nodeport_rules.iptables.words import Option
from nodeport_rules.ruleset.canonical import port_number
from nodeport_rules.ruleset.meaning import (
    AnyStep,
    Field,
    MatchChance,
    MatchLocal,
    MatchMark,
    MatchPort,
    MatchRemembered,
    MatchState,
    Remember,
    State,
)

MARK_BITS = 0xFFFFFFFF
_STATES = {
    "NEW": State.NEW,
    "ESTABLISHED": State.ESTABLISHED,
    "RELATED": State.RELATED,
    "INVALID": State.INVALID,
    "DNAT": State.DNAT,
}
_WHOLE_ADDRESS = {"ip": 0xFFFFFFFF, "ip6": (1 << 128) - 1}
_DEFAULT_LIST = "DEFAULT"
_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,8}|[1-9][0-9]{0,9}|0", re.ASCII)
_FRACTION = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", re.ASCII)


def mark_and_mask(text: str) -> tuple[int, int] | None:
    """`0x4000/0x4000`, or a value alone, which stands for all bits; None when it is neither."""
    value, slash, mask = text.partition("/")
    numbers = [_number(value), _number(mask) if slash else MARK_BITS]
    if numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0], numbers[1]


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text, 0)
    return number if number <= MARK_BITS else None


def _nothing(_options: Sequence[Option], _protocol: str, _family: str) -> list[AnyStep] | None:
    """A match that every packet passes: a comment, a counter (nfacct without a quota)."""
    return []


def _ports(name: str) -> Callable[[Sequence[Option], str, str], list[AnyStep] | None]:
    def read(options: Sequence[Option], protocol: str, _family: str) -> list[AnyStep] | None:
        if protocol != name:
            return None
        steps: list[AnyStep] = []
        for option in options:
            if option.name not in ("dport", "destination-port") or len(option.values) != 1:
                return None
            first, colon, last = option.values[0].partition(":")
            ends = port_number(first), port_number(last if colon else first)
            if ends[0] is None or ends[1] is None:
                return None
            steps.append(MatchPort(ends[0], ends[1], option.negated))
        return steps

    return read


def _addrtype(options: Sequence[Option], _protocol: str, _family: str) -> list[AnyStep] | None:
    steps: list[AnyStep] = []
    for option in options:
        if option.values != ("LOCAL",) or option.name not in ("src-type", "dst-type"):
            return None
        field = Field.SOURCE if option.name == "src-type" else Field.DESTINATION
        steps.append(MatchLocal(field, option.negated))
    return steps


def _state(name: str) -> Callable[[Sequence[Option], str, str], list[AnyStep] | None]:
    def read(options: Sequence[Option], _protocol: str, _family: str) -> list[AnyStep] | None:
        if len(options) != 1 or options[0].name != name or len(options[0].values) != 1:
            return None
        states = [_STATES.get(word) for word in options[0].values[0].split(",")]
        known = frozenset(state for state in states if state is not None)
        return None if None in states else [MatchState(known, options[0].negated)]

    return read


def _mark(options: Sequence[Option], _protocol: str, _family: str) -> list[AnyStep] | None:
    if len(options) != 1 or options[0].name != "mark" or len(options[0].values) != 1:
        return None
    read = mark_and_mask(options[0].values[0])
    return None if read is None else [MatchMark(read[0], read[1], options[0].negated)]


def _statistic(options: Sequence[Option], _protocol: str, _family: str) -> list[AnyStep] | None:
    by_name = {option.name: option for option in options}
    if len(options) != 2 or set(by_name) != {"mode", "probability"}:
        return None
    mode, chance = by_name["mode"], by_name["probability"]
    if mode.values != ("random",) or mode.negated or len(chance.values) != 1:
        return None
    if not _FRACTION.fullmatch(chance.values[0]):
        return None
    probability = float(chance.values[0])
    if probability > 1:
        return None
    return [MatchChance(1 - probability if chance.negated else probability)]


def _recent(options: Sequence[Option], _protocol: str, family: str) -> list[AnyStep] | None:
    """xt_recent, as far as session affinity uses it: whole source addresses, set and looked up."""
    by_name = {option.name: option.values for option in options}
    if len(by_name) != len(options) or any(option.negated for option in options):
        return None
    mask = by_name.get("mask")
    if mask is not None and (len(mask) != 1 or not _is_whole(mask[0], family)):
        return None
    list_name = by_name.get("name", (_DEFAULT_LIST,))
    doing = [name for name in ("set", "rcheck", "update") if name in by_name]
    known = {"set", "rcheck", "update", "seconds", "reap", "name", "mask", "rsource"}
    if len(doing) != 1 or len(list_name) != 1 or not set(by_name) <= known:
        return None
    if doing == ["set"]:
        timed = "seconds" in by_name or "reap" in by_name
        return None if timed else [Remember(list_name[0])]
    words = by_name.get("seconds", ("0",))
    seconds = _number(words[0]) if len(words) == 1 else None
    if seconds is None:
        return None
    match = MatchRemembered(list_name[0], seconds)
    return [match, Remember(list_name[0])] if doing == ["update"] else [match]


def _is_whole(mask: str, family: str) -> bool:
    try:
        return int(ipaddress.ip_address(mask)) == _WHOLE_ADDRESS[family]
    except ValueError:
        return False


MATCHES: dict[str, Callable[[Sequence[Option], str, str], list[AnyStep] | None]] = {
    "comment": _nothing,
    "nfacct": _nothing,
    "tcp": _ports("tcp"),
    "udp": _ports("udp"),
    "sctp": _ports("sctp"),
    "addrtype": _addrtype,
    "conntrack": _state("ctstate"),
    "state": _state("state"),
    "mark": _mark,
    "statistic": _statistic,
    "recent": _recent,
}
"""The matches that are understood, by name."""
