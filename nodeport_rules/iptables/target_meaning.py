"""The targets of iptables rules (`-j …`) as meaning.

Each reader gets the target's options and the family; it returns the steps, or None when there is an
option that it does not understand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nodeport_rules.iptables.match_meaning import MARK_BITS, mark_and_mask
from nodeport_rules.iptables.words import Option
from nodeport_rules.ruleset.canonical import canonical_address, port_number
from nodeport_rules.ruleset.meaning import (
    Accept,
    AnyStep,
    Drop,
    Masquerade,
    Reject,
    Return,
    SetMark,
    Translate,
)

_ABOUT_PORTS = {"random", "random-fully", "persistent"}
"""Options that only decide which port or address of a range is taken."""


def _verdict(step: AnyStep) -> Callable[[Sequence[Option], str], list[AnyStep] | None]:
    def read(options: Sequence[Option], _family: str) -> list[AnyStep] | None:
        return None if options else [step]

    return read


def _reject(options: Sequence[Option], _family: str) -> list[AnyStep] | None:
    if any(option.name != "reject-with" or option.negated for option in options):
        return None
    return [Reject()]


def _log(_options: Sequence[Option], _family: str) -> list[AnyStep] | None:
    """Writes to a log and goes on."""
    return []


def _mark(options: Sequence[Option], _family: str) -> list[AnyStep] | None:
    """The kernel computes (mark & ~mask) ^ value; iptables turns all options into these two
    (libxt_MARK)."""
    if len(options) != 1 or options[0].negated or len(options[0].values) != 1:
        return None
    read = mark_and_mask(options[0].values[0])
    if read is None:
        return None
    value, mask = read
    match options[0].name:
        case "set-xmark":
            return [_set_mark(value, mask)]
        case "set-mark":
            return [_set_mark(value, value | mask)]
        case "or-mark":
            return [_set_mark(value, value)]
        case "and-mark":
            return [_set_mark(0, ~value)]
        case "xor-mark":
            return [_set_mark(value, 0)]
        case _:
            return None


def _set_mark(value: int, mask: int) -> SetMark:
    return SetMark(keep=~mask & MARK_BITS, flip=value)


def _dnat(options: Sequence[Option], family: str) -> list[AnyStep] | None:
    destination = [option for option in options if option.name == "to-destination"]
    others = [option for option in options if option.name != "to-destination"]
    if len(destination) != 1 or len(destination[0].values) != 1:
        return None
    if any(option.negated for option in options):
        return None
    if any(option.name not in _ABOUT_PORTS or option.values for option in others):
        return None
    end = _destination(destination[0].values[0], family)
    return None if end is None else [Translate((end,))]


def _destination(text: str, family: str) -> tuple[str, int] | None:
    """`10.0.0.1:80`, `[fd00::1]:80`, or an address alone; None for ranges and ports alone."""
    host, colon, port_text = text, "", ""
    if family == "ip":
        host, colon, port_text = text.partition(":")
    elif text.startswith("["):
        host, colon, port_text = text[1:].partition("]:")
    address = canonical_address(host)
    port = port_number(port_text) if colon else 0
    if address is None or port is None or (":" in address) is not (family == "ip6"):
        return None
    return address, port


def _masquerade(options: Sequence[Option], _family: str) -> list[AnyStep] | None:
    known = {*_ABOUT_PORTS, "to-ports"}
    if any(option.name not in known or option.negated for option in options):
        return None
    return [Masquerade()]


TARGETS: dict[str, Callable[[Sequence[Option], str], list[AnyStep] | None]] = {
    "ACCEPT": _verdict(Accept()),
    "DROP": _verdict(Drop()),
    "RETURN": _verdict(Return()),
    "REJECT": _reject,
    "LOG": _log,
    "NFLOG": _log,
    "MARK": _mark,
    "DNAT": _dnat,
    "MASQUERADE": _masquerade,
}
"""The targets that are understood, by name."""
