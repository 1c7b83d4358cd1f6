"""Sets and maps of a table as meaning: keys in canonical form, verdicts, slots of endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from functools import cached_property
from typing import TypeVar

from nodeport_rules.nftables.parse import split_elements
from nodeport_rules.nftables.words import Unclear, number_of
from nodeport_rules.ruleset.canonical import (
    canonical_address,
    canonical_network,
    canonical_protocol,
    networks_between,
    port_number,
)
from nodeport_rules.ruleset.meaning import Accept, Drop, Goto, Jump, Return, Verdict
from nodeport_rules.ruleset.ruleset import Map

MOST_PORTS = 4096
"""Ports that a range inside of a set is written out to; a set with more is not understood."""

Key = tuple[str, ...]


class Kind(Enum):
    """What one part of a key is."""

    IPV4 = "ip"
    IPV6 = "ip6"
    PROTOCOL = "protocol"
    PORT = "port"
    NUMBER = "number"
    OTHER = "other"


_TYPES = {
    "ipv4_addr": Kind.IPV4,
    "ipv6_addr": Kind.IPV6,
    "inet_proto": Kind.PROTOCOL,
    "inet_service": Kind.PORT,
    "integer": Kind.NUMBER,
}
_EXPRESSIONS = {
    "ip saddr": Kind.IPV4,
    "ip daddr": Kind.IPV4,
    "ip6 saddr": Kind.IPV6,
    "ip6 daddr": Kind.IPV6,
    "meta l4proto": Kind.PROTOCOL,
    "ip protocol": Kind.PROTOCOL,
}
_PORT_EXPRESSION = re.compile(r"(tcp|udp|sctp|dccp|udplite|th) [sd]port")
_LIFETIME = re.compile(r" (timeout|expires) \S+")
_COUNTER = re.compile(r" ?counter packets \d+ bytes \d+")
_COMMENT = re.compile(r' comment "[^"]*"')


class NamedSet:
    """A named set or map of a table, as far as it is understood."""

    def __init__(self, declared: Map, chains: Collection[str], *, dynamic: bool) -> None:
        self.name = declared.name
        self.is_set = declared.is_set
        self.dynamic = dynamic
        """The kernel itself puts elements in, when rules tell it to."""
        self.kinds, self.data = _declared(declared.declaration)
        self.timeout = _timeout(declared.declaration)
        """Seconds that an element stays; 0: for good; None: no whole number of them."""
        self._elements = declared.elements
        self._chains = chains

    @property
    def contents(self) -> tuple[frozenset[Key], tuple[str, ...]]:
        """A set's keys and networks; raises Unclear when an element is not understood."""
        return _understood(self._contents, self.name)

    @property
    def verdicts(self) -> dict[Key, Verdict]:
        """A verdict map; raises Unclear when it is none or an element is not understood."""
        return _understood(self._verdicts, self.name)

    @property
    def slots(self) -> dict[int, str]:
        """A map from numbers to data as text; raises Unclear when its keys are no numbers."""
        return _understood(self._slots, self.name)

    @cached_property
    def _contents(self) -> tuple[frozenset[Key], tuple[str, ...]] | None:
        return _or_none(lambda: read_elements(self._elements, self.kinds))

    @cached_property
    def _verdicts(self) -> dict[Key, Verdict] | None:
        # What is in a dynamic map changes, and listings leave it out.
        if self.is_set or self.dynamic or self.data != "verdict":
            return None
        return _or_none(lambda: read_verdicts(self._elements.items(), self.kinds, self._chains))

    @cached_property
    def _slots(self) -> dict[int, str] | None:
        if self.is_set or self.dynamic or self.kinds != (Kind.NUMBER,):
            return None
        return _or_none(lambda: read_slots(self._elements.items()))


T = TypeVar("T")


