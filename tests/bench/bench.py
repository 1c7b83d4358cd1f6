"""Times compiling against its bars: `python -m tests.bench.bench`, or `make bench`.

Every figure of the first table is a whole process, from its start to its end, with its output
going to a file; the second table takes one run apart, inside this process. The exit status is 1
when a bar is missed. `--quick` runs everything once, on a fifth of the objects, against no bars.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from tests.bench import state

ENDPOINTS_EACH = 10
NODE = "node-1"
RUNS = 5
QUICK_PART = 5
MIB = 1 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """One run of a process."""

    seconds: float
    mebibytes: float
    """Peak of its resident memory."""


@dataclass(frozen=True)
class Verdict:
    """One line of the table: what was measured, against its bar."""

    name: str
    values: tuple[float, ...]
    unit: str
    bar: float
    digits: int = 2

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def passed(self) -> bool:
        return self.median <= self.bar

    def cells(self, judged: bool) -> tuple[str, ...]:
        """The line's texts."""
        verdict = ("[green]met[/]" if self.passed else "[red]missed[/]") if judged else "–"
        shown = [f"{value:.{self.digits}f}" for value in (self.median, *self.range())]
        bar = f"{self.bar:g} {self.unit}".strip() if judged else "–"
        return (self.name, bar, *shown, verdict)

    def range(self) -> tuple[float, float]:
        return min(self.values), max(self.values)


def measure(command: Sequence[str], output: Path) -> Measured:
    """Runs the command, stdout into `output`; RuntimeError with what it said when it fails."""
    with output.open("wb") as stdout, tempfile.TemporaryFile() as stderr:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        # wait4 tells of this one child; getrusage would tell of the largest so far.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            stderr.seek(0)
            said = stderr.read().decode(errors="replace")
            raise RuntimeError(f"{' '.join(command)}: status {process.returncode}\n{said}")
    return Measured(seconds, usage.ru_maxrss * 1024 / MIB)


class Bench:
    """The states in a folder of their own, and the command that compiles them."""

    def __init__(self, folder: Path, runs: int, part: int) -> None:
        self._folder = folder
        self._runs = runs
        self._part = part
        self._command = str(Path(sys.executable).parent / "nodeport-rules")

    def state(self, services: int) -> Path:
        """The file with that many Services (fewer, with --quick)."""
        services //= self._part
        path = self._folder / f"{services}.json"
        if not path.exists():
            # In another process: the peak that the kernel counts for a child begins with what its
            # parent held when it was started.
            with path.open("wb") as file:
                subprocess.run(
                    [sys.executable, state.__file__, str(services), str(ENDPOINTS_EACH)],
                    stdout=file,
                    check=True,
                )
        return path

    def render(self, services: int) -> Measured:
        """One run of `render`; it must have printed rules for every Service."""
        output = self._folder / "rules"
        path = str(self.state(services))
        measured = measure([self._command, "render", "-f", path, "--node", NODE], output)
        wanted = services // self._part * ENDPOINTS_EACH
        with output.open("rb") as rules:
            found = sum(b"-j DNAT --to-destination " in line for line in rules)
        if found != wanted:
            raise RuntimeError(f"{found} endpoints among the rules of {path}, expected {wanted}")
        return measured

    def render_nftables(self, services: int) -> Measured:
        """One run of `render` for nftables; every endpoint must have an element."""
        output = self._folder / "rules"
        path = str(self.state(services))
        backend = ["--backend", "nftables", "--family", "ipv4"]
        measured = measure([self._command, "render", "-f", path, "--node", NODE, *backend], output)
        wanted = services // self._part * ENDPOINTS_EACH
        slots = re.compile(rb"[{,] \d+ : ")
        with output.open("rb") as script:
            found = sum(len(slots.findall(line)) for line in script if b" endpoints-" in line)
        if found != wanted:
            raise RuntimeError(f"{found} elements for endpoints of {path}, expected {wanted}")
        return measured

    def equal(self, services: int) -> Measured:
        """One run of `equal` between the two modes; every packet must fare alike."""
        output = self._folder / "equal"
        path = str(self.state(services))
        flags = ["--between-modes", "--node", NODE, "--family", "ipv4"]
        measured = measure([self._command, "equal", path, path, *flags], output)
        if "IPv4: alike" not in output.read_text():
            raise RuntimeError(f"equal {path}: {output.read_text()}")
        return measured

    def help(self) -> Measured:
        """One run of `--help`."""
        return measure([self._command, "--help"], self._folder / "help")

    def verdicts(self) -> list[Verdict]:
        """Everything that has a bar.

        The runs of all sizes take turns, so that a slow minute of the machine slows all of them,
        and the ratio is one of runs that came one after the other.
        """
        self.help()  # byte code is compiled before anything counts
        small, middle, large, helps, tables, equals = [], [], [], [], [], []
        for _ in range(self._runs):
            helps.append(self.help())
            small.append(self.render(1_000))
            middle.append(self.render(10_000))
            large.append(self.render(20_000))
            tables.append(self.render_nftables(10_000))
            equals.append(self.equal(1_000))
        ratios = tuple(b.seconds / a.seconds for a, b in zip(middle, large, strict=True))
        each = f"x {ENDPOINTS_EACH} endpoints"
        return [
            Verdict("--help", _seconds(helps), "s", 0.3),
            Verdict(f"{self._count(1_000)} Services {each}", _seconds(small), "s", 0.8),
            Verdict(f"{self._count(10_000)} Services {each}", _seconds(middle), "s", 4),
            Verdict("  peak memory", tuple(m.mebibytes for m in middle), "MiB", 500, digits=0),
            Verdict(f"{self._count(20_000)} to {self._count(10_000)}", ratios, "times", 2.2),
            Verdict(f"nftables, {self._count(10_000)} Services", _seconds(tables), "s", 4),
            Verdict(f"equal, modes, {self._count(1_000)} Services", _seconds(equals), "s", 10),
        ]

    def _count(self, services: int) -> str:
        return f"{services // self._part:,}"

    def stages(self) -> list[tuple[str, tuple[float, ...]]]:
        """The seconds of each stage of compiling 10,000 Services, inside this process."""
        from nodeport_rules.cli.compilation import Compilation
        from nodeport_rules.iptables.compile import compile_ruleset
        from nodeport_rules.iptables.transaction import restore_text
        from nodeport_rules.kube.load import Loaded, load
        from nodeport_rules.model.family import Family
        from nodeport_rules.model.options import ProxyOptions
        from nodeport_rules.model.plan import ServicePlan
        from nodeport_rules.ruleset.ruleset import Ruleset

        path = str(self.state(10_000))
        output = self._folder / "rules"
        family = Family.IPV4
        taken: dict[str, list[float]] = {}

        def read() -> Loaded:
            loaded = load([path])
            assert not loaded.faults
            return loaded

        def plan(compilation: Compilation) -> list[ServicePlan]:
            return compilation.plans(NODE, family)

        def compile_plans(compilation: Compilation, plans: list[ServicePlan]) -> Ruleset:
            total = compilation.state(family).total_endpoints
            return compile_ruleset(plans, compilation.settings(NODE, family), total)

        def write(ruleset: Ruleset) -> None:
            with output.open("w", encoding="utf-8") as file:
                file.writelines(restore_text(ruleset))

        for _ in range(self._runs):
            loaded = _timed(taken, "read, check, complete", read)
            compilation = Compilation(loaded, ProxyOptions())
            plans = _timed(taken, "plan", partial(plan, compilation))
            ruleset = _timed(taken, "compile", partial(compile_plans, compilation, plans))
            _timed(taken, "write", partial(write, ruleset))
        return [(stage, tuple(seconds)) for stage, seconds in taken.items()]


