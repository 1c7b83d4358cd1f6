"""Starting and stopping the servers that a recording needs, each with a log file of its own."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class RecordError(Exception):
    """A recording could not be made; the message is for the person at the terminal."""


def run(command: Sequence[str], text: str | None = None) -> str:
    """Run a command that must succeed; return what it printed."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RecordError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Server:
    """A process that runs until the `with` block ends; what it prints goes to a file."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        """Remember what to start; nothing runs before the `with` block."""
        self.name, self.command, self.log = name, command, log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the process."""
        with self.log.open("wb") as sink:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the process, with force when it does not listen."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until `ready()`; give up when the process ends or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                reason = "has ended" if ended else f"took more than {seconds:.0f} s"
                raise RecordError(f"{self.name} {reason} before {what}:\n{self.tail()}")
            time.sleep(0.05)

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])
