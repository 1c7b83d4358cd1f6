"""Endpoints merged from slices."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nodeport_rules.kube.objects import EndpointSlice
from nodeport_rules.model.endpoints import (
    Endpoint,
    ServicePortKey,
    endpoints_by_service_port,
)
from nodeport_rules.model.family import Family
from tests.unit.build import endpoint, endpoint_slice

KEY = ServicePortKey("default", "web", "", "tcp")


def merged(*slices: EndpointSlice, family: Family = Family.IPV4) -> dict[str, Endpoint]:
    found = endpoints_by_service_port(slices, family).get(KEY, ())
    return {one.text: one for one in found}


def test_they_are_ordered_by_their_text_and_not_by_number() -> None:
    found = merged(endpoint_slice(*(endpoint(f"10.244.0.{n}") for n in (9, 10, 100, 1))))
    assert list(found) == [f"10.244.0.{n}:8080" for n in (100, 10, 1, 9)]


def test_an_ipv6_endpoint_has_brackets() -> None:
    one = endpoint_slice(endpoint("fd00::5"), address_type="IPv6")
    assert list(merged(one, family=Family.IPV6)) == ["[fd00::5]:8080"]
    assert merged(one) == {}


LIVE: dict[str, Any] = {"ready": True}
TERMINATING: dict[str, Any] = {"ready": False, "serving": True, "terminating": True}


@pytest.mark.parametrize(
    ("what", "one", "two", "from_second"),
    [
        ("the slice whose name sorts first", LIVE, LIVE, False),
        ("one that is not terminating replaces a terminating one", TERMINATING, LIVE, True),
        ("a terminating one never replaces", LIVE, TERMINATING, False),
        ("of two terminating ones the first", TERMINATING, TERMINATING, False),
    ],
)
def test_the_same_address_in_two_slices(
    what: str, one: dict[str, Any], two: dict[str, Any], from_second: bool
) -> None:
    slices = [
        endpoint_slice(endpoint("10.244.0.1", node="of-a", **one), name="a"),
        endpoint_slice(endpoint("10.244.0.1", node="of-b", **two), name="b"),
    ]
    for order in (slices, slices[::-1]):
        (found,) = merged(*order).values()
        assert found.node_name == ("of-b" if from_second else "of-a"), what


def test_inside_one_slice_the_last_one_that_is_not_terminating_wins() -> None:
    slices = endpoint_slice(
        endpoint("10.244.0.1", node="first"),
        endpoint("10.244.0.1", node="second"),
        endpoint("10.244.0.1", node="third", **TERMINATING),
    )
    (found,) = merged(slices).values()
    assert found.node_name == "second"


@pytest.mark.parametrize(
    ("what", "port", "counts"),
    [
        ("name null", {"port": 8080}, False),
        ("port null", {"name": ""}, False),
        ("port 0", {"name": "", "port": 0}, False),
        ("protocol null is TCP", {"name": "", "port": 8080}, True),
        ("another name", {"name": "http", "port": 8080}, False),
        ("another protocol", {"name": "", "port": 8080, "protocol": "UDP"}, False),
    ],
)
def test_ports_of_a_slice(what: str, port: dict[str, object], counts: bool) -> None:
    found = merged(endpoint_slice(endpoint("10.244.0.1"), ports=[port]))
    assert bool(found) is counts, what


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        ({}, True),
        # Recorded: kube-proxy looks at this label of Services only.
        ({"service.kubernetes.io/service-proxy-name": "other"}, True),
        ({"service.kubernetes.io/headless": ""}, False),
        ({"kubernetes.io/service-name": ""}, False),
    ],
)
def test_labels_of_a_slice(labels: dict[str, str], counts: bool) -> None:
    assert bool(merged(endpoint_slice(endpoint("10.244.0.1"), labels=labels))) is counts


def test_only_the_first_address_counts() -> None:
    two = {**endpoint("10.244.0.1"), "addresses": ["10.244.0.1", "10.244.0.2"]}
    none = {**endpoint("10.244.0.3"), "addresses": []}
    assert list(merged(endpoint_slice(two, none))) == ["10.244.0.1:8080"]


def test_the_order_of_slices_does_not_matter() -> None:
    slices = [
        endpoint_slice(
            *(endpoint(f"10.244.0.{n % 7}", node=f"node-{n}") for n in range(start, start + 5)),
            name=f"web-{start}",
        )
        for start in range(6)
    ]
    expected = merged(*slices)
    shuffler = random.Random(1)
    for _ in range(20):
        shuffler.shuffle(slices)
        assert merged(*slices) == expected
