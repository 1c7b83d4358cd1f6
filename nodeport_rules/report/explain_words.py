"""Rules, ends and shares in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nodeport_rules.ruleset.canonical import address_or_network
from nodeport_rules.ruleset.meaning import (
    Accept,
    ActUnknown,
    AnyStep,
    Choose,
    Drop,
    Field,
    Goto,
    Jump,
    Lookup,
    Masquerade,
    MatchAddress,
    MatchChance,
    MatchInterface,
    MatchLocal,
    MatchMark,
    MatchPort,
    MatchProtocol,
    MatchRemembered,
    MatchSet,
    MatchState,
    MatchUnknown,
    Reject,
    Remember,
    Return,
    SetMark,
    State,
    Translate,
)
from nodeport_rules.ruleset.packet import Ending, Outcome

ARROW = "→"
SHOWN_NETWORKS = 2
SAME_SHARE = 1e-6
"""Shares that differ by less are the same; iptables rounds a probability to 2^-31."""


def percent(share: float) -> str:
    """`33.3 %`, `2 %`, `0.05 %`."""
    value = share * 100
    digits = 1 if value >= 1 or value == 0 else 2
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return f"{text or '0'} %" if float(text or 0) or value == 0 else "< 0.01 %"


def endpoint(address: str, port: int) -> str:
    """`10.0.0.1:80`, `[fd00::1]:80`; port 0 stands for an unchanged one."""
    host = f"[{address}]" if ":" in address and port else address
    return f"{host}:{port}" if port else address


# ------------------------------------------------------------------------------ matches


def matches_in_words(steps: Sequence[AnyStep]) -> str:
    """What a rule matches: `tcp port 80, to 10.96.0.10`; empty when it matches everything."""
    words: list[str] = []
    protocol: int | None = None
    for step in steps:
        if isinstance(step, MatchProtocol):
            protocol = len(words)
            words.append(_not(step.protocol, step.negate))
        elif isinstance(step, MatchPort):
            port = str(step.first) if step.first == step.last else f"{step.first}-{step.last}"
            said = _not(f"port {port}", step.negate)
            if protocol is None:
                words.append(said)
            else:
                words[protocol] += f" {said}"
        else:
            words.append(_match(step))
    return ", ".join(word for word in words if word)


def _not(word: str, negate: bool) -> str:
    return f"not {word}" if negate else word


def _match(step: AnyStep) -> str:
    if isinstance(step, MatchMark) and not step.value:
        # "not without a mark" is hard to read.
        step = MatchMark(step.mask, step.mask, not step.negate)
    word = _match_words(step)
    return _not(word, bool(word) and getattr(step, "negate", False))


def _match_words(step: AnyStep) -> str:
    match step:
        case MatchAddress():
            return f"{_way(step.field)} {_networks(step.networks)}"
        case MatchInterface():
            return f"in by {step.name}{'*' if step.prefix else ''}"
        case MatchLocal():
            return f"{_way(step.field)} an address of the node"
        case MatchState():
            return _states(step)
        case MatchMark():
            return _mark(step)
        case MatchSet():
            return f"in set {step.set_name}"
        case Lookup():
            return f"in map {step.map_name}"
        case MatchRemembered():
            return "a client that was here before"
        case MatchChance():
            return "by chance"
        case Choose():
            return f"one of {len(step.verdicts)} by chance"
        case MatchUnknown():
            return f"not understood: {step.text}"
    return ""


def _way(field: Field) -> str:
    return "from" if field is Field.SOURCE else "to"


def _networks(networks: Sequence[str]) -> str:
    shown = [address_or_network(network) for network in networks[:SHOWN_NETWORKS]]
    if len(networks) > SHOWN_NETWORKS:
        shown.append(f"{len(networks) - SHOWN_NETWORKS} more")
    return " or ".join(shown)


def _states(step: MatchState) -> str:
    states = sorted(step.states)
    if states == [State.DNAT]:
        return "translated before"
    return f"connection {' or '.join(states)}"


def _mark(step: MatchMark) -> str:
    if step.value == step.mask:
        return f"marked {hex(step.mask)}"
    return f"mark {hex(step.value)} under {hex(step.mask)}"


# ------------------------------------------------------------------------------ actions


def actions_in_words(steps: Sequence[AnyStep], chosen: str, mark: int | None) -> str:
    """What a rule does: `→ KUBE-SVC-…`, `mark becomes 0x4000`.

    `chosen` is what came of it where the rule chooses or looks up; `mark` is the mark after the
    rule, None when it did not change.
    """
    words = [word for step in steps if (word := _action(step, chosen, mark))]
    return ", ".join(dict.fromkeys(words))


def _action(step: AnyStep, chosen: str, mark: int | None) -> str:
    match step:
        case Jump(chain=chain) | Goto(chain=chain):
            return f"{ARROW} {chain}"
        case Lookup() | Choose():
            return chosen
        case SetMark():
            return f"mark becomes {hex(mark or 0)}"
        case Translate(destinations=destinations):
            return _translation(destinations)
        case ActUnknown(text=text):
            return f"not understood: {text}"
    return next((word for kind, word in _PLAIN.items() if isinstance(step, kind)), "")


_PLAIN: dict[type[AnyStep], str] = {
    Return: "back to the chain before",
    Accept: "accepted",
    Drop: "dropped",
    Reject: "refused",
    Masquerade: "source becomes the node's address",
    Remember: "client remembered",
}


def _translation(destinations: Sequence[tuple[str, int]]) -> str:
    if len(destinations) == 1:
        return f"{ARROW} {endpoint(*destinations[0])}"
    return f"{ARROW} one of {len(destinations)} endpoints"


# ------------------------------------------------------------------------------ ends


class End:
    """Outcomes that are the same for who sends the packet: one place, one treatment."""

    def __init__(self, first: Outcome) -> None:
        self.ending = first.ending
        self.masqueraded = first.masqueraded
        self.accepted = first.accepted
        self.share = 0.0
        where = first.ending in (Ending.TRANSLATED, Ending.PASSED)
        self.address, self.port = (first.address, first.port) if where else ("", 0)

    @property
    def text(self) -> str:
        return endpoint(self.address, self.port) if self.address else self.ending.value


def ends_of(outcomes: Sequence[Outcome]) -> list[End]:
    """The different ends with their shares, in the order in which rules come to them."""
    found: dict[tuple[object, ...], End] = {}
    for one in outcomes:
        end = End(one)
        key = (end.ending, end.address, end.port, end.masqueraded, end.accepted)
        found.setdefault(key, end).share += one.share
    return list(found.values())


def summary(ends: Sequence[End]) -> str:
    """All ends in a sentence: `3 endpoints, 33.3 % each; the source becomes the node's address`."""
    parts: list[str] = []
    for ending in Ending:
        having = [end for end in ends if end.ending is ending]
        if having:
            said = _SENTENCES[ending](having)
            share = sum(end.share for end in having)
            partly = share < 1 - SAME_SHARE
            parts.append(f"{percent(share)} {said[0].lower()}{said[1:]}" if partly else said)
    return "; ".join(parts)


def _endpoints(ends: Sequence[End]) -> str:
    places = {(end.address, end.port) for end in ends}
    shares = [end.share for end in ends]
    if len(places) == 1:
        said = f"1 endpoint, {ends[0].text}"
    elif max(shares) - min(shares) < SAME_SHARE:
        said = f"{len(places)} endpoints, {percent(shares[0])} each"
    else:
        said = f"{len(places)} endpoints, {percent(min(shares))} to {percent(max(shares))}"
    replaced = {(end.address, end.port) for end in ends if end.masqueraded}
    if not replaced:
        return f"{said}; the source is kept"
    if len(replaced) == len(places):
        return f"{said}; the source becomes the node's address"
    return f"{said}; the source becomes the node's address for {len(replaced)} of them"


def _passed(ends: Sequence[End]) -> str:
    said = "No Service's business: its destination stays"
    replaced = ends[0].masqueraded
    return f"{said}, its source becomes the node's address" if replaced else said


_SENTENCES: dict[Ending, Callable[[Sequence[End]], str]] = {
    Ending.TRANSLATED: _endpoints,
    Ending.PASSED: _passed,
    Ending.REJECTED: lambda _: "Refused: the sender is told so at once",
    Ending.DROPPED: lambda _: "Dropped: the sender gets no answer",
}
