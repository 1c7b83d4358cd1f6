"""From sources to a snapshot on which rules can be built: the one entry point of this room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import BinaryIO

import msgspec

from nodeport_rules.errors import Fault
from nodeport_rules.kube.assume import AssumeSettings, Assumption
from nodeport_rules.kube.assume import assume as assume_missing
from nodeport_rules.kube.assume_endpoints import services_with_endpoints
from nodeport_rules.kube.defaults import with_defaults
from nodeport_rules.kube.kinds import key_of
from nodeport_rules.kube.mirror import mirror
from nodeport_rules.kube.objects import KubeObject
from nodeport_rules.kube.read import read_sources
from nodeport_rules.kube.snapshot import Snapshot, objects_of, snapshot_of
from nodeport_rules.kube.type_faults import Damaged
from nodeport_rules.kube.validate import validate


class Loaded(msgspec.Struct, frozen=True):
    """The input as it is used.

    `snapshot` holds only sound, normalised, complete objects, sorted by namespace and name.
    `assumptions` is what was assumed, `faults` everything wrong (the objects concerned are not in
    the snapshot), `notes` lines for stderr, `passed_over` how many objects of which other kinds
    there were. Faults come in the order of reading, then of checking (by kind, namespace, name).
    """

    snapshot: Snapshot
    assumptions: tuple[Assumption, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    passed_over: dict[str, int] = {}


def load(
    sources: Sequence[str],
    *,
    stdin: BinaryIO | None = None,
    assume: AssumeSettings | None = None,
    extra_objects: Iterable[KubeObject] = (),
) -> Loaded:
    """Read, complete, check.

    `sources` are files, folders or `-` (`stdin`, by default the process's own). `extra_objects` are
    taken as if they had been read, for example a Node that flags describe; one of the input with
    the same kind, namespace and name goes before it.
    """
    settings = assume or AssumeSettings()
    read = read_sources(sources, stdin)
    snapshot = _with_extra(read.snapshot, extra_objects)
    checked, faults = validate(with_defaults(snapshot))
    rests = [damaged.rest for _, damaged in read.damaged if damaged.rest is not None]
    spoken_for = services_with_endpoints((*snapshot.slices, *snapshot.endpoints, *rests))
    completed = assume_missing(mirror(checked), settings, spoken_for)
    return Loaded(
        snapshot=completed.snapshot,
        assumptions=completed.assumptions,
        faults=read.faults + _more_faults(read.damaged) + faults + completed.faults,
        notes=read.notes,
        passed_over=read.passed_over,
    )


def _more_faults(damaged: Iterable[tuple[str, Damaged]]) -> tuple[Fault, ...]:
    """What else is wrong with objects some of whose fields have the wrong type."""
    faults: list[Fault] = []
    for place, one in damaged:
        if one.rest is None:
            continue
        alone = snapshot_of([one.rest], {key_of(one.rest): place})
        _, found = validate(with_defaults(alone))
        faults.extend(fault for fault in found if not one.explains(fault.field))
    return tuple(faults)


def _with_extra(snapshot: Snapshot, extra_objects: Iterable[KubeObject]) -> Snapshot:
    added = [item for item in extra_objects if key_of(item) not in snapshot.origins]
    if not added:
        return snapshot
    return snapshot_of([*objects_of(snapshot), *added], snapshot.origins)
