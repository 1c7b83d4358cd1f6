"""A packet somewhere on its way: what the tracer carries along, and what it hands back."""

from __future__ import annotations

import msgspec

from nodeport_rules.ruleset.meaning import HookPoint
from nodeport_rules.ruleset.packet import Event, Outcome
from nodeport_rules.ruleset.trace_match import PacketState

Path = tuple[Event, "Path | None"]


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A place in a chain to go on from: a rule, and a step in it."""

    chain: str
    rule: int
    step: int = 0


class Walk(msgspec.Struct):
    """A packet somewhere on its way, with all that has happened to it so far."""

    packet: PacketState
    share: float
    point: HookPoint
    from_node: bool
    hooks: tuple[tuple[int, str], ...]
    """Base chains of this hook point still to come: (table's position, chain)."""
    table: int = 0
    base_chain: str = ""
    frames: tuple[Frame, ...] = ()
    chance: float = 1.0
    """The chance by which the present rule matched."""
    path: Path | None = None
    destination_settled: bool = False
    """Whether nat chains have seen it where destinations are translated."""
    source_settled: bool = False
    masqueraded: bool = False
    accepted: bool = False
    looped: bool = False
    """Whether it comes in again by the loopback interface."""
    not_understood: tuple[str, ...] = ()
    sticky_seconds: int = 0
    remembered: tuple[str, ...] = ()
    """Lists of clients that it has been put into."""
    entries: tuple[str, ...] = ()
    """Watched chains that it has entered so far (see `Tracer.watch`)."""

    def record(self, event: Event) -> None:
        """Adds an event to the way so far."""
        self.path = (event, self.path)

    def events(self) -> tuple[Event, ...]:
        """The way so far, from its beginning."""
        found: list[Event] = []
        path = self.path
        while path is not None:
            event, path = path
            found.append(event)
        return tuple(reversed(found))

    def branch(self, chance: float) -> Walk:
        """The same walk for that part of the packets."""
        packet = msgspec.structs.replace(self.packet)
        return msgspec.structs.replace(
            self, packet=packet, share=self.share * chance, chance=chance
        )


class Entry(msgspec.Struct):
    """A watched chain that a traced packet entered, and how to go on from there."""

    table: str
    chain: str
    before: tuple[str, ...]
    """Watched chains that it had entered before."""
    walk: Walk


class Traced(msgspec.Struct, frozen=True):
    """Everything a trace found: the outcomes, and for each the watched chains on its way."""

    outcomes: tuple[Outcome, ...]
    entered: tuple[tuple[str, ...], ...]
    entries: tuple[Entry, ...]
