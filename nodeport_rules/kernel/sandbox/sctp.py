"""SCTP without SCTP sockets: the first chunk of an association, made by hand.

Kernels without SCTP sockets still track and translate SCTP. An INIT chunk with a right checksum
(conntrack calls others invalid) goes through the rules as any first packet; where it went is read
from connection tracking afterwards.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from dataclasses import dataclass

from nodeport_rules.kernel.conntrack import PROTOCOL_NUMBERS, Connection, read_connections
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.sandbox.topology import family_of
from nodeport_rules.kernel.sandbox.traffic import (
    RESULTS,
    Result,
    Target,
    next_error,
    report_icmp_errors,
)

SCTP = PROTOCOL_NUMBERS["sctp"]
CASTAGNOLI_REVERSED = 0x82F63B78
INIT_CHUNK = 1
RECEIVER_WINDOW = 65536
STREAMS = 10


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (CASTAGNOLI_REVERSED if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc32c_table()


def crc32c(data: bytes) -> int:
    """The CRC that SCTP uses (RFC 9260, appendix A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def init_packet(source_port: int, destination_port: int, tag: int) -> bytes:
    """An SCTP packet with one INIT chunk (RFC 9260, 3.3.2); `tag` is the initiate tag, not 0."""
    chunk = struct.pack("!BBHIIHHI", INIT_CHUNK, 0, 20, tag, RECEIVER_WINDOW, STREAMS, STREAMS, 1)
    ports = struct.pack("!HH", source_port, destination_port)
    checksum = struct.pack("<I", crc32c(ports + bytes(8) + chunk))
    return ports + bytes(4) + checksum + chunk


@dataclass(frozen=True)
class Decision:
    """What the rules of one node did with an INIT.

    `result` as in `traffic.Result`, where "answered" means that it was sent on; then
    `connection` is what connection tracking remembers of it.
    """

    result: Result
    connection: Connection | None = None


def send_inits(
    namespace: NetworkNamespace,
    target: Target,
    *,
    count: int,
    decided_in: NetworkNamespace,
    source: str | None = None,
    wait: float = 0.5,
) -> list[Decision]:
    """Send INITs from a namespace, each from a port of its own, and read in another namespace
    what was decided about each.

    After the last one, errors are waited for as long as `wait` seconds; the wait ends when there is
    one for each, and whoever gets an INIT here answers with one, having no SCTP.
    """
    family = family_of(target.address)
    version = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    ports = random.sample(range(1024, 65536), count)
    errors: dict[int, int] = {}
    with namespace.entered():
        raw = socket.socket(version, socket.SOCK_RAW | socket.SOCK_NONBLOCK, SCTP)
    with raw:
        report_icmp_errors(raw, version)
        if source is not None:
            raw.bind((source, 0))
        raw.connect((target.address, 0))
        speaks_as = raw.getsockname()[0]
        for port in ports:
            _send(raw, init_packet(port, target.port, random.randrange(1, 2**32)), errors)
        deadline = time.monotonic() + wait
        while len(errors) < count and time.monotonic() < deadline:
            time.sleep(0.005)
            errors |= _read_errors(raw)
    tracked = {
        connection.original.source_port: connection
        for connection in read_connections(family, namespace=decided_in, protocol="sctp")
        if connection.original.source == speaks_as
        and connection.original.destination == target.address
        and connection.original.destination_port == target.port
    }
    return [_decision(errors.get(port, 0), tracked.get(port)) for port in ports]


def _send(raw: socket.socket, packet: bytes, errors: dict[int, int]) -> None:
    """Send one packet. An error pending from an earlier one is reported by `send` in its place:
    that one is in the error queue as well, so try again.

    Not permitted means that rules of this very machine took it; whether they refused it comes as
    an ICMP error like any other.
    """
    for _ in range(10):
        try:
            raw.send(packet)
        except PermissionError:
            return
        except OSError:
            errors |= _read_errors(raw)
        else:
            return


def _read_errors(raw: socket.socket) -> dict[int, int]:
    """Error numbers by the source port of the packet they are about."""
    found: dict[int, int] = {}
    while True:
        try:
            packet, number = next_error(raw)
        except BlockingIOError:
            return found
        if number is not None and len(packet) >= 2:
            (port,) = struct.unpack_from("!H", packet)
            found[port] = number


def _decision(error: int, connection: Connection | None) -> Decision:
    # A machine's packet to itself is tracked before INPUT refuses it, so the refusal counts first.
    result = RESULTS.get(error, "dropped")
    if connection is not None and result != "refused":
        return Decision("answered", connection)
    return Decision(result)
