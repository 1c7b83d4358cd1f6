"""Faults in the structure of a ruleset: each kind is found, and only where it is."""

from __future__ import annotations

import pytest

from nodeport_rules.iptables.compile import ruleset_faults
from nodeport_rules.iptables.parse import parse_rules

SOUND = """\
*nat
:KUBE-SEP-A - [0:0]
:KUBE-SERVICES - [0:0]
-A KUBE-SEP-A -j ACCEPT
-A KUBE-SERVICES -j KUBE-SEP-A
-I OUTPUT 1 -j KUBE-SERVICES
COMMIT
"""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("", ""), None),
        (("-A KUBE-SERVICES -j KUBE-SEP-A\n", ""), "nothing jumps to chain KUBE-SEP-A"),
        (("-A KUBE-SEP-A -j ACCEPT\n", ""), "chain KUBE-SEP-A has no rules"),
        (
            ("-j KUBE-SEP-A", "-j KUBE-SEP-B"),
            "chain KUBE-SERVICES jumps to KUBE-SEP-B, which does not exist before it",
        ),
        (
            (
                ":KUBE-SEP-A - [0:0]\n:KUBE-SERVICES - [0:0]\n",
                ":KUBE-SERVICES - [0:0]\n:KUBE-SEP-A - [0:0]\n",
            ),
            "chain KUBE-SERVICES jumps to KUBE-SEP-A, which does not exist before it",
        ),
    ],
)
def test_faults(change: tuple[str, str], fault: str | None) -> None:
    text = SOUND.replace(*change) if change[0] else SOUND
    found = ruleset_faults(parse_rules(text, "iptables"))
    if fault is None:
        assert found == []
    else:
        assert f"table nat: {fault}" in found
