"""Endpoints objects in the place of slices."""

from __future__ import annotations

from typing import Any

import msgspec

from nodeport_rules.kube.mirror import mirror
from nodeport_rules.kube.objects import Endpoints, EndpointSlice
from nodeport_rules.kube.snapshot import Snapshot

SUBSETS: list[dict[str, Any]] = [
    {
        "addresses": [{"ip": "10.0.0.1", "nodeName": "node-1"}, {"ip": "fd00::1"}],
        "notReadyAddresses": [{"ip": "10.0.0.2"}],
        "ports": [{"port": 3306, "protocol": "TCP"}],
    },
    {"addresses": [{"ip": "10.0.0.3"}], "ports": [{"port": 1, "name": "b", "protocol": "UDP"}]},
    {"addresses": [], "ports": [{"port": 1, "protocol": "UDP"}]},
]


def endpoints(name: str, subsets: list[dict[str, Any]]) -> Endpoints:
    metadata = {"name": name, "namespace": "default", "labels": {"a": "b"}}
    return msgspec.convert({"metadata": metadata, "subsets": subsets}, Endpoints)


def own_slice(service: str) -> EndpointSlice:
    labels = {"kubernetes.io/service-name": service}
    metadata = {"name": f"{service}-x", "namespace": "default", "labels": labels}
    return msgspec.convert({"metadata": metadata, "addressType": "IPv6"}, EndpointSlice)


def test_one_slice_for_each_subset_and_family() -> None:
    found = mirror(Snapshot(endpoints=(endpoints("db", SUBSETS),))).slices
    ready = {"ready": True, "serving": True, "terminating": False}
    not_ready = {"ready": False, "serving": False, "terminating": False}
    mysql = [{"name": "", "port": 3306, "protocol": "TCP"}]
    assert [
        (
            item.name,
            item.address_type,
            msgspec.to_builtins(item.endpoints),
            msgspec.to_builtins(item.ports),
        )
        for item in found
    ] == [
        (
            "db-mirrored-0000-ipv4",
            "IPv4",
            [
                {"addresses": ["10.0.0.1"], "conditions": ready, "nodeName": "node-1"},
                {"addresses": ["10.0.0.2"], "conditions": not_ready},
            ],
            mysql,
        ),
        (
            "db-mirrored-0000-ipv6",
            "IPv6",
            [{"addresses": ["fd00::1"], "conditions": ready}],
            mysql,
        ),
        (
            "db-mirrored-0001-ipv4",
            "IPv4",
            [{"addresses": ["10.0.0.3"], "conditions": ready}],
            [{"name": "b", "port": 1, "protocol": "UDP"}],
        ),
    ]
    assert {item.labels["kubernetes.io/service-name"] for item in found} == {"db"}


def test_own_slices_win() -> None:
    snapshot = Snapshot(endpoints=(endpoints("db", SUBSETS),), slices=(own_slice("db"),))
    assert mirror(snapshot) is snapshot


def test_other_services_slices_do_not() -> None:
    snapshot = Snapshot(endpoints=(endpoints("db", SUBSETS),), slices=(own_slice("web"),))
    assert [item.name for item in mirror(snapshot).slices] == [
        "db-mirrored-0000-ipv4",
        "db-mirrored-0000-ipv6",
        "db-mirrored-0001-ipv4",
        "web-x",
    ]


def test_leader_election_records_of_no_service_name_are_passed_over() -> None:
    snapshot = Snapshot(endpoints=(endpoints("a.b", SUBSETS),))
    assert mirror(snapshot) is snapshot
