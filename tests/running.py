"""The command as its users meet it, run inside this process: for tests that run it often."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unittest import mock

from nodeport_rules.cli.main import main


@dataclass(frozen=True)
class Finished:
    """How one run of the command ended, and what it wrote."""

    arguments: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def said(self, kind: str) -> list[str]:
        """The messages of one kind on stderr (`error`, `warning`, `note`, `assumed`), bare."""
        prefix = f"{kind}: "
        return [
            line.removeprefix(prefix)
            for line in self.stderr.splitlines()
            if line.startswith(prefix)
        ]

    def expect(self, status: int) -> Finished:
        """Itself; fails with all it said when it ended otherwise."""
        shown = f"nodeport-rules {' '.join(self.arguments)}\n{self.stderr}"
        assert self.status == status, f"status {self.status}, expected {status}: {shown}"
        return self


def run(*arguments: str, stdin: str | bytes = b"") -> Finished:
    """`nodeport-rules ARGUMENTS`; whatever `main` does not catch itself comes through."""
    stdout, stderr = _stream(), _stream()
    given = stdin.encode() if isinstance(stdin, str) else stdin
    with _streams(arguments, given, stdout, stderr):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = _status(end.code)
    return Finished(tuple(arguments), status, _text(stdout), _text(stderr))


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def _status(code: object) -> int:
    if code is None:
        return 0
    return code if isinstance(code, int) else 1


@contextlib.contextmanager
def _streams(
    arguments: Sequence[str], stdin: bytes, stdout: io.TextIOWrapper, stderr: io.TextIOWrapper
) -> Iterator[None]:
    """The process's arguments and streams, exchanged; the garbage collector is left as it was."""
    collecting = gc.isenabled()
    with (
        mock.patch.object(sys, "argv", ["nodeport-rules", *arguments]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        mock.patch.object(sys, "stdout", stdout),
        mock.patch.object(sys, "stderr", stderr),
    ):
        try:
            yield
        finally:
            if collecting:
                gc.enable()
