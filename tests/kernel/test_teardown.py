"""Nothing stays behind when a sandbox ends, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nodeport_rules
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.processes import run
from nodeport_rules.kernel.sandbox import NodeMachine, PodMachine, Sandbox, Topology, wiring

PROGRAM = Path(__file__).with_name("hold_sandbox.py")
PACKAGE = Path(nodeport_rules.__file__).parent.parent

PATIENCE_SECONDS = 30.0
"""The kernel removes namespaces in its own time, usually within a fraction of a second."""


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"after {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(0.02)


def exists(process: int) -> bool:
    """Whether a process is there and not merely waited for."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Held:
    """The program with its sandbox up."""

    def __init__(self, program: subprocess.Popen[str], ours: NetworkNamespace) -> None:
        self.program = program
        self.ours = ours
        assert program.stdout is not None
        line = program.stdout.readline()
        if not line:
            assert program.stderr is not None
            pytest.fail(f"the sandbox did not come up: {program.stderr.read()}")
        self.server = int(line)
        assert self.tied(), "the device that shows the sandbox's life is not there"

    def tied(self) -> bool:
        with self.ours.entered():
            return "tie" in run(["ip", "-o", "link"])

    def check_gone(self) -> None:
        eventually(lambda: not exists(self.server), f"process {self.server} is still there")
        eventually(lambda: not self.tied(), "the client's namespace is still there")


@contextmanager
def held(how: str) -> Iterator[Held]:
    with (
        NetworkNamespace.create("the test") as ours,
        subprocess.Popen(
            [sys.executable, str(PROGRAM), how, str(ours.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(ours.fileno(),),
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        ) as program,
    ):
        try:
            yield Held(program, ours)
        finally:
            program.kill()


def test_nothing_is_left_after_the_block() -> None:
    with held("exit") as sandbox:
        assert sandbox.program.stdout is not None
        assert sandbox.program.stdout.readline() == "closed\n"
        sandbox.check_gone()
        assert sandbox.program.poll() is None, "the program itself should still run"
        sandbox.program.communicate("")
        assert sandbox.program.returncode == 0


def test_nothing_is_left_after_an_exception() -> None:
    with held("raise") as sandbox:
        _, errors = sandbox.program.communicate()
        assert sandbox.program.returncode == 1
        assert errors.rstrip().endswith("RuntimeError: as told")
        sandbox.check_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(number: signal.Signals) -> None:
    with held("wait") as sandbox:
        sandbox.program.send_signal(number)
        assert sandbox.program.wait(PATIENCE_SECONDS) == -number
        sandbox.check_gone()


def test_ctrl_c_reaches_the_whole_process_group() -> None:
    """On a terminal the servers would get SIGINT too; they must leave the ending to us."""
    with held("wait") as sandbox:
        os.kill(sandbox.server, signal.SIGINT)
        time.sleep(0.1)
        assert exists(sandbox.server)
        sandbox.program.send_signal(signal.SIGINT)
        sandbox.program.wait(PATIENCE_SECONDS)
        sandbox.check_gone()


def descriptors() -> str:
    """The descriptors that this process has open."""
    return " ".join(sorted(path.name for path in Path("/proc/self/fd").iterdir()))


def test_a_sandbox_that_cannot_be_built_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third batch of `ip` fails: by then there are namespaces and the server's process."""
    started: list[int] = []
    configure = Sandbox._configure

    def fail_later(self: Sandbox, *args: object, **options: object) -> None:
        started.append(self.server_pid)
        if len(started) == 3:
            raise RuntimeError("as told")
        configure(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Sandbox, "_configure", fail_later)
    before = descriptors()
    with pytest.raises(RuntimeError, match="as told"):
        Sandbox(Topology(nodes=(NodeMachine("node-1", ("192.168.1.1",)),), client=("192.0.2.10",)))
    assert not exists(started[0])
    assert descriptors() == before


def test_the_host_is_not_touched() -> None:
    """Neither its sysctls nor its devices, routes and named namespaces."""

    def host() -> dict[str, str]:
        names = wiring.sysctls(forwards=True, is_node=True, ipv6=True)
        seen = {
            name: path.read_text()
            for name in sorted(names)
            if (path := Path("/proc/sys/net", name)).exists()
        }
        for command in (["-o", "link"], ["-o", "address"], ["route"], ["-6", "route"], ["netns"]):
            seen[" ".join(command)] = run(["ip", *command])
        seen["own namespace"] = str(Path("/proc/thread-self/ns/net").readlink())
        seen["descriptors"] = descriptors()
        return seen

    before = host()
    topology = Topology(
        nodes=(NodeMachine("node-1", ("192.168.1.1", "2001:db8:1::1"), ("10.244.1.0/24",)),),
        pods=(PodMachine("pod-1", "node-1", ("10.244.1.5", "fd00:10:244:1::5")),),
    )
    with Sandbox(topology) as sandbox:
        sandbox.serve("pod-1", "tcp", 80)
        during = host()
    del during["descriptors"]
    assert during == {name: value for name, value in before.items() if name != "descriptors"}
    assert host() == before
