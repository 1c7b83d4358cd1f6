"""The rules and addresses that this host has, for looking at them."""

from __future__ import annotations

import ipaddress
import re

from nodeport_rules.errors import quote
from nodeport_rules.kernel import iptables_tools, nft_tools
from nodeport_rules.kernel.errors import KernelError
from nodeport_rules.kernel.namespaces import NetworkNamespace

_ADDRESS_FAMILIES: dict[iptables_tools.Family, int] = {"ipv4": 2, "ipv6": 10}
"""AF_INET and AF_INET6."""
_IFF_LOOPBACK = 0x8
_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,254}", re.ASCII)


def iptables_rules(
    family: iptables_tools.Family, *, namespace: NetworkNamespace | None = None
) -> str:
    """What iptables-save (ip6tables-save) prints: all tables of the family."""
    return iptables_tools.save(family, namespace=namespace)


def nftables_table(
    family: iptables_tools.Family, table: str, *, namespace: NetworkNamespace | None = None
) -> str:
    """One nftables table as nft lists it.

    One table and no ruleset: listing a giant table of somebody else's can take minutes.
    """
    if not _TABLE_NAME.fullmatch(table):
        # nft takes its arguments together for one script.
        raise KernelError(f"{quote(table)} is no name of an nftables table")
    word: nft_tools.TableFamily = "ip" if family == "ipv4" else "ip6"
    return nft_tools.list_table(word, table, namespace=namespace, stateless=True)


def local_addresses(family: iptables_tools.Family) -> tuple[str, ...]:
    """The addresses of this process's network namespace, as netlink lists them.

    The first one is what others reach it by, where there is one: those of the loopback device come
    behind others, loopback addresses last. Link-local addresses are left out: they are no address
    of one host.
    """
    try:
        from pyroute2 import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError
    except ImportError as error:
        raise KernelError(f"pyroute2 cannot be imported: {error}") from error
    try:
        with IPRoute() as route:
            messages = list(route.get_addr(family=_ADDRESS_FAMILIES[family]))
            loopback = {one["index"] for one in route.link("dump") if one["flags"] & _IFF_LOOPBACK}
    except (NetlinkError, OSError) as error:
        raise KernelError(f"the host's addresses cannot be read: {error}") from error
    found: list[tuple[bool, bool, str]] = []
    for message in messages:
        address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if address and not address.lower().startswith("fe80:"):
            own = ipaddress.ip_address(address).is_loopback
            found.append((own, message["index"] in loopback, address))
    return tuple(address for _, _, address in sorted(found, key=lambda one: one[:2]))
