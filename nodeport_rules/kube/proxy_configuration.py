"""kube-proxy's own configuration file: KubeProxyConfiguration, kubeproxy.config.k8s.io/v1alpha1.

All of its fields are known here, so that a misspelt one is an error and not a silent default.
Which of them change rules is the list in `RULE_FIELDS`; others are named to the user where they
are set, as having no meaning for rules.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nodeport_rules.errors import Fault, quote

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"


class _Section(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True
):
    pass


class ClientConnection(_Section, frozen=True):
    kubeconfig: str | None = None
    accept_content_types: str | None = None
    content_type: str | None = None
    qps: float | None = None
    burst: int | None = None


class IPTablesSection(_Section, frozen=True):
    masquerade_bit: int | None = None
    masquerade_all: bool | None = None
    localhost_node_ports: bool | None = None
    sync_period: str | None = None
    min_sync_period: str | None = None


class NFTablesSection(_Section, frozen=True):
    masquerade_bit: int | None = None
    masquerade_all: bool | None = None
    sync_period: str | None = None
    min_sync_period: str | None = None


class IPVSSection(_Section, frozen=True):
    sync_period: str | None = None
    min_sync_period: str | None = None
    scheduler: str | None = None
    exclude_cidrs: list[str] | None = msgspec.field(default=None, name="excludeCIDRs")
    strict_arp: bool | None = msgspec.field(default=None, name="strictARP")
    tcp_timeout: str | None = None
    tcp_fin_timeout: str | None = None
    udp_timeout: str | None = None


class WinkernelSection(_Section, frozen=True):
    network_name: str | None = None
    source_vip: str | None = None
    enable_dsr: bool | None = msgspec.field(default=None, name="enableDSR")
    root_hns_endpoint_name: str | None = None
    forward_health_check_vip: bool | None = None


class LoggingSection(_Section, frozen=True):
    format: str | None = None
    flush_frequency: str | int | None = None
    verbosity: int | None = None
    vmodule: list[dict[str, Any]] | None = None
    options: dict[str, Any] | None = None


class DetectLocalSection(_Section, frozen=True):
    bridge_interface: str | None = None
    interface_name_prefix: str | None = None


class ConntrackSection(_Section, frozen=True):
    max_per_core: int | None = None
    min: int | None = None
    tcp_established_timeout: str | None = None
    tcp_close_wait_timeout: str | None = None
    tcp_be_liberal: bool | None = None
    udp_timeout: str | None = None
    udp_stream_timeout: str | None = None


class ProxyConfiguration(_Section, frozen=True):
    """The file as it stands; None is a field that is absent or null."""

    api_version: str | None = None
    kind: str | None = None
    feature_gates: dict[str, bool] | None = None
    client_connection: ClientConnection | None = None
    logging: LoggingSection | None = None
    hostname_override: str | None = None
    bind_address: str | None = None
    bind_address_hard_fail: bool | None = None
    healthz_bind_address: str | None = None
    metrics_bind_address: str | None = None
    enable_profiling: bool | None = None
    show_hidden_metrics_for_version: str | None = None
    mode: str | None = None
    iptables: IPTablesSection | None = None
    ipvs: IPVSSection | None = None
    nftables: NFTablesSection | None = None
    winkernel: WinkernelSection | None = None
    detect_local_mode: str | None = None
    detect_local: DetectLocalSection | None = None
    cluster_cidr: str | None = msgspec.field(default=None, name="clusterCIDR")
    node_port_addresses: list[str] | None = None
    oom_score_adj: int | None = None
    conntrack: ConntrackSection | None = None
    config_sync_period: str | None = None
    port_range: str | None = None
    windows_run_as_service: bool | None = None


RULE_FIELDS = frozenset(
    {
        "apiVersion",
        "kind",
        "mode",
        "featureGates.AllowServiceExternalIPs",
        "hostnameOverride",
        "bindAddress",
        "clusterCIDR",
        "detectLocalMode",
        "detectLocal.bridgeInterface",
        "detectLocal.interfaceNamePrefix",
        "nodePortAddresses",
        "iptables.masqueradeBit",
        "iptables.masqueradeAll",
        "iptables.localhostNodePorts",
        "nftables.masqueradeBit",
        "nftables.masqueradeAll",
        "conntrack.tcpBeLiberal",
    }
)
"""Paths of the fields that change rules; all others matter to a running proxy only."""

_DURATION = re.compile(r"[-+]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+", re.ASCII)
_DURATION_FIELD = re.compile(r"(^|\.)(\w+Period|\w+Timeout)$")
_ERROR_PATH = re.compile(r"(?P<message>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_PATH_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")


class ReadConfiguration(msgspec.Struct, frozen=True):
    """A configuration file, with what was wrong with it and what has no meaning for rules."""

    configuration: ProxyConfiguration
    faults: tuple[Fault, ...]
    passed_over: tuple[str, ...]
    """Paths of fields that are set but change no rule."""


def read_configuration(document: object, where: str) -> ReadConfiguration:
    """The KubeProxyConfiguration in `document`, a mapping as YAML gives it.

    Every unknown or wrongly typed field is a fault with its path; `where` names the file.
    """
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        message = f"this is no {KIND}: expected a mapping with apiVersion {API_VERSION}"
        return ReadConfiguration(ProxyConfiguration(), (Fault(where, "", "", message),), ())
    configuration, faults = _convert(document, where)
    faults += _header_faults(configuration, where)
    set_fields = dict(_set_fields(document, ""))
    faults += [
        Fault(where, "", path, f"{quote(value)} is no duration; write it like 30s or 1m30s")
        for path, value in set_fields.items()
        if _DURATION_FIELD.search(path)
        and isinstance(value, str)
        and not _DURATION.fullmatch(value)
    ]
    passed_over = tuple(sorted(path for path in set_fields if path not in RULE_FIELDS))
    return ReadConfiguration(configuration, tuple(faults), passed_over)


def _convert(document: dict[Any, Any], where: str) -> tuple[ProxyConfiguration, list[Fault]]:
    """The document as a struct, without the fields that are wrong; each of them is a fault.

    msgspec stops at the first error, so the field it names is taken out and the rest tried again.
    """
    rest = _copy(document)
    faults: list[Fault] = []
    while True:
        try:
            return msgspec.convert(rest, ProxyConfiguration), faults
        except msgspec.ValidationError as error:
            found = _ERROR_PATH.fullmatch(str(error))
            message = found["message"] if found else str(error)
            path = (found["path"] or "") if found else ""
            unknown = _UNKNOWN_FIELD.fullmatch(message)
            if unknown:
                path += f".{unknown['name']}"
                message = "there is no such field in KubeProxyConfiguration; mind the spelling"
            else:
                message = message.replace("Expected", "expected", 1)
            faults.append(Fault(where, "", path.lstrip(".") or "(the document)", message))
            if not _remove(rest, path):
                return ProxyConfiguration(), faults


def _copy(value: object) -> object:
    """A deep copy with keys as text, from which wrong fields can be taken."""
    if isinstance(value, dict):
        return {str(key): _copy(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy(inner) for inner in value]
    return value


def _remove(value: object, path: str) -> bool:
    """Takes the value at an msgspec error's path out of `value`; False when it is not there.

    msgspec writes `[...]` for a key of a mapping, without saying which: the whole mapping goes.
    """
    steps = [step["name"] or step["index"] for step in _PATH_STEP.finditer(path)]
    if "..." in steps:
        steps = steps[: steps.index("...")]
    else:
        # An element of a list cannot be taken out without moving the others: the list goes.
        while steps and steps[-1].isdigit():
            steps.pop()
    if not steps:
        return False
    for step in steps[:-1]:
        if isinstance(value, list):
            value = value[int(step)]
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return False
    return isinstance(value, dict) and value.pop(steps[-1], None) is not None


def _header_faults(configuration: ProxyConfiguration, where: str) -> list[Fault]:
    faults = []
    if configuration.api_version != API_VERSION:
        shown = quote(configuration.api_version) if configuration.api_version else "missing"
        faults.append(Fault(where, "", "apiVersion", f"{shown}; must be {API_VERSION}"))
    if configuration.kind != KIND:
        shown = quote(configuration.kind) if configuration.kind else "missing"
        faults.append(Fault(where, "", "kind", f"{shown}; must be {KIND}"))
    return faults


def _set_fields(value: object, path: str) -> list[tuple[str, object]]:
    """The leaves that are set to something other than nothing (null, "", 0, 0s, false, empty)."""
    if isinstance(value, dict):
        return [
            leaf
            for key, inner in value.items()
            for leaf in _set_fields(inner, f"{path}.{key}" if path else str(key))
        ]
    return [(path, value)] if value and value not in ("0", "0s") else []
