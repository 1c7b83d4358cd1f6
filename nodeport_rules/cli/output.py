"""What commands say on stderr, and how they end."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator

import typer

from nodeport_rules.errors import Fault, NodeportRulesError

EXIT_OK = 0
EXIT_INCOMPLETE = 1
"""Done, but with `--keep-going` something faulty was left out."""
EXIT_ERROR = 2

_BLOCK = 1 << 20
_COLOURS = {"error": typer.colors.RED, "warning": typer.colors.YELLOW}


class OutputError(NodeportRulesError):
    """What was to be printed could not be written."""


def say(kind: str, message: str) -> None:
    """One line on stderr: `error: …`, `warning: …`, `note: …` or `assumed: …`."""
    if sys.stderr is None:  # closed (2>&-); print would take stdout in its place
        return
    colour = _COLOURS.get(kind) if sys.stderr.isatty() else None
    prefix = typer.style(f"{kind}:", fg=colour, bold=True) if colour else f"{kind}:"
    # Whoever closed or filled it does not want to hear; the rules are not to suffer for it.
    with contextlib.suppress(OSError):
        print(prefix, message, file=sys.stderr)


def say_faults(faults: Iterable[Fault]) -> int:
    """Prints every fault once, in the order of files and objects; returns how many there were."""
    lines = list(dict.fromkeys(str(fault) for fault in sorted(faults)))
    for line in lines:
        say("error", line)
    return len(lines)


def write_pieces(pieces: Iterable[str]) -> None:
    """Writes text to stdout in large blocks; stops quietly when its reader has had enough.

    Raises OutputError when it cannot be written.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    try:
        for block in _blocks(pieces):
            sys.stdout.write(block)
            sys.stdout.flush()
    except BrokenPipeError:
        give_up_stdout()
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {error.strerror}") from None


def _blocks(pieces: Iterable[str]) -> Iterator[str]:
    waiting: list[str] = []
    length = 0
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= _BLOCK:
            yield "".join(waiting)
            waiting, length = [], 0
    yield "".join(waiting)


def give_up_stdout() -> None:
    """Lets what waits to be written go nowhere; at its end the interpreter would fail over it."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plural(count: int, one: str, many: str = "") -> str:
    """`1 chain`, `2 chains`; `many` for words that do not take an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
