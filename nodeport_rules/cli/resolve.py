"""What flags and kube-proxy's configuration file add up to.

A flag that is given wins over the file; both are checked by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nodeport_rules.cli.flags import CompileFlags
from nodeport_rules.cli.output import say
from nodeport_rules.errors import Fault, InputError, UsageError, quote

if TYPE_CHECKING:
    from nodeport_rules.cli.compilation import Compilation
    from nodeport_rules.kube.assume import AssumeSettings
    from nodeport_rules.kube.proxy_configuration import ProxyConfiguration
    from nodeport_rules.model.options import Backend, ProxyOptions


def load_compilation(given: CompileFlags, backend: str, nodes: Sequence[str]) -> Compilation:
    """The objects that the flags name, read and completed, with the options they add up to.

    `backend` and `nodes` are the values of `--backend` and `--node`. What is wrong with the objects
    is in `faults` of the result; raises InputError and UsageError for what is wrong with flags and
    configuration.
    """
    from nodeport_rules.cli.compilation import ASSUMED_NODE, compile_sources

    if not given.filename:
        raise UsageError("no objects: give files, folders or - with -f")
    chosen, options = resolve_options(given, backend)
    names = [parse_node_name(name) for name in nodes]
    assuming = resolve_assuming(given, names or [options.hostname_override or ASSUMED_NODE])
    addresses = [parse_address(address) for address in given.node_address or []]
    return compile_sources(
        given.filename, options, assuming, backend=chosen, node_addresses=addresses
    )


def resolve_options(given: CompileFlags, backend: str = "") -> tuple[Backend, ProxyOptions]:
    """Backend and options from file and flags; `backend` wins over the mode that the file names.

    Raises InputError with every fault of file and flags, and UsageError for a backend that there is
    not. Fields of the file that change no rule are named in one warning.
    """
    from nodeport_rules.kube.proxy_configuration import ProxyConfiguration
    from nodeport_rules.model.options import proxy_options

    configuration = ProxyConfiguration()
    faults: list[Fault] = []
    if given.config is not None:
        configuration, faults = _read_config(given.config)
    chosen = _backend(configuration.mode or "", backend, str(given.config))
    configuration, by_flag, flag_faults = _with_flags(configuration, given, chosen)
    options, option_faults = proxy_options(
        configuration,
        backend=chosen,
        where=str(given.config or ""),
        flags=by_flag,
        nfacct=given.nfacct,
        service_cidrs=_cidrs("--service-cidr", given.service_cidr),
    )
    faults += [*flag_faults, *option_faults]
    if faults:
        raise InputError(sorted(faults))
    return chosen, options


def _backend(mode: str, flag: str, config: str) -> Backend:
    """The backend is `--backend`, else the file's `mode`, else iptables; UsageError for others."""
    from nodeport_rules.model.options import Backend

    name = flag or mode or Backend.IPTABLES
    if name in tuple(Backend):
        return Backend(name)
    given = f"--backend {quote(flag)}" if flag else f"{config}: mode: {quote(mode)}"
    hint = "" if flag else "; choose one with --backend"
    raise UsageError(f"{given}: rules can be made for {' and '.join(Backend)} only{hint}")


def resolve_assuming(given: CompileFlags, nodes: Sequence[str]) -> AssumeSettings:
    """What the flags about assuming add up to; UsageError names the one that is wrong.

    `nodes` are the nodes where the objects have none.
    """
    from nodeport_rules.kube.assume import AssumeSettings

    if given.assume not in ("missing", "never"):
        raise UsageError(f"--assume {quote(given.assume)}: it is missing or never")
    return AssumeSettings(
        service_cidrs=_cidrs("--service-cidr", given.service_cidr) or None,
        node_port_range=_port_range(given.node_port_range),
        pod_cidrs=_cidrs("--pod-cidr", given.pod_cidr),
        node_names=tuple(nodes),
        never=given.assume == "never",
    )


