"""Classes of packets that rules can tell apart.

Two packets of one class meet the same matches in all of the rules given, so that one packet of each
class stands for all. Destinations: every address that a rule, set or map names, one of each network
that it names, the node's own, and one that nobody names. Ports: for each destination those that
occur together with it (and, for the node's own addresses, those of rules for local addresses), and
one that nobody names. Sources are found on the way, see `sources_of`.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from nodeport_rules.ruleset.canonical import address_or_network
from nodeport_rules.ruleset.meaning import (
    AnyStep,
    Choose,
    Field,
    Goto,
    HookPoint,
    Jump,
    Lookup,
    MatchAddress,
    MatchInterface,
    MatchLocal,
    MatchMark,
    MatchPort,
    MatchProtocol,
    MatchSet,
    RulesMeaning,
    TableMeaning,
)

PROTOCOLS = ("tcp", "udp", "sctp")
ANY, LOCAL = "any", "local"

Port = tuple[str, int]
"""Protocol and destination port."""


class Mentions(msgspec.Struct):
    """What rules say about destinations: which ports occur with which of them."""

    ports_of_address: defaultdict[str, set[Port]] = msgspec.field(
        default_factory=lambda: defaultdict(set)
    )
    ports_of_local: set[Port] = msgspec.field(default_factory=set)
    ports_of_any: set[Port] = msgspec.field(default_factory=set)
    networks: set[str] = msgspec.field(default_factory=set)
    """Destination networks; and addresses as networks of one."""
    interfaces: set[tuple[str, bool]] = msgspec.field(default_factory=set)
    """(name, whether it is a prefix)."""
    marks: set[int] = msgspec.field(default_factory=set)


def mentions_of(rules: Iterable[RulesMeaning]) -> Mentions:
    """What all of the rules together mention."""
    found = Mentions()
    for one in rules:
        for table in one.tables:
            _TableReader(table, found).read()
    return found


class _TableReader:
    """Reads a table from its base chains on, with the destinations that can come to each chain."""

    def __init__(self, table: TableMeaning, found: Mentions) -> None:
        self._table = table
        self._found = found
        self._seen: set[tuple[str, str]] = set()

    def read(self) -> None:
        waiting: list[tuple[str, str]] = []
        for chain in self._table.chains.values():
            if chain.hook is not None:
                context = LOCAL if chain.hook.point is HookPoint.INPUT else ANY
                waiting.append((chain.name, context))
        while waiting:
            place = waiting.pop()
            if place not in self._seen and place[0] in self._table.chains:
                self._seen.add(place)
                waiting.extend(self._read_chain(*place))

    def _read_chain(self, name: str, context: str) -> Iterator[tuple[str, str]]:
        """Notes what the chain mentions; yields (chain, context) of what it leads to."""
        for rule in self._table.chains[name].rules:
            contexts = list(_destinations(rule.steps, self._table, context))
            for address in contexts:
                if address not in (ANY, LOCAL):
                    self._found.networks.add(address)
                self._note_ports(rule.steps, address)
            self._note_others(rule.steps)
            for step in rule.steps:
                for chain in _targets(step):
                    yield from ((chain, address) for address in contexts)
                if isinstance(step, Lookup):
                    yield from self._read_lookup(step, contexts)

    def _read_lookup(self, step: Lookup, contexts: list[str]) -> Iterator[tuple[str, str]]:
        for key, verdict in self._table.maps.get(step.map_name, {}).items():
            value = dict(zip(step.fields, key, strict=True))
            destination = value.get(Field.DESTINATION)
            port = (value[Field.PROTOCOL], int(value[Field.DESTINATION_PORT]))
            for context in [destination] if destination else contexts:
                if context not in (ANY, LOCAL):
                    self._found.networks.add(context)
                self._note_port(port, context)
                yield from ((chain, context) for chain in _targets(verdict))

    def _note_ports(self, steps: tuple[AnyStep, ...], context: str) -> None:
        protocols = [s.protocol for s in steps if isinstance(s, MatchProtocol) and not s.negate]
        for step in steps:
            if isinstance(step, MatchPort):
                for protocol in protocols or PROTOCOLS:
                    for port in {step.first, step.last}:
                        self._note_port((protocol, port), context)
            elif isinstance(step, MatchSet) and Field.DESTINATION_PORT in step.fields:
                for key in self._table.sets.get(step.set_name, ()):
                    value = dict(zip(step.fields, key, strict=True))
                    pair = (value[Field.PROTOCOL], int(value[Field.DESTINATION_PORT]))
                    self._note_port(pair, value.get(Field.DESTINATION, context))

    def _note_port(self, port: Port, context: str) -> None:
        if context == ANY:
            self._found.ports_of_any.add(port)
        elif context == LOCAL:
            self._found.ports_of_local.add(port)
        else:
            self._found.ports_of_address[context].add(port)

    def _note_others(self, steps: tuple[AnyStep, ...]) -> None:
        for step in steps:
            if isinstance(step, MatchInterface):
                self._found.interfaces.add((step.name, step.prefix))
            elif isinstance(step, MatchMark):
                self._found.marks.update({step.mask, step.value} - {0})


def _targets(step: AnyStep) -> list[str]:
    if isinstance(step, Jump | Goto):
        return [step.chain]
    if isinstance(step, Choose):
        return [verdict.chain for verdict in step.verdicts if isinstance(verdict, Jump | Goto)]
    return []


def _destinations(steps: tuple[AnyStep, ...], table: TableMeaning, context: str) -> Iterator[str]:
    """The destinations that a rule is about: networks and addresses, or ANY, or LOCAL."""
    named: list[str] = []
    local = context == LOCAL
    for step in steps:
        if isinstance(step, MatchAddress) and step.field is Field.DESTINATION:
            if step.negate:
                # What is left out is a class of its own, where ports do not matter.
                continue
            named.extend(address_or_network(network) for network in step.networks)
        elif isinstance(step, MatchSet) and step.fields == (Field.DESTINATION,):
            if not step.negate:
                named.extend(key[0] for key in table.sets.get(step.set_name, ()))
                named.extend(table.networks.get(step.set_name, ()))
        elif isinstance(step, MatchLocal) and step.field is Field.DESTINATION and not step.negate:
            local = True
    if named:
        yield from named
    elif context not in (ANY, LOCAL):
        yield context
    else:
        yield LOCAL if local else ANY


class Sources(msgspec.Struct, frozen=True):
    """Where the rules of one side tell sources apart."""

    of_chain: dict[tuple[str, str], frozenset[str]]
    """For each (table, chain): the source networks and addresses that its rules name."""
    chains_of: dict[str, frozenset[tuple[str, str]]]
    """For each single source address: the (table, chain) that name it in a rule."""
    of_destination: dict[str, frozenset[str]]
    """For sets of sources and destinations together: the sources that occur with each."""
    in_sets: frozenset[str]
    """Single source addresses that stand in any set or map."""
    base_chains: frozenset[tuple[str, str]]


def sources_of(rules: RulesMeaning) -> Sources:
    """Where these rules tell sources apart."""
    of_chain: dict[tuple[str, str], frozenset[str]] = {}
    chains_of: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    of_destination: defaultdict[str, set[str]] = defaultdict(set)
    in_sets: set[str] = set()
    base: set[tuple[str, str]] = set()
    for table in rules.tables:
        for chain in table.chains.values():
            place = (table.name, chain.name)
            steps = [step for rule in chain.rules for step in rule.steps]
            named = {
                address_or_network(network)
                for step in steps
                if isinstance(step, MatchAddress) and step.field is Field.SOURCE
                for network in step.networks
            }
            for source in named:
                chains_of[source].add(place)
            for step in steps:
                if isinstance(step, MatchSet) and Field.SOURCE in step.fields:
                    found = _set_sources(step, table, of_destination)
                    in_sets |= found
                    named |= found if step.fields == (Field.SOURCE,) else set()
            of_chain[place] = frozenset(named)
            if chain.hook is not None:
                base.add(place)
    return Sources(
        of_chain=of_chain,
        chains_of={source: frozenset(places) for source, places in chains_of.items()},
        of_destination={key: frozenset(values) for key, values in of_destination.items()},
        in_sets=frozenset(in_sets),
        base_chains=frozenset(base),
    )


def _set_sources(
    step: MatchSet, table: TableMeaning, of_destination: defaultdict[str, set[str]]
) -> set[str]:
    """The sources in a set; where it holds destinations too, noted under those."""
    place = step.fields.index(Field.SOURCE)
    keys = table.sets.get(step.set_name, frozenset())
    if Field.DESTINATION in step.fields:
        other = step.fields.index(Field.DESTINATION)
        for key in keys:
            of_destination[key[other]].add(key[place])
    found = {key[place] for key in keys}
    if step.fields == (Field.SOURCE,):
        found.update(table.networks.get(step.set_name, ()))
    return found


class Universe:
    """All addresses and networks that rules mention, source or destination.

    Networks are nested or apart, so that each of them less the smaller ones inside it is a class of
    addresses, and so is each single address.
    """

    def __init__(self, rules: Iterable[RulesMeaning], more: Iterable[str]) -> None:
        mentioned = {address_or_network(network) for one in rules for network in _all_networks(one)}
        mentioned.update(more)
        self.singles = {one for one in mentioned if "/" not in one}
        self._networks = sorted(
            (ipaddress.ip_network(one) for one in mentioned if "/" in one),
            key=lambda network: (network.version, int(network.network_address)),
        )
        self._found: dict[str, str | None] = {}
        self._enclosing: dict[str, str | None] = {}

    def representative(self, network: str) -> str | None:
        """An address of the network that no smaller mentioned network contains, and that is not
        mentioned itself; None when there is none. A single address stands for itself."""
        if "/" not in network:
            return network
        if network not in self._found:
            self._found[network] = self._search(ipaddress.ip_network(network))
        return self._found[network]

    def enclosing(self, address: str) -> str | None:
        """The smallest mentioned network that contains the address."""
        if address not in self._enclosing:
            parsed = ipaddress.ip_address(address)
            containing = [n for n in self._networks if n.version == parsed.version and parsed in n]
            smallest = max(containing, key=lambda n: n.prefixlen, default=None)
            self._enclosing[address] = None if smallest is None else str(smallest)
        return self._enclosing[address]

    def networks(self) -> list[str]:
        """The mentioned networks of more than one address."""
        return [str(network) for network in self._networks]

    def _search(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str | None:
        inside = [
            other
            for other in self._networks
            if other.version == network.version
            and other.prefixlen > network.prefixlen
            and other.network_address in network
        ]
        candidate = int(network.network_address) + 1
        last = int(network.broadcast_address)
        make = type(network.network_address)
        while candidate <= last:
            address = make(candidate)
            covering = [other for other in inside if address in other]
            if covering:
                candidate = max(int(other.broadcast_address) for other in covering) + 1
            elif str(address) in self.singles:
                candidate += 1
            else:
                return str(address)
        return None


def _all_networks(rules: RulesMeaning) -> Iterator[str]:
    for table in rules.tables:
        for chain in table.chains.values():
            for rule in chain.rules:
                for step in rule.steps:
                    if isinstance(step, MatchAddress):
                        yield from step.networks
        for networks in table.networks.values():
            yield from networks
        for keys in (*table.sets.values(), *table.maps.values()):
            for key in keys:
                yield from (part for part in key if "." in part or ":" in part)
