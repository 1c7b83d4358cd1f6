"""`nodeport-rules explain`: a packet's way through the rules of a node, and why."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nodeport_rules.cli import flags
from nodeport_rules.cli.output import EXIT_INCOMPLETE, EXIT_OK, write_pieces
from nodeport_rules.cli.progress import stages
from nodeport_rules.errors import UsageError, quote

if TYPE_CHECKING:
    from nodeport_rules.report.explanation import Explanation

PACKET, RULES = "The packet", "The rules"
TEXT, JSON, MERMAID = "text", "json", "mermaid"
WIDTH, WIDEST = 80, 120


@flags.with_compile_flags
def explain(
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION",
            help="ADDRESS[:PORT][/PROTO], [ADDRESS]:PORT for IPv6, :NODEPORT for a port of the"
            " node's primary address, or (with -f) NAMESPACE/SERVICE[:PORTNAME] for its cluster IP."
            " PROTO is tcp, udp or sctp, by default tcp; without PORT each port of the address that"
            " the objects know.",
            show_default=False,
        ),
    ],
    *,
    given: flags.CompileFlags,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="ADDRESS|pod|node",
            help="Who sends it: an address, a pod of this node, or the node itself. By default"
            " somebody outside.",
            rich_help_panel=PACKET,
        ),
    ] = "",
    interface: Annotated[
        str,
        typer.Option(
            "--interface",
            "-i",
            metavar="NAME",
            help="The interface that it comes in by: by default eth0 from outside; from a pod, the"
            " one that the settings tell pods by, else cni0.",
            rich_help_panel=PACKET,
        ),
    ] = "",
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--rules",
            metavar="DUMP",
            help="Rules to look at, whoever wrote them: what iptables-save, ip6tables-save or"
            " `nft list ruleset` (with -j or without) prints; - for standard input. May be"
            " repeated. Without it, the rules are compiled from -f.",
            rich_help_panel=RULES,
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", metavar="", help="Look at the rules of this host.", rich_help_panel=RULES
        ),
    ] = False,
    table: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="With --live and backend nftables: the table to look at, such as kube-proxy.",
            rich_help_panel=RULES,
        ),
    ] = "nodeport-rules",
    node: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The node that the packet comes to. By default hostnameOverride, else the only"
            " Node among the objects.",
            rich_help_panel=RULES,
        ),
    ] = "",
    backend: Annotated[
        str,
        typer.Option(
            metavar="iptables|nftables",
            help="The backend of rules from -f or --live; by default the mode of the configuration"
            " file, else iptables.",
            rich_help_panel=RULES,
        ),
    ] = "",
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="text|json|mermaid",
            help="A tree for people, JSON, or a Mermaid flowchart.",
        ),
    ] = TEXT,
) -> None:
    """Say where a packet goes, and why.

    Follows the packet through the rules of a node, chain by chain, without a kernel: each rule that
    matches, by what chance, the marks set, and the end: every possible endpoint with its share and
    whether the source is replaced, or that the packet is refused, dropped, or no Service's
    business. With objects (-f) it also says which Service that is, which of its endpoints were left
    out for what reason, and what would help.

    The rules are those that -f compiles to, or those of --rules or --live. What is not understood
    in somebody else's rules is shown as such and never guessed.

    Exit status: 0 however the packet ends, 1 when --keep-going left something out, 2 when it could
    not be explained.
    """
    from nodeport_rules.cli.destination import parse_destination
    from nodeport_rules.cli.explain_run import Explainer

    if output not in (TEXT, JSON, MERMAID):
        raise UsageError(f"-o {quote(output)}: it is text, json or mermaid")
    if live and rules:
        raise UsageError("--rules and --live exclude each other")
    if not (live or rules or given.filename):
        raise UsageError("no rules: give objects with -f, a dump with --rules, or --live")
    wanted = parse_destination(destination)
    explainer = Explainer(given, rules or [], live, table, node, backend)
    with stages() as progress:
        progress.begin("Reading")
        explainer.read(wanted)
        progress.begin("Following the packet")
        explained = explainer.explain(wanted, source, interface)
    _write(explained, explainer.assumptions, output)
    raise typer.Exit(EXIT_INCOMPLETE if explainer.faulty else EXIT_OK)


# ------------------------------------------------------------------------------ printing


def _write(explained: Sequence[Explanation], assumptions: Sequence[str], output: str) -> None:
    if output == JSON:
        from nodeport_rules.report.explain_json import explanations_document

        write_pieces([explanations_document(explained, assumptions)])
    elif output == MERMAID:
        from nodeport_rules.report.explain_mermaid import flowcharts

        write_pieces([flowcharts(explained)])
    else:
        write_pieces(_text_pieces(explained))


def _text_pieces(explained: Sequence[Explanation]) -> list[str]:
    from nodeport_rules.report.explain_text import lines_of, painted

    terminal = sys.stdout is not None and sys.stdout.isatty()
    width = WIDTH
    if terminal:
        columns = shutil.get_terminal_size((WIDTH, 24)).columns
        width = min(max(columns, WIDTH), WIDEST)
    colour = terminal and not os.environ.get("NO_COLOR")
    pieces: list[str] = []
    for number, one in enumerate(explained):
        if number:
            pieces.append("\n" + "─" * width + "\n\n")
        pieces += [painted(line, colour=colour) + "\n" for line in lines_of(one, width)]
    return pieces
