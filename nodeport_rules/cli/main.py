"""The command `nodeport-rules`."""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from nodeport_rules import __version__
from nodeport_rules.cli.demo import demo
from nodeport_rules.cli.equal import equal
from nodeport_rules.cli.explain import explain
from nodeport_rules.cli.output import EXIT_ERROR, OutputError, give_up_stdout, say, say_faults
from nodeport_rules.cli.render import render
from nodeport_rules.errors import InputError, NodeportRulesError

EXIT_INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"nodeport-rules {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Kubernetes Services as the NAT rules of a Linux node.

    Compiles Services and their endpoints into the iptables or nftables rules that make a node treat
    every packet as kube-proxy would, so that they can be read, questioned, compared and tried
    before any node has them.
    """


app.command()(render)
app.command()(explain)
app.command()(demo)
app.command()(equal)


def main() -> None:
    """Runs the command line; the process ends with its exit status."""
    # One run, few cycles: collecting them would cost a fifth of the time at 10,000 Services.
    gc.disable()
    try:
        app()
    except InputError as error:
        count = say_faults(error.faults)
        if count > 1:
            say("error", f"{count} faults; nothing was written")
        sys.exit(EXIT_ERROR)
    except OutputError as error:
        give_up_stdout()
        say("error", str(error))
        sys.exit(EXIT_ERROR)
    except NodeportRulesError as error:
        say("error", str(error))
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        # What is read and written on purpose has its own messages; this is --help to a full disk.
        give_up_stdout()
        say("error", str(error))
        sys.exit(EXIT_ERROR)
