"""The node that packets go through: one network namespace, and one more for all that is around it.

Packets from elsewhere are put on the far end of a veth pair (`eth0` for the world, `cni0` and
`veth0` for pods of this node), packets of the node itself go into a raw socket. Nothing answers:
what is sent on leaves by the device `sink` and is gone. What became of a packet is read from

- connection tracking: where it went, and as whom it went there,
- marks that rules beside those under test leave on its entry: whether it came through all of them,
- a capture of ICMP errors on all devices of the node: whether it was refused.

Source ports are unique, so they tell which packet is which.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nodeport_rules.kernel import accounting, conntrack, iptables_tools, nft_tools
from nodeport_rules.kernel.conntrack import PROTOCOL_NUMBERS
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.processes import run
from nodeport_rules.kernel.sandbox import wiring
from nodeport_rules.model.family import Family
from nodeport_rules.model.options import Backend
from nodeport_rules.ruleset.meaning import State
from nodeport_rules.ruleset.ruleset import Ruleset

from . import addresses
from .capture import Capture
from .crafting import SYN, SYN_AND_RST, Template
from .decisions import Decision
from .evidence import Evidence
from .marks import DELIVERED, REPLY_SHIFT, SEEN_IN, SENT
from .probes import Probe

NODE_MAC = bytes.fromhex("020000000001")
FAR_MAC = bytes.fromhex("020000000002")
ETHER_TYPES = {Family.IPV4: 0x0800, Family.IPV6: 0x86DD}

FIRST_PORT = 1024
LAST_PORT = 65535

_OBSERVER = """
add table inet observer
add chain inet observer after-input { type filter hook input priority 300; }
add chain inet observer after-postrouting { type filter hook postrouting priority 300; }
add chain inet observer own-resets { type filter hook output priority -301; }
add rule inet observer own-resets tcp flags & (syn | rst) == rst drop
"""

DIRECTIONS = (("original", 0), ("reply", REPLY_SHIFT))


def observer_script(backend: Backend) -> str:
    """The table that leaves marks on connections.

    It decides nothing about the packets sent. The node has no servers and answers with resets;
    those are dropped before connection tracking sees them, which would forget the connection.

    The marks of the host's own rules: in iptables mode they have to stand at the end of the very
    chains in which kube-proxy accepts (`host_rules`); in nftables mode any table will do.
    """
    lines = [_OBSERVER]

    def mark(chain: str, match: str, bit: int) -> None:
        for direction, shift in DIRECTIONS:
            lines.append(
                f"add rule inet observer {chain} {match} ct direction {direction}"
                f" ct mark set ct mark | {bit << shift}\n"
            )

    mark("after-input", "", DELIVERED)
    mark("after-postrouting", 'oifname != "lo"', SENT)
    if backend is Backend.NFTABLES:
        for hook, bit in SEEN_IN.items():
            lines.append(
                f"add chain inet observer host-{hook} {{ type filter hook {hook} priority 1; }}\n"
            )
            mark(f"host-{hook}", "", bit)
    return "".join(lines)


def host_rules() -> str:
    """The host's own rules, which stand after those of a Service proxy."""
    rules = "".join(
        f"-A {hook.upper()} -m conntrack --ctdir {direction.upper()}"
        f" -j CONNMARK --or-mark {bit << shift}\n"
        for hook, bit in SEEN_IN.items()
        for direction, shift in DIRECTIONS
    )
    return f"*filter\n{rules}COMMIT\n"


@dataclass(frozen=True)
class Rules:
    """A ruleset to put packets through."""

    name: str
    family: Family
    backend: Backend
    text: str
    """Input of iptables-restore --noflush, or of nft -f."""
    route_localnet: bool = False
    """Whether who wrote the rules has the kernel route packets to 127.0.0.0/8."""
    compiled: Ruleset | None = None
    """The same rules as a value, where they are ours."""


