"""An explained packet as a tree for people, as wide as they say, in styles that a terminal paints.

Everything here yields lines; a line is a list of (style, text).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from nodeport_rules.model.reasons import AddressKind, LeftOut, Reason, Why
from nodeport_rules.report.explain_tree import Section, Step
from nodeport_rules.report.explain_words import ARROW, SAME_SHARE, End, endpoint, percent, summary
from nodeport_rules.report.explanation import Explanation
from nodeport_rules.ruleset.packet import Ending, EventKind

Line = list[tuple[str, str]]

PLAIN, DIM, HEAD, SHARE, GOOD, BAD = "plain", "dim", "head", "share", "good", "bad"

SHOWN_BRANCHES = 3
"""Branches of equal kind that are shown when there are more than one more of them."""
SHOWN_ENDS = 10
SHOWN_LEFT_OUT = 8
_NAME_LENGTHS = (40, 32, 24)
"""How long names may be: more and more of their middle is left out until a line fits."""
_ELLIPSIS = "…"


def lines_of(explained: Explanation, width: int) -> Iterator[Line]:
    """The whole explanation; no line is longer than `width`."""
    yield from _heading(explained, width)
    yield []
    sections = [section for section in explained.sections if section.steps]
    for section in sections:
        yield from _section(section, width, comments=explained.why is None)
    if not sections:
        yield [(DIM, "No rule matches.")]
    yield []
    yield from _ends(explained, width)
    yield from _doubts(explained, width)
    if explained.why is not None:
        yield []
        yield from _why(explained, explained.why, width)
    elif explained.misses is not None:
        yield []
        yield [(HEAD, "Why")]
        yield from _paragraph("no Service of the objects has this address and port", width)
        for miss in explained.misses:
            yield from _paragraph(miss, width, "- ")


def _heading(explained: Explanation, width: int) -> Iterator[Line]:
    packet = explained.packet
    by = f", in by {packet.interface}" if packet.interface else ""
    place = {"outside": "outside", "pod": "a pod", "node": "the node itself"}[explained.origin]
    target = endpoint(packet.destination, packet.port)
    lines = [
        f"{packet.protocol} to {target}",
        f"from {packet.source} ({place}{by})",
        explained.rules,
    ]
    for number, text in enumerate(lines):
        yield [(HEAD if number == 0 else PLAIN, fit(text, width))]


# ------------------------------------------------------------------------------ the way


def _section(section: Section, width: int, *, comments: bool) -> Iterator[Line]:
    title = section.point
    where = f" (table {section.table}, chain {section.chain})"
    if section.quiet:
        yield [(HEAD, title), (DIM, fit(f"{where}: nothing matches", width - len(title)))]
        return
    yield [(HEAD, title), (DIM, fit(where, width - len(title)))]
    for line, comment in _steps(section.steps, section.share, "", width):
        said = f"  # {comment}"
        if comments and comment and _length(line) + len(said) <= width:
            line.append((DIM, said))
        yield line


def _steps(
    steps: Sequence[Step], share: float, prefix: str, width: int
) -> Iterator[tuple[Line, str]]:
    """The lines of the steps and all below them, each with the comment of its rule."""
    shown, hidden = grouped(steps, share)
    for number, step in enumerate(shown):
        last = number == len(shown) - 1 and not hidden
        yield _step_line(step, share, f"{prefix}{'└─ ' if last else '├─ '}", width), step.comment
        below = f"{prefix}{'   ' if last else '│  '}"
        yield from _steps(step.steps, step.share, below, width)
        for line in _one_of(step, below, width):
            yield line, ""
    if hidden:
        yield [(DIM, f"{prefix}└─ {more(hidden)}")], ""


def grouped(steps: Sequence[Step], share: float) -> tuple[list[Step], list[float]]:
    """The steps to show, and the shares of the branches that are not shown one by one."""
    branches = [step for step in steps if _is_branch(step, share)]
    if len(branches) <= SHOWN_BRANCHES + 1:
        return list(steps), []
    hidden = branches[SHOWN_BRANCHES:]
    left = {id(step) for step in hidden}
    return [step for step in steps if id(step) not in left], [step.share for step in hidden]


def _is_branch(step: Step, share: float) -> bool:
    return step.share < share - SAME_SHARE and step.kind is EventKind.MATCHED


def _one_of(step: Step, prefix: str, width: int) -> Iterator[Line]:
    """The endpoints that one rule chooses from by itself."""
    ends = step.ends
    shown = ends if len(ends) <= SHOWN_BRANCHES + 1 else ends[:SHOWN_BRANCHES]
    for number, (address, port, share) in enumerate(shown):
        last = number == len(ends) - 1
        line: Line = [(DIM, f"{prefix}{'└─ ' if last else '├─ '}"), (SHARE, f"{percent(share)}  ")]
        yield [*line, (GOOD, fit(endpoint(address, port), width - _length(line)))]
    hidden = [share for _, _, share in ends[len(shown) :]]
    if hidden:
        yield [(DIM, f"{prefix}└─ {more(hidden)}")]


def more(shares: Sequence[float]) -> str:
    """`… 47 more, 2 % each`."""
    low, high = min(shares), max(shares)
    each = (
        f"{percent(low)} each" if high - low < SAME_SHARE else f"{percent(low)} to {percent(high)}"
    )
    return f"{_ELLIPSIS} {len(shares)} more, {each}"


def _step_line(step: Step, share: float, prefix: str, width: int) -> Line:
    line: Line = [(DIM, prefix)]
    if step.share < share - SAME_SHARE:
        line.append((SHARE, f"{percent(step.share)}  "))
    if step.kind is EventKind.NOT_UNDERSTOOD:
        text = f"not understood: {step.rule}"
        return [*line, (BAD, fit(text, width - _length(line)))]
    left = width - _length(line)
    joint = "" if not step.matches or not step.does else " " if step.does[0] == ARROW else ": "
    does = f"{joint}{step.does}"
    if step.leads_nowhere:
        return [*line, (DIM, fit(f"{step.matches}{does}: nothing matches there", left))]
    for limit in _NAME_LENGTHS:
        if len(step.matches) + len(does) > left:
            does = shorter_names(does, limit)
    # What a rule does says more than what it matches: if one must be cut, it is the latter.
    matches = fit(step.matches, max(left - len(does), left // 3))
    return [*line, (PLAIN, matches), (_style(step), fit(does, left - len(matches)))]


def _style(step: Step) -> str:
    if step.does in (Ending.REJECTED.value, Ending.DROPPED.value, "refused"):
        return BAD
    return GOOD


# ------------------------------------------------------------------------------ the end


def _ends(explained: Explanation, width: int) -> Iterator[Line]:
    ends = explained.ends
    bad = any(end.ending in (Ending.REJECTED, Ending.DROPPED) for end in ends)
    style = BAD if bad else HEAD
    for text in textwrap.wrap(summary(ends), width):
        yield [(style, text)]
    if len(ends) > 1:
        yield from _table(explained, width)
    if explained.remembers and explained.why is None:
        note = "session affinity: these shares are of clients that were not here before"
        yield from _paragraph(note, width)
    accepted = {end.accepted for end in ends if end.ending is Ending.TRANSLATED}
    if accepted == {True}:
        note = "accepted in chain FORWARD: rules after these do not see it"
        if any(section.point in ("input", "output") for section in explained.sections):
            note = "accepted: rules after these do not see it"
        yield [(DIM, fit(f"  {note}", width))]


def _table(explained: Explanation, width: int) -> Iterator[Line]:
    ends = explained.ends
    shown = ends if len(ends) <= SHOWN_ENDS + 1 else ends[:SHOWN_ENDS]
    nodes = {one.text: one.node_name for one in explained.why.used} if explained.why else {}
    mixed = len({end.masqueraded for end in ends if end.address}) > 1
    longest = max(len(end.text) for end in shown)
    for end in shown:
        line: Line = [(SHARE, f"  {percent(end.share):>7}  "), (PLAIN, end.text.ljust(longest))]
        node = nodes.get(end.text)
        notes = [f"on {node}"] if node else []
        if mixed and end.address:
            notes.append(_source(end))
        yield [*line, (DIM, fit(f"  {', '.join(notes)}".rstrip(), width - _length(line)))]
    hidden = [end.share for end in ends[len(shown) :]]
    if hidden:
        yield [(DIM, f"           {more(hidden)}")]


def _source(end: End) -> str:
    return "source replaced" if end.masqueraded else "source kept"


def _doubts(explained: Explanation, width: int) -> Iterator[Line]:
    rules = explained.not_understood
    if not rules:
        return
    yield []
    yield [(BAD, "Not certain: rules on the way are not understood")]
    for rule in rules[:SHOWN_LEFT_OUT]:
        yield [(PLAIN, fit(f"  {rule}", width))]
    if len(rules) > SHOWN_LEFT_OUT:
        yield [(DIM, f"  {_ELLIPSIS} {len(rules) - SHOWN_LEFT_OUT} more")]


# ------------------------------------------------------------------------------ why


def _why(explained: Explanation, why: Why, width: int) -> Iterator[Line]:
    port = why.asked.port
    yield [(HEAD, "Why")]
    yield from _paragraph(
        f"Service {port.key.namespace}/{port.key.service}, {_asked(explained, why)}", width
    )
    policy = "Local" if why.asked.policy_local else "Cluster"
    total = len(why.used) + len(why.left_out)
    used = f"{len(why.used)} of {total} endpoints may be used" if total else "it has no endpoints"
    yield from _paragraph(f"{why.asked.policy_field}: {policy}; {used}", width)
    yield from _left_out(why.left_out, width)
    for note in why.notes:
        yield from _paragraph(note, width)
    for text in _disagreement(explained):
        yield from _paragraph(text, width, style=BAD)
    if why.changes:
        yield [(HEAD, "What would help")]
        for change in why.changes:
            yield from _paragraph(change, width, "- ")


def _asked(explained: Explanation, why: Why) -> str:
    """`node port 30080/tcp`, `cluster IP 10.96.0.10, port 80/tcp (http)`."""
    kind, port = why.asked.kind, why.asked.port
    number = f"{explained.packet.port}/{port.protocol}"
    name = f" ({port.key.port_name})" if port.key.port_name else ""
    if kind is AddressKind.NODE_PORT:
        return f"{kind} {number}{name}"
    return f"{kind} {explained.packet.destination}, port {number}{name}"


def _left_out(left_out: Sequence[LeftOut], width: int) -> Iterator[Line]:
    by_reason: dict[Reason, list[LeftOut]] = {}
    for one in left_out:
        by_reason.setdefault(one.reason, []).append(one)
    for reason, having in by_reason.items():
        yield [(PLAIN, fit(f"  left out, {reason}:", width))]
        shown = having if len(having) <= SHOWN_LEFT_OUT + 1 else having[:SHOWN_LEFT_OUT]
        for one in shown:
            detail = left_out_detail(one)
            yield [(PLAIN, fit(f"    {one.endpoint.text}{f'  {detail}' if detail else ''}", width))]
        if len(having) > len(shown):
            yield [(DIM, f"    {_ELLIPSIS} {len(having) - len(shown)} more")]


def left_out_detail(one: LeftOut) -> str:
    """What of the endpoint says so: its node, or what it is hinted for."""
    if one.reason is Reason.ZONE_HINT:
        return f"for {', '.join(one.endpoint.zone_hints)}"
    if one.reason is Reason.NODE_HINT:
        return f"for {', '.join(one.endpoint.node_hints)}"
    return f"on {one.endpoint.node_name}" if one.endpoint.node_name else "on no node"


def _disagreement(explained: Explanation) -> Iterator[str]:
    for text, found in (
        ("the rules do not lead to {}, which the objects call for", explained.lost),
        ("the rules lead to {}, which the objects do not call for", explained.strange),
    ):
        if found:
            shown = ", ".join(found[:SHOWN_BRANCHES])
            more = len(found) - SHOWN_BRANCHES
            yield text.format(f"{shown} and {more} more" if more > 0 else shown)


# ------------------------------------------------------------------------------ width


def _paragraph(text: str, width: int, bullet: str = "", style: str = PLAIN) -> Iterator[Line]:
    for number, line in enumerate(textwrap.wrap(text, width - 2 - len(bullet))):
        lead = bullet if number == 0 else " " * len(bullet)
        yield [(style, f"  {lead}{line}")]


def _length(line: Line) -> int:
    return sum(len(text) for _, text in line)


def shorter_names(text: str, limit: int = _NAME_LENGTHS[0]) -> str:
    """The text with its longest words (kube-proxy's nftables chains) cut in their middle."""
    return " ".join(_shorter(word, limit) for word in text.split(" "))


def _shorter(word: str, limit: int) -> str:
    if len(word) <= limit:
        return word
    end = (limit - 1) // 2
    return f"{word[: limit - 1 - end]}{_ELLIPSIS}{word[len(word) - end :]}"


def fit(text: str, width: int) -> str:
    """The text in at most `width` characters: long names are cut first, then the end."""
    if len(text) <= width:
        return text
    text = shorter_names(text)
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}{_ELLIPSIS}"


# ------------------------------------------------------------------------------ painting


_CODES = {DIM: "2", HEAD: "1", SHARE: "33", GOOD: "32", BAD: "31"}
"""SGR codes of ECMA-48."""


def painted(line: Line, *, colour: bool) -> str:
    """The line as text, with escape sequences for a terminal if it is to have colours.

    Rules are somebody else's text: what cannot be printed is replaced, so that none of it can drive
    the terminal.
    """
    pieces = []
    for style, text in line:
        shown = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
        code = _CODES.get(style) if colour else None
        pieces.append(f"\x1b[{code}m{shown}\x1b[0m" if code and shown else shown)
    return "".join(pieces).rstrip()
