"""What a user writes for where a packet goes to: DESTINATION[:PORT][/PROTO]."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from nodeport_rules.errors import UsageError, quote

PROTOCOLS = ("tcp", "udp", "sctp")
FORMS = (
    "ADDRESS[:PORT][/PROTO], [ADDRESS]:PORT for IPv6, :NODEPORT, or NAMESPACE/SERVICE[:PORTNAME]"
)

_SERVICE = re.compile(r"(?P<namespace>[-a-z0-9]+)/(?P<name>[-a-z0-9.]+)(?::(?P<port>[-a-z0-9]+))?")


class Destination(msgspec.Struct, frozen=True):
    """Where a packet goes to, as far as the user said."""

    text: str
    address: str = ""
    """Empty for a Service's name and for a bare node port."""
    port: int = 0
    """0: none given."""
    protocol: str = ""
    """Empty: none given."""
    service: tuple[str, str] | None = None
    """Namespace and name."""
    service_port: str = ""
    """The name or number of a Service's port; empty: none given."""


def parse_destination(text: str) -> Destination:
    """The destination that an argument names; UsageError says what is wrong with it."""
    rest, slash, last = text.rpartition("/")
    protocol = last.lower() if slash and last.lower() in PROTOCOLS else ""
    bare = rest if protocol else text
    found = _address(text, bare, protocol)
    if found is not None:
        return found
    service = _SERVICE.fullmatch(bare) or _SERVICE.fullmatch(text)
    if service is None:
        if slash and not protocol and _address(text, rest, "") is not None:
            raise UsageError(f"{quote(text)}: the protocol is tcp, udp or sctp")
        raise UsageError(f"{quote(text)} is no destination; write {FORMS}")
    return Destination(
        text,
        # `default/tcp` is a Service of that name.
        protocol=protocol if service.string == bare else "",
        service=(service["namespace"], service["name"]),
        service_port=service["port"] or "",
    )


def _address(text: str, bare: str, protocol: str) -> Destination | None:
    """The destination when `bare` is an address, with a port or without, or a port alone."""
    host, port = bare, ""
    if bare.startswith("["):
        host, bracket, behind = bare[1:].partition("]")
        if not bracket or (behind and not behind.startswith(":")):
            return None
        port = behind
    elif bare.count(":") == 1:
        host, _, behind = bare.partition(":")
        port = f":{behind}"
    if not host and port and not bare.startswith("["):
        return Destination(text, "", _port(text, port[1:]), protocol)
    address = _canonical(host)
    if address is None:
        return None
    return Destination(text, address, _port(text, port[1:]) if port else 0, protocol)


def _canonical(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host)) if "%" not in host else None
    except ValueError:
        return None


def _port(text: str, port: str) -> int:
    if port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535:
        return int(port)
    raise UsageError(f"{quote(text)}: {quote(port)} is no port, 1 to 65535")
