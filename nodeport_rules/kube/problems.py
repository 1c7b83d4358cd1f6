"""Collecting what is wrong with one object, and the words that several checks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nodeport_rules.errors import quote
from nodeport_rules.kube.text_rules import (
    Address,
    is_container_port_name,
    is_label,
    is_label_value,
    is_subdomain,
    parse_address,
    parse_cidr,
)

PROTOCOLS = ("TCP", "UDP", "SCTP")
MAX_PORT = 65535

_LABEL_WORDS = "lower-case letters, digits and inner -, at most 63"
_SUBDOMAIN_WORDS = "lower-case letters, digits, inner - and ., at most 253"


class Problems:
    """(field, message) pairs of one object."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, field: str, message: str) -> None:
        self.found.append((field, message))

    def label(self, field: str, text: str) -> None:
        if not is_label(text):
            self._name(field, text, _LABEL_WORDS)

    def subdomain(self, field: str, text: str) -> None:
        if not is_subdomain(text):
            self._name(field, text, _SUBDOMAIN_WORDS)

    def label_value(self, field: str, text: str) -> None:
        if not is_label_value(text):
            self._name(field, text, "letters, digits and inner -, _ and ., at most 63")

    def container_port_name(self, field: str, text: str) -> None:
        if not is_container_port_name(text):
            words = "lower-case letters (one at least), digits and single inner -, at most 15"
            self._name(field, text, words)

    def _name(self, field: str, text: str, words: str) -> None:
        self.add(field, f"is {quote(text)}, no legal name: {words}" if text else "is missing")

    def one_of(self, field: str, text: str | None, choices: Sequence[str]) -> None:
        if text not in choices:
            self.add(field, f"is {quote(text or '')}, must be {either(choices)}")

    def number(self, field: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            self.add(field, f"is {quote(value)}, must be {low} to {high}")

    def address(self, field: str, text: str, *, ordinary: bool = False) -> Address | None:
        """The address; None, and a fault, when it is none.

        With `ordinary`, special ones are refused as well: loopback, link-local, multicast,
        unspecified.
        """
        parsed = parse_address(text)
        if parsed is None:
            self.add(field, f"is {quote(text)}, no plain IPv4 or IPv6 address")
        elif ordinary and parsed.special:
            self.add(field, f"is {text}, a {parsed.special} address, which is not allowed here")
            return None
        return parsed

    def cidr(self, field: str, text: str) -> str | None:
        """The canonical CIDR; None, and a fault, when it is none."""
        parsed = parse_cidr(text)
        if parsed is None:
            self.add(field, f"is {quote(text)}, no CIDR such as 10.0.0.0/8 or fd00::/64")
            return None
        return parsed[0]

    def unique(self, field: str, values: Iterable[object], what: str) -> None:
        """A fault for each value that an earlier one equals; empty values do not count.

        `field` holds `{}` where the index goes.
        """
        seen: dict[object, int] = {}
        for index, value in enumerate(values):
            if not value:
                continue
            if value in seen:
                self.add(field.format(index), f"has the same {what} as {field.format(seen[value])}")
            else:
                seen[value] = index


def either(choices: Sequence[str]) -> str:
    """`A, B or C`."""
    return ", ".join(choices[:-1]) + f" or {choices[-1]}" if len(choices) > 1 else choices[0]
