"""The nodes that assumed pods are spread over."""

from __future__ import annotations

import msgspec

from nodeport_rules.kube.assumption import AssumeSettings, cidr_ranges
from nodeport_rules.kube.objects import Node, PodSpec
from nodeport_rules.kube.snapshot import Snapshot
from nodeport_rules.kube.stable_choice import Range
from nodeport_rules.kube.text_rules import family_of
from nodeport_rules.kube.validate_nodes import ZONE_LABEL

_LABELS_OF_EVERY_NODE = ("kubernetes.io/os", "kubernetes.io/arch")


class PodNode(msgspec.Struct, frozen=True):
    """A node as pods see it: its own addresses and the ranges of its pods' addresses, by family.

    `labels` is None for a node of which nothing is known but the name.
    """

    name: str
    labels: dict[str, str] | None = None
    zone: str | None = None
    addresses: dict[str, str] = {}
    ranges: dict[str, Range] = {}


class PodNodes:
    """All nodes: those of the input, else those that the settings name."""

    def __init__(self, snapshot: Snapshot, settings: AssumeSettings) -> None:
        """Raises `UsageError` for a pod CIDR that is none."""
        self._fallback = cidr_ranges(settings.pod_cidrs, "pod CIDR")
        known = [_pod_node(node, self._fallback) for node in snapshot.nodes]
        self.all = known or [
            PodNode(name=name, ranges=self._fallback) for name in sorted(set(settings.node_names))
        ]
        self._by_name = {node.name: node for node in self.all}

    def named(self, name: str) -> PodNode:
        """The node of that name, with nothing known about it when the input does not have it."""
        return self._by_name.get(name) or PodNode(name=name, ranges=self._fallback)

    def fitting(self, spec: PodSpec) -> list[PodNode]:
        """The nodes that such a pod may run on: its nodeName, or what its nodeSelector allows.

        A node described by hand seldom has the labels for its system and architecture, so those
        speak against it only when they say something else.
        """
        if spec.node_name:
            return [self.named(spec.node_name)]
        wanted = spec.node_selector or {}
        return [node for node in self.all if _fits(node, wanted)]


def _fits(node: PodNode, wanted: dict[str, str]) -> bool:
    if node.labels is None:
        return True
    return all(
        node.labels.get(key, value if key in _LABELS_OF_EVERY_NODE else None) == value
        for key, value in wanted.items()
    )


def _pod_node(node: Node, fallback: dict[str, Range]) -> PodNode:
    addresses: dict[str, str] = {}
    for wanted in ("InternalIP", "ExternalIP"):
        for address in node.status.addresses or ():
            if address.type == wanted:
                addresses.setdefault(family_of(address.address), address.address)
    return PodNode(
        name=node.name,
        labels=node.labels,
        zone=node.labels.get(ZONE_LABEL),
        addresses=addresses,
        ranges={**fallback, **cidr_ranges(node.spec.pod_cidrs or [], "pod CIDR")},
    )
