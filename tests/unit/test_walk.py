"""The way through chains, from counters as iptables-save -c prints them."""

from __future__ import annotations

import pytest

from nodeport_rules.report.walk import (
    CountedStep,
    Step,
    leads_to,
    matches_of,
    named_destinations,
    since,
    walk,
)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('-m comment --comment "default/web -> 10.0.0.1:80" -j KUBE-SEP-A', ""),
        (
            '-p tcp -m comment --comment "default/web" -m tcp --dport 30008 -j KUBE-EXT-A',
            "-p tcp --dport 30008",
        ),
        (
            '-m comment --comment "say \\"hi\\"" -m statistic --mode random --probability 0.5 -j X',
            "--mode random --probability 0.5",
        ),
        (
            "! -s 10.244.0.0/16 -d 10.96.0.1/32 -j KUBE-MARK-MASQ",
            "! -s 10.244.0.0/16 -d 10.96.0.1/32",
        ),
        ("-p tcp -m tcp -j DNAT --to-destination 10.0.0.1:80", "-p tcp"),
    ],
)
def test_what_a_rule_matches(text: str, matches: str) -> None:
    assert matches_of(text) == matches


def test_where_a_rule_leads() -> None:
    assert leads_to("-j KUBE-SVC-A", "KUBE-SVC-A") == "KUBE-SVC-A"
    dnat = "-p tcp -m tcp -j DNAT --to-destination [fd00::5]:80"
    assert leads_to(dnat, "DNAT") == "DNAT to [fd00::5]:80"


def rules(*packets: int) -> list[CountedStep]:
    """A small nat table: the packets of its rules in order."""
    table = [
        ("PREROUTING", "-j KUBE-SERVICES", "KUBE-SERVICES"),
        ("KUBE-SVC-A", "-m statistic --mode random --probability 0.5 -j KUBE-SEP-A", "KUBE-SEP-A"),
        ("KUBE-SVC-A", "-j KUBE-SEP-B", "KUBE-SEP-B"),
        ("KUBE-SEP-A", "-s 10.0.0.1/32 -j KUBE-MARK-MASQ", "KUBE-MARK-MASQ"),
        ("KUBE-SEP-A", "-p tcp -j DNAT --to-destination 10.0.0.1:80", "DNAT"),
        ("KUBE-SEP-B", "-p tcp -j DNAT --to-destination 10.0.0.2:80", "DNAT"),
        ("KUBE-SERVICES", "-d 10.96.0.1/32 -j KUBE-SVC-A", "KUBE-SVC-A"),
        ("KUBE-SERVICES", "-d 10.96.0.2/32 -j KUBE-SVC-B", "KUBE-SVC-B"),
        ("KUBE-MARK-MASQ", "-j MARK --set-xmark 0x4000/0x4000", "MARK"),
    ]
    return [CountedStep(*rule, count) for rule, count in zip(table, packets, strict=True)]


def test_only_rules_that_packets_came_through_in_the_order_of_their_way() -> None:
    one = rules(9, 2, 3, 0, 2, 3, 5, 0, 0)
    other = rules(4, 0, 4, 0, 0, 4, 4, 0, 0)
    assert walk([one, other]) == (
        Step("KUBE-SERVICES", "-d 10.96.0.1/32", "KUBE-SVC-A", (5, 4)),
        Step("KUBE-SVC-A", "--mode random --probability 0.5", "KUBE-SEP-A", (2, 0)),
        Step("KUBE-SVC-A", "", "KUBE-SEP-B", (3, 4)),
        Step("KUBE-SEP-A", "-p tcp", "DNAT to 10.0.0.1:80", (2, 0)),
        Step("KUBE-SEP-B", "-p tcp", "DNAT to 10.0.0.2:80", (3, 4)),
    )


def test_packets_between_two_readings() -> None:
    before, after = rules(*range(9)), rules(*range(0, 27, 3))
    assert [one.packets for one in since(before, after)] == [2 * number for number in range(9)]


def test_destinations_get_names() -> None:
    steps = (Step("A", "", "DNAT to 10.0.0.1:80", (1,)), Step("A", "", "KUBE-SEP-A", (1,)))
    named = named_destinations(steps, {"10.0.0.1:80": "pod-1"})
    assert [step.leads_to for step in named] == ["DNAT to 10.0.0.1:80 (pod-1)", "KUBE-SEP-A"]
