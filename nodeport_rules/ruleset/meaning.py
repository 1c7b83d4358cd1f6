"""Rules as meaning: what a rule looks at and what it does, whatever program wrote it.

A backend's `meaning` module turns the text of its rules into these values; `trace` follows a packet
through them. A rule is a sequence of steps taken in order: a match that fails ends the rule, an
action acts. What is not understood stays as text and is never guessed at.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

# ------------------------------------------------------------------------------ what is looked at


class Field(StrEnum):
    """A property of a packet that sets and maps are looked up by."""

    SOURCE = "source address"
    DESTINATION = "destination address"
    PROTOCOL = "protocol"
    DESTINATION_PORT = "destination port"


class State(StrEnum):
    """A state or status of conntrack."""

    NEW = "new"
    ESTABLISHED = "established"
    RELATED = "related"
    INVALID = "invalid"
    DNAT = "dnat"
    """The destination of this connection was translated (nft: `ct status dnat`)."""


class Step(msgspec.Struct, frozen=True, tag=True):
    """A match or an action of a rule."""


class MatchAddress(Step, frozen=True):
    """The source or destination address is in one of `networks` (CIDRs)."""

    field: Field
    networks: tuple[str, ...]
    negate: bool = False


class MatchProtocol(Step, frozen=True):
    """The protocol is `tcp`, `udp`, `sctp` or another one by its name or number."""

    protocol: str
    negate: bool = False


class MatchPort(Step, frozen=True):
    """The destination port is between `first` and `last`, both included."""

    first: int
    last: int
    negate: bool = False


class MatchInterface(Step, frozen=True):
    """The packet came in by this interface; `prefix`: by one whose name begins so."""

    name: str
    prefix: bool = False
    negate: bool = False


class MatchLocal(Step, frozen=True):
    """The address is one of the node's own (addrtype LOCAL, `fib … type local`)."""

    field: Field
    negate: bool = False


class MatchState(Step, frozen=True):
    """Conntrack's state, or status, is one of these."""

    states: frozenset[State]
    negate: bool = False


class MatchMark(Step, frozen=True):
    """The mark's bits under `mask` are `value`."""

    value: int
    mask: int
    negate: bool = False


class MatchSet(Step, frozen=True):
    """The fields together are an element of the set of that name."""

    fields: tuple[Field, ...]
    set_name: str
    negate: bool = False


class MatchRemembered(Step, frozen=True):
    """The client was here in the last `seconds` (session affinity); `name` is the list of clients.

    0 seconds: for as long as the list holds it.
    """

    name: str
    seconds: int = 0


class MatchChance(Step, frozen=True):
    """True for that part of all packets."""

    probability: float


class MatchUnknown(Step, frozen=True):
    """A match that is not understood."""

    text: str


# ------------------------------------------------------------------------------ what is done


class Jump(Step, frozen=True):
    chain: str


class Goto(Step, frozen=True):
    chain: str


class Return(Step, frozen=True):
    pass


class Accept(Step, frozen=True):
    pass


class Drop(Step, frozen=True):
    pass


class Reject(Step, frozen=True):
    pass


class SetMark(Step, frozen=True):
    """The mark becomes (mark & `keep`) ^ `flip`."""

    keep: int
    flip: int


class Translate(Step, frozen=True):
    """DNAT to one of the destinations (address, port; port 0: unchanged), each as likely."""

    destinations: tuple[tuple[str, int], ...]


class Masquerade(Step, frozen=True):
    """The source becomes an address of the node."""


class Remember(Step, frozen=True):
    """The client is remembered (session affinity); `name` is the list of clients."""

    name: str


class Lookup(Step, frozen=True):
    """The verdict that a map holds for the fields; without an element the rule goes on."""

    fields: tuple[Field, ...]
    map_name: str


class Choose(Step, frozen=True):
    """One of the verdicts, each as likely."""

    verdicts: tuple[Verdict, ...]


class ActUnknown(Step, frozen=True):
    """An action that is not understood."""

    text: str


Verdict = Jump | Goto | Return | Accept | Drop | Reject
AnyStep = (
    MatchAddress
    | MatchProtocol
    | MatchPort
    | MatchInterface
    | MatchLocal
    | MatchState
    | MatchMark
    | MatchSet
    | MatchRemembered
    | MatchChance
    | MatchUnknown
    | Jump
    | Goto
    | Return
    | Accept
    | Drop
    | Reject
    | SetMark
    | Translate
    | Masquerade
    | Remember
    | Lookup
    | Choose
    | ActUnknown
)

# ------------------------------------------------------------------------------ where rules stand


class HookPoint(StrEnum):
    """Where in the kernel's path a base chain is called."""

    PREROUTING = "prerouting"
    INPUT = "input"
    FORWARD = "forward"
    OUTPUT = "output"
    POSTROUTING = "postrouting"


class Hook(msgspec.Struct, frozen=True):
    """What makes a chain a base chain.

    Chains of one point are called in the order of `priority` (iptables: raw -300, mangle -150,
    nat -100 for destinations and 100 for sources, filter 0). A chain of type nat sees only the
    first packet of a connection, and none once the connection's address has been translated at
    this point. `policy` is what happens at its end: Accept or Drop.
    """

    point: HookPoint
    priority: int
    is_nat: bool
    drops_at_end: bool = False


class RuleMeaning(msgspec.Struct, frozen=True):
    """One rule: its steps in order, and the text it was read from."""

    steps: tuple[AnyStep, ...]
    text: str


class ChainMeaning(msgspec.Struct, frozen=True):
    name: str
    rules: tuple[RuleMeaning, ...]
    hook: Hook | None = None


class TableMeaning(msgspec.Struct, frozen=True):
    """One table: chains see only the chains, sets and maps of their own table.

    Keys of sets and maps are tuples of texts, one for each field: canonical addresses, protocol
    names in lower case, port numbers. An element that is a network (`10.0.0.0/8`) stands in
    `networks` of a set with one field.
    """

    family: str
    """`ip` or `ip6`."""
    name: str
    chains: dict[str, ChainMeaning]
    sets: dict[str, frozenset[tuple[str, ...]]] = {}
    networks: dict[str, tuple[str, ...]] = {}
    maps: dict[str, dict[tuple[str, ...], Verdict]] = {}


class RulesMeaning(msgspec.Struct, frozen=True):
    """All tables of one host and family, as far as they were read."""

    family: str
    tables: tuple[TableMeaning, ...]
