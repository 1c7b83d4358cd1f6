"""Two Services that claim one address, port and protocol: who gets it.

kube-proxy writes both rules and leaves it to chance which comes first, node by node. Here the older
Service wins, on every node alike; the other one loses that address and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from nodeport_rules.model.service_ports import ServicePort

# Sorts after every timestamp: a Service that is in no cluster yet is younger than all that are.
NOT_CREATED = "~"


class Conflict(msgspec.Struct, frozen=True, order=True):
    """One address that a service port had to leave to another one."""

    loser: ServicePort
    winner: ServicePort
    address: str
    """`203.0.113.7:80/tcp`, or `node port 30080/tcp`."""
    field: str
    """The field of the loser that claims it."""


class _Claim(NamedTuple):
    address: str
    port: int
    protocol: str


def settle_claims(ports: Sequence[ServicePort]) -> tuple[list[ServicePort], list[Conflict]]:
    """The service ports with every address that another one holds taken away, in their order.

    The one whose Service was created first wins, then the lower namespace and name.
    """
    owners: dict[_Claim, ServicePort] = {}
    losses: dict[int, list[tuple[_Claim, str, ServicePort]]] = {}
    order = sorted(range(len(ports)), key=lambda i: (ports[i].created or NOT_CREATED, i))
    for index in order:
        port = ports[index]
        for claim, field in _claims(port):
            owner = owners.setdefault(claim, port)
            if owner is not port:
                losses.setdefault(index, []).append((claim, field, owner))
    if not losses:
        return list(ports), []
    settled = list(ports)
    conflicts: list[Conflict] = []
    for index in sorted(losses):
        port = ports[index]
        settled[index] = _without(port, {claim for claim, _, _ in losses[index]})
        conflicts.extend(
            Conflict(port, owner, _show(claim), field) for claim, field, owner in losses[index]
        )
    return settled, conflicts


def _claims(port: ServicePort) -> list[tuple[_Claim, str]]:
    claims = [(_Claim(port.cluster_ip, port.port, port.protocol), "spec.clusterIP")]
    if port.node_port:
        claims.append((_Claim("", port.node_port, port.protocol), "spec.ports[].nodePort"))
    for ip in port.external_ips:
        claims.append((_Claim(ip, port.port, port.protocol), "spec.externalIPs"))
    for ip in port.load_balancer_ips:
        claims.append((_Claim(ip, port.port, port.protocol), "status.loadBalancer.ingress"))
    return claims


def _without(port: ServicePort, lost: set[_Claim]) -> ServicePort:
    def kept(ips: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(ip for ip in ips if _Claim(ip, port.port, port.protocol) not in lost)

    node_port = 0 if _Claim("", port.node_port, port.protocol) in lost else port.node_port
    external_ips, load_balancer_ips = kept(port.external_ips), kept(port.load_balancer_ips)
    return msgspec.structs.replace(
        port,
        cluster_ip="".join(kept((port.cluster_ip,))),
        node_port=node_port,
        external_ips=external_ips,
        load_balancer_ips=load_balancer_ips,
        external=bool(node_port or external_ips or load_balancer_ips),
    )


def _show(claim: _Claim) -> str:
    if not claim.address:
        return f"node port {claim.port}/{claim.protocol}"
    host = f"[{claim.address}]" if ":" in claim.address else claim.address
    return f"{host}:{claim.port}/{claim.protocol}"
