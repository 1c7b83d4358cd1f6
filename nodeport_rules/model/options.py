"""kube-proxy's configuration, checked: what of it changes rules, for every node and family."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from nodeport_rules.errors import Fault, quote
from nodeport_rules.kube.proxy_configuration import ProxyConfiguration
from nodeport_rules.model.family import Family, family_of

PRIMARY = "primary"
DEFAULT_MASQUERADE_BIT = 14


class Backend(StrEnum):
    """The kernel's firewall that rules are written for: kube-proxy's `mode`."""

    IPTABLES = "iptables"
    NFTABLES = "nftables"


class DetectLocalMode(StrEnum):
    """How a pod's traffic is told apart: kube-proxy's `detectLocalMode`."""

    CLUSTER_CIDR = "ClusterCIDR"
    NODE_CIDR = "NodeCIDR"
    BRIDGE_INTERFACE = "BridgeInterface"
    INTERFACE_NAME_PREFIX = "InterfaceNamePrefix"


class ProxyOptions(msgspec.Struct, frozen=True):
    """The options that change rules, checked and complete; the same for all nodes."""

    hostname_override: str = ""
    bind_addresses: dict[Family, str] = {}
    """A `bindAddress` other than 0.0.0.0 and ::, which is then the node's address."""
    detect_local_mode: DetectLocalMode = DetectLocalMode.CLUSTER_CIDR
    cluster_cidrs: dict[Family, str] = {}
    bridge_interface: str = ""
    interface_name_prefix: str = ""
    node_port_primary: bool = False
    """`nodePortAddresses: [primary]`."""
    node_port_cidrs: tuple[str, ...] = ()
    masquerade_bit: int = DEFAULT_MASQUERADE_BIT
    masquerade_all: bool = False
    localhost_node_ports: bool = True
    allow_external_ips: bool = True
    conntrack_liberal: bool = False
    nfacct: bool = False
    service_cidrs: tuple[str, ...] = ()
    """The cluster's Service CIDRs where a flag gives them; empty: those of ServiceCIDR objects."""


class _Checker:
    """Collects the faults of one configuration, each under the flag or field it came from."""

    def __init__(self, where: str, flags: Mapping[str, str]) -> None:
        self.faults: list[Fault] = []
        self._where = where
        self._flags = flags

    def fault(self, field: str, message: str) -> None:
        flag = self._flags.get(field)
        self.faults.append(
            Fault(flag, "", "", message) if flag else Fault(self._where, "", field, message)
        )

    def parsed(self, field: str, text: str, parse: Callable[[str], str]) -> str:
        """What `parse` makes of `text`; its ValueError becomes a fault, and the result empty."""
        try:
            return parse(text)
        except ValueError as error:
            self.fault(field, str(error))
            return ""


def proxy_options(
    configuration: ProxyConfiguration,
    *,
    backend: Backend = Backend.IPTABLES,
    where: str = "",
    flags: Mapping[str, str] | None = None,
    nfacct: bool = False,
    service_cidrs: tuple[str, ...] = (),
) -> tuple[ProxyOptions, list[Fault]]:
    """The options for one backend in `configuration`, and everything that is wrong with them.

    `where` names the file; `flags` tells for a field's path the flag that gave it instead, for
    messages. With faults, the options returned hold defaults in place of what is wrong.
    """
    checker = _Checker(where, flags or {})
    nftables = backend is Backend.NFTABLES
    section = configuration.nftables if nftables else configuration.iptables
    conntrack = configuration.conntrack
    detect = configuration.detect_local
    localhost = configuration.iptables.localhost_node_ports if configuration.iptables else None
    addresses = configuration.node_port_addresses or ([PRIMARY] if nftables else [])
    primary, cidrs = _node_port_addresses(addresses, checker)
    options = ProxyOptions(
        hostname_override=_hostname(configuration.hostname_override or "", checker),
        bind_addresses=_bind_addresses(configuration.bind_address or "", checker),
        detect_local_mode=_detect_local_mode(configuration.detect_local_mode or "", checker),
        cluster_cidrs=_cluster_cidrs(configuration.cluster_cidr or "", checker),
        bridge_interface=_interface(
            detect.bridge_interface if detect else None, "detectLocal.bridgeInterface", checker
        ),
        interface_name_prefix=_interface(
            detect.interface_name_prefix if detect else None,
            "detectLocal.interfaceNamePrefix",
            checker,
        ),
        node_port_primary=primary,
        node_port_cidrs=cidrs,
        masquerade_bit=_masquerade_bit(
            section.masquerade_bit if section else None, f"{backend}.masqueradeBit", checker
        ),
        masquerade_all=bool(section and section.masquerade_all),
        localhost_node_ports=localhost is not False and not nftables,
        allow_external_ips=(configuration.feature_gates or {}).get("AllowServiceExternalIPs", True),
        conntrack_liberal=bool(conntrack and conntrack.tcp_be_liberal),
        nfacct=nfacct,
        service_cidrs=service_cidrs,
    )
    _check_interface_modes(options, checker)
    return options, checker.faults


