"""What `equal` says: the first packet of each kind of difference, with both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nodeport_rules.ruleset.equivalence import Difference
from nodeport_rules.ruleset.meaning import State
from nodeport_rules.ruleset.packet import Ending, Outcome, Packet

SHOWN_ENDS = 4


def kinds_of(differences: Iterable[Difference]) -> list[tuple[Difference, int]]:
    """The first difference of each kind, and how many there are of it.

    Of one kind are differences in which both sides end in the same ways, whatever the addresses.
    """
    first: dict[object, Difference] = {}
    counts: dict[object, int] = {}
    for one in differences:
        kind = (
            one.packet.from_node,
            one.packet.state,
            bool(one.packet.remembered),
            _manner(one.one),
            _manner(one.other),
        )
        first.setdefault(kind, one)
        counts[kind] = counts.get(kind, 0) + 1
    return [(first[kind], counts[kind]) for kind in first]


def _manner(outcomes: Sequence[Outcome]) -> frozenset[tuple[Ending, bool, bool]]:
    return frozenset((one.ending, one.masqueraded, one.accepted) for one in outcomes)


def difference_lines(difference: Difference, count: int, one: str, other: str) -> Iterator[str]:
    """A difference in words; `one` and `other` name the two sides."""
    more = f" (and {count - 1:,} more packets of this kind)" if count > 1 else ""
    yield f"{packet_text(difference.packet)}{more}"
    yield f"  {one}: {outcomes_text(difference.one)}"
    yield f"  {other}: {outcomes_text(difference.other)}"


def packet_text(packet: Packet) -> str:
    """`tcp 192.0.2.1 → 10.96.0.10 port 80, from outside by eth0`."""
    by = f" by {packet.interface}" if packet.interface else ""
    text = (
        f"{packet.protocol} {packet.source} → {packet.destination} port {packet.port},"
        f" {'from the node' if packet.from_node else 'coming in' + by}"
    )
    if packet.state is not State.NEW:
        text += f", conntrack state {packet.state}"
    if packet.mark:
        text += f", marked {packet.mark:#x}"
    if packet.remembered:
        text += ", client was here before"
    return text


def outcomes_text(outcomes: Sequence[Outcome]) -> str:
    """`to 10.244.0.5 port 8080 50 %, to 10.244.1.6 port 8080 50 %; source replaced`."""
    shares: dict[str, float] = {}
    for one in outcomes:
        text = _end_text(one)
        shares[text] = shares.get(text, 0.0) + one.share
    ends = [text if share > 0.9999995 else f"{text} {share:.1%}" for text, share in shares.items()]
    if len(ends) > SHOWN_ENDS:
        ends = [*ends[:SHOWN_ENDS], f"… {len(ends) - SHOWN_ENDS} more"]
    return ", ".join(ends)


def _end_text(one: Outcome) -> str:
    if one.ending is Ending.TRANSLATED:
        text = f"to {one.address} port {one.port}"
    elif one.ending is Ending.PASSED:
        text = "passed on"
    else:
        text = "refused" if one.ending is Ending.REJECTED else "dropped"
    if one.masqueraded:
        text += " with the node's source address"
    if one.accepted:
        text += " (accepted outright)"
    if one.sticky_seconds:
        text += f" (for {one.sticky_seconds} s)"
    return text
