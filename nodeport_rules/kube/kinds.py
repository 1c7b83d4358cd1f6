"""Which kinds of object are used, by API group and kind, and as which struct."""

from __future__ import annotations

import msgspec

from nodeport_rules.errors import quote
from nodeport_rules.kube.objects import (
    Endpoints,
    EndpointSlice,
    KubeObject,
    Node,
    Pod,
    Service,
    ServiceCIDR,
    Workload,
)

KINDS: dict[tuple[str, str], type[KubeObject]] = {
    ("", "Service"): Service,
    ("", "Endpoints"): Endpoints,
    ("", "Node"): Node,
    ("", "Pod"): Pod,
    ("discovery.k8s.io", "EndpointSlice"): EndpointSlice,
    ("networking.k8s.io", "ServiceCIDR"): ServiceCIDR,
    ("apps", "Deployment"): Workload,
    ("apps", "StatefulSet"): Workload,
    ("apps", "DaemonSet"): Workload,
    ("apps", "ReplicaSet"): Workload,
}
"""The kinds used; a kind of the same name in another group (a Knative Service) is another kind."""

CLUSTER_SCOPED = frozenset({"Node", "ServiceCIDR"})
_KIND_NAMES = frozenset(kind for _group, kind in KINDS)


class Header(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """What says which kind an object is."""

    api_version: str | None = None
    kind: str | None = None


def group_of(api_version: str) -> str:
    """The API group of an apiVersion: "" for the core's `v1`, `apps` for `apps/v1`."""
    return api_version.rpartition("/")[0]


def struct_of(api_version: str, kind: str) -> type[KubeObject] | None:
    """The struct for a kind that is used, None for every other one."""
    return KINDS.get((group_of(api_version), kind))


def is_used_name(kind: str) -> bool:
    """Whether some group's kind of this name is used here."""
    return kind in _KIND_NAMES


def shown_kind(api_version: str, kind: str) -> str:
    """The kind for a count of what was passed over, told apart from ours of the same name."""
    shown = kind if kind.isalnum() and kind.isascii() else quote(kind)
    if kind in _KIND_NAMES:
        shown += f" of {quote(api_version)}"
    return shown


def kind_of(item: KubeObject) -> str:
    """The kind of an object, as its manifest has it."""
    return item.kind if isinstance(item, Workload) else type(item).__name__


def key_of(item: KubeObject) -> tuple[str, str, str]:
    """(kind, namespace, name); the namespace of what is not in one is ""."""
    kind = kind_of(item)
    return kind, "" if kind in CLUSTER_SCOPED else item.namespace, item.metadata.name


def subject_of(item: KubeObject) -> str:
    """The object for messages: `Service default/web`, `Node node-1`."""
    return shown_subject(*key_of(item))


def shown_subject(kind: str, namespace: str, name: str) -> str:
    """As `subject_of`; hostile text is quoted."""
    full = f"{namespace}/{name}" if namespace else name
    plain = full.isascii() and full.replace("-", "").replace(".", "").replace("/", "").isalnum()
    return f"{kind} {full if plain and len(full) <= 320 else quote(full)}"
