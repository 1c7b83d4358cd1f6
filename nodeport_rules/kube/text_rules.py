"""Which texts are names, addresses and CIDRs: the only ones that may end up in a rule.

All patterns are ASCII and match the whole text (fullmatch, never `$`, which a newline passes). The
rules are the API server's own.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

import msgspec

MAX_SUBDOMAIN = 253

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?=[-0-9]*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?")

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ORDINARY = r"(?!127\.|169\.)(?:[1-9][0-9]?|1[0-9][0-9]|2[01][0-9]|22[0-3])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
ordinary_ipv4 = re.compile(rf"{_ORDINARY}(?:\.{_OCTET}){{3}}").fullmatch
"""Quick test for canonical IPv4 text that needs no other: its first number is 1 to 223 and neither
127 nor 169, so it is neither unspecified, loopback, link-local nor multicast. No match says
nothing; ask `parse_address`."""

_GROUP = "[1-9a-f][0-9a-f]{0,3}"
_COMPRESSED_IPV6 = re.compile(
    rf"(?!fe[89ab]|ff){_GROUP}(?::{_GROUP}){{0,4}}::{_GROUP}(?::{_GROUP}){{0,4}}"
)
_MAX_COMPRESSED_COLONS = 6

_CIDR = re.compile(r"[0-9A-Fa-f:.]+/(?:[1-9]?[0-9]|1[0-2][0-9])")
_IPV6_CHARACTERS = re.compile(r"[0-9A-Fa-f:.]{2,45}")

IPV4, IPV6 = "IPv4", "IPv6"


class Address(msgspec.Struct, frozen=True):
    """A checked IP address: canonical text, family, and what makes it special ("" if nothing)."""

    text: str
    family: str
    special: str


def is_ordinary_ipv6(text: str) -> bool:
    """As `ordinary_ipv4`, for IPv6 text of the form that nearly all addresses have.

    That is: lower case, one `::` inside that stands for two groups at least, and no other group of
    zeros (so that there is no second way to shorten it).
    """
    return (
        _COMPRESSED_IPV6.fullmatch(text) is not None and text.count(":") <= _MAX_COMPRESSED_COLONS
    )


def is_label(text: str) -> bool:
    """An RFC 1123 label: names of Services and namespaces, and of Service ports."""
    return _LABEL.fullmatch(text) is not None


@lru_cache(maxsize=16384)
def is_subdomain(text: str) -> bool:
    """An RFC 1123 subdomain of at most 253 characters: names of nearly everything else."""
    return len(text) <= MAX_SUBDOMAIN and _SUBDOMAIN.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def is_label_value(text: str) -> bool:
    """What a label's value may be; zones are that."""
    return text == "" or _LABEL_VALUE.fullmatch(text) is not None


def is_container_port_name(text: str) -> bool:
    """An IANA service name: up to 15 of a-z, 0-9 and single inner `-`, one letter at least."""
    return _PORT_NAME.fullmatch(text) is not None


@lru_cache(maxsize=16384)
def parse_address(text: str) -> Address | None:
    """The address, None when the text is none that every reader understands alike.

    Refused: leading zeros, IPv4 in IPv6 clothes (::ffff:10.0.0.1), zones (fe80::1%eth0), blanks.
    """
    if _IPV4.fullmatch(text):
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv4Address(text)
        return Address(text, IPV4, _special(address))
    if not _IPV6_CHARACTERS.fullmatch(text):
        return None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    if address.ipv4_mapped is not None:
        return None
    return Address(str(address), IPV6, _special(address))


def _special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if address.is_unspecified:
        return "unspecified"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    return "multicast" if address.is_multicast else ""


@lru_cache(maxsize=16384)
def parse_cidr(text: str) -> tuple[str, str] | None:
    """(canonical text, family) of a CIDR, host bits masked; None when it is none.

    Netmasks in place of a prefix length, and the addresses `parse_address` refuses, are refused.
    """
    if not _CIDR.fullmatch(text):
        return None
    address = parse_address(text.partition("/")[0])
    if address is None:
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return str(network), address.family


def family_of(text: str) -> str:
    """The family of an address that is already known to be one, from its looks alone."""
    return IPV6 if ":" in text else IPV4
