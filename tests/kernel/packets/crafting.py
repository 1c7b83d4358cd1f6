"""First packets of connections, made byte by byte: TCP SYN, UDP datagram, SCTP INIT.

Many packets differ in nothing but their source port, so a packet is made once and then gets one
source port after the other.
"""

from __future__ import annotations

import ipaddress
import struct

from nodeport_rules.kernel.conntrack import PROTOCOL_NUMBERS
from nodeport_rules.kernel.sandbox.sctp import init_packet

SYN = 0x02
SYN_AND_RST = 0x06
"""No packet of any connection has both: connection tracking calls it INVALID."""

HOP_LIMIT = 64
WINDOW = 65535
SCTP_TAG = 0x12345678


def sum_of(data: bytes) -> int:
    """The Internet checksum's sum of some bytes, not folded yet."""
    if len(data) % 2:
        data += b"\0"
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def checksum(total: int) -> int:
    """A sum folded and inverted: the checksum."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class Template:
    """A packet that lacks nothing but its source port."""

    def __init__(
        self, protocol: str, source: str, destination: str, port: int, tcp_flags: int = SYN
    ) -> None:
        self._protocol = protocol
        self._port = port
        origin, target = ipaddress.ip_address(source), ipaddress.ip_address(destination)
        number = PROTOCOL_NUMBERS[protocol]
        if protocol == "tcp":
            transport = struct.pack("!HHIIBBHHH", 0, port, 1, 0, 5 << 4, tcp_flags, WINDOW, 0, 0)
            self._checksum_at = 16
        elif protocol == "udp":
            transport = struct.pack("!HHHH", 0, port, 8, 0)
            self._checksum_at = 6
        else:
            transport = init_packet(0, port, SCTP_TAG)
        pseudo_header = origin.packed + target.packed + struct.pack("!HH", number, len(transport))
        self._sum = sum_of(pseudo_header + transport)
        header = _header(origin.packed, target.packed, number, len(transport))
        self._start = len(header)
        self._packet = bytearray(header + transport)

    def with_source_port(self, source_port: int) -> bytes:
        """The packet from that port."""
        packet, start = self._packet, self._start
        if self._protocol == "sctp":
            packet[start:] = init_packet(source_port, self._port, SCTP_TAG)
        else:
            struct.pack_into("!H", packet, start, source_port)
            total = checksum(self._sum + source_port)
            if total == 0 and self._protocol == "udp":
                total = 0xFFFF
            struct.pack_into("!H", packet, start + self._checksum_at, total)
        return bytes(packet)


def _header(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    """The IPv4 or IPv6 header before a transport header and its data of `length` bytes."""
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, length, protocol, HOP_LIMIT) + source + destination
    dont_fragment = 0x4000

    def packed(value: int) -> bytes:
        return (
            struct.pack(
                "!BBHHHBBH",
                0x45,
                0,
                20 + length,
                0,
                dont_fragment,
                HOP_LIMIT,
                protocol,
                value,
            )
            + source
            + destination
        )

    return packed(checksum(sum_of(packed(0))))