def _seconds(runs: Sequence[Measured]) -> tuple[float, ...]:
    return tuple(run.seconds for run in runs)


def _timed(taken: dict[str, list[float]], stage: str, work: Callable[[], T]) -> T:
    begin = time.perf_counter()
    result = work()
    taken.setdefault(stage, []).append(time.perf_counter() - begin)
    return result


def verdict_table(verdicts: Sequence[Verdict], judged: bool) -> Table:
    """What has a bar, against it."""
    table = Table("what", title="Whole processes, start to end", title_justify="left")
    for column in ("bar", "median", "min", "max"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for verdict in verdicts:
        table.add_row(*verdict.cells(judged))
    return table


def stage_table(stages: Sequence[tuple[str, tuple[float, ...]]], title: str) -> Table:
    """Where the time goes."""
    table = Table("stage", title=title, title_justify="left")
    for column in ("median s", "min", "max", "share"):
        table.add_column(column, justify="right")
    total = sum(statistics.median(seconds) for _, seconds in stages)
    for stage, seconds in stages:
        middle = statistics.median(seconds)
        figures = [f"{value:.3f}" for value in (middle, min(seconds), max(seconds))]
        table.add_row(stage, *figures, f"{middle / total:.0%}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints both tables; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, a fifth of it, no bars")
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help="how often (5)")
    chosen = parser.parse_args(arguments)
    runs = 1 if chosen.quick else max(chosen.runs, 1)
    part = QUICK_PART if chosen.quick else 1
    folder = Path(tempfile.mkdtemp(prefix="nodeport-rules-bench-"))
    console = Console()
    try:
        bench = Bench(folder, runs, part)
        with console.status("Measuring"):
            verdicts = bench.verdicts()
            gc.disable()  # as the command does
            stages = bench.stages()
            gc.enable()
    finally:
        shutil.rmtree(folder)
    console.print(verdict_table(verdicts, judged=not chosen.quick))
    console.print(stage_table(stages, f"{10_000 // part:,} Services, stage by stage"))
    times = "run" if runs == 1 else "runs"
    console.print(f"{runs} {times}; {os.cpu_count()} processors, Python {sys.version.split()[0]}")
    return 0 if chosen.quick or all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
