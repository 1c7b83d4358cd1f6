"""The pods that there would be: those of the input, and the replicas of its workloads."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nodeport_rules.kube.assume_nodes import PodNode, PodNodes
from nodeport_rules.kube.kinds import shown_subject, subject_of
from nodeport_rules.kube.objects import (
    Container,
    ObjectMeta,
    OwnerReference,
    Pod,
    PodSpec,
    Workload,
)
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.kube.stable_choice import stable_number
from nodeport_rules.kube.text_rules import family_of

_WorkloadKey = tuple[str, str, str]


class PodPlace(msgspec.Struct, frozen=True):
    """One pod on its node.

    `key` is its own among all pods. `addresses`, by family, are those that the input gives it.
    `node_assumed` says that nothing in the input puts it on this node.
    """

    key: str
    node: PodNode
    addresses: dict[str, str]
    node_assumed: bool
    ready: bool = True
    terminating: bool = False


class PodGroup(msgspec.Struct, frozen=True):
    """Pods that are alike: a Pod of the input, or all replicas of one workload.

    `subject` names what they come from ("Deployment default/web").
    """

    subject: str
    namespace: str
    labels: dict[str, str]
    spec: PodSpec
    pods: list[PodPlace]


def pod_groups(snapshot: Snapshot, nodes: PodNodes) -> list[PodGroup]:
    """All pods, in the order of their subjects.

    Left out are Pods that have ended (Succeeded, Failed) or have not started anywhere (Pending and
    without address), workloads that another one of the input owns, and those that Pods of the
    input belong to: these are their replicas.
    """
    workloads: dict[_WorkloadKey, Workload] = {
        (item.kind, item.namespace, item.name): item for item in snapshot.workloads
    }
    replaced = _with_pods(snapshot.pods, workloads)
    groups = [_of_pod(pod, nodes) for pod in snapshot.pods if _counts(pod)]
    groups += [
        _of_workload(workload, nodes)
        for key, workload in workloads.items()
        if key not in replaced and _owner(key[1], workload.metadata, workloads) is None
    ]
    return sorted(groups, key=lambda group: group.subject)


# ---------------------------------------------------------------------------------- owners


def _with_pods(pods: Iterable[Pod], workloads: dict[_WorkloadKey, Workload]) -> set[_WorkloadKey]:
    """The workloads that Pods of the input belong to, directly or through another one."""
    found: set[_WorkloadKey] = set()
    for pod in pods:
        owner = _owner(pod.namespace, pod.metadata, workloads)
        while owner is not None and owner not in found:
            found.add(owner)
            owner = _owner(owner[1], workloads[owner].metadata, workloads)
    return found


def _owner(
    namespace: str, metadata: ObjectMeta, workloads: dict[_WorkloadKey, Workload]
) -> _WorkloadKey | None:
    """The workload of the input that controls an object.

    A Pod names its ReplicaSet; when that is not in the input, its Deployment is the one whose name
    the ReplicaSet's begins with (the Deployment controller adds "-" and a hash).
    """
    for reference in metadata.owner_references or ():
        if not reference.controller:
            continue
        for key in _owner_keys(namespace, reference):
            if key in workloads:
                return key
    return None


def _owner_keys(namespace: str, reference: OwnerReference) -> list[_WorkloadKey]:
    keys = [(reference.kind, namespace, reference.name)]
    if reference.kind == "ReplicaSet" and "-" in reference.name:
        keys.append(("Deployment", namespace, reference.name.rpartition("-")[0]))
    return keys


# ---------------------------------------------------------------------------------- Pods


def _counts(pod: Pod) -> bool:
    status = pod.status
    if status is None or not status.phase:
        return True
    if status.phase in ("Succeeded", "Failed"):
        return False
    return status.phase != "Pending" or bool(status.pod_ips)


def _of_pod(pod: Pod, nodes: PodNodes) -> PodGroup:
    key = f"Pod {pod.namespace}/{pod.name}"
    addresses: dict[str, str] = {}
    for entry in (pod.status.pod_ips if pod.status else None) or ():
        if entry.ip:
            addresses.setdefault(family_of(entry.ip), entry.ip)
    fitting = nodes.fitting(pod.spec)
    pods: list[PodPlace] = []
    if fitting:
        node = fitting[stable_number(key, len(fitting))]
        pods.append(
            PodPlace(
                key=key,
                node=node,
                addresses=addresses,
                node_assumed=not pod.spec.node_name,
                ready=_is_ready(pod),
                terminating=pod.metadata.deletion_timestamp is not None,
            )
        )
    return PodGroup(subject_of(pod), pod.namespace, pod.labels, pod.spec, pods)


def _is_ready(pod: Pod) -> bool:
    """Its condition Ready; a Pod without any condition is one of a manifest, and will be ready."""
    conditions = pod.status.conditions if pod.status else None
    if not conditions:
        return True
    return any(entry.type == "Ready" and entry.status == "True" for entry in conditions)


# ---------------------------------------------------------------------------------- workloads


def _of_workload(workload: Workload, nodes: PodNodes) -> PodGroup:
    """Replicas go round the nodes, from one that the workload's own name gives."""
    spec = workload.spec.template.spec
    fitting = nodes.fitting(spec)
    name = f"{workload.kind} {workload.namespace}/{workload.name}"
    pods: list[PodPlace] = []
    if fitting:
        replicas = 1 if workload.spec.replicas is None else workload.spec.replicas
        start = stable_number(name, len(fitting))
        if workload.kind == "DaemonSet":
            placed = [(f"{name} {node.name}", node) for node in fitting]
        else:
            placed = [
                (f"{name} {number}", fitting[(start + number) % len(fitting)])
                for number in range(replicas)
            ]
        pods = [
            PodPlace(key=key, node=node, addresses={}, node_assumed=True) for key, node in placed
        ]
    template = workload.spec.template.metadata
    return PodGroup(
        subject=shown_subject(workload.kind, workload.namespace, workload.name),
        namespace=workload.namespace,
        labels=template.labels or {},
        spec=spec,
        pods=pods,
    )


# ---------------------------------------------------------------------------------- ports


def container_port(spec: PodSpec, name: str, protocol: str) -> int | None:
    """The number of the container port of that name and protocol, as a named targetPort means it.

    Containers come first, then restartable init containers (sidecars).
    """
    sidecars = [item for item in spec.init_containers or () if item.restart_policy == "Always"]
    containers: list[Container] = [*(spec.containers or ()), *sidecars]
    for container in containers:
        for port in container.ports or ():
            if port.name == name and (port.protocol or "TCP") == protocol:
                return port.container_port
    return None
