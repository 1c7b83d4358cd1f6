"""The recorded states: which rules to load for each, kube-proxy's own and ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nodeport_rules.cli.compilation import Compilation, rules_text
from nodeport_rules.cli.flags import CompileFlags
from nodeport_rules.cli.resolve import load_compilation
from nodeport_rules.model.endpoints import Endpoint
from nodeport_rules.model.family import Family
from nodeport_rules.model.node import FamilyState
from nodeport_rules.model.options import Backend
from nodeport_rules.model.plan import ServicePlan
from nodeport_rules.model.settings import NodeSettings

from . import addresses
from .node import Rules

RECORDINGS = Path(__file__).parents[2] / "conformance" / "recordings"
STATES = sorted(folder.name for folder in RECORDINGS.iterdir() if folder.is_dir())
IPTABLES_FILES = {Family.IPV4: "iptables.save", Family.IPV6: "ip6tables.save"}
NFTABLES_FILES = {Family.IPV4: "nftables.ip.nft", Family.IPV6: "nftables.ip6.nft"}

KUBE_PROXY_IPTABLES = "kube-proxy, iptables"
OURS_IPTABLES = "ours, iptables"
KUBE_PROXY_NFTABLES = "kube-proxy, nftables"
OURS_NFTABLES = "ours, nftables"


@dataclass(frozen=True)
class State:
    """One recorded state in one family."""

    name: str
    family: Family
    objects: FamilyState
    plans: tuple[ServicePlan, ...]
    iptables: NodeSettings
    nftables: NodeSettings
    rulesets: tuple[Rules, ...]
    """kube-proxy's and ours for iptables; then, where it was recorded, kube-proxy's for nftables;
    then ours."""

    def endpoints(self, plan: ServicePlan) -> tuple[Endpoint, ...]:
        """All endpoints that the objects have for a service port, in whatever condition."""
        return self.objects.endpoints.get(plan.service_port.key, ())


@lru_cache(maxsize=4)
def compilation(name: str, backend: Backend) -> Compilation:
    """Our compilation of a recorded state, with what the recordings' README says of the host."""
    folder = RECORDINGS / name
    config = folder / f"config.{backend.value}.yaml"
    flags = CompileFlags(
        filename=[str(folder / "objects.json")],
        config=config,
        nfacct=True,
        service_cidr=",".join(addresses.SERVICE_CIDRS),
        keep_going=True,
    )
    if not config.exists():
        # Recorded in iptables mode only: ours for nftables with the same settings.
        recorded = compilation(name, Backend.IPTABLES).options
        flags = CompileFlags(
            filename=flags.filename,
            config=folder / "config.iptables.yaml",
            service_cidr=flags.service_cidr,
            keep_going=True,
            masquerade_all=str(recorded.masquerade_all).lower(),
            iptables_masquerade_bit=recorded.masquerade_bit,
        )
    return load_compilation(flags, backend.value, [])


def state_of(name: str, family: Family) -> State:
    """One recorded state in one family, everything compiled."""
    folder = RECORDINGS / name
    iptables, nftables = (compilation(name, backend) for backend in Backend)
    node = iptables.choose_node()
    settings = iptables.settings(node, family)
    localnet = settings.localhost_node_ports
    recorded = (folder / IPTABLES_FILES[family]).read_text()
    ours = iptables.rules(node, family)
    rulesets = [
        Rules(KUBE_PROXY_IPTABLES, family, Backend.IPTABLES, recorded, localnet),
        Rules(
            OURS_IPTABLES,
            family,
            Backend.IPTABLES,
            rules_text(ours),
            localnet,
            ours.ruleset,
        ),
    ]
    nftables_file = folder / NFTABLES_FILES[family]
    if nftables_file.exists():
        text = nftables_file.read_text()
        rulesets.append(Rules(KUBE_PROXY_NFTABLES, family, Backend.NFTABLES, text))
    ours = nftables.rules(node, family)
    rulesets.append(
        Rules(OURS_NFTABLES, family, Backend.NFTABLES, rules_text(ours), compiled=ours.ruleset)
    )
    return State(
        name=name,
        family=family,
        objects=iptables.state(family),
        plans=tuple(iptables.plans(node, family)),
        iptables=settings,
        nftables=nftables.settings(node, family),
        rulesets=tuple(rulesets),
    )
