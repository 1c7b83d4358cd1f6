"""The bench itself: it runs, counts what was compiled, and tells a missed bar. No timings here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.bench import bench
from tests.bench.state import make_state


def test_a_quick_run_prints_both_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--quick"]) == 0
    printed = capsys.readouterr().out
    for line in ("--help", "2,000 Services x 10 endpoints", "peak memory", "compile", "write"):
        assert line in printed


@pytest.mark.parametrize(
    ("values", "passed"), [((1.0, 9.0, 2.0), True), ((1.0, 2.5, 9.0), False), ((2.0,), True)]
)
def test_the_median_decides_about_a_bar(values: tuple[float, ...], passed: bool) -> None:
    assert bench.Verdict("something", values, "s", 2).passed is passed


def test_a_missed_bar_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    missed = [bench.Verdict("something", (3.0,), "s", 2)]
    monkeypatch.setattr(bench.Bench, "verdicts", lambda _: missed)
    monkeypatch.setattr(bench.Bench, "stages", lambda _: [("stage", (1.0,))])
    assert bench.main([]) == 1
    assert bench.main(["--quick"]) == 0


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('out of order')"]
    with pytest.raises(RuntimeError, match="status 1\nout of order"):
        bench.measure(failing, tmp_path / "output")


def test_the_same_size_is_the_same_state() -> None:
    state = make_state(60, 3)
    assert state == make_state(60, 3)
    kinds = [item["kind"] for item in json.loads(state)["items"]]
    assert (kinds.count("Service"), kinds.count("EndpointSlice")) == (60, 60)
