"""What commands say on stderr, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import typer

from nodeport_rules.errors import Fault

EXIT_OK = 0
EXIT_INCOMPLETE = 1
"""Done, but with `--keep-going` something faulty was left out."""
EXIT_ERROR = 2

_BLOCK = 1 << 20
_COLOURS = {"error": typer.colors.RED, "warning": typer.colors.YELLOW}


def say(kind: str, message: str) -> None:
    """One line on stderr: `error: …`, `warning: …`, `note: …` or `assumed: …`."""
    colour = _COLOURS.get(kind) if sys.stderr.isatty() else None
    prefix = typer.style(f"{kind}:", fg=colour, bold=True) if colour else f"{kind}:"
    print(prefix, message, file=sys.stderr)


def say_faults(faults: Iterable[Fault]) -> int:
    """Prints every fault once, in the order of files and objects; returns how many there were."""
    lines = list(dict.fromkeys(str(fault) for fault in sorted(faults)))
    for line in lines:
        say("error", line)
    return len(lines)


def write_pieces(pieces: Iterable[str]) -> None:
    """Writes text to stdout in large blocks."""
    waiting: list[str] = []
    length = 0
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= _BLOCK:
            sys.stdout.write("".join(waiting))
            waiting, length = [], 0
    sys.stdout.write("".join(waiting))
    sys.stdout.flush()


def plural(count: int, one: str, many: str = "") -> str:
    """`1 chain`, `2 chains`; `many` for words that do not take an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