def _cidrs(flag: str, text: str) -> tuple[str, ...]:
    from nodeport_rules.model.family import family_of
    from nodeport_rules.model.options import canonical_cidr

    try:
        cidrs = tuple(canonical_cidr(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None
    if len({family_of(cidr) for cidr in cidrs}) < len(cidrs):
        raise UsageError(f"{flag} {quote(text)}: give at most one CIDR of each family")
    return cidrs


def _port_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if (
        first.isascii()
        and last.isascii()
        and first.isdigit()
        and last.isdigit()
        and 1 <= int(first) <= int(last) <= 65535
    ):
        return int(first), int(last)
    raise UsageError(f"--node-port-range {quote(text)}: write FIRST-LAST, ports from 1 to 65535")


def _read_config(path: Path) -> tuple[ProxyConfiguration, list[Fault]]:
    from nodeport_rules.kube.proxy_configuration import read_configuration
    from nodeport_rules.kube.sources import read_texts
    from nodeport_rules.kube.yaml_documents import yaml_documents

    if path.is_dir():
        raise UsageError(f"--config {quote(str(path))}: it is a folder; name the file")
    text = next(read_texts([str(path)], None))
    if isinstance(text, Fault):
        raise InputError([text])
    try:
        documents = list(yaml_documents(text.content.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise InputError([Fault(text.name, "", "", "is no text in UTF-8")]) from None
    if len(documents) != 1:
        message = f"has {len(documents)} documents; a configuration is one"
        raise InputError([Fault(text.name, "", "", message)])
    if documents[0].error:
        raise InputError([Fault(text.name, "", "", documents[0].error)])
    read = read_configuration(documents[0].value, text.name)
    if read.passed_over and not read.faults:
        say("warning", f"{text.name}: no meaning for rules: {', '.join(read.passed_over)}")
    return read.configuration, list(read.faults)


def _with_flags(
    configuration: ProxyConfiguration, flags: CompileFlags, backend: Backend
) -> tuple[ProxyConfiguration, dict[str, str], list[Fault]]:
    """The configuration with the flags in it, and for each field the flag that gave it."""
    gates, faults = _feature_gates(flags.feature_gates)
    addresses = flags.nodeport_addresses
    values: dict[tuple[str, str], tuple[str, object]] = {
        ("", "clusterCIDR"): ("--cluster-cidr", flags.cluster_cidr),
        ("", "detectLocalMode"): ("--detect-local-mode", flags.detect_local_mode),
        ("", "bindAddress"): ("--bind-address", flags.bind_address),
        ("", "nodePortAddresses"): (
            "--nodeport-addresses",
            [part for text in addresses for part in text.split(",")] if addresses else None,
        ),
        ("", "featureGates"): (
            "--feature-gates",
            {**(configuration.feature_gates or {}), **gates} if gates else None,
        ),
        ("detectLocal", "bridgeInterface"): ("--pod-bridge-interface", flags.pod_bridge_interface),
        ("detectLocal", "interfaceNamePrefix"): (
            "--pod-interface-name-prefix",
            flags.pod_interface_name_prefix,
        ),
        (backend.value, "masqueradeBit"): (
            "--iptables-masquerade-bit",
            flags.iptables_masquerade_bit,
        ),
        (backend.value, "masqueradeAll"): (
            "--masquerade-all",
            _boolean("--masquerade-all", flags.masquerade_all),
        ),
        ("iptables", "localhostNodePorts"): (
            "--iptables-localhost-nodeports",
            _boolean("--iptables-localhost-nodeports", flags.iptables_localhost_nodeports),
        ),
        ("conntrack", "tcpBeLiberal"): (
            "--conntrack-tcp-be-liberal",
            _boolean("--conntrack-tcp-be-liberal", flags.conntrack_tcp_be_liberal),
        ),
    }
    merged = msgspec.to_builtins(configuration)
    by_flag: dict[str, str] = {}
    for (section, field), (flag, value) in values.items():
        if value is None:
            continue
        by_flag[f"{section}.{field}" if section else field] = flag
        if section:
            merged[section] = {**(merged.get(section) or {}), field: value}
        else:
            merged[field] = value
    return msgspec.convert(merged, type(configuration)), by_flag, faults


def _boolean(flag: str, text: str | None) -> bool | None:
    """A flag of kube-proxy's that takes true or false; UsageError for anything else."""
    if text is None or text.lower() in ("true", "false"):
        return None if text is None else text.lower() == "true"
    raise UsageError(f"{flag} {quote(text)}: it is true or false")


def _feature_gates(text: str | None) -> tuple[dict[str, bool], list[Fault]]:
    gates: dict[str, bool] = {}
    faults: list[Fault] = []
    for part in text.split(",") if text else ():
        name, _, value = part.strip().partition("=")
        if not name or value.lower() not in ("true", "false"):
            faults.append(
                Fault("--feature-gates", "", "", f"{quote(part)}: write NAME=true or NAME=false")
            )
        else:
            gates[name] = value.lower() == "true"
    return gates, faults


def parse_node_name(text: str) -> str:
    """The node that `--node` names."""
    from nodeport_rules.model.options import node_name_of

    try:
        return node_name_of(text)
    except ValueError as error:
        raise UsageError(f"--node: {error}") from None


def parse_address(text: str) -> str:
    """The address that `--node-address` gives."""
    from nodeport_rules.model.options import canonical_address

    try:
        return canonical_address(text)
    except ValueError as error:
        raise UsageError(f"--node-address: {error}") from None