def canonical_cidr(text: str) -> str:
    """The CIDR with its host bits cleared; ValueError says in words what is wrong with it."""
    stripped = text.strip()
    try:
        if "/" not in stripped or "%" in stripped:
            raise ValueError
        return str(ipaddress.ip_network(stripped, strict=False))
    except ValueError:
        raise ValueError(f"{quote(text)} is no CIDR; write it like 10.244.0.0/16") from None


def canonical_address(text: str) -> str:
    """The address in its shortest form; ValueError says in words what is wrong with it."""
    try:
        if "%" in text:
            raise ValueError
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{quote(text)} is no IP address") from None


_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:-]{0,14}", re.ASCII)


def node_name_of(text: str) -> str:
    """A node's name as kube-proxy takes it: trimmed, in lower case; ValueError when it is none."""
    name = text.strip().lower()
    if not _NODE_NAME.fullmatch(name):
        raise ValueError(
            f"{quote(text)} is no node name: lower-case letters, digits, '-' and '.', at most 253"
        )
    return name


def _hostname(text: str, checker: _Checker) -> str:
    return checker.parsed("hostnameOverride", text, node_name_of) if text else ""


def _bind_addresses(text: str, checker: _Checker) -> dict[Family, str]:
    if not text:
        return {}
    address = checker.parsed("bindAddress", text, canonical_address)
    if not address or ipaddress.ip_address(address).is_unspecified:
        return {}
    return {family_of(address): address}


def _detect_local_mode(text: str, checker: _Checker) -> DetectLocalMode:
    if not text:
        return DetectLocalMode.CLUSTER_CIDR
    try:
        return DetectLocalMode(text)
    except ValueError:
        known = ", ".join(DetectLocalMode)
        checker.fault("detectLocalMode", f"{quote(text)} is unknown; it is one of {known}")
        return DetectLocalMode.CLUSTER_CIDR


def _cluster_cidrs(text: str, checker: _Checker) -> dict[Family, str]:
    found: dict[Family, str] = {}
    for part in text.split(",") if text.strip() else ():
        cidr = checker.parsed("clusterCIDR", part, canonical_cidr)
        if not cidr:
            continue
        if family_of(cidr) in found:
            checker.fault(
                "clusterCIDR",
                f"{quote(text)} has two CIDRs of one family; give one of each at most",
            )
        found.setdefault(family_of(cidr), cidr)
    return found


def _interface(text: str | None, field: str, checker: _Checker) -> str:
    if not text:
        return ""
    if not _INTERFACE.fullmatch(text):
        checker.fault(
            field,
            f"{quote(text)} is no interface name: at most 15 letters, digits and any of _ . @ : -",
        )
        return ""
    return text


def _check_interface_modes(options: ProxyOptions, checker: _Checker) -> None:
    mode = options.detect_local_mode
    if checker.faults:
        return
    if mode is DetectLocalMode.BRIDGE_INTERFACE and not options.bridge_interface:
        checker.fault(
            "detectLocal.bridgeInterface", "missing: detectLocalMode BridgeInterface needs it"
        )
    if mode is DetectLocalMode.INTERFACE_NAME_PREFIX and not options.interface_name_prefix:
        checker.fault(
            "detectLocal.interfaceNamePrefix",
            "missing: detectLocalMode InterfaceNamePrefix needs it",
        )


def _node_port_addresses(addresses: list[str], checker: _Checker) -> tuple[bool, tuple[str, ...]]:
    if PRIMARY in addresses:
        if len(addresses) > 1:
            checker.fault("nodePortAddresses", '"primary" stands alone; leave the others out')
        return True, ()
    cidrs = [checker.parsed("nodePortAddresses", text, canonical_cidr) for text in addresses]
    return False, tuple(cidr for cidr in cidrs if cidr)


def _masquerade_bit(bit: int | None, field: str, checker: _Checker) -> int:
    if bit is None:
        return DEFAULT_MASQUERADE_BIT
    if not 0 <= bit <= 31:
        checker.fault(field, f"{bit} is no bit of a mark; it is one of 0 to 31")
        return DEFAULT_MASQUERADE_BIT
    return bit
