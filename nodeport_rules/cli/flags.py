"""The flags of every command that compiles objects; `resolve` says what they add up to.

Flags for kube-proxy's settings have kube-proxy's own names; one that is given wins over the
configuration file.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

OBJECTS = "Objects"
ASSUMING = "What manifests leave out"
SETTINGS = "kube-proxy's settings"

Files = Annotated[
    list[str],
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE|DIR|-",
        help="Kubernetes objects: YAML or JSON, a folder of them, or - for standard input."
        " May be repeated.",
        rich_help_panel=OBJECTS,
        show_default=False,
    ),
]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going",
        metavar="",
        help="Leave out what is faulty and go on; the exit status is then 1.",
        rich_help_panel=OBJECTS,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        metavar="",
        help="Say more: what was passed over, what was compiled.",
    ),
]
Assume = Annotated[
    str,
    typer.Option(
        "--assume",
        metavar="missing|never",
        help="Assume addresses, node ports and endpoints that are missing, or never.",
        rich_help_panel=ASSUMING,
    ),
]
ServiceCIDRs = Annotated[
    str,
    typer.Option(
        "--service-cidr",
        metavar="CIDRS",
        help="The cluster's Service CIDRs: where assumed cluster IPs come from, and what nftables"
        " rules drop when no Service has it. By default the ServiceCIDR objects, else (for"
        " assuming only) 10.96.0.0/12,fd00:10:96::/108.",
        rich_help_panel=ASSUMING,
    ),
]
NodePortRange = Annotated[
    str,
    typer.Option(
        "--node-port-range",
        metavar="FIRST-LAST",
        help="Where assumed node ports come from.",
        rich_help_panel=ASSUMING,
    ),
]
PodCIDRs = Annotated[
    str,
    typer.Option(
        "--pod-cidr",
        metavar="CIDRS",
        help="Where the addresses of assumed pods come from on nodes without podCIDRs.",
        rich_help_panel=ASSUMING,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="kube-proxy's own configuration file (KubeProxyConfiguration).",
        rich_help_panel=SETTINGS,
    ),
]
ClusterCIDR = Annotated[
    str | None,
    typer.Option(
        metavar="CIDRS", help="Where pods live; one CIDR of each family.", rich_help_panel=SETTINGS
    ),
]
DetectLocalMode = Annotated[
    str | None,
    typer.Option(
        metavar="MODE",
        help="How a pod's traffic is told apart: ClusterCIDR, NodeCIDR, BridgeInterface or"
        " InterfaceNamePrefix.",
        rich_help_panel=SETTINGS,
    ),
]
PodBridgeInterface = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The bridge, for mode BridgeInterface.", rich_help_panel=SETTINGS
    ),
]
PodInterfaceNamePrefix = Annotated[
    str | None,
    typer.Option(
        metavar="PREFIX",
        help="The prefix, for mode InterfaceNamePrefix.",
        rich_help_panel=SETTINGS,
    ),
]
NodePortAddresses = Annotated[
    list[str] | None,
    typer.Option(
        "--nodeport-addresses",
        metavar="CIDR",
        help="Which local addresses take node-port traffic, or `primary`; comma-separated.",
        rich_help_panel=SETTINGS,
    ),
]
MasqueradeBit = Annotated[
    int | None,
    typer.Option(
        "--iptables-masquerade-bit",
        metavar="BIT",
        help="Bit of the packet mark for masquerading, 0 to 31.",
        rich_help_panel=SETTINGS,
    ),
]
MasqueradeAll = Annotated[
    str | None,
    typer.Option(
        "--masquerade-all",
        metavar="BOOL",
        help="Masquerade all traffic to cluster IPs.",
        rich_help_panel=SETTINGS,
    ),
]
LocalhostNodePorts = Annotated[
    str | None,
    typer.Option(
        "--iptables-localhost-nodeports",
        metavar="BOOL",
        help="Whether node ports answer on 127.0.0.0/8.",
        rich_help_panel=SETTINGS,
    ),
]
ConntrackLiberal = Annotated[
    str | None,
    typer.Option(
        "--conntrack-tcp-be-liberal",
        metavar="BOOL",
        help="Whether conntrack on the node is liberal: packets of state INVALID pass.",
        rich_help_panel=SETTINGS,
    ),
]
FeatureGates = Annotated[
    str | None,
    typer.Option(
        metavar="GATES",
        help="NAME=true|false, comma-separated; AllowServiceExternalIPs changes rules.",
        rich_help_panel=SETTINGS,
    ),
]
BindAddress = Annotated[
    str | None,
    typer.Option(
        metavar="IP",
        help="The node's own address, in place of the one in its Node object.",
        rich_help_panel=SETTINGS,
    ),
]
NodeAddresses = Annotated[
    list[str] | None,
    typer.Option(
        "--node-address",
        metavar="IP",
        help="An address that the node has; given at all, they take the place of those in its Node"
        " object. May be repeated.",
        rich_help_panel=SETTINGS,
    ),
]
Nfacct = Annotated[
    bool,
    typer.Option(
        "--nfacct",
        metavar="",
        help="The node's kernel has kube-proxy's two nfacct counters: let rules name them.",
        rich_help_panel=SETTINGS,
    ),
]


@dataclass(frozen=True, kw_only=True)
class CompileFlags:
    """The flags of every command that compiles objects, with their values."""

    filename: Files = field(default_factory=list)
    keep_going: KeepGoing = False
    verbose: Verbose = False
    assume: Assume = "missing"
    service_cidr: ServiceCIDRs = ""
    node_port_range: NodePortRange = "30000-32767"
    pod_cidr: PodCIDRs = "10.244.0.0/16,fd00:10:244::/48"
    config: Config = None
    cluster_cidr: ClusterCIDR = None
    detect_local_mode: DetectLocalMode = None
    pod_bridge_interface: PodBridgeInterface = None
    pod_interface_name_prefix: PodInterfaceNamePrefix = None
    nodeport_addresses: NodePortAddresses = None
    iptables_masquerade_bit: MasqueradeBit = None
    masquerade_all: MasqueradeAll = None
    iptables_localhost_nodeports: LocalhostNodePorts = None
    conntrack_tcp_be_liberal: ConntrackLiberal = None
    feature_gates: FeatureGates = None
    bind_address: BindAddress = None
    node_address: NodeAddresses = None
    nfacct: Nfacct = False


def with_compile_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command all of `CompileFlags`, which it receives as its parameter `given`.

    Typer makes flags of a function's parameters, so the command gets a signature that has them.
    """
    hints = get_type_hints(CompileFlags, include_extras=True)
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "given"]
    shared = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=[] if one.name == "filename" else one.default,
            annotation=hints[one.name],
        )
        for one in fields(CompileFlags)
    ]

    @functools.wraps(command)
    def called(**values: Any) -> None:  # noqa: ANN401 (typer has checked them)
        given = CompileFlags(**{one.name: values.pop(one.name) for one in shared})
        command(**values, given=given)

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    called.__signature__ = signature.replace(parameters=[*keyword, *shared])  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in (*keyword, *shared)}
    return called
