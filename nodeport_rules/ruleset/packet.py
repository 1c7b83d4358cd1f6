"""Packets and hosts, as far as rules look at them, and what can become of a packet."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from functools import lru_cache

import msgspec

from nodeport_rules.ruleset.meaning import State


class Packet(msgspec.Struct, frozen=True):
    """A packet before any rule has seen it; the first one of a connection unless told otherwise."""

    source: str
    destination: str
    protocol: str
    """`tcp`, `udp` or `sctp`."""
    port: int
    interface: str = ""
    """The interface that it comes in by; empty for the node's own packets."""
    from_node: bool = False
    """Sent by the node itself, or by a pod in the node's network namespace."""
    state: State = State.NEW
    mark: int = 0
    remembered: frozenset[str] = frozenset()
    """Lists of clients (session affinity) that its source was put into before."""


class Host(msgspec.Struct, frozen=True):
    """What the rules ask of the node besides themselves."""

    local_addresses: frozenset[str] = frozenset()
    """The node's own addresses; loopback addresses always count as such."""

    def is_local(self, address: str) -> bool:
        """Whether the address is one of the node's own."""
        return address in self.local_addresses or is_loopback(address)


@lru_cache(maxsize=65536)
def is_loopback(address: str) -> bool:
    """Whether the address is in 127.0.0.0/8 or is ::1."""
    return ipaddress.ip_address(address).is_loopback


class Ending(StrEnum):
    """What becomes of a packet."""

    TRANSLATED = "translated"
    """It goes to an endpoint of a Service."""
    PASSED = "passed"
    """Rules leave its destination alone: it is not a Service's business."""
    REJECTED = "rejected"
    DROPPED = "dropped"


class EventKind(StrEnum):
    """What happened at one place of a packet's way."""

    HOOK = "hook"
    MATCHED = "matched"
    POLICY = "policy"
    NOT_UNDERSTOOD = "not understood"


class Event(msgspec.Struct, frozen=True):
    """One thing on a packet's way: a base chain entered, or a rule that matched."""

    kind: EventKind
    table: str
    chain: str
    depth: int
    """How many jumps deep the chain is; 0 is a base chain."""
    text: str = ""
    """The rule, as its tool prints it; for a base chain, its hook point."""
    chance: float = 1.0
    """The part of the packets that come to this rule for which it matched, or chose as it did."""
    mark: int | None = None
    """The packet's mark, where the rule changed it."""


class Outcome(msgspec.Struct, frozen=True):
    """One possible end of a packet, with the way that leads to it."""

    ending: Ending
    share: float
    """The part of all connections that end so; those of one trace add up to 1."""
    address: str
    port: int
    masqueraded: bool
    accepted: bool
    """A rule of a filter chain let it through, so that no later rule of that chain can drop it."""
    events: tuple[Event, ...]
    mark: int = 0
    """The packet's mark when the rules are done with it."""
    remembered: tuple[str, ...] = ()
    """Lists of clients that its source has been put into."""
    sticky_seconds: int = 0
    """For a client that was here before: how long that is remembered; else 0."""
    not_understood: tuple[str, ...] = ()
    """Rules on the way of which something was not understood: then the end is not certain."""
