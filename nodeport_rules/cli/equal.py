"""`nodeport-rules equal`: do two rulesets treat every packet alike?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nodeport_rules.cli import flags
from nodeport_rules.cli.output import EXIT_ERROR, EXIT_INCOMPLETE, EXIT_OK, plural, say
from nodeport_rules.cli.progress import stages
from nodeport_rules.errors import UsageError, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nodeport_rules.cli.compilation import Compilation
    from nodeport_rules.model.family import Family
    from nodeport_rules.model.options import Backend
    from nodeport_rules.ruleset.equivalence import Comparison, Difference
    from nodeport_rules.ruleset.meaning import RulesMeaning

LIVE = "live"
EXIT_DIFFERENT = EXIT_INCOMPLETE
_SNIFFED = 65536


class _Side:
    """One of the two: objects to compile, a dump, or the rules of this host."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_live = name == LIVE
        self.is_dump = not self.is_live and name != "-" and _looks_like_rules(Path(name))
        self.compilation: Compilation | None = None

    @property
    def is_objects(self) -> bool:
        return not self.is_live and not self.is_dump


@flags.with_compile_flags
def equal(
    *,
    given: flags.CompileFlags,
    one: Annotated[
        str, typer.Argument(metavar="A", help="Objects (file or folder), a dump of rules, or live.")
    ],
    other: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    node: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The node whose rules are compiled."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(metavar="ipv4|ipv6|dual", help="Which rules; by default both families'."),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            metavar="iptables|nftables",
            help="What objects are compiled for; by default what the other side is.",
        ),
    ] = "",
    between_modes: Annotated[
        bool,
        typer.Option(
            "--between-modes",
            metavar="",
            help="A is iptables, B nftables: set the modes' known differences aside, by name.",
        ),
    ] = False,
) -> None:
    """Say whether two rulesets treat every packet alike.

    Decided over classes of packets (every address, port, protocol and source that either side
    mentions, and one of each that neither does), not by sampling. Prints the first differing packet
    of each kind with both ways.

    Exit status: 0 alike, 1 different, 2 error.
    """
    from nodeport_rules.cli.compilation import parse_families

    sides = (_Side(one), _Side(other))
    backends = _backends(sides, backend, between_modes)
    families = parse_families(family, default_dual=True)
    different, certain = False, True
    with stages() as progress:
        progress.begin("Reading rules")
        for side, chosen in zip(sides, backends, strict=True):
            if side.is_objects:
                side.compilation = _compile(given, side.name, chosen, node)
        meanings = [
            _meanings(side, chosen, node, families)
            for side, chosen in zip(sides, backends, strict=True)
        ]
        for each in families:
            pair = [meaning.get(each) for meaning in meanings]
            if pair[0] is None or pair[1] is None:
                _require_both(pair, sides, each, named=family is not None)
                continue
            progress.begin(f"Comparing {each.api_name}")
            found = _compare(sides, (pair[0], pair[1]), given, node, each)
            rest = _set_aside(sides, found, node, each, given) if between_modes else None
            differences = found.differences if rest is None else rest
            different |= _report(each, found, differences, sides)
            certain &= not found.not_understood
    if different:
        raise typer.Exit(EXIT_DIFFERENT)
    raise typer.Exit(EXIT_OK if certain else EXIT_ERROR)


