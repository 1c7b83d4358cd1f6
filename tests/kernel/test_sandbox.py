"""The sandbox without any rules: who reaches whom, and what each kind of failure looks like."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nodeport_rules.kernel.errors import KernelError, TopologyError
from nodeport_rules.kernel.sandbox import (
    Entry,
    NodeMachine,
    PodMachine,
    Sandbox,
    Target,
    Topology,
)
from nodeport_rules.kernel.sandbox.sctp import crc32c, init_packet

NODES = (
    NodeMachine("node-1", ("192.168.1.1", "2001:db8:1::1"), ("10.244.1.0/24", "fd00:1::/64")),
    NodeMachine("node-2", ("192.168.1.2", "2001:db8:1::2"), ("10.244.2.0/24", "fd00:2::/64")),
)
PODS = (
    PodMachine("pod-1", "node-1", ("10.244.1.5", "fd00:1::5")),
    PodMachine("pod-2", "node-2", ("10.244.2.5", "fd00:2::5")),
    PodMachine("roaming", "node-2", ("10.99.0.5",)),
    PodMachine("database", None, ("198.51.100.7", "2001:db8:7::7")),
)
TOPOLOGY = Topology(NODES, PODS)
PORT = 8080


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(TOPOLOGY) as running:
        for pod in PODS:
            running.serve(pod.name, "tcp", PORT)
            running.serve(pod.name, "udp", PORT)
        running.serve("node-1", "tcp", PORT)
        yield running


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("origin", ["client", "node-1", "node-2", "pod-1", "pod-2", "database"])
def test_everybody_reaches_every_pod(sandbox: Sandbox, origin: str, protocol: str) -> None:
    addresses = [(pod.name, address) for pod in PODS for address in pod.addresses]
    targets = [Target(protocol, address, PORT) for _, address in addresses]  # type: ignore[arg-type]
    outcomes = sandbox.connect(origin, targets)
    assert [(one.result, one.pod, one.port) for one in outcomes] == [
        ("answered", name, PORT) for name, _ in addresses
    ]
    own = {
        address
        for machine in TOPOLOGY.machines
        if machine.name == origin
        for address in machine.addresses
    } or set(TOPOLOGY.client)
    assert {one.source for one in outcomes} <= own


@pytest.mark.parametrize(
    ("target", "result"),
    [
        (Target("tcp", "10.244.1.5", 9), "refused"),
        (Target("udp", "10.244.1.5", 9), "refused"),
        (Target("tcp", "fd00:1::5", 9), "refused"),
        (Target("udp", "fd00:1::5", 9), "refused"),
        (Target("tcp", "10.244.1.99", PORT), "unreachable"),
        (Target("udp", "203.0.113.1", PORT), "unreachable"),
        (Target("tcp", "2001:db8:9::1", PORT), "unreachable"),
    ],
    ids=str,
)
def test_what_failures_look_like(sandbox: Sandbox, target: Target, result: str) -> None:
    assert [one.result for one in sandbox.connect("client", [target])] == [result]


def test_outcomes_come_in_the_order_of_their_targets(sandbox: Sandbox) -> None:
    targets = [
        Target("tcp", "10.244.1.5" if number % 3 else "10.244.2.5", PORT if number % 2 else 9)
        for number in range(500)
    ]
    assert [one.target for one in sandbox.connect("client", targets)] == targets


def test_an_address_enters_at_its_node_and_can_be_moved(sandbox: Sandbox) -> None:
    """The nodes do not have the address here; one that has it would answer."""
    for node in ("node-1", "node-2"):
        sandbox.add_entry(Entry("192.168.1.1/32", node))
    sandbox.add_entry(Entry("192.168.1.1/32", "node-1"))
    outcomes = sandbox.connect("client", [Target("tcp", "192.168.1.1", PORT)])
    assert [one.pod for one in outcomes] == ["node-1"]


def test_a_pod_can_be_added_later(sandbox: Sandbox) -> None:
    sandbox.add_pods(PodMachine("late", "node-1", ("10.244.1.77", "fd00:1::77")))
    sandbox.serve("late", "tcp", PORT)
    targets = [Target("tcp", address, PORT) for address in ("10.244.1.77", "fd00:1::77")]
    outcomes = sandbox.connect("pod-2", targets)
    assert [one.pod for one in outcomes] == ["late", "late"]


def test_serving_twice_is_fine_but_not_by_two(sandbox: Sandbox) -> None:
    sandbox.serve("pod-1", "tcp", PORT)
    namespace = sandbox.namespace("pod-1")
    with pytest.raises(KernelError, match=r"cannot serve tcp on 10\.244\.1\.5 port 8080"):
        sandbox._servers.serve("another", namespace, "tcp", "10.244.1.5", PORT)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Topology((NodeMachine("node 1\nlink add", ("192.168.1.1",)),)),
            r"'node 1\\nlink add' cannot be the name of a machine",
        ),
        (
            lambda: Topology((NodeMachine("node-1", ("192.168.1.1; reboot",)),)),
            "node-1: '192.168.1.1; reboot' does not appear to be an IPv4 or IPv6 address",
        ),
        (
            lambda: Topology((NodeMachine("node-1", ("192.168.1.1",), ("10.244.1.5/24",)),)),
            "node-1: 10.244.1.5/24 has host bits set",
        ),
        (
            lambda: Topology((NODES[0], NodeMachine("node-2", ("192.168.1.1",)))),
            "node-1 and node-2 both have the address 192.168.1.1",
        ),
        (lambda: Topology((NODES[0], NODES[0])), "two machines of the sandbox are called node-1"),
        (
            lambda: Topology(NODES, (PodMachine("pod-1", "node-3", ("10.244.1.5",)),)),
            "the pod pod-1 is on node-3, which is no node here",
        ),
        (
            lambda: Topology(
                (NodeMachine("node-1", ("192.168.1.1",)),),
                (PodMachine("pod-1", "node-1", ("fd00::5",)),),
            ),
            "pod-1 has fd00::5, but its node node-1 has no address of that family",
        ),
        (
            lambda: Topology(NODES, entries=(Entry("203.0.113.0/24", "node-9"),)),
            "203.0.113.0/24 enters at node-9, no node here",
        ),
    ],
)
def test_a_malformed_topology_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(TopologyError, match=message):
        make()


def test_unknown_machines_are_errors(sandbox: Sandbox) -> None:
    with pytest.raises(TopologyError, match="there is no machine nobody in the sandbox"):
        sandbox.connect("nobody", [])
    with pytest.raises(TopologyError, match="there is no node or pod client in the sandbox"):
        sandbox.serve("client", "tcp", 1)


def test_sctp_checksum() -> None:
    """The check value that the CRC catalogues give for CRC-32C, and a packet that verifies."""
    assert crc32c(b"123456789") == 0xE3069283
    packet = init_packet(40000, 80, 7)
    zeroed = packet[:8] + bytes(4) + packet[12:]
    assert crc32c(zeroed).to_bytes(4, "little") == packet[8:12]
