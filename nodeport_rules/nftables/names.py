"""Names and numbers in the nftables table.

Older kernels allow 127 characters for a chain and 31 for a map or set, which is less than names of
Services need: so chains have their names' hashes (the same as in iptables mode), and people's names
stand in comments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

TABLE = "nodeport-rules"
MAX_CHAIN_NAME = 127
MAX_MAP_NAME = 31
MAX_COMMENT = 127
"""NFTNL_UDATA_COMMENT_MAXLEN less the final NUL."""

ENDPOINT_MAPS = 256
"""How many maps the endpoints of all Services are spread over.

An element that is added costs the kernel a step for each rule that uses its map, and a map for each
Service would cost a scan over all of them; any number from 64 to 1,024 is about as fast (decision 4
of the design).
"""
NUMBERS = 1 << 16
SLOT_BITS = 16
"""A key is number << 16 | slot."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where the endpoints of one KUBE-SVC or KUBE-SVL chain stand: which maps, which number."""

    map_index: int
    number: int

    def endpoints_map(self, protocol: str) -> str:
        """The map of slots to addresses; nft 1.0.6 wants one for each protocol."""
        return f"endpoints-{protocol}-{self.map_index:02x}"

    @property
    def choices_map(self) -> str:
        """The map of slots to KUBE-SEP chains, for chains with session affinity."""
        return f"choices-{self.map_index:02x}"

    @property
    def offset(self) -> int:
        """The key of the first slot."""
        return self.number << SLOT_BITS


def places(chains: Iterable[str]) -> dict[str, Place]:
    """A place of its own for each chain, from the hashes of their names alone.

    Where two hashes agree, the chain whose name sorts first stays, and the other one takes the next
    hash of its own name: no third one moves.
    """
    taken: set[Place] = set()
    found: dict[str, Place] = {}
    for chain in sorted(set(chains)):
        attempt = 0
        place = _place(chain, attempt)
        while place in taken:
            attempt += 1
            place = _place(chain, attempt)
        taken.add(place)
        found[chain] = place
    return found


def _place(chain: str, attempt: int) -> Place:
    digest = hashlib.sha256(f"{chain}#{attempt}".encode()).digest()
    number = int.from_bytes(digest[1:3], "big")
    return Place(digest[0] % ENDPOINT_MAPS, number)


def affinity_set(endpoint_chain: str) -> str:
    """The set of clients that an endpoint's chain remembers: `clients-<hash>`."""
    return f"clients-{endpoint_chain.rpartition('-')[2]}"


def comment(text: str) -> str:
    """`text` as a comment that fits; a longer one ends in three dots."""
    return text if len(text) <= MAX_COMMENT else f"{text[: MAX_COMMENT - 3]}..."


def duration(seconds: int) -> str:
    """A length of time as nft prints it: `3h`, `1m30s`."""
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= length:
            parts.append(f"{seconds // length}{unit}")
            seconds %= length
    return "".join(parts) or "0s"
