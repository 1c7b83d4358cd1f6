"""Values taken from a hash of a name: each the same whatever else is there, as far as can be.

A claim's first choice is its key's SHA-256 within its range. Claims whose first choices differ
never touch each other; so adding or removing one moves no other, unless their hashes collide.
Where they do, all first choices are dealt out before any second ones, so that a loser never takes
what is another's first choice.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from typing import Literal

import msgspec

MAX_HASHED_CHOICES = 16
"""Choices by hash before the next free value is searched for, which only a full range needs."""

_MAX_POOL = 2**32
"""Addresses used of a larger IPv6 range: plenty, and they stay short to read."""


class Range(msgspec.Struct, frozen=True):
    """`size` values from `first` on, and how they are written: as numbers or addresses."""

    first: int
    size: int
    form: Literal["number", "IPv4", "IPv6"] = "number"

    def text(self, index: int) -> str:
        """The value at `index`, which is below `size`."""
        value = self.first + index
        if self.form == "IPv4":
            return str(ipaddress.IPv4Address(value))
        return str(ipaddress.IPv6Address(value)) if self.form == "IPv6" else str(value)


class Claim(msgspec.Struct, frozen=True):
    """Somebody's wish for a value: `key` is hashed, `owner` is for messages."""

    key: str
    owner: str
    range: Range


class Choice(msgspec.Struct, frozen=True):
    """What a claim got.

    `value` is "" when its range is full. `note` says, when the value is not the claim's first
    choice, who has that.
    """

    value: str
    note: str = ""


def address_range(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Range:
    """The addresses of a network that may be given out; the size may be 0.

    Left out are the network's own address, the first one after it (the gateway's, or the kubernetes
    Service's) and, for IPv4, the broadcast address.
    """
    spare = 3 if network.version == 4 else 2
    return Range(
        first=int(network.network_address) + 2,
        size=min(max(network.num_addresses - spare, 0), _MAX_POOL),
        form="IPv4" if network.version == 4 else "IPv6",
    )


def stable_number(key: str, size: int) -> int:
    """A number below `size` (at least 1) that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()) % size


def choose(claims: Iterable[Claim], taken: dict[str, str]) -> dict[str, Choice]:
    """A value for each claim, by its key; no two alike, and none of `taken` (value to its owner).

    The result depends on the set of claims, not on their order. `taken` is added to.
    """
    return _Chooser(taken).choose(sorted(claims, key=lambda claim: claim.key))


class _Chooser:
    def __init__(self, taken: dict[str, str]) -> None:
        self._taken = taken
        self._choices: dict[str, Choice] = {}
        self._wanted: dict[str, str] = {}
        self._full: set[Range] = set()

    def choose(self, claims: list[Claim]) -> dict[str, Choice]:
        for attempt in range(MAX_HASHED_CHOICES):
            claims = [claim for claim in claims if not self._by_hash(claim, attempt)]
        for claim in claims:
            self._next_free(claim)
        return self._choices

    def _by_hash(self, claim: Claim, attempt: int) -> bool:
        if claim.range.size < 1:
            return False
        key = f"{claim.key}#{attempt}" if attempt else claim.key
        value = claim.range.text(stable_number(key, claim.range.size))
        return self._take(claim, value)

    def _take(self, claim: Claim, value: str) -> bool:
        """Take the value if it is free."""
        wanted = self._wanted.setdefault(claim.key, value)
        if value in self._taken:
            return False
        note = ""
        if value != wanted:
            note = f"its hash gives {wanted}, which {self._taken[wanted]} has"
        self._taken[value] = claim.owner
        self._choices[claim.key] = Choice(value, note)
        return True

    def _next_free(self, claim: Claim) -> None:
        size = claim.range.size
        if claim.range not in self._full and size:
            start = stable_number(claim.key, size)
            for step in range(size):
                if self._take(claim, claim.range.text((start + step) % size)):
                    return
        self._full.add(claim.range)
        self._choices[claim.key] = Choice("")
