"""One spelling for what programs spell in several ways, so that meanings compare."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

_SCOPE = "%"
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_PROTOCOLS = {
    "1": "icmp",
    "6": "tcp",
    "17": "udp",
    "58": "ipv6-icmp",
    "132": "sctp",
    # nft takes this name too; iptables and nft both print the other one.
    "icmpv6": "ipv6-icmp",
}
"""What stands for the protocols that both programs print by name (/etc/protocols)."""


@lru_cache(maxsize=65536)
def canonical_address(text: str) -> str | None:
    """The address in its shortest form; None when it is none."""
    try:
        return str(ipaddress.ip_address(text)) if _SCOPE not in text else None
    except ValueError:
        return None


@lru_cache(maxsize=65536)
def canonical_network(text: str) -> str | None:
    """An address, CIDR or address/mask as a CIDR, host bits cleared.

    None when it is none of these, or when the mask's bits are not one run from the left: no CIDR
    stands for that.
    """
    _, slash, mask = text.partition("/")
    try:
        if _SCOPE in text or (slash and not _is_length_or_netmask(mask)):
            return None
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return None


def _is_length_or_netmask(mask: str) -> bool:
    """Whether it is a length or a dotted netmask; ip_network would take a host mask as well."""
    if mask.isascii() and mask.isdigit():
        return True
    host_bits = int(ipaddress.IPv4Address(mask)) ^ 0xFFFFFFFF
    return host_bits & (host_bits + 1) == 0


def single_address(network: str) -> str | None:
    """The address that the canonical network consists of; None when it has several."""
    address, _, length = network.partition("/")
    return address if length in ("", "128" if ":" in address else "32") else None


def address_or_network(network: str) -> str:
    """A canonical network as rules name it: one of a single address as that address."""
    return single_address(network) or network


def networks_between(first: str, last: str) -> tuple[str, ...] | None:
    """The CIDRs that hold exactly the addresses from `first` to `last`; None when they are none."""
    try:
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
        return tuple(str(network) for network in ipaddress.summarize_address_range(*ends))
    except (ValueError, TypeError):
        return None


def canonical_protocol(text: str) -> str:
    """`tcp`, `udp`, `sctp`, and any other protocol as it stands, in lower case."""
    lower = text.lower()
    return _PROTOCOLS.get(lower, lower)


def port_number(text: str) -> int | None:
    """The port; None when it is no number from 0 to 65535."""
    if not _PORT.fullmatch(text):
        return None
    number = int(text)
    return number if number <= 0xFFFF else None
