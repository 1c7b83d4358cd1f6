"""A capture of what tells about packets that connection tracking knows nothing of."""

from __future__ import annotations

import ctypes
import socket
import struct

from nodeport_rules.kernel.conntrack import PROTOCOL_NUMBERS

from .crafting import SYN_AND_RST

ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_ATTACH_FILTER = 26
RECEIVE_BUFFER = 4 << 20
TCP = PROTOCOL_NUMBERS["tcp"]
ICMP = 1
ICMPV6 = 58
PORT_UNREACHABLE = {4: (3, 3), 6: (1, 4)}
"""Type and code of what refuses a packet, by IP version."""

Key = tuple[int, int]
"""Protocol and source port, which are unique."""

LOAD_BYTE = 0x30
AND = 0x54
JUMP_IF_EQUAL = 0x15
RETURN = 0x06
WHOLE = 0xFFFF
# (code, jump if true, jump if false, value): ICMP, ICMPv6, and TCP with SYN and RST.
FILTER = (
    (LOAD_BYTE, 0, 0, 0),
    (AND, 0, 0, 0xF0),
    (JUMP_IF_EQUAL, 0, 5, 0x40),
    (LOAD_BYTE, 0, 0, 9),
    (JUMP_IF_EQUAL, 8, 0, ICMP),
    (JUMP_IF_EQUAL, 0, 8, TCP),
    (LOAD_BYTE, 0, 0, 20 + 13),
    (JUMP_IF_EQUAL, 5, 6, SYN_AND_RST),
    (LOAD_BYTE, 0, 0, 6),
    (JUMP_IF_EQUAL, 3, 0, ICMPV6),
    (JUMP_IF_EQUAL, 0, 3, TCP),
    (LOAD_BYTE, 0, 0, 40 + 13),
    (JUMP_IF_EQUAL, 0, 1, SYN_AND_RST),
    (RETURN, 0, 0, WHOLE),
    (RETURN, 0, 0, 0),
)


class Capture:
    """Listens on all devices of the namespace that it is made in."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL)
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        program = b"".join(struct.pack("=HBBI", *one) for one in FILTER)
        self._program = ctypes.create_string_buffer(program, len(program))
        described = struct.pack("@HP", len(FILTER), ctypes.addressof(self._program))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
        self.refused: set[Key] = set()
        """The packets about which an ICMP error was sent that refuses them."""
        self.left: set[Key] = set()
        """The INVALID packets that left the node."""

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def read(self) -> None:
        """Take in what has come."""
        while True:
            try:
                packet, (_, _, direction, _, _) = self._socket.recvfrom(256)
            except BlockingIOError:
                return
            if direction == PACKET_OUTGOING:
                self._take(packet)

    def _take(self, packet: bytes) -> None:
        version = packet[0] >> 4
        start, protocol = (20, packet[9]) if version == 4 else (40, packet[6])
        if protocol == TCP:
            (port,) = struct.unpack_from("!H", packet, start)
            self.left.add((TCP, port))
            return
        if (packet[start], packet[start + 1]) != PORT_UNREACHABLE[version]:
            return
        inner = start + 8
        about = packet[inner + (9 if version == 4 else 6)]
        (port,) = struct.unpack_from("!H", packet, inner + (20 if version == 4 else 40))
        self.refused.add((about, port))

    def forget(self) -> None:
        """Begin anew; fails if the kernel had to leave something out."""
        statistics = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        _, lost = struct.unpack("=II", statistics)
        assert lost == 0, f"{lost} packets were not captured: too many at once"
        self.refused.clear()
        self.left.clear()
