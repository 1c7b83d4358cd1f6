"""`nodeport-rules render`: objects in, the rules of nodes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nodeport_rules.cli import flags
from nodeport_rules.cli.output import (
    EXIT_INCOMPLETE,
    EXIT_OK,
    plural,
    say,
    say_faults,
    write_pieces,
)
from nodeport_rules.cli.progress import stages
from nodeport_rules.cli.resolve import load_compilation, parse_node_name
from nodeport_rules.errors import InputError, UsageError, quote

if TYPE_CHECKING:
    from nodeport_rules.cli.compilation import Compilation, NodeRules
    from nodeport_rules.iptables.transaction import Variant
    from nodeport_rules.model.family import Family

OUTPUT = "Output"
TEXT, JSON = "text", "json"


@flags.with_compile_flags
def render(
    *,
    given: flags.CompileFlags,
    node: Annotated[
        list[str] | None,
        typer.Option(
            help="The node to make rules for. May be repeated (with -o FOLDER or -o json)."
            " By default hostnameOverride, else the only Node among the objects.",
            rich_help_panel=OUTPUT,
            metavar="NAME",
        ),
    ] = None,
    all_nodes: Annotated[
        bool,
        typer.Option(
            "--all-nodes", metavar="", help="Every Node among the objects.", rich_help_panel=OUTPUT
        ),
    ] = False,
    family: Annotated[
        str | None,
        typer.Option(
            metavar="ipv4|ipv6|dual",
            help="Which rules: IPv4's, IPv6's, or both. By default ipv4; dual with -o FOLDER and"
            " with backend nftables.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            metavar="iptables|nftables",
            help="The backend; by default the mode of the configuration file, else iptables.",
            rich_help_panel=OUTPUT,
        ),
    ] = "",
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="text|json|FOLDER",
            help="What to print: text for iptables-restore --noflush or for nft -f, JSON, or a"
            " folder to write a file for each node and family to.",
            rich_help_panel=OUTPUT,
        ),
    ] = TEXT,
    iptables_variant: Annotated[
        str,
        typer.Option(
            metavar="nft|legacy",
            help="Which iptables reads the text: iptables-nft wants it in blocks, iptables-legacy"
            " in one.",
            rich_help_panel=OUTPUT,
        ),
    ] = "nft",
) -> None:
    """Print the rules that a node needs for the given Services.

    With backend iptables they are the rules that kube-proxy 1.36 would write, as a complete ruleset
    for a node that has none of them, for `iptables-restore --noflush`. With backend nftables they
    are a table of our own that treats every packet as kube-proxy's does, for `nft -f -`. What
    manifests leave out (addresses, node ports, endpoints) is assumed, the same way every time, and
    listed on stderr.

    Exit status: 0, or 1 when --keep-going left something out, or 2 when nothing was printed.
    """
    from nodeport_rules.cli import compilation as work
    from nodeport_rules.model.options import Backend

    variant = work.parse_variant(iptables_variant)
    with stages() as progress:
        progress.begin("Reading objects")
        compilation = load_compilation(given, backend, node or [])
        to_folder = output not in (TEXT, JSON)
        families = work.parse_families(
            family, default_dual=to_folder or compilation.backend is Backend.NFTABLES
        )
        faulty = _report(compilation, families, given)
        nodes = _choose_nodes(compilation, node or [], all_nodes)
        for name in nodes:
            compilation.warn_of_settings(name, families)
        if len(nodes) > 1:
            _check_several(nodes, output, given.node_address or [])
        if family is None and len(families) == 1:
            _note_ipv6(compilation)
        rules = (compilation.rules(n, f, progress.track) for n in nodes for f in families)
        whole: list[NodeRules] = []
        if output == TEXT:
            # Compiled before anything is written, so that stdout holds all or nothing.
            whole = list(rules)
        elif output == JSON:
            write_pieces(_json_pieces(rules, compilation))
        else:
            _write_folder(Path(output), rules, variant, given.verbose)
    # No bar is left to be shown among the rules, where they go to a terminal.
    if output == TEXT:
        write_pieces(_text_pieces(whole, variant, given.verbose))
    raise typer.Exit(EXIT_INCOMPLETE if faulty else EXIT_OK)


def _report(
    compilation: Compilation, families: Sequence[Family], given: flags.CompileFlags
) -> bool:
    """Says what was assumed, passed over and wrong; whether anything was wrong.

    Raises InputError for faults, unless the rest is to be compiled.
    """
    loaded = compilation.loaded
    for note in loaded.notes:
        say("note", note)
    if given.verbose and loaded.passed_over:
        counts = ", ".join(f"{kind} {count}" for kind, count in sorted(loaded.passed_over.items()))
        say("note", f"objects of other kinds, passed over: {counts}")
    faults = compilation.faults(families)
    if faults and not given.keep_going:
        raise InputError(faults)
    for assumption in loaded.assumptions:
        say("assumed", str(assumption))
    if faults:
        count = say_faults(faults)
        say("warning", f"{plural(count, 'fault')}; what they concern is left out")
    return bool(faults)


def _choose_nodes(compilation: Compilation, named: list[str], all_nodes: bool) -> list[str]:
    if all_nodes and named:
        raise UsageError("--node and --all-nodes exclude each other")
    if all_nodes:
        if not compilation.nodes:
            raise UsageError("--all-nodes: there is no Node among the objects")
        return sorted(compilation.nodes)
    names = [parse_node_name(name) for name in named]
    nodes = list(dict.fromkeys(names)) or [compilation.choose_node()]
    compilation.warn_of_unknown(nodes)
    return nodes


def _check_several(nodes: Sequence[str], output: str, addresses: Sequence[str]) -> None:
    if output == TEXT:
        raise UsageError(
            f"{plural(len(nodes), 'node')} do not fit into one text: take -o FOLDER or -o json"
        )
    if addresses:
        raise UsageError("--node-address belongs to one node, and there are several")


def _note_ipv6(compilation: Compilation) -> None:
    from nodeport_rules.model.family import Family

    count = len({port.key[:2] for port in compilation.state(Family.IPV6).ports})
    if count:
        have = "has" if count == 1 else "have"
        say(
            "note",
            f"{plural(count, 'Service')} {have} IPv6 addresses too; --family ipv6 or dual prints"
            " their rules",
        )


def _text_pieces(rules: Sequence[NodeRules], variant: Variant, verbose: bool) -> Iterator[str]:
    from nodeport_rules.cli.compilation import rules_pieces
    from nodeport_rules.nftables.parse import PROGRAM as NFT

    for one in rules:
        if len(rules) > 1 and one.ruleset.program != NFT:
            yield f"# {one.ruleset.program}-restore --noflush\n"
        yield from rules_pieces(one, variant)
        if verbose:
            _say_counts(one)


def _json_pieces(rules: Iterable[NodeRules], compilation: Compilation) -> Iterator[str]:
    from nodeport_rules.report.rules_json import rules_document

    yield from rules_document(
        ((one.node, one.family.value, one.ruleset) for one in rules),
        [str(assumption) for assumption in compilation.loaded.assumptions],
    )


def _write_folder(
    folder: Path, rules: Iterable[NodeRules], variant: Variant, verbose: bool
) -> None:
    """One file for each node and family; a file is there whole or not at all."""
    from nodeport_rules.cli.compilation import rules_pieces

    written = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in rules:
            path = folder / _file_name(one)
            partial = path.with_suffix(".partial")
            with partial.open("w", encoding="utf-8") as file:
                file.writelines(rules_pieces(one, variant))
            partial.replace(path)
            written += 1
            if verbose:
                _say_counts(one)
    except FileExistsError:
        raise UsageError(f"-o {quote(str(folder))}: it is a file; name a folder") from None
    except OSError as error:
        at = quote(str(error.filename or folder))
        raise UsageError(f"-o {quote(str(folder))}: {at}: {error.strerror}") from None
    say("note", f"wrote {plural(written, 'file')} to {folder}")


def _file_name(one: NodeRules) -> str:
    """`node-1.ip6tables.rules`, or `node-1.ip6.nft`."""
    from nodeport_rules.nftables.parse import PROGRAM as NFT

    if one.ruleset.program == NFT:
        return f"{one.node}.{one.ruleset.tables[0].family}.nft"
    return f"{one.node}.{one.ruleset.program}.rules"


def _say_counts(one: NodeRules) -> None:
    for table in one.ruleset.tables:
        name = f"{table.family} {table.name}".strip()
        counts = [plural(len(table.chains), "chain"), plural(table.rule_count(), "rule")]
        if table.maps:
            counts.append(plural(sum(len(each.elements) for each in table.maps), "element"))
        say("note", f"{one.node}, {one.ruleset.program}, table {name}: {', '.join(counts)}")
