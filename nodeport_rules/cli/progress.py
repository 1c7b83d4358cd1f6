"""Progress bars for what takes longer than a second on a terminal; nothing in a pipe."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

SECONDS_BEFORE_SHOWN = 1.0
_STEPS = 200


class Stages:
    """The stages of one command, each with a bar of its own; see `stages`."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def begin(self, label: str) -> None:
        """A stage whose length is not known."""
        if self._progress is not None:
            self._finish_all()
            self._progress.add_task(label, total=None)

    def track(self, label: str, items: Sequence[T]) -> Iterable[T]:
        """The items, with a bar that advances as they are taken."""
        return items if self._progress is None else self._tracked(self._progress, label, items)

    def _tracked(self, progress: Progress, label: str, items: Sequence[T]) -> Iterator[T]:
        self._finish_all()
        task = progress.add_task(label, total=len(items))
        step = max(len(items) // _STEPS, 1)
        for number, item in enumerate(items, 1):
            yield item
            if number % step == 0:
                progress.update(task, completed=number)
        progress.update(task, completed=len(items))

    def _finish_all(self) -> None:
        if self._progress is not None:
            for task in self._progress.tasks:
                self._progress.update(task.id, total=task.total or 1, completed=task.total or 1)


@contextmanager
def stages() -> Iterator[Stages]:
    """Stages that appear on stderr after a second, when it is a terminal, and go when done."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield Stages(None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        # While a bar is shown, rich would send what is written to stdout to its own console.
        redirect_stdout=False,
    )
    timer = threading.Timer(SECONDS_BEFORE_SHOWN, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield Stages(progress)
    finally:
        timer.cancel()
        timer.join()
        progress.stop()
