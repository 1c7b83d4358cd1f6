"""What comes out: text, JSON, both families, streams that end early, and bars on terminals only."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.kernel import iptables_tools
from nodeport_rules.kernel.namespaces import NetworkNamespace, ensure_network_namespaces
from tests.bench.state import make_state
from tests.golden.cases import FOLDER as GOLDENS
from tests.running import run
from tests.unit.cli.objects import endpoint_slice, node_port_service, write

COMMAND = str(Path(sys.executable).parent / "nodeport-rules")
DUAL_STACK = str(GOLDENS / "dual-stack" / "manifests")
HEADS = ("# iptables-restore --noflush\n", "# ip6tables-restore --noflush\n")


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    ensure_network_namespaces()
    with NetworkNamespace.create("output") as created:
        yield created


def test_dual_prints_both_families_each_under_its_program() -> None:
    dual = run("render", "-f", DUAL_STACK, "--family", "dual").expect(0).stdout
    ipv4 = run("render", "-f", DUAL_STACK, "--family", "ipv4").expect(0).stdout
    ipv6 = run("render", "-f", DUAL_STACK, "--family", "ipv6").expect(0).stdout
    assert dual == HEADS[0] + ipv4 + HEADS[1] + ipv6
    assert "#" not in ipv4 + ipv6


def test_each_half_of_dual_loads_in_the_program_named_above_it(
    namespace: NetworkNamespace,
) -> None:
    dual = run("render", "-f", DUAL_STACK, "--family", "dual").expect(0).stdout
    first, second = dual.removeprefix(HEADS[0]).split(HEADS[1])
    iptables_tools.restore("ipv4", HEADS[0] + first, namespace=namespace)
    iptables_tools.restore("ipv6", HEADS[1] + second, namespace=namespace)
    assert ":8443" in iptables_tools.save("ipv4", namespace=namespace)
    assert "]:8443" in iptables_tools.save("ipv6", namespace=namespace)


def test_ipv4_is_printed_by_default_and_other_addresses_are_noted() -> None:
    plain = run("render", "-f", DUAL_STACK).expect(0)
    assert plain.stdout == run("render", "-f", DUAL_STACK, "--family", "ipv4").stdout
    assert plain.said("note") == [
        "1 Service has IPv6 addresses too; --family ipv6 or dual prints their rules"
    ]


@pytest.mark.parametrize("family", ["ipv4", "ipv6", "dual"])
def test_json_has_the_rules_of_the_text(family: str) -> None:
    arguments = ("render", "-f", DUAL_STACK, "--family", family)
    text = run(*arguments).expect(0)
    document = json.loads(run(*arguments, "-o", "json").expect(0).stdout)
    assert document["schemaVersion"] == 1
    assert any("cluster IP" in line for line in document["assumptions"])
    parts = re.split("|".join(HEADS), text.stdout) if family == "dual" else ["", text.stdout]
    assert len(document["rulesets"]) == len(parts) - 1
    for ruleset, part in zip(document["rulesets"], parts[1:], strict=True):
        assert ruleset["node"] == "node-1"
        assert ruleset["program"] == {"ipv4": "iptables", "ipv6": "ip6tables"}[ruleset["family"]]
        for table in parse_rules(part, ruleset["program"]).tables:
            written = ruleset["tables"][table.name]
            assert written["chains"] == {c.name: list(c.rules) for c in table.chains}
            assert list(written["chains"]) == [chain.name for chain in table.chains]
            assert written["hooks"] == {c.name: list(c.rules) for c in table.hooks}


def test_no_builtin_chain_is_declared_and_our_jumps_come_first() -> None:
    text = run("render", "-f", DUAL_STACK, "--family", "dual").expect(0).stdout
    declared = {line.split()[0] for line in text.splitlines() if line.startswith(":")}
    assert all(chain.startswith(":KUBE-") for chain in declared)
    appended = {line.split()[1] for line in text.splitlines() if line.startswith("-A")}
    assert all(chain.startswith("KUBE-") for chain in appended)
    assert "-I FORWARD 1 " in text


def test_verbose_counts_chains_and_rules_and_what_was_passed_over() -> None:
    folder = str(GOLDENS / "echo-nodeport-service" / "manifests")
    notes = run("render", "-f", folder, "-v").expect(0).said("note")
    assert "objects of other kinds, passed over: ConfigMap 1" in notes
    text = run("render", "-f", folder).expect(0).stdout
    assert "ConfigMap" not in "".join(run("render", "-f", folder).expect(0).said("note"))
    for table in parse_rules(text, "iptables").tables:
        rules = sum(len(chain.rules) for chain in (*table.chains, *table.hooks))
        counts = f"{len(table.chains)} chains, {rules} rules"
        assert f"node-1, iptables, table {table.name}: {counts}" in notes


def test_legacy_gets_one_block_a_table(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_bytes(make_state(60, 10))
    arguments = ("render", "-f", str(state), "--node", "node-1")
    blocks = run(*arguments).expect(0).stdout
    legacy = run(*arguments, "--iptables-variant", "legacy").expect(0).stdout
    assert blocks.count("*nat\n") > 1
    assert legacy.count("*nat\n") == legacy.count("*filter\n") == 1
    assert parse_rules(blocks, "iptables") == parse_rules(legacy, "iptables")


def _large_state(tmp_path: Path) -> str:
    """Enough that its rules do not fit into a pipe."""
    state = tmp_path / "state.json"
    state.write_bytes(make_state(300, 10))
    return str(state)


def _shell(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script with `$1` as the command, `$2` … as the arguments, and pipefail."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script, "bash", COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_reader_that_has_had_enough_is_no_fault(tmp_path: Path, output: str) -> None:
    state = _large_state(tmp_path)
    script = '"$1" render -f "$2" --node node-1 -o "$3" | head -1'
    finished = _shell(script, state, output)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (
            '"$1" render -f "$2" --node node-1 > /dev/full',
            "error: cannot write to standard output: No space left on device\n",
        ),
        ('"$1" render -f "$2" --node node-1 >&-', "error: standard output is closed\n"),
        ('"$1" --help > /dev/full', "error: [Errno 28] No space left on device\n"),
    ],
)
def test_output_that_cannot_be_written_is_one_message(
    tmp_path: Path, script: str, error: str
) -> None:
    finished = _shell(script, _large_state(tmp_path))
    assert (finished.returncode, finished.stderr) == (2, error)


def test_without_stderr_nothing_of_it_gets_among_the_rules(tmp_path: Path) -> None:
    objects = write(tmp_path, node_port_service(), endpoint_slice())
    expected = run("render", "-f", objects).expect(0)
    assert expected.said("assumed")
    finished = _shell('"$1" render -f "$2" 2>&-', objects)
    assert (finished.returncode, finished.stdout) == (0, expected.stdout)


@pytest.fixture
def hasty(tmp_path: Path) -> list[str]:
    """A command whose bars do not wait for a second, whatever the machine."""
    script = tmp_path / "hasty.py"
    script.write_text(
        "from nodeport_rules.cli import main, progress\n"
        "progress.SECONDS_BEFORE_SHOWN = 0.0\n"
        "main.main()\n"
    )
    return [sys.executable, str(script)]


def _with_stderr_on_a_terminal(command: list[str], stdout: Path) -> tuple[int, str]:
    """Runs it with stdout in a file; its status and what the terminal got."""
    ours, theirs = pty.openpty()
    with stdout.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
        )
    os.close(theirs)
    shown = b""
    try:
        while read := os.read(ours, 65536):
            shown += read
    except OSError:
        pass  # how the end of a terminal looks on Linux
    finally:
        os.close(ours)
    return process.wait(timeout=60), shown.decode()


def test_bars_appear_on_a_terminal_and_stdout_is_the_same(tmp_path: Path, hasty: list[str]) -> None:
    arguments = ["render", "-f", _large_state(tmp_path), "--node", "node-1"]
    expected = run(*arguments).expect(0).stdout
    printed = tmp_path / "rules"
    status, shown = _with_stderr_on_a_terminal([*hasty, *arguments], printed)
    assert status == 0
    assert "Compiling for node-1, IPv4" in shown
    assert printed.read_text() == expected


def test_bars_get_into_no_json(tmp_path: Path, hasty: list[str]) -> None:
    arguments = ["render", "-f", _large_state(tmp_path), "--node", "node-1", "-o", "json"]
    printed = tmp_path / "rules"
    status, _ = _with_stderr_on_a_terminal([*hasty, *arguments], printed)
    assert status == 0
    assert printed.read_text() == run(*arguments).expect(0).stdout


def test_bars_get_into_no_file(tmp_path: Path, hasty: list[str]) -> None:
    state = _large_state(tmp_path)
    folder = tmp_path / "rules"
    arguments = ["render", "-f", state, "--node", "node-1"]
    printed = tmp_path / "printed"
    status, _ = _with_stderr_on_a_terminal([*hasty, *arguments, "-o", str(folder)], printed)
    assert (status, printed.read_text()) == (0, "")
    written = (folder / "node-1.iptables.rules").read_text()
    assert written == run(*arguments).expect(0).stdout


def test_no_bars_in_a_pipe(tmp_path: Path, hasty: list[str]) -> None:
    arguments = ["render", "-f", _large_state(tmp_path), "--node", "node-1"]
    finished = subprocess.run(
        [*hasty, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith("*filter\n")


def test_a_fault_on_a_terminal_is_coloured_and_in_a_pipe_is_not(tmp_path: Path) -> None:
    arguments = ["render", "-f", str(tmp_path / "none.yaml")]
    status, shown = _with_stderr_on_a_terminal([COMMAND, *arguments], tmp_path / "out")
    assert status == 2
    assert "\x1b[" in shown
    assert "none.yaml" in shown
    assert "\x1b[" not in run(*arguments).expect(2).stderr
