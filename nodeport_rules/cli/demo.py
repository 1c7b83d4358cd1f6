"""`nodeport-rules demo`: the rules on real packets, in a cluster made of network namespaces."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nodeport_rules.cli import flags
from nodeport_rules.cli.output import EXIT_INCOMPLETE, EXIT_OK, say
from nodeport_rules.cli.progress import stages
from nodeport_rules.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from nodeport_rules.cli.demo_run import Demo
    from nodeport_rules.model.family import Family

EXAMPLE = Path(__file__).parent.parent / "examples" / "web-service.yaml"

WIDTH_IN_A_PIPE = 160
MAX_CONNECTIONS = 1_000_000


def demo(
    filename: flags.Files = [],  # noqa: B006 (typer copies it)
    connections: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            help="Connections to open to each node port, an equal part of them to each node.",
        ),
    ] = 3000,
    family: Annotated[
        str, typer.Option(metavar="ipv4|ipv6", help="The address family to show.")
    ] = "ipv4",
) -> None:
    """Show on real packets what the rules do.

    Builds a small cluster out of network namespaces (a client, nodes, pods behind them), loads each
    node's rules with iptables-restore, and opens connections to every node port. Shows the chains
    walked, each pod's expected and measured share, and the source address that pods saw. Without
    -f it shows an example: three replicas behind node port 30008.

    Touches nothing of this machine and leaves nothing behind. Needs iptables and iproute2, and
    either root or a host that lets users make user namespaces.

    Exit status: 0; 1 when something was measured that cannot be; 2 when it could not be tried.
    """
    from nodeport_rules.kernel.iptables_tools import program
    from nodeport_rules.kernel.namespaces import ensure_network_namespaces
    from nodeport_rules.kernel.processes import find_program
    from nodeport_rules.model.family import Family

    if family not in tuple(Family):
        raise UsageError(f"--family {family!r}: it is ipv4 or ipv6")
    if not 1 <= connections <= MAX_CONNECTIONS:
        raise UsageError(f"--connections {connections}: give 1 to {MAX_CONNECTIONS:,}")
    chosen = Family(family)
    for tool in ("ip", program(chosen.value, "restore"), program(chosen.value, "save")):
        find_program(tool)
    stdin = sys.stdin.buffer.read() if "-" in filename else b""
    ensure_network_namespaces()
    sound = _show(filename or [str(EXAMPLE)], stdin, chosen, connections)
    raise typer.Exit(EXIT_OK if sound else EXIT_INCOMPLETE)


def _show(sources: list[str], stdin: bytes, family: Family, connections: int) -> bool:
    """All runs of the demo; whether everything measured was as it should be."""
    from rich.console import Console

    from nodeport_rules.cli.demo_objects import load_objects, moved_to_first_node
    from nodeport_rules.cli.demo_run import Demo

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE)
    loaded = load_objects(sources, stdin)
    for note in loaded.notes:
        say("note", note)
    for assumption in loaded.assumptions:
        say("assumed", str(assumption))
    first = Demo(loaded, family)
    sound = _run(console, first, connections, "")
    moved = moved_to_first_node(loaded)
    if moved is not None:
        second = Demo(moved, family)
        title = f" (once more, all pods on {second.nodes[0].name})"
        sound = _run(console, second, connections, title) and sound
    return sound


def _run(console: Console, demo: Demo, connections: int, title: str) -> bool:
    """One sandbox, and every node port in it; whether all was as it should be."""
    from nodeport_rules.report import demo_tables

    sound = True
    with demo.running() as sandbox:
        for position, port in enumerate(demo.service_ports):
            with stages() as progress:
                progress.begin(f"Connecting to {port.name}")
                measurement = demo.measure(sandbox, position, connections)
            nodes = " and ".join(node.address for node in demo.nodes)
            console.rule(
                f"{port.name}: {port.protocol} node port {port.node_port}{title}", align="left"
            )
            opened = sum(len(one.answers) for one in measurement.nodes)
            console.print(
                f"{opened:,} connections from {demo.client} to port {port.node_port} of {nodes}\n"
            )
            if measurement.steps:
                console.print(demo_tables.chains_table(measurement))
            if measurement.shares().rows:
                console.print(demo_tables.shares_table(measurement, demo.places()))
            for line in (
                demo_tables.share_verdict(measurement),
                demo_tables.sources_sentence(measurement, demo.owners()),
                *(
                    f"{one.node}: {one.failing}, as it should be: no endpoint that it may use"
                    for one in measurement.nodes
                    if one.failing and not one.faults()
                ),
            ):
                if line:
                    console.print(line)
            console.print()
            for fault in measurement.faults():
                say("error", f"{port.name}, node port {port.node_port}: {fault}")
                sound = False
    return sound
