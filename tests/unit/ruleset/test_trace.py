"""A packet's way through hand-made rules: hooks, jumps, chances, and what is not understood."""

from __future__ import annotations

import pytest

from nodeport_rules.iptables.meaning import meaning_of as iptables_meaning
from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.nftables.meaning import meaning_of as nftables_meaning
from nodeport_rules.nftables.parse import parse_listing
from nodeport_rules.ruleset.meaning import State
from nodeport_rules.ruleset.packet import Ending, EventKind, Host, Outcome, Packet
from nodeport_rules.ruleset.trace import Tracer

HERE = Host(frozenset({"192.168.1.1"}))
OUTSIDE = Packet("192.0.2.7", "203.0.113.9", "tcp", 80, "eth0")
TO_NODE = Packet("192.0.2.7", "192.168.1.1", "tcp", 80, "eth0")
FROM_NODE = Packet("192.168.1.1", "203.0.113.9", "tcp", 80, from_node=True)
TO_ITSELF = Packet("192.168.1.1", "192.168.1.1", "tcp", 80, from_node=True)

NAT = """*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
"""
FILTER = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
"""


def traced(rules: str, packet: Packet) -> list[Outcome]:
    outcomes = Tracer(iptables_meaning(parse_rules(rules, "iptables"), "ip"), HERE).trace(packet)
    assert sum(outcome.share for outcome in outcomes) == pytest.approx(1)
    return outcomes


def ends(rules: str, packet: Packet) -> list[tuple[str, str, int, bool]]:
    return [
        (str(one.ending), one.address, one.port, one.masqueraded) for one in traced(rules, packet)
    ]


def passed(packet: Packet, masqueraded: bool = False) -> list[tuple[str, str, int, bool]]:
    return [("passed", packet.destination, packet.port, masqueraded)]


DNAT = "-j DNAT --to-destination 10.0.0.5:8080"
TO_POD = ("translated", "10.0.0.5", 8080)


@pytest.mark.parametrize("packet", [OUTSIDE, TO_NODE, FROM_NODE, TO_ITSELF])
def test_without_rules_everything_passes(packet: Packet) -> None:
    assert ends(f"{NAT}COMMIT\n{FILTER}COMMIT\n", packet) == passed(packet)


@pytest.mark.parametrize(
    ("what", "rules", "packet", "dropped"),
    [
        ("forward sees what is forwarded", f"{FILTER}-A FORWARD -j DROP\nCOMMIT\n", OUTSIDE, True),
        ("and not what is for the node", f"{FILTER}-A FORWARD -j DROP\nCOMMIT\n", TO_NODE, False),
        ("input sees what is for the node", f"{FILTER}-A INPUT -j DROP\nCOMMIT\n", TO_NODE, True),
        ("and what it sends to itself", f"{FILTER}-A INPUT -j DROP\nCOMMIT\n", TO_ITSELF, True),
        ("output sees the node's own", f"{FILTER}-A OUTPUT -j DROP\nCOMMIT\n", FROM_NODE, True),
        ("and not what is forwarded", f"{FILTER}-A OUTPUT -j DROP\nCOMMIT\n", OUTSIDE, False),
        (
            "a policy drops at the end",
            f"{FILTER}COMMIT\n".replace("FORWARD ACCEPT", "FORWARD DROP"),
            OUTSIDE,
            True,
        ),
        (
            "unless something accepts before",
            f"{FILTER}-A FORWARD -j ACCEPT\nCOMMIT\n".replace("FORWARD ACCEPT", "FORWARD DROP"),
            OUTSIDE,
            False,
        ),
        (
            "accepting in nat says nothing for filter",
            f"{NAT}-A PREROUTING -j ACCEPT\nCOMMIT\n{FILTER}-A FORWARD -j DROP\nCOMMIT\n",
            OUTSIDE,
            True,
        ),
    ],
)
def test_hooks(what: str, rules: str, packet: Packet, dropped: bool) -> None:
    assert (ends(rules, packet)[0][0] == "dropped") is dropped, what


def test_a_destination_is_translated_once_and_seen_translated_afterwards() -> None:
    rules = (
        f"{NAT}-A PREROUTING {DNAT}\n-A PREROUTING -j DNAT --to-destination 10.0.0.6:1\nCOMMIT\n"
        f"{FILTER}-A FORWARD -d 203.0.113.9/32 -j DROP\n"
        "-A FORWARD -d 10.0.0.6/32 -j DROP\nCOMMIT\n"
    )
    assert ends(rules, OUTSIDE) == [(*TO_POD, False)]


def test_what_is_translated_to_elsewhere_is_forwarded_and_masqueraded_after_forward() -> None:
    rules = (
        f"{NAT}-A PREROUTING {DNAT}\n-A POSTROUTING -d 10.0.0.5/32 -j MASQUERADE\nCOMMIT\n"
        f"{FILTER}-A FORWARD -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n"
    )
    assert ends(rules, TO_NODE) == [(*TO_POD, True)]


def test_nat_sees_new_connections_alone() -> None:
    rules = f"{NAT}-A PREROUTING {DNAT}\nCOMMIT\n"
    packet = Packet("192.0.2.7", "203.0.113.9", "tcp", 80, "eth0", state=State.ESTABLISHED)
    assert ends(rules, packet) == passed(packet)


def test_what_the_node_sends_to_itself_is_translated_in_output_alone() -> None:
    rules = f"{NAT}-A PREROUTING -d 192.168.1.1/32 {DNAT}\nCOMMIT\n"
    assert ends(rules, TO_ITSELF) == passed(TO_ITSELF)
    assert ends(rules.replace("PREROUTING -d", "OUTPUT -d"), TO_ITSELF) == [(*TO_POD, False)]


CHAINS = (
    f"{FILTER}:KUBE-A - [0:0]\n:KUBE-B - [0:0]\n"
    "-A FORWARD -j KUBE-A\n-A FORWARD -j REJECT\n-A KUBE-A {a}\n-A KUBE-A -j DROP\n"
    "-A KUBE-B {b}\nCOMMIT\n"
)


@pytest.mark.parametrize(
    ("what", "a", "b", "ending"),
    [
        ("a chain that returns goes on behind the jump", "-j RETURN", "-j DROP", "rejected"),
        ("a chain that ends goes on behind the jump", "-j KUBE-B", "-p udp -j ACCEPT", "dropped"),
        ("goto does not come back to the chain", "-g KUBE-B", "-p udp -j ACCEPT", "rejected"),
        ("a verdict ends it all", "-j KUBE-B", "-j ACCEPT", "passed"),
    ],
)
def test_jumps(what: str, a: str, b: str, ending: str) -> None:
    assert ends(CHAINS.format(a=a, b=b), OUTSIDE)[0][0] == ending, what


def test_chances_multiply_and_add_up() -> None:
    rules = (
        f"{NAT}-A PREROUTING -m statistic --mode random --probability 0.25000000000"
        " -j DNAT --to-destination 10.0.0.1:1\n"
        "-A PREROUTING -m statistic --mode random --probability 0.50000000000"
        " -j DNAT --to-destination 10.0.0.2:1\n"
        "-A PREROUTING -j DNAT --to-destination 10.0.0.3:1\nCOMMIT\n"
    )
    found = {one.address: one.share for one in traced(rules, OUTSIDE)}
    assert found == pytest.approx({"10.0.0.1": 0.25, "10.0.0.2": 0.375, "10.0.0.3": 0.375})


def test_marks_are_set_matched_and_reported() -> None:
    rules = (
        f"{NAT}:KUBE-MARK-MASQ - [0:0]\n-A PREROUTING -j KUBE-MARK-MASQ\n"
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n"
        "-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE\nCOMMIT\n"
    )
    (one,) = traced(rules, OUTSIDE)
    assert (one.masqueraded, one.mark) == (True, 0x4000)
    assert [event.mark for event in one.events if event.mark is not None] == [0x4000]


def test_a_client_that_was_here_before_comes_back() -> None:
    rules = (
        f"{NAT}:KUBE-SEP-A - [0:0]\n"
        "-A PREROUTING -m recent --rcheck --seconds 60 --reap --name A"
        " --mask 255.255.255.255 --rsource -j KUBE-SEP-A\n"
        "-A PREROUTING -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-A\n"
        "-A KUBE-SEP-A -p tcp -m recent --set --name A --mask 255.255.255.255 --rsource"
        f" -m tcp {DNAT}\nCOMMIT\n"
    )
    first = traced(rules, OUTSIDE)
    assert [(one.ending, one.remembered) for one in first] == [
        (Ending.TRANSLATED, ("A",)),
        (Ending.PASSED, ()),
    ]
    again = Packet("192.0.2.7", "203.0.113.9", "tcp", 80, "eth0", remembered=frozenset({"A"}))
    (one,) = traced(rules, again)
    assert (one.ending, one.sticky_seconds) == (Ending.TRANSLATED, 60)


def test_what_is_not_understood_is_said_and_not_guessed() -> None:
    rules = f"{FILTER}-A FORWARD -m quota --quota 5 -j DROP\nCOMMIT\n"
    (one,) = traced(rules, OUTSIDE)
    assert one.not_understood == ("-A FORWARD -m quota --quota 5 -j DROP",)
    assert EventKind.NOT_UNDERSTOOD in {event.kind for event in one.events}


def test_jumps_in_a_circle_end() -> None:
    rules = CHAINS.format(a="-j KUBE-B", b="-j KUBE-A")
    (one,) = traced(rules, OUTSIDE)
    assert any("without end" in text for text in one.not_understood)


def test_base_chains_are_called_in_the_order_of_their_priorities() -> None:
    listing = """table ip late {
	chain c {
		type filter hook prerouting priority 10; policy accept;
		ip daddr 10.0.0.5 drop
	}
}
table ip nat {
	chain c {
		type nat hook prerouting priority dstnat; policy accept;
		dnat to 10.0.0.5
	}
}
table ip early {
	chain c {
		type filter hook prerouting priority dstnat - 10; policy accept;
		ip daddr 203.0.113.9 udp dport 80 drop
	}
}
"""
    tracer = Tracer(nftables_meaning(parse_listing(listing), "ip"), HERE)
    (one,) = tracer.trace(OUTSIDE)
    assert one.ending is Ending.DROPPED
    assert [event.table for event in one.events if event.kind is EventKind.HOOK] == [
        "early",
        "nat",
        "late",
    ]