class Node:
    """The node and its surroundings; use it in a `with` block."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._family = Family.IPV4
        self.packets_sent = 0
        try:
            self._node = self._stack.enter_context(NetworkNamespace.create("the node"))
            self._far = self._stack.enter_context(NetworkNamespace.create("all around the node"))
            self._build()
            self._open_sockets()
            accounting.create_counters(namespace=self._node)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of everything; may be repeated."""
        self._stack.close()

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------- building

    def _build(self) -> None:
        self._node.set_sysctls(
            {
                **wiring.sysctls(forwards=True, is_node=False, ipv6=True),
                # Every refusal is to be seen, however many there are in a second: only messages of
                # type 0 are limited.
                "ipv4/icmp_ratemask": "1",
                "ipv6/icmp/ratemask": "0",
            }
        )
        self._far.set_sysctls(
            {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}
        )
        with self._node.entered():
            lines = ["link set lo up"]
            for device in (*addresses.DEVICES, addresses.SINK):
                lines += [
                    f"link add {device} address {NODE_MAC.hex(':')} type veth"
                    f" peer name {device} address {FAR_MAC.hex(':')}"
                    f" netns /proc/self/fd/{self._far.fileno()}",
                    # Without ARP and neighbour discovery everything is sent at once.
                    f"link set {device} arp off up",
                ]
            lines += [
                f"address add {network} dev {addresses.WORLD} noprefixroute"
                for network in addresses.NODE_NETWORKS
            ]
            lines += [
                wiring.address_line(wiring.host_network(one), addresses.SINK)
                for one in addresses.MASQUERADED.values()
            ]
            lines += [f"route add local {one} dev lo" for one in addresses.MORE_LOCAL_NETWORKS]
            run(
                ["ip", "-batch", "-"],
                text="".join(f"{line}\n" for line in lines),
                keep_open=[self._far.fileno()],
            )
            run(["ip", "-4", "route", "add", "default", "dev", addresses.SINK])
            run(["ip", "-6", "route", "add", "default", "dev", addresses.SINK])
        with self._far.entered():
            run(
                ["ip", "-batch", "-"],
                text="".join(
                    f"link set {device} up\n" for device in (*addresses.DEVICES, addresses.SINK)
                ),
            )

    def _open_sockets(self) -> None:
        with self._far.entered():
            self._devices = {
                device: self._stack.enter_context(
                    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                )
                for device in addresses.DEVICES
            }
            for device, opened in self._devices.items():
                opened.bind((device, 0))
        with self._node.entered():
            self._capture = self._stack.enter_context(Capture())
            self._own = {
                family: self._stack.enter_context(
                    socket.socket(version, socket.SOCK_RAW, socket.IPPROTO_RAW)
                )
                for family, version in (
                    (Family.IPV4, socket.AF_INET),
                    (Family.IPV6, socket.AF_INET6),
                )
            }

    # -------------------------------------------------------------------------------- using

    def load(self, rules: Rules) -> None:
        """Put these rules in the place of all there are, and forget all connections."""
        self._family = rules.family
        self._node.set_sysctls({"ipv4/conf/all/route_localnet": str(int(rules.route_localnet))})
        own = observer_script(rules.backend)
        if rules.backend is Backend.NFTABLES:
            nft_tools.load(f"flush ruleset\n{own}{rules.text}", namespace=self._node)
        else:
            nft_tools.load(f"flush ruleset\n{own}", namespace=self._node)
            self._wait_until_clients_are_forgotten()
            text = f"{rules.text}\n{host_rules()}"
            iptables_tools.restore(rules.family.value, text, namespace=self._node)
        self._forget()

    def _wait_until_clients_are_forgotten(self, timeout: float = 5.0) -> None:
        """The kernel lets go of deleted rules a little later, and until then xt_recent remembers
        the clients of chains of the same name."""
        deadline = time.monotonic() + timeout
        with self._node.entered():
            lists = Path("/proc/thread-self/net/xt_recent")
            while lists.is_dir() and any(lists.iterdir()):
                assert time.monotonic() < deadline, "the kernel keeps the rules that were deleted"
                time.sleep(0.001)

    def _forget(self) -> None:
        conntrack.forget_connections(self._family.value, namespace=self._node)

    def measure(self, probes: Sequence[Probe]) -> list[Decision]:
        """What becomes of each probe's packets under the rules that are loaded."""
        found: list[Decision] = []
        for batch in _batches(probes):
            with _one_processor():
                found.extend(self._measure(batch))
            self._forget()
        return found

    def _measure(self, probes: Sequence[Probe]) -> list[Decision]:
        """One batch: no protocol of it has more packets than there are source ports."""
        first_ports = []
        following = dict.fromkeys(PROTOCOL_NUMBERS, FIRST_PORT)
        for probe in probes:
            protocol = probe.packet.protocol
            first_ports.append(following[protocol])
            self._send(probe, following[protocol])
            following[protocol] += probe.count
        self._capture.read()
        tracked = {
            (one.protocol, one.original.source_port): one
            for one in conntrack.read_connections(self._family.value, namespace=self._node)
        }
        evidence = Evidence(tracked, self._capture.refused, self._capture.left)
        found = [
            evidence.decision(probe, first)
            for probe, first in zip(probes, first_ports, strict=True)
        ]
        self._capture.forget()
        return found

    def _send(self, probe: Probe, first_port: int) -> None:
        """Send all packets of a probe, from `first_port` on."""
        packet = probe.packet
        send = self._own_sender(packet.destination) if packet.from_node else self._sender(probe)
        flags = SYN_AND_RST if packet.state is State.INVALID else SYN
        opening = None
        if packet.state is State.ESTABLISHED:
            # The connection is the other way round: its port of origin is where the packet goes.
            opening = Template(packet.protocol, packet.destination, packet.source, packet.port)
        template = None
        for number in range(probe.count):
            if opening is not None:
                self._device_sender(addresses.WORLD)(opening.with_source_port(first_port + number))
                reply = Template(
                    packet.protocol, packet.source, packet.destination, first_port + number
                )
                send(reply.with_source_port(packet.port))
                continue
            if template is None or probe.sources:
                template = Template(
                    packet.protocol, probe.source(number), packet.destination, packet.port, flags
                )
            send(template.with_source_port(first_port + number))
            if number % 64 == 63:
                self._capture.read()
        self.packets_sent += probe.count
        self._capture.read()

    def _sender(self, probe: Probe) -> Callable[[bytes], None]:
        return self._device_sender(probe.packet.interface)

    def _device_sender(self, device: str) -> Callable[[bytes], None]:
        """Lets packets come in by a device of the node."""
        opened = self._devices[device]
        header = NODE_MAC + FAR_MAC + struct.pack("!H", ETHER_TYPES[self._family])

        def send(packet: bytes) -> None:
            opened.send(header + packet)

        return send

    def _own_sender(self, destination: str) -> Callable[[bytes], None]:
        """Sends packets of the node itself."""
        opened = self._own[self._family]

        def send(packet: bytes) -> None:
            # Not permitted: rules took it; an ICMP error says whether they refused it.
            with contextlib.suppress(PermissionError):
                opened.sendto(packet, (destination, 0))

        return send


@contextlib.contextmanager
def _one_processor() -> Iterator[None]:
    """Stay on one processor, so that packets are worked off in their order."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _batches(probes: Sequence[Probe]) -> Iterator[list[Probe]]:
    """The probes in their order, in batches for which there are source ports enough."""
    batch: list[Probe] = []
    used: Counter[str] = Counter()
    for probe in probes:
        if used[probe.packet.protocol] + probe.count > LAST_PORT - FIRST_PORT + 1:
            yield batch
            batch, used = [], Counter()
        batch.append(probe)
        used[probe.packet.protocol] += probe.count
    if batch:
        yield batch
