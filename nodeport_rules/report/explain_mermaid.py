"""Explained packets as Mermaid flowcharts: chains, what leads from one to the next, and shares.

Only the plainest syntax is used: nodes with quoted labels, arrows, subgraphs without directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nodeport_rules.report.explain_text import SHOWN_BRANCHES, fit, grouped, more, shorter_names
from nodeport_rules.report.explain_tree import Section, Step
from nodeport_rules.report.explain_words import SAME_SHARE, endpoint, percent, summary
from nodeport_rules.report.explanation import Explanation
from nodeport_rules.ruleset.packet import EventKind

_LABEL = 60
_ESCAPED = {
    "#": "#35;",
    '"': "#quot;",
    "<": "#lt;",
    ">": "#gt;",
    "&": "#amp;",
    "`": "#96;",
    "[": "#91;",
    "]": "#93;",
    "|": "#124;",
}


def flowcharts(explained: Sequence[Explanation]) -> str:
    """One flowchart for all of them, as Mermaid takes it."""
    chart = _Chart()
    for one in explained:
        chart.add(one)
    return "\n".join(("flowchart TD", *chart.lines)) + "\n"


class _Chart:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self._count = 0

    def add(self, explained: Explanation) -> None:
        packet = explained.packet
        target = endpoint(packet.destination, packet.port)
        before = self._node("", f"{packet.protocol} from {packet.source} to {target}", round_=True)
        for section in explained.sections:
            if section.steps and not section.quiet:
                before = self._section(section, before)
        said = summary(explained.ends)
        if explained.not_understood:
            said = f"not certain: {said}"
        end = self._node("", said, round_=True)
        self._edge("", before, end, "")

    def _section(self, section: Section, before: str) -> str:
        """The section as a subgraph; the node that stands for its base chain."""
        self._count += 1
        self.lines.append(f'  subgraph s{self._count}["{_text(_title(section))}"]')
        root = self._node("  ", section.chain)
        self._steps(section.steps, section.share, root)
        self.lines.append("  end")
        self._edge("", before, root, "")
        return root

    def _steps(self, steps: Sequence[Step], share: float, parent: str) -> None:
        shown, hidden = grouped(steps, share)
        for step in shown:
            if step.leads_nowhere:
                continue
            node = self._node("  ", _label(step))
            part = percent(step.share) if step.share < share - SAME_SHARE else ""
            said = f"{part} {step.matches}" if step.does else part
            self._edge("  ", parent, node, said.strip())
            self._steps(step.steps, step.share, node)
            self._one_of(step, node)
        if hidden:
            self._edge("  ", parent, self._node("  ", more(hidden)), "")

    def _one_of(self, step: Step, parent: str) -> None:
        ends = step.ends
        shown = ends if len(ends) <= SHOWN_BRANCHES + 1 else ends[:SHOWN_BRANCHES]
        for address, port, share in shown:
            self._edge("  ", parent, self._node("  ", endpoint(address, port)), percent(share))
        if len(ends) > len(shown):
            hidden = [share for _, _, share in ends[len(shown) :]]
            self._edge("  ", parent, self._node("  ", more(hidden)), "")

    def _node(self, indent: str, label: str, *, round_: bool = False) -> str:
        self._count += 1
        name = f"n{self._count}"
        text = _text(label)
        shape = f'(["{text}"])' if round_ else f'["{text}"]'
        self.lines.append(f"  {indent}{name}{shape}")
        return name

    def _edge(self, indent: str, start: str, end: str, label: str) -> None:
        arrow = f'-->|"{_text(label)}"|' if label else "-->"
        self.lines.append(f"  {indent}{start} {arrow} {end}")


def _title(section: Section) -> str:
    return f"{section.point}, table {section.table}"


def _label(step: Step) -> str:
    if step.kind is EventKind.NOT_UNDERSTOOD:
        return f"not understood: {step.rule}"
    return step.does.removeprefix("→ ") or step.matches or step.rule


def _text(label: str) -> str:
    """The label, short, on one line, with everything replaced that means something to Mermaid."""
    return "".join(_characters(fit(shorter_names(label), _LABEL)))


def _characters(label: str) -> Iterator[str]:
    for character in label:
        if character in _ESCAPED:
            yield _ESCAPED[character]
        else:
            yield character if character.isprintable() else "?"
