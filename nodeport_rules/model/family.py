"""The two address families."""

from __future__ import annotations

import ipaddress
from enum import StrEnum


class Family(StrEnum):
    """An address family; its value is what users write on the command line."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def api_name(self) -> str:
        """As the Kubernetes API spells it: `IPv4` or `IPv6`."""
        return "IPv4" if self is Family.IPV4 else "IPv6"

    @property
    def host_prefix_length(self) -> int:
        """The prefix length of a single address: 32 or 128."""
        return 32 if self is Family.IPV4 else 128


BOTH_FAMILIES = (Family.IPV4, Family.IPV6)


def family_of(address_or_cidr: str) -> Family:
    """The family of an address or CIDR that is known to be sound."""
    return Family.IPV6 if ":" in address_or_cidr else Family.IPV4


def of_family(addresses: list[str] | tuple[str, ...] | None, family: Family) -> tuple[str, ...]:
    """Those of the sound `addresses` (or CIDRs) that belong to `family`, in their order."""
    if not addresses:
        return ()
    colon = family is Family.IPV6
    return tuple(address for address in addresses if (":" in address) is colon)


def contains(cidr: str, address: str) -> bool:
    """Whether the sound address is in the CIDR; never when they are of different families."""
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False)
