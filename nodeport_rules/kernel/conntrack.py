"""Connection tracking: what the kernel decided for the first packet of a connection.

A tracked connection has two tuples: the original one as its first packet came in, and the reply one
as the answer is expected. Where the reply's source is not the original's destination, the
destination was translated; where the reply's destination is not the original's source, the
connection was masqueraded.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from nodeport_rules.kernel.errors import KernelError
from nodeport_rules.kernel.iptables_tools import Family
from nodeport_rules.kernel.namespaces import NetworkNamespace

PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}

ADDRESS_FAMILIES: dict[Family, socket.AddressFamily] = {
    "ipv4": socket.AF_INET,
    "ipv6": socket.AF_INET6,
}

# linux/netlink.h, linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h
NETLINK_NETFILTER = 12
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_HEADER = 16
NFGENMSG = 4
NLA_TYPE_MASK = 0x3FFF
REQUEST_DUMP = 0x301
GET_CONNECTIONS = 1 << 8 | 1
CTA_TUPLE_ORIG = 1
CTA_TUPLE_REPLY = 2
CTA_STATUS = 3
CTA_MARK = 8
CTA_TUPLE_IP = 1
CTA_TUPLE_PROTO = 2
CTA_IP_V4_SRC = 1
CTA_IP_V4_DST = 2
CTA_IP_V6_SRC = 3
CTA_IP_V6_DST = 4
CTA_PROTO_NUM = 1
CTA_PROTO_SRC_PORT = 2
CTA_PROTO_DST_PORT = 3

RECEIVE_BYTES = 1 << 18
_ATTRIBUTE = struct.Struct("=HH")


@dataclass(frozen=True)
class Tuple:
    """One direction of a connection; addresses in canonical text form, port 0 if it has none."""

    source: str
    source_port: int
    destination: str
    destination_port: int


@dataclass(frozen=True)
class Connection:
    """One tracked connection; `protocol` as IP numbers it, `status` the kernel's IPS_ bits."""

    protocol: int
    original: Tuple
    reply: Tuple
    status: int
    mark: int

    @property
    def translated_to(self) -> tuple[str, int]:
        """Address and port that its packets go to."""
        return self.reply.source, self.reply.source_port

    @property
    def masqueraded(self) -> bool:
        """Whether its source address was replaced by one of the node's."""
        return self.reply.destination != self.original.source


def read_connections(
    family: Family,
    *,
    namespace: NetworkNamespace | None = None,
    protocol: str | None = None,
) -> tuple[Connection, ...]:
    """The connections tracked in a namespace (None: the one of this process).

    Of one protocol only, or of all. Raises `KernelError` when the kernel does not tell.
    """
    number = PROTOCOL_NUMBERS[protocol] if protocol is not None else None
    with namespace.entered() if namespace else contextlib.nullcontext():
        channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    with channel:
        try:
            return tuple(
                connection
                for message in _dump(channel, family)
                if (connection := _connection(message)) and number in (None, connection.protocol)
            )
        except OSError as error:
            raise KernelError(
                f"cannot read the tracked connections: {error}; it needs root"
            ) from error


def forget_connections(family: Family, *, namespace: NetworkNamespace) -> None:
    """Drop every tracked connection of a namespace, so that the next packet is a first one."""
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

    with namespace.entered(), NFCTSocket(nfgen_family=ADDRESS_FAMILIES[family]) as channel:
        channel.flush()


def _dump(channel: socket.socket, family: Family) -> Iterator[memoryview]:
    """The attributes of each tracked connection of a family, as netlink messages hold them.

    Read and taken apart by hand: tests read thousands of connections, and pyroute2 takes a fifth
    of a millisecond for each.
    """
    request = struct.pack(
        "=IHHIIBBH", 20, GET_CONNECTIONS, REQUEST_DUMP, 0, 0, ADDRESS_FAMILIES[family], 0, 0
    )
    channel.send(request)
    while True:
        received = memoryview(channel.recv(RECEIVE_BYTES))
        while received:
            length, kind = struct.unpack_from("=IH", received)
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                (number,) = struct.unpack_from("=i", received, NLMSG_HEADER)
                raise OSError(-number, os.strerror(-number))
            yield received[NLMSG_HEADER + NFGENMSG : length]
            received = received[_padded(length) :]


def _padded(length: int) -> int:
    return (length + 3) & ~3


def _attributes(data: memoryview) -> dict[int, memoryview]:
    """The netlink attributes in `data` by their number."""
    found = {}
    position, end = 0, len(data)
    while position < end:
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        found[kind & NLA_TYPE_MASK] = data[position + 4 : position + length]
        position += (length + 3) & ~3
    return found


def _connection(message: memoryview) -> Connection:
    attributes = _attributes(message)
    protocol, original = _tuple(attributes[CTA_TUPLE_ORIG])
    _, reply = _tuple(attributes[CTA_TUPLE_REPLY])
    return Connection(
        protocol=protocol,
        original=original,
        reply=reply,
        status=int.from_bytes(attributes.get(CTA_STATUS, b""), "big"),
        mark=int.from_bytes(attributes.get(CTA_MARK, b""), "big"),
    )


def _tuple(nested: memoryview) -> tuple[int, Tuple]:
    attributes = _attributes(nested)
    addresses = _attributes(attributes[CTA_TUPLE_IP])
    ports = _attributes(attributes[CTA_TUPLE_PROTO])
    return ports[CTA_PROTO_NUM][0], Tuple(
        source=_canonical(bytes(addresses.get(CTA_IP_V4_SRC) or addresses[CTA_IP_V6_SRC])),
        source_port=int.from_bytes(ports.get(CTA_PROTO_SRC_PORT, b""), "big"),
        destination=_canonical(bytes(addresses.get(CTA_IP_V4_DST) or addresses[CTA_IP_V6_DST])),
        destination_port=int.from_bytes(ports.get(CTA_PROTO_DST_PORT, b""), "big"),
    )


@lru_cache(maxsize=4096)
def _canonical(address: bytes) -> str:
    return str(ipaddress.ip_address(address))
