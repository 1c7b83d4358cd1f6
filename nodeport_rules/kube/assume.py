"""What manifests leave to the cluster, assumed: cluster IPs, node ports, and endpoints.

Deterministic and stable: every value comes from a hash of the object's own name, so that a change
to one object moves no other's, except where two hashes collide, and then that is said.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from nodeport_rules.errors import Fault
from nodeport_rules.kube.assume_endpoints import assumed_slices
from nodeport_rules.kube.assume_services import complete_services
from nodeport_rules.kube.assumption import (
    DEFAULT_POD_CIDRS,
    DEFAULT_SERVICE_CIDRS,
    AssumeSettings,
    Assumption,
    AssumptionLog,
)
from nodeport_rules.kube.snapshot import Snapshot


class AssumeResult(msgspec.Struct, frozen=True):
    """The completed snapshot, what was assumed for it (sorted), and what could not be."""

    snapshot: Snapshot
    assumptions: tuple[Assumption, ...] = ()
    faults: tuple[Fault, ...] = ()


def assume(
    snapshot: Snapshot,
    settings: AssumeSettings,
    spoken_for: frozenset[tuple[str, str]] = frozenset(),
) -> AssumeResult:
    """Complete the snapshot, which must have passed `kube.validate` and `kube.mirror`.

    Services of `spoken_for` (namespace, name) get no endpoints: those that they had were faulty.
    Raises `UsageError` for a setting that cannot be used.
    """
    log = AssumptionLog(snapshot, never=settings.never)
    services = complete_services(snapshot, settings, log)
    if services is not snapshot.services:
        snapshot = replace(snapshot, services=services)
    added = assumed_slices(snapshot, settings, log, spoken_for)
    if added:
        slices = sorted((*snapshot.slices, *added), key=lambda item: (item.namespace, item.name))
        snapshot = replace(snapshot, slices=tuple(slices))
    return AssumeResult(snapshot, tuple(sorted(log.assumptions)), tuple(log.faults))


__all__ = [
    "DEFAULT_POD_CIDRS",
    "DEFAULT_SERVICE_CIDRS",
    "AssumeResult",
    "AssumeSettings",
    "Assumption",
    "assume",
]
