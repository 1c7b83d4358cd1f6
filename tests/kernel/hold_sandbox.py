"""A program for `test_teardown.py`: builds a sandbox, says so, and ends in the way it is told.

Arguments: how to end ("exit", "raise" or "wait"), and the descriptor of a network namespace of the
test's. A veth pair ties the sandbox's client to that namespace: when the kernel has removed the
client's namespace, the test's end of the pair is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.processes import run
from nodeport_rules.kernel.sandbox import NodeMachine, PodMachine, Sandbox, Topology

TOPOLOGY = Topology(
    nodes=(NodeMachine("node-1", ("192.168.1.1",), ("10.244.1.0/24",)),),
    pods=(PodMachine("pod-1", "node-1", ("10.244.1.5",)),),
    client=("192.0.2.10",),
)


def main() -> None:
    how, descriptor = sys.argv[1], int(sys.argv[2])
    # Whoever runs the tests may ignore them (nohup, a shell in the background), and so would we.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Sandbox(TOPOLOGY) as sandbox:
        sandbox.serve("pod-1", "tcp", 80)
        tie(sandbox.namespace("client"), descriptor)
        print(sandbox.server_pid, flush=True)
        if how == "raise":
            raise RuntimeError("as told")
        if how == "wait":
            time.sleep(60)
    # Outside of the block nothing may be left, although this process still runs.
    print("closed", flush=True)
    sys.stdin.read()


def tie(client: NetworkNamespace, descriptor: int) -> None:
    with client.entered():
        run(
            ["ip", "-batch", "-"],
            text=f"link add tie type veth peer name tie netns /proc/self/fd/{descriptor}\n",
            keep_open=[descriptor],
        )
    os.close(descriptor)


main()
