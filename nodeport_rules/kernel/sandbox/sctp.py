"""SCTP without SCTP sockets: the first chunk of an association, made by hand.

Kernels without SCTP sockets still track and translate SCTP. An INIT chunk with a right checksum
(conntrack calls others invalid) goes through the rules as any first packet; where it went is read
from connection tracking afterwards.
"""

from __future__ import annotations

import random
import select
import socket
import struct
from dataclasses import dataclass

from nodeport_rules.kernel.conntrack import PROTOCOL_NUMBERS, Connection, read_connections
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.sandbox.topology import family_of
from nodeport_rules.kernel.sandbox.traffic import Target

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

    `connection` is what connection tracking remembers of it; None when it was dropped or refused
    on that node. `refused` is true when an ICMP "port unreachable" came back.
    """

    connection: Connection | None
    refused: bool


def send_init(
    namespace: NetworkNamespace,
    target: Target,
    *,
    decided_in: NetworkNamespace,
    source: str | None = None,
    wait: float = 0.2,
) -> Decision:
    """Send one INIT from a namespace and read in another what was decided about it.

    The time to wait for a refusal is in seconds. A pod that gets it answers that it has no SCTP,
    which ends the wait as well.
    """
    family = family_of(target.address)
    version = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    source_port = random.randrange(1024, 65536)
    refused = False
    with namespace.entered():
        raw = socket.socket(version, socket.SOCK_RAW, SCTP)
    with raw:
        if source is not None:
            raw.bind((source, 0))
        raw.connect((target.address, 0))
        speaks_as = raw.getsockname()[0]
        packet = init_packet(source_port, target.port, random.randrange(1, 2**32))
        try:
            raw.send(packet)
        except PermissionError:
            return Decision(None, refused=False)
        poller = select.poll()
        poller.register(raw, select.POLLIN)
        if poller.poll(wait * 1000):
            refused = raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 111
    for connection in read_connections(family, namespace=decided_in):
        original = connection.original
        if (
            connection.protocol == SCTP
            and (original.source, original.source_port) == (speaks_as, source_port)
            and (original.destination, original.destination_port) == (target.address, target.port)
        ):
            return Decision(connection, refused)
    return Decision(None, refused)
