"""Connection tracking: what the kernel decided for the first packet of a connection.

A tracked connection has two tuples: the original one as its first packet came in, and the reply one
as the answer is expected. Where the reply's source is not the original's destination, the
destination was translated; where the reply's destination is not the original's source, the
connection was masqueraded.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

from nodeport_rules.kernel.errors import KernelError
from nodeport_rules.kernel.iptables_tools import Family
from nodeport_rules.kernel.namespaces import NetworkNamespace

PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}

ADDRESS_FAMILIES: dict[Family, socket.AddressFamily] = {
    "ipv4": socket.AF_INET,
    "ipv6": socket.AF_INET6,
}


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

    Of one protocol only, or of all. The kernel is asked for no others, as reading thousands takes
    a while. Raises `KernelError` when the kernel does not tell.
    """
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

    version = ADDRESS_FAMILIES[family]
    number = PROTOCOL_NUMBERS[protocol] if protocol is not None else None
    wanted = NFCTAttrTuple(family=version, proto=number) if number is not None else None

    def read() -> tuple[Connection, ...]:
        with NFCTSocket(nfgen_family=version) as channel:
            entries = channel.dump(tuple_orig=wanted)
            found = tuple(_connection(family, entry) for entry in entries)
        return tuple(one for one in found if number in (None, one.protocol))

    try:
        if namespace is None:
            return read()
        with namespace.entered():
            return read()
    except NetlinkError as error:
        raise KernelError(f"cannot read the tracked connections: {error}; it needs root") from error


def forget_connections(family: Family, *, namespace: NetworkNamespace) -> None:
    """Drop every tracked connection of a namespace, so that the next packet is a first one."""
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

    with namespace.entered(), NFCTSocket(nfgen_family=ADDRESS_FAMILIES[family]) as channel:
        channel.flush()


def _connection(family: Family, entry: Any) -> Connection:  # noqa: ANN401 (pyroute2 has no types)
    protocol, original = _tuple(family, entry.get_attr("CTA_TUPLE_ORIG"))
    _, reply = _tuple(family, entry.get_attr("CTA_TUPLE_REPLY"))
    return Connection(
        protocol=protocol,
        original=original,
        reply=reply,
        status=entry.get_attr("CTA_STATUS") or 0,
        mark=entry.get_attr("CTA_MARK") or 0,
    )


def _tuple(family: Family, nested: Any) -> tuple[int, Tuple]:  # noqa: ANN401
    version = {"ipv4": "V4", "ipv6": "V6"}[family]
    addresses = nested.get_attr("CTA_TUPLE_IP")
    ports = nested.get_attr("CTA_TUPLE_PROTO")
    return ports.get_attr("CTA_PROTO_NUM"), Tuple(
        source=_canonical(addresses.get_attr(f"CTA_IP_{version}_SRC")),
        source_port=ports.get_attr("CTA_PROTO_SRC_PORT") or 0,
        destination=_canonical(addresses.get_attr(f"CTA_IP_{version}_DST")),
        destination_port=ports.get_attr("CTA_PROTO_DST_PORT") or 0,
    )


def _canonical(address: str) -> str:
    return str(ipaddress.ip_address(address))