def _or_none(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except Unclear:
        return None


def _understood(found: T | None, name: str) -> T:
    if found is None:
        raise Unclear(name)
    return found


def _declared(declaration: Iterable[str]) -> tuple[tuple[Kind, ...], str]:
    """The kinds of a key's parts and, of a map, the data's type as text."""
    for line in declaration:
        word, _, rest = line.partition(" ")
        if word in ("type", "typeof"):
            key, _, data = rest.rstrip(";").partition(" : ")
            return tuple(_kind(part.strip()) for part in key.split(" . ")), data.strip()
    return (), ""


_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_UNIT_SECONDS = (86400, 3600, 60, 1)


def duration_seconds(text: str) -> int | None:
    """`1h30m` in seconds; None for what is no whole number of seconds, as nft prints it."""
    found = _DURATION.fullmatch(text)
    if found is None or not text or len(text) > len("00000d00h00m00000000000s"):
        return None
    parts = zip(found.groups(), _UNIT_SECONDS, strict=True)
    return sum(int(number or 0) * unit for number, unit in parts)


def _timeout(declaration: Iterable[str]) -> int | None:
    """The timeout of a set's elements in seconds, from `timeout 1h30m`; 0 when it has none."""
    for line in declaration:
        word, _, rest = line.partition(" ")
        if word == "timeout":
            return duration_seconds(rest.rstrip(";"))
    return 0


def _kind(text: str) -> Kind:
    if text in _TYPES or text in _EXPRESSIONS:
        return _TYPES.get(text) or _EXPRESSIONS[text]
    if _PORT_EXPRESSION.fullmatch(text):
        return Kind.PORT
    return Kind.NUMBER if text.startswith("numgen ") else Kind.OTHER


def braced_elements(text: str) -> list[str]:
    """The elements of `{ a, b : c }`."""
    return list(split_elements(text.strip()[1:-1]))


def braced_pairs(text: str) -> list[tuple[str, str]]:
    """The elements of `{ a : b }` as pairs; raises Unclear when one has no value."""
    pairs = []
    for element in braced_elements(text):
        key, colon, value = _COMMENT.sub("", _COUNTER.sub("", element)).partition(" : ")
        if not colon:
            raise Unclear(text)
        pairs.append((key.strip(), value.strip()))
    return pairs


def read_elements(
    elements: Iterable[str], kinds: tuple[Kind, ...]
) -> tuple[frozenset[Key], tuple[str, ...]]:
    """Keys and networks of a set's elements; raises Unclear when one is not understood."""
    keys: set[Key] = set()
    networks: list[str] = []
    for element in elements:
        text = _LIFETIME.sub("", element).strip()
        if len(kinds) == 1 and kinds[0] in (Kind.IPV4, Kind.IPV6):
            address = canonical_address(text)
            if address is not None and (":" in address) is (kinds[0] is Kind.IPV6):
                keys.add((address,))
            else:
                networks.extend(address_range(text, kinds[0].value))
        elif kinds == (Kind.PORT,):
            keys.update(_ports(text))
        else:
            keys.add(read_key(text, kinds))
    if len(keys) > MOST_PORTS and kinds == (Kind.PORT,):
        raise Unclear("a set of very many ports")
    return frozenset(keys), tuple(networks)


def address_range(text: str, family: str) -> tuple[str, ...]:
    """An address, CIDR or range (`10.0.0.1-10.0.0.9`) as CIDRs; raises Unclear otherwise."""
    first, dash, last = text.partition("-")
    networks: tuple[str, ...] | None
    if dash:
        networks = networks_between(first, last)
    else:
        network = canonical_network(text)
        networks = None if network is None else (network,)
    if not networks or any((":" in one) is not (family == "ip6") for one in networks):
        raise Unclear(text)
    return networks


def port_range(text: str) -> tuple[int, int]:
    """`80` or `80-90` as first and last; raises Unclear otherwise."""
    first, dash, last = text.partition("-")
    ends = port_number(first), port_number(last if dash else first)
    if ends[0] is None or ends[1] is None:
        raise Unclear(text)
    return ends[0], ends[1]


def _ports(text: str) -> Iterable[Key]:
    first, last = port_range(text)
    if last - first >= MOST_PORTS:
        raise Unclear(text)
    return ((str(port),) for port in range(first, last + 1))


def read_key(text: str, kinds: tuple[Kind, ...]) -> Key:
    """`10.0.0.1 . tcp . 80` as a key; raises Unclear for ranges and for other kinds."""
    parts = text.split(" . ")
    if not kinds or len(parts) != len(kinds):
        raise Unclear(text)
    return tuple(_part(part.strip(), kind) for part, kind in zip(parts, kinds, strict=True))


def _part(text: str, kind: Kind) -> str:
    found: str | None = None
    match kind:
        case Kind.IPV4 | Kind.IPV6:
            found = canonical_address(text)
            if found is not None and (":" in found) is not (kind is Kind.IPV6):
                found = None
        case Kind.PROTOCOL:
            found = canonical_protocol(text) if re.fullmatch(r"[\w-]+", text) else None
        case Kind.PORT:
            port = port_number(text)
            found = None if port is None else str(port)
    if found is None:
        raise Unclear(text)
    return found


def read_verdicts(
    pairs: Iterable[tuple[str, str]], kinds: tuple[Kind, ...], chains: Collection[str]
) -> dict[Key, Verdict]:
    """The elements of a verdict map; raises Unclear when one is not understood."""
    return {
        read_key(_LIFETIME.sub("", key), kinds): read_verdict(value, chains) for key, value in pairs
    }


def read_verdict(text: str, chains: Collection[str]) -> Verdict:
    """`goto CHAIN`, `drop` …; raises Unclear for others and for a chain that does not exist."""
    word, _, chain = text.partition(" ")
    if word in ("jump", "goto"):
        if chain not in chains:
            raise Unclear(text)
        return Jump(chain) if word == "jump" else Goto(chain)
    simple: dict[str, Verdict] = {"accept": Accept(), "drop": Drop(), "return": Return()}
    if text not in simple:
        raise Unclear(text)
    return simple[text]


def read_slots(pairs: Iterable[tuple[str, str]]) -> dict[int, str]:
    """A map from numbers, or ranges of them, to data; raises Unclear for other keys."""
    slots: dict[int, str] = {}
    for key, value in pairs:
        first, dash, last = _LIFETIME.sub("", key).strip().partition("-")
        begin = number_of(first)
        end = number_of(last) if dash else begin
        if end - begin >= MOST_PORTS:
            raise Unclear(key)
        for number in range(begin, end + 1):
            slots[number] = value
    return slots
