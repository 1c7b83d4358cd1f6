"""Opening connections from inside a namespace, many at a time, and telling what became of each."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import random
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from nodeport_rules.kernel.errors import KernelError
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.sandbox.topology import Protocol, family_of

MAX_ANSWER = 4096
EPHEMERAL_PORTS = (10000, 65536)
"""Where source ports of datagrams come from: the first, and the one after the last."""

AT_ONCE = 128
"""Connections under way at the same time unless told otherwise."""

Result = Literal["answered", "refused", "unreachable", "dropped"]
"""answered: a server sent its line. refused: a TCP reset or an ICMP "port unreachable".
unreachable: another ICMP error, or no route. dropped: nothing came in time."""

RESULTS: dict[int, Result] = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EACCES: "unreachable",
    errno.ENOPROTOOPT: "unreachable",
    errno.ETIMEDOUT: "dropped",
}

IP_RECVERR = 11
IPV6_RECVERR = 25
"""linux/in.h, linux/in6.h; the socket module does not name them."""

IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h: choose the port at connect, so that one port may serve several destinations."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Target:
    """Where a connection is opened to."""

    protocol: Protocol
    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol} {host}:{self.port}"


@dataclass(frozen=True)
class Outcome:
    """What became of one connection.

    When it was answered: by which `pod`, which `source` address that pod saw, and the `port` the
    pod was reached on; else these are empty.
    """

    target: Target
    result: Result
    pod: str = ""
    source: str = ""
    port: int = 0


def open_connections(
    namespace: NetworkNamespace,
    targets: Sequence[Target],
    *,
    source: str | None = None,
    timeout: float = 5.0,
    at_once: int = AT_ONCE,
) -> list[Outcome]:
    """Open one TCP connection, or send one UDP datagram, to each target; outcomes in their order.

    `source` is the address to speak from, None for the kernel's choice. `timeout` is in seconds,
    for each connection; `at_once` of them are under way together. TCP connections are closed by a
    reset, so that neither side keeps a port waiting. Raises `KernelError` on an outcome that
    is none of the known ones.
    """
    with namespace.entered():
        return _Batch(targets, source, timeout, at_once).run()


class _Batch:
    """The state of `open_connections`: what waits, what is under way, what is done."""

    def __init__(
        self, targets: Sequence[Target], source: str | None, timeout: float, at_once: int
    ) -> None:
        self.targets = targets
        self.source = source
        self.timeout = timeout
        self.at_once = at_once
        self.ports = _source_ports(targets)
        self.outcomes: dict[int, Outcome] = {}
        self.under_way: dict[int, socket.socket] = {}
        self.deadlines: deque[tuple[float, int]] = deque()
        self.selector = selectors.DefaultSelector()

    def run(self) -> list[Outcome]:
        waiting: Iterator[tuple[int, Target]] = iter(enumerate(self.targets))
        try:
            while len(self.outcomes) < len(self.targets):
                while len(self.under_way) < self.at_once:
                    following = next(waiting, None)
                    if following is None:
                        break
                    self.start(*following)
                self.step()
        finally:
            for number in tuple(self.under_way):
                self.forget(number)
            self.selector.close()
        return [self.outcomes[number] for number in range(len(self.targets))]

    def start(self, number: int, target: Target) -> None:
        version = socket.AF_INET if family_of(target.address) == "ipv4" else socket.AF_INET6
        kind = socket.SOCK_STREAM if target.protocol == "tcp" else socket.SOCK_DGRAM
        opened = socket.socket(version, kind | socket.SOCK_NONBLOCK)
        self.under_way[number] = opened
        try:
            self.bind(number, opened)
            report_icmp_errors(opened, version)
            if target.protocol == "tcp":
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                failure = opened.connect_ex((target.address, target.port))
                if failure not in (0, errno.EINPROGRESS):
                    raise OSError(failure, errno.errorcode.get(failure, "?"))
            else:
                opened.connect((target.address, target.port))
                # Not permitted: the rules of this very machine refuse or drop it. A refusal comes
                # as an ICMP error right after, as from elsewhere.
                with contextlib.suppress(PermissionError):
                    opened.send(b"who?\n")
        except OSError as error:
            self.fail(number, error)
            return
        self.deadlines.append((time.monotonic() + self.timeout, number))
        self.selector.register(opened, selectors.EVENT_READ, number)

    def bind(self, number: int, opened: socket.socket) -> None:
        """Give a socket its source address, and a UDP socket a port that no other one has."""
        if self.targets[number].protocol == "udp":
            for port in self.ports:
                try:
                    opened.bind((self.source or "", port))
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                else:
                    return
        elif self.source is not None:
            opened.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            opened.bind((self.source, 0))

    def step(self) -> None:
        """Wait for the next event or deadline, and take in all there are."""
        while self.deadlines and self.deadlines[0][1] in self.outcomes:
            self.deadlines.popleft()
        if not self.deadlines:
            return
        for key, _ in self.selector.select(max(0.0, self.deadlines[0][0] - time.monotonic())):
            self.read(key.data)
        now = time.monotonic()
        while self.deadlines and self.deadlines[0][0] <= now:
            _, number = self.deadlines.popleft()
            if number not in self.outcomes:
                self.finish(number, Outcome(self.targets[number], "dropped"))

    def read(self, number: int) -> None:
        try:
            line = self.under_way[number].recv(MAX_ANSWER)
        except BlockingIOError:
            reported = reported_error(self.under_way[number])
            if reported is not None:
                self.fail(number, reported)
            return
        except OSError as error:
            self.fail(number, error)
            return
        target = self.targets[number]
        if not line:
            raise KernelError(f"{target}: closed without an answer")
        told = json.loads(line)
        self.finish(number, Outcome(target, "answered", told["pod"], told["source"], told["port"]))

    def fail(self, number: int, error: OSError) -> None:
        target = self.targets[number]
        result = RESULTS.get(error.errno or 0)
        if result is None:
            raise KernelError(f"{target}: {error}") from error
        self.finish(number, Outcome(target, result))

    def finish(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome
        self.forget(number)

    def forget(self, number: int) -> None:
        opened = self.under_way.pop(number)
        if opened.fileno() in self.selector.get_map():
            self.selector.unregister(opened)
        opened.close()


def _source_ports(targets: Sequence[Target]) -> Iterator[int]:
    """Source ports in an order of chance, each once.

    For UDP: connection tracking remembers a port for half a minute, and a second datagram from it
    goes the way of the first. The kernel's own choice would repeat some of a few thousand. When
    there are more datagrams than ports, they begin again.
    """
    ports = random.sample(range(*EPHEMERAL_PORTS), EPHEMERAL_PORTS[1] - EPHEMERAL_PORTS[0])
    repeated = len(targets) // len(ports) + 2
    return itertools.chain.from_iterable(itertools.repeat(ports, repeated))


def report_icmp_errors(opened: socket.socket, version: socket.AddressFamily) -> None:
    """Have every ICMP error about a socket reported at once.

    By default TCP goes on trying after "host unreachable", which looks like a drop.
    """
    if version == socket.AF_INET:
        opened.setsockopt(socket.SOL_IP, IP_RECVERR, 1)
    else:
        opened.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)


def next_error(opened: socket.socket) -> tuple[bytes, int | None]:
    """The oldest ICMP error about a socket: the packet it is about, from its transport header on
    (raw sockets) or without it, and the error number that it stands for.

    Raises BlockingIOError when there is none.
    """
    packet, ancillary, _, _ = opened.recvmsg(MAX_ANSWER, 512, socket.MSG_ERRQUEUE)
    for _, kind, extended in ancillary:
        if kind in (IP_RECVERR, IPV6_RECVERR):
            (number,) = struct.unpack_from("=I", extended)
            return packet, number
    return packet, None


def reported_error(opened: socket.socket) -> OSError | None:
    """The oldest ICMP error about a socket as an OSError; None when there is none."""
    try:
        _, number = next_error(opened)
    except BlockingIOError:
        return None
    return OSError(number, errno.errorcode.get(number, "?")) if number else None
