"""Whether two rulesets treat every packet alike.

Decided over classes of packets (see `classes`), not by sampling: every class is traced through both
rulesets, and what comes out is compared: each possible end with its share, whether the source is
replaced, and whether a filter chain accepts outright.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from nodeport_rules.ruleset.classes import (
    PROTOCOLS,
    Port,
    Universe,
    mentions_of,
    sources_of,
)
from nodeport_rules.ruleset.meaning import RulesMeaning, State
from nodeport_rules.ruleset.packet import Ending, Host, Outcome, Packet
from nodeport_rules.ruleset.trace import Tracer
from nodeport_rules.ruleset.trace_walk import Traced

# Documentation addresses (RFC 5737, RFC 3849): nobody's, so good for "one that nobody mentions".
_NOBODY = {"ip": "192.0.2.0/24", "ip6": "2001:db8:ffff::/48"}
_LOOPBACK = {"ip": "127.0.0.1", "ip6": "::1"}
_SHARE_DIGITS = 6

End = tuple[Ending, str, int, bool, bool, int, int]
"""(ending, address, port, masqueraded, accepted, mark, seconds that a client is remembered)."""

Way = frozenset[tuple[End, float]]
"""Every possible end with its share."""


class Difference(msgspec.Struct, frozen=True):
    """A packet that the two rulesets treat differently, with both ways."""

    packet: Packet
    one: tuple[Outcome, ...]
    other: tuple[Outcome, ...]


class Comparison(msgspec.Struct, frozen=True):
    """The result: how many classes were looked at, and where the two differ."""

    packets: int
    differences: tuple[Difference, ...]
    not_understood: tuple[str, ...]
    """Rules that some packet came to and that are not understood: then nothing is certain."""


def way_of(outcomes: Sequence[Outcome]) -> Way:
    """What the outcomes come to; equal ways are equal treatment.

    For a packet that is refused or dropped it does not matter where it would have gone.
    """
    shares: dict[End, float] = {}
    for one in outcomes:
        end = _end_of(one)
        shares[end] = shares.get(end, 0.0) + one.share
    return frozenset((end, round(share, _SHARE_DIGITS)) for end, share in shares.items())


def _end_of(one: Outcome) -> End:
    if one.ending in (Ending.REJECTED, Ending.DROPPED):
        return (one.ending, "", 0, False, False, 0, one.sticky_seconds)
    return (
        one.ending,
        one.address,
        one.port,
        one.masqueraded,
        one.accepted,
        one.mark,
        one.sticky_seconds,
    )


def compare(one: RulesMeaning, other: RulesMeaning, host: Host) -> Comparison:
    """Traces every class of packets through both rulesets of one family."""
    if one.family != other.family:
        raise ValueError(f"{one.family} and {other.family} rules do not compare")
    return _Comparer(one, other, host).run()


class _Comparer:
    def __init__(self, one: RulesMeaning, other: RulesMeaning, host: Host) -> None:
        self._rules = (one, other)
        self._host = host
        self._loopback = _LOOPBACK[one.family]
        self._nobody = _NOBODY[one.family]
        self._local = [
            address
            for address in sorted(host.local_addresses)
            if (":" in address) is (":" in self._loopback)
        ]
        self._universe = Universe(self._rules, [*self._local, self._loopback, self._nobody])
        self._tracers = (Tracer(one, host), Tracer(other, host))
        self._mentions = mentions_of(self._rules)
        self._sources = (sources_of(one), sources_of(other))
        for tracer, sources in zip(self._tracers, self._sources, strict=True):
            tracer.watch(place for places in sources.chains_of.values() for place in places)
        self._traced: dict[tuple[int, Packet], Traced] = {}
        self._interfaces = [
            *sorted({f"{name}0" if prefix else name for name, prefix in self._mentions.interfaces}),
            "eth-other",
        ]
        self._packets = 0
        self._differences: list[Difference] = []
        self._not_understood: dict[str, None] = {}

    def run(self) -> Comparison:
        for destination in self._destinations():
            for protocol, port in self._ports(destination):
                self._compare_sources(destination, protocol, port)
        for packet in self._packets_in_other_states():
            self._compare(packet)
        return Comparison(self._packets, tuple(self._differences), tuple(self._not_understood))

    # ---------------------------------------------------------------------------- classes

    def _destinations(self) -> list[str]:
        """One of each class; those that no rule looks at as a destination are one class."""
        singles = {network for network in self._mentions.networks if "/" not in network}
        singles.update((*self._local, self._loopback))
        of_networks = (self._universe.representative(n) for n in self._universe.networks())
        return sorted(singles | {address for address in of_networks if address is not None})

    def _ports(self, destination: str) -> list[Port]:
        mentions = self._mentions
        ports = mentions.ports_of_address.get(destination, set()) | mentions.ports_of_any
        if self._host.is_local(destination):
            ports = ports | mentions.ports_of_local
        return sorted(ports | _unused(ports))

    def _compare_sources(self, destination: str, protocol: str, port: int) -> None:
        """All sources that any chain on the packet's way tells apart, found as they turn up.

        An address that only chains deep down tell apart from its network (an endpoint, which its
        own KUBE-SEP chain masquerades) is followed from those chains on.
        """
        self._traced.clear()
        waiting = [self._nobody, self._loopback, *self._local[:1]]
        seen = set(waiting)
        while waiting:
            source = waiting.pop()
            address = self._universe.representative(source)
            if address is None:
                continue
            for packet in self._packets_from(address, destination, protocol, port):
                found = sorted(self._compare(packet) - seen)
                seen.update(found)
                waiting.extend(found)

    def _packets_from(
        self, source: str, destination: str, protocol: str, port: int
    ) -> Iterator[Packet]:
        if not self._host.is_local(source):
            for interface in self._interfaces:
                yield Packet(source, destination, protocol, port, interface)
        elif source != self._loopback or self._host.is_local(destination):
            yield Packet(source, destination, protocol, port, from_node=True)

    def _packets_in_other_states(self) -> Iterator[Packet]:
        """Packets that are no first ones, and packets that are marked already."""
        nobody = self._universe.representative(self._nobody) or self._loopback
        local = next(iter(self._local), self._loopback)
        marks = (0, *sorted(self._mentions.marks))
        for destination in (local, nobody):
            for state in State:
                if state is State.DNAT:
                    continue
                for mark in marks:
                    yield Packet(nobody, destination, "tcp", 9, "eth-other", state=state, mark=mark)
                    yield Packet(
                        local, destination, "tcp", 9, from_node=True, state=state, mark=mark
                    )

    # ---------------------------------------------------------------------------- comparing

    def _compare(self, packet: Packet) -> set[str]:
        """Compares one packet; the sources that the chains on its way tell apart."""
        self._packets += 1
        results = [self._outcomes(side, packet) for side in (0, 1)]
        for outcomes in results:
            for outcome in outcomes:
                self._not_understood.update(dict.fromkeys(outcome.not_understood))
        if way_of(results[0]) != way_of(results[1]):
            self._differences.append(Difference(packet, tuple(results[0]), tuple(results[1])))
        else:
            self._compare_second_packets(packet, results)
        return self._sources_on_the_way(results)

    def _compare_second_packets(self, packet: Packet, results: Sequence[Sequence[Outcome]]) -> None:
        """A client's next connection, for each end that its first one could have come to."""
        if not any(outcome.remembered for outcomes in results for outcome in outcomes):
            return
        memories = [{(o.address, o.port): o.remembered for o in outcomes} for outcomes in results]
        for end in sorted(memories[0]):
            again = [
                msgspec.structs.replace(packet, remembered=frozenset(memory.get(end, ())))
                for memory in memories
            ]
            traced = [
                tuple(tracer.trace(one)) for tracer, one in zip(self._tracers, again, strict=True)
            ]
            self._packets += 1
            if way_of(traced[0]) != way_of(traced[1]):
                self._differences.append(Difference(again[0], *traced))

    def _outcomes(self, side: int, packet: Packet) -> Sequence[Outcome]:
        """The packet's outcomes, from those of another source of its network where possible."""
        base = self._base_of(side, packet)
        if base is None:
            return self._trace(side, packet).outcomes
        chains = {chain for _, chain in self._sources[side].chains_of.get(packet.source, ())}
        traced = self._trace(side, base)
        outcomes = [
            outcome
            for outcome, entered in zip(traced.outcomes, traced.entered, strict=True)
            if not chains.intersection(entered)
        ]
        for entry in traced.entries:
            if entry.chain in chains and not chains.intersection(entry.before):
                outcomes.extend(self._tracers[side].resume(entry, packet.source).outcomes)
        return outcomes

    def _base_of(self, side: int, packet: Packet) -> Packet | None:
        """A packet that these rules tell apart from this one only in chains that are watched."""
        sources, source = self._sources[side], packet.source
        if (
            packet.from_node
            or packet.state is not State.NEW
            or source not in self._universe.singles
        ):
            return None
        if source in sources.in_sets or sources.chains_of.get(source, frozenset()) & (
            sources.base_chains
        ):
            return None
        network = self._universe.enclosing(source) or self._nobody
        address = self._universe.representative(network)
        if address is None or self._host.is_local(address):
            return None
        return msgspec.structs.replace(packet, source=address)

    def _trace(self, side: int, packet: Packet) -> Traced:
        """The trace of a packet, kept while its destination and port are looked at."""
        key = (side, packet)
        if key not in self._traced:
            self._traced[key] = self._tracers[side].trace_fully(packet)
        return self._traced[key]

    def _sources_on_the_way(self, results: Sequence[Sequence[Outcome]]) -> set[str]:
        found: set[str] = set()
        for sources, outcomes in zip(self._sources, results, strict=True):
            for place in {(e.table, e.chain) for o in outcomes for e in o.events}:
                found |= sources.of_chain[place]
            for outcome in outcomes:
                found |= sources.of_destination.get(outcome.address, frozenset())
        return found


def _unused(ports: Iterable[Port]) -> set[Port]:
    """One port of each protocol that is none of `ports`."""
    used = set(ports)
    return {
        (protocol, next(port for port in range(9, 65536) if (protocol, port) not in used))
        for protocol in PROTOCOLS
    }
