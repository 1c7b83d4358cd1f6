"""Only what is sound goes on: every object checked, every fault named.

After this, each text that can end up in a rule (names, namespaces, port names, addresses, CIDRs)
is known to be plain ASCII of its own narrow form; see `kube.text_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from msgspec.structs import replace

from nodeport_rules.errors import Fault
from nodeport_rules.kube.kinds import key_of, subject_of
from nodeport_rules.kube.objects import KubeObject
from nodeport_rules.kube.problems import Problems
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.kube.validate_nodes import (
    check_node,
    check_pod,
    check_service_cidr,
    check_workload,
)
from nodeport_rules.kube.validate_service import check_service
from nodeport_rules.kube.validate_slices import check_endpoints, check_slice

_Object = TypeVar("_Object", bound=KubeObject)


def validate(snapshot: Snapshot) -> tuple[Snapshot, tuple[Fault, ...]]:
    """The sound objects in canonical form, in the same order, and the faults of the others.

    The snapshot must have its defaults (`kube.defaults`). A slice's or Endpoints object's bad
    endpoints and ports go alone; with any other fault the whole object goes.
    """
    checker = _Checker(snapshot)
    checked = replace(
        snapshot,
        services=checker.whole(snapshot.services, check_service),
        slices=checker.parts(snapshot.slices, check_slice),
        endpoints=checker.parts(snapshot.endpoints, check_endpoints),
        nodes=checker.whole(snapshot.nodes, check_node),
        service_cidrs=checker.whole(snapshot.service_cidrs, check_service_cidr),
        pods=checker.whole(snapshot.pods, check_pod),
        workloads=checker.whole(snapshot.workloads, check_workload),
    )
    return checked, tuple(checker.faults)


class _Checker:
    def __init__(self, snapshot: Snapshot) -> None:
        self.faults: list[Fault] = []
        self._snapshot = snapshot

    def whole(
        self, items: Iterable[_Object], check: Callable[[_Object, Problems], _Object]
    ) -> tuple[_Object, ...]:
        """The items without a problem."""
        kept: list[_Object] = []
        for item in items:
            problems = Problems()
            checked = check(item, problems)
            if problems.found:
                self._report(item, problems)
            else:
                kept.append(checked)
        return tuple(kept)

    def parts(
        self, items: Iterable[_Object], check: Callable[[_Object, Problems], _Object | None]
    ) -> tuple[_Object, ...]:
        """What is left of the items."""
        kept: list[_Object] = []
        for item in items:
            problems = Problems()
            checked = check(item, problems)
            if problems.found:
                self._report(item, problems)
            if checked is not None:
                kept.append(checked)
        return tuple(kept)

    def _report(self, item: KubeObject, problems: Problems) -> None:
        where, subject = self._snapshot.origin(*key_of(item)), subject_of(item)
        for field, message in problems.found:
            self.faults.append(Fault(where=where, subject=subject, field=field, message=message))
