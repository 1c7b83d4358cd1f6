"""Every recorded state, real packets: what kube-proxy's rules do with them, ours do.

In iptables mode and, where it was recorded, in nftables mode; and our two modes differ from each
other as kube-proxy's do (`mode_differences`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from nodeport_rules.model.family import Family

from .comparison import Comparison
from .mode_differences import DIFFERENCES
from .node import Node
from .recordings import OURS_IPTABLES, OURS_NFTABLES, STATES, State, state_of
from .tracing import disagreements

STATE_WITH_ALL_DIFFERENCES = "extra-source-ranges-more"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node() as built:
        yield built


@pytest.fixture(
    scope="module",
    params=[(name, family) for name in STATES for family in Family],
    ids=lambda param: f"{param[0]}-{param[1].value}",
)
def compared(request: pytest.FixtureRequest, node: Node) -> Comparison:
    """A state's packets, sent through all of its rulesets once for all tests."""
    name, family = request.param
    return Comparison(node, state_of(name, family))


def test_packets_fare_as_with_kube_proxy(compared: Comparison) -> None:
    differences = compared.differences()
    assert not differences, f"\n{differences}"


def test_the_tracer_says_what_the_kernel_did(compared: Comparison) -> None:
    """Where packets may go and, over many of them, how often they do."""
    found = disagreements(compared)
    assert not found, f"\n{found}"


def test_every_difference_between_the_modes_shows(node: Node) -> None:
    """So that no entry is there which nothing needs."""
    compared = Comparison(node, state_of(STATE_WITH_ALL_DIFFERENCES, Family.IPV4))
    assert compared.applied() == set(DIFFERENCES)


@dataclass(frozen=True)
class Fault:
    """A mistake in our rules that the comparison has to find."""

    name: str
    state: str
    rules: str
    pattern: str
    replacement: str
    shown: str
    """A part of what is said about it."""

    def put_into(self, state: State) -> State:
        """The state with this mistake in one of its rulesets."""
        changed = []
        for rules in state.rulesets:
            if rules.name == self.rules:
                text, count = re.subn(self.pattern, self.replacement, rules.text, flags=re.M)
                assert count, f"{self.pattern} is not in the rules"
                rules = replace(rules, text=text)
            changed.append(rules)
        return replace(state, rulesets=tuple(changed))


FAULTS = (
    Fault(
        "another endpoint",
        "lb-source-ranges",
        OURS_IPTABLES,
        r"--to-destination 10\.244\.1\.6:8080",
        "--to-destination 10.244.1.66:8080",
        "to 10.244.1.66 port 8080",
    ),
    Fault(
        "another port",
        "lb-source-ranges",
        OURS_NFTABLES,
        r"10\.244\.1\.6 \. 8080",
        "10.244.1.6 . 8081",
        "to 10.244.1.6 port 8081",
    ),
    Fault(
        "an endpoint less",
        "lb-source-ranges",
        OURS_NFTABLES,
        r"random mod 3 ",
        "random mod 2 ",
        "to 10.244.2.7 port 8080",
    ),
    Fault(
        "not masqueraded",
        "lb-source-ranges",
        OURS_NFTABLES,
        r"^.* KUBE-POSTROUTING meta mark .*$",
        "",
        "masqueraded as 192.0.2.1",
    ),
    Fault(
        "hairpin not masqueraded",
        "lb-source-ranges",
        OURS_NFTABLES,
        r"^add element .* hairpins .*$",
        "",
        "from 10.244.0.5 (cni0)",
    ),
    Fault(
        "forbidden though allowed",
        "lb-source-ranges",
        OURS_IPTABLES,
        r"^-A KUBE-FW-.* -s 198\.51\.100\.0/24 .*$",
        "",
        "from 198.51.100.1 (eth0)",
    ),
    Fault(
        "a range too wide by half",
        "lb-source-ranges",
        OURS_NFTABLES,
        r"saddr 198\.51\.100\.0/24 return",
        "saddr 198.51.100.0/23 return",
        "from 198.51.101.0 (eth0)",
    ),
    Fault(
        "not refused",
        "lb-source-ranges",
        OURS_IPTABLES,
        r"^.* -j REJECT .*$",
        "",
        "ours, iptables: passed",
    ),
    Fault(
        "dropped instead of refused",
        "lb-source-ranges",
        OURS_NFTABLES,
        r"KUBE-REJECT reject",
        "KUBE-REJECT drop",
        "ours, nftables: dropped",
    ),
    Fault(
        "not accepted in FORWARD",
        "lb-source-ranges",
        OURS_IPTABLES,
        r"-A KUBE-FORWARD .* -j ACCEPT$",
        "",
        "accepted before the host's own rules",
    ),
    Fault(
        "only from the node",
        "lb-source-ranges",
        OURS_NFTABLES,
        r"^.* output-nat jump .*$",
        "",
        "(the node)",
    ),
    Fault(
        "clients do not stay, iptables",
        "affinity-local",
        OURS_IPTABLES,
        r"^.* --rcheck .*$",
        "",
        "clients do not stay with one endpoint",
    ),
    Fault(
        "clients do not stay, nftables",
        "affinity-local",
        OURS_NFTABLES,
        r"^add rule .* saddr @clients-.*$",
        "",
        "clients do not stay with one endpoint",
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_mistake_in_the_rules_is_found(fault: Fault, node: Node) -> None:
    state = fault.put_into(state_of(fault.state, Family.IPV4))
    assert fault.shown in Comparison(node, state).differences()


def test_wrong_shares_are_found(node: Node) -> None:
    """The kernel gets other rules than the tracer."""
    name = "lb-source-ranges"
    fault = Fault("", name, OURS_IPTABLES, r"--probability 0\.5\d*", "--probability 0.9", "")
    found = disagreements(Comparison(node, fault.put_into(state_of(name, Family.IPV4))))
    assert "and its share is 0.3333" in found
