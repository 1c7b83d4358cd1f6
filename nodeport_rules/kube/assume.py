"""What manifests leave to the cluster, assumed: cluster IPs, node ports, and endpoints.

Deterministic and stable: every value comes from a hash of the object's own name, so that a change
to one object moves no other's, except where two hashes collide, and then that is said.
"""

from __future__ import annotations

import msgspec

from nodeport_rules.errors import Fault
from nodeport_rules.kube.snapshot import Snapshot

DEFAULT_SERVICE_CIDRS = ("10.96.0.0/12", "fd00:10:96::/108")
DEFAULT_POD_CIDRS = ("10.244.0.0/16", "fd00:10:244::/48")


class AssumeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What values are taken from.

    `service_cidrs`: None means those of the ServiceCIDR objects in the input, else
    `DEFAULT_SERVICE_CIDRS`; the first one of each family counts, and the first of all says which
    family a Service of one family gets. `node_port_range` is inclusive. `pod_cidrs` is for pods on
    nodes whose own podCIDRs are not known. `node_names` are the nodes where the input has no Node.
    With `never`, whatever would be assumed is a fault instead.
    """

    service_cidrs: tuple[str, ...] | None = None
    node_port_range: tuple[int, int] = (30000, 32767)
    pod_cidrs: tuple[str, ...] = DEFAULT_POD_CIDRS
    node_names: tuple[str, ...] = ("node-1",)
    never: bool = False


class Assumption(msgspec.Struct, frozen=True, order=True):
    """One thing assumed: `subject` is the object ("Service default/web"), `what` its value
    ("cluster IP 10.103.7.21"), `note` why it is not the one its hash gives ("" when it is)."""

    subject: str
    what: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.what} assumed" + (f" ({self.note})" if self.note else "")


class AssumeResult(msgspec.Struct, frozen=True):
    """The completed snapshot and, sorted, what was assumed for it."""

    snapshot: Snapshot
    assumptions: tuple[Assumption, ...] = ()
    faults: tuple[Fault, ...] = ()


def assume(snapshot: Snapshot, settings: AssumeSettings) -> AssumeResult:
    """Complete the snapshot."""
    return AssumeResult(snapshot)
