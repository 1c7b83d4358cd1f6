"""The objects of `nodeport-rules demo`: read, completed, and placed on the demo's nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from io import BytesIO

from msgspec.structs import replace

from nodeport_rules.kube.assume import AssumeSettings
from nodeport_rules.kube.load import Loaded, load
from nodeport_rules.kube.objects import (
    EndpointSlice,
    Node,
    NodeAddress,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
)
from nodeport_rules.model.family import Family, of_family
from nodeport_rules.model.node import pod_cidrs

EXAMPLE_NODES = tuple(
    Node(
        metadata=ObjectMeta(name=f"node-{number}"),
        spec=NodeSpec(pod_cidrs=[f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"]),
        status=NodeStatus(
            addresses=[
                NodeAddress(type="InternalIP", address=f"192.168.1.{number}"),
                NodeAddress(type="InternalIP", address=f"2001:db8:1::{number}"),
            ]
        ),
    )
    for number in (1, 2)
)
"""The nodes where the objects have none."""


def load_objects(sources: Sequence[str], stdin: bytes) -> Loaded:
    """The objects with everything assumed that they leave out, on nodes of ours if they have none.

    `stdin` is what `-` stands for. Raises InputError with every fault.
    """
    loaded = load(sources, stdin=BytesIO(stdin), assume=AssumeSettings())
    if not loaded.snapshot.nodes:
        loaded = load(
            sources, stdin=BytesIO(stdin), assume=AssumeSettings(), extra_objects=EXAMPLE_NODES
        )
    return loaded


def moved_to_first_node(loaded: Loaded) -> Loaded | None:
    """The same with every assumed endpoint on the first node, and none on the others.

    None when nothing would change: fewer than two nodes, no endpoint elsewhere, or endpoints that
    were not assumed but given.
    """
    nodes = sorted(loaded.snapshot.nodes, key=lambda node: node.name)
    if len(nodes) < 2:
        return None
    first = nodes[0]
    taken = {
        address
        for one in loaded.snapshot.slices
        for endpoint in one.endpoints or ()
        for address in endpoint.addresses
    }
    hosts = {one.address for node in nodes for one in node.status.addresses or ()}
    free = {
        family: _free_addresses(of_family(pod_cidrs(first), family), taken)
        for family in (Family.IPV4, Family.IPV6)
    }
    new_homes = {address: address for address in hosts}
    slices = tuple(
        one
        if loaded.snapshot.origin("EndpointSlice", one.namespace, one.name)
        else _moved(one, first.name, free, new_homes)
        for one in loaded.snapshot.slices
    )
    if slices == loaded.snapshot.slices:
        return None
    return replace(loaded, snapshot=replace(loaded.snapshot, slices=slices))


def _free_addresses(cidrs: Sequence[str], taken: set[str]) -> Iterator[str]:
    for cidr in cidrs:
        for address in ipaddress.ip_network(cidr).hosts():
            if str(address) not in taken:
                yield str(address)


def _moved(
    one: EndpointSlice,
    node_name: str,
    free: dict[Family, Iterator[str]],
    new_homes: dict[str, str],
) -> EndpointSlice:
    """The slice with its endpoints on one node; `new_homes` maps old addresses to new ones, so
    that a pod behind several Services moves once. Pods on the host network stay where they are."""
    family = Family.IPV4 if one.address_type == Family.IPV4.api_name else Family.IPV6
    endpoints = []
    for endpoint in one.endpoints or ():
        old = endpoint.addresses[0]
        if endpoint.node_name not in (node_name, None) and old not in new_homes:
            new_homes[old] = next(free[family], old)
        new = new_homes.get(old, old)
        endpoints.append(
            endpoint if new == old else replace(endpoint, addresses=[new], node_name=node_name)
        )
    return replace(one, endpoints=endpoints)
