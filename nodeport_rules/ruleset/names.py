"""Names of chains, the same in both backends: a prefix and a hash of the service port.

Others read these names and kube-proxy deletes chains by them, so they are kube-proxy's exactly:
the first 16 characters of the base32 (RFC 4648) of the SHA-256 of the service port's name, its
protocol in lower case, and for an endpoint its `ip:port`. 28 characters are the kernel's limit for
the name of an iptables chain; these have 25 at most.
"""

from __future__ import annotations

import hashlib

import msgspec

SERVICE_CLUSTER_PREFIX = "KUBE-SVC-"
SERVICE_LOCAL_PREFIX = "KUBE-SVL-"
EXTERNAL_PREFIX = "KUBE-EXT-"
FIREWALL_PREFIX = "KUBE-FW-"
ENDPOINT_PREFIX = "KUBE-SEP-"
PER_SERVICE_PREFIXES = (
    SERVICE_CLUSTER_PREFIX,
    SERVICE_LOCAL_PREFIX,
    EXTERNAL_PREFIX,
    FIREWALL_PREFIX,
    ENDPOINT_PREFIX,
)

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)


def hash_suffix(text: str) -> str:
    """The 16 characters that stand for `text` in a chain's name."""
    # base64.b32encode does the same at four times the cost, which 100,000 endpoints would notice.
    bits = int.from_bytes(hashlib.sha256(text.encode()).digest()[:10], "big")
    pairs = _PAIRS
    return (
        pairs[bits >> 70]
        + pairs[bits >> 60 & 1023]
        + pairs[bits >> 50 & 1023]
        + pairs[bits >> 40 & 1023]
        + pairs[bits >> 30 & 1023]
        + pairs[bits >> 20 & 1023]
        + pairs[bits >> 10 & 1023]
        + pairs[bits & 1023]
    )


def endpoint_chain(service_port_name: str, protocol: str, endpoint: str) -> str:
    """`KUBE-SEP-…` for one endpoint (`ip:port`) of one service port."""
    return ENDPOINT_PREFIX + hash_suffix(service_port_name + protocol + endpoint)


def is_per_service(chain_name: str) -> bool:
    """Whether the chain belongs to one service port, as its name tells."""
    return chain_name.startswith(PER_SERVICE_PREFIXES)


class ChainNames(msgspec.Struct, frozen=True):
    """The names that the chains of one service port have, whether or not they exist."""

    cluster: str
    """`KUBE-SVC-…`: chooses among the cluster endpoints."""
    local: str
    """`KUBE-SVL-…`: chooses among the endpoints of this node."""
    external: str
    """`KUBE-EXT-…`: node port, external IPs and load-balancer IPs."""
    firewall: str
    """`KUBE-FW-…`: the sources that a load balancer allows."""

    @classmethod
    def of(cls, service_port_name: str, protocol: str) -> ChainNames:
        suffix = hash_suffix(service_port_name + protocol)
        return cls(
            SERVICE_CLUSTER_PREFIX + suffix,
            SERVICE_LOCAL_PREFIX + suffix,
            EXTERNAL_PREFIX + suffix,
            FIREWALL_PREFIX + suffix,
        )