def _looks_like_rules(path: Path) -> bool:
    """Whether a file is a dump of rules, by its first line that says anything."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_SNIFFED).decode("utf-8-sig", errors="replace")
    for line in head.splitlines():
        text = line.strip()
        if text.startswith("#") and "tables-" in text:
            return True
        if text and not text.startswith("#"):
            return text.startswith(("*", "table ")) or '"nftables"' in head[:200]
    return False


def _backends(sides: Sequence[_Side], flag: str, between_modes: bool) -> tuple[Backend, Backend]:
    """What each side is compiled for, or read as where it is live."""
    from nodeport_rules.model.options import Backend

    if flag and flag not in tuple(Backend):
        raise UsageError(f"--backend {quote(flag)}: it is {' or '.join(Backend)}")
    if between_modes:
        if flag:
            raise UsageError("--backend and --between-modes exclude each other")
        return Backend.IPTABLES, Backend.NFTABLES
    if flag:
        return Backend(flag), Backend(flag)
    for side in sides:
        if side.is_dump and _is_nftables(Path(side.name)):
            return Backend.NFTABLES, Backend.NFTABLES
    return Backend.IPTABLES, Backend.IPTABLES


def _is_nftables(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_SNIFFED)
    return b"\ntable " in b"\n" + head or b'"nftables"' in head[:200]


def _compile(
    given: flags.CompileFlags, source: str, backend: Backend, node: str | None
) -> Compilation:
    from nodeport_rules.cli.compilation import require_sound
    from nodeport_rules.cli.resolve import load_compilation

    files = [source, *given.filename]
    compilation = load_compilation(
        dataclasses.replace(given, filename=files), backend.value, [node] if node else []
    )
    if not given.keep_going:
        require_sound(compilation)
    return compilation


def _node_of(side: _Side, node: str | None) -> str:
    assert side.compilation is not None
    return node or side.compilation.choose_node()


def _meanings(
    side: _Side, backend: Backend, node: str | None, families: Sequence[Family]
) -> dict[Family, RulesMeaning]:
    from nodeport_rules.cli import rules_input

    if side.is_live:
        return {family: rules_input.meaning_live(family, backend) for family in families}
    if side.is_dump:
        return rules_input.meaning_from_dump(side.name)
    assert side.compilation is not None
    name = _node_of(side, node)
    return {
        family: rules_input.meaning_from_compilation(side.compilation, name, family)
        for family in families
    }


def _require_both(
    pair: Sequence[RulesMeaning | None], sides: Sequence[_Side], family: Family, *, named: bool
) -> None:
    """A family that neither side has, or that a dump simply leaves out, is not compared."""
    missing = [side for side, meaning in zip(sides, pair, strict=True) if meaning is None]
    if named:
        raise UsageError(f"{quote(missing[0].name)} has no {family.api_name} rules")
    say("note", f"{missing[0].name} has no {family.api_name} rules: not compared")


def _compare(
    sides: Sequence[_Side],
    pair: tuple[RulesMeaning, RulesMeaning],
    given: flags.CompileFlags,
    node: str | None,
    family: Family,
) -> Comparison:
    from nodeport_rules.ruleset.equivalence import compare
    from nodeport_rules.ruleset.packet import Host

    return compare(*pair, Host(frozenset(_local(sides, given, node, family))))


def _local(
    sides: Sequence[_Side], given: flags.CompileFlags, node: str | None, family: Family
) -> tuple[str, ...]:
    """The node's own addresses: flags, else its Node object, else this host's where it is live."""
    from nodeport_rules.cli import rules_input

    found: tuple[str, ...] = ()
    for side in sides:
        if side.compilation is not None and not found:
            name = _node_of(side, node)
            found = rules_input.node_addresses(
                side.compilation.nodes.get(name), given.node_address or [], family
            )
    if not found:
        found = rules_input.node_addresses(None, given.node_address or [], family)
    if not found and any(side.is_live for side in sides):
        found = rules_input.live_addresses(family)
    rules_input.warn_if_nothing_local(found)
    return found


def _set_aside(
    sides: Sequence[_Side],
    found: Comparison,
    node: str | None,
    family: Family,
    given: flags.CompileFlags,
) -> tuple[Difference, ...]:
    """The differences that are none of the modes' known ones; says which of those there were."""
    from nodeport_rules.report.mode_differences import ModeFacts, in_nftables_mode
    from nodeport_rules.ruleset.equivalence import way_of
    from nodeport_rules.ruleset.packet import Host

    objects = next((side for side in sides if side.compilation is not None), None)
    if objects is None or objects.compilation is None:
        raise UsageError("--between-modes: one side has to be objects, to tell the modes apart by")
    name = _node_of(objects, node)
    by_mode = [
        side.compilation or _compile(given, objects.name, backend, node)
        for side, backend in zip(sides, _backends(sides, "", True), strict=True)
    ]
    state = by_mode[1].state(family)
    facts = ModeFacts(
        by_mode[0].plans(name, family),
        by_mode[0].settings(name, family),
        by_mode[1].settings(name, family),
        Host(frozenset(_local(sides, given, node, family))),
        state.service_cidrs,
        state.other_cluster_ips,
    )
    rest, applied = [], dict[str, int]()
    for difference in found.differences:
        outcomes, names = in_nftables_mode(difference.packet, facts, difference.one)
        if way_of(outcomes) != way_of(difference.other):
            rest.append(difference)
            continue
        for each in names:
            applied[each] = applied.get(each, 0) + 1
    for each, count in sorted(applied.items()):
        print(f"set aside: {each}: {plural(count, 'packet')}")
    return tuple(rest)


def _report(
    family: Family,
    found: Comparison,
    differences: Sequence[Difference],
    sides: Sequence[_Side],
) -> bool:
    from nodeport_rules.report.equal_text import difference_lines, kinds_of

    for text in found.not_understood:
        say("error", f"not understood, so nothing is certain: {text}")
    packets = plural(found.packets, "class", "classes") + " of packets"
    if not differences:
        print(f"{family.api_name}: alike ({packets})")
        return False
    kinds = kinds_of(differences)
    print(f"{family.api_name}: different, {plural(len(kinds), 'kind')} of difference ({packets})")
    names = [side.name for side in sides]
    if names[0] == names[1]:
        names = ["A", "B"]
    for number, (difference, count) in enumerate(kinds, 1):
        lines = list(difference_lines(difference, count, *names))
        print(f"{number:3}. {lines[0]}")
        print("\n".join(f"    {line}" for line in lines[1:]))
    return True
