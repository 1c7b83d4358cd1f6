"""The tree of a packet's ways, as text, JSON and Mermaid."""

from __future__ import annotations

import re

import msgspec
import pytest

from nodeport_rules.iptables.meaning import meaning_of
from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.report.explain_json import SCHEMA_VERSION, explanations_document
from nodeport_rules.report.explain_mermaid import flowcharts
from nodeport_rules.report.explain_text import lines_of, painted
from nodeport_rules.report.explanation import Explanation, explanation
from nodeport_rules.ruleset.packet import Host, Packet
from nodeport_rules.ruleset.trace import Tracer


def rules(endpoints: int, *, more: str = "") -> str:
    """KUBE-SERVICES to one of the endpoints, as iptables mode chooses, and a mark for all."""
    chosen = "".join(
        f"-A KUBE-SVC-A -m statistic --mode random --probability {1 / (endpoints - number):.11f}"
        f" -j KUBE-SEP-{number}\n"
        for number in range(endpoints - 1)
    )
    chosen += f"-A KUBE-SVC-A -j KUBE-SEP-{endpoints - 1}\n"
    separate = "".join(
        f'-A KUBE-SEP-{number} -p tcp -m comment --comment "default/web" -m tcp -j DNAT'
        f" --to-destination 10.0.0.{number + 1}:80\n"
        for number in range(endpoints)
    )
    chains = "".join(f":KUBE-SEP-{number} - [0:0]\n" for number in range(endpoints))
    return (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n"
        f"{chains}-A PREROUTING -j KUBE-SERVICES\n{more}"
        "-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-A\n"
        f"-A KUBE-SVC-A -j MARK --set-xmark 0x4000/0x4000\n{chosen}{separate}COMMIT\n"
    )


def explained(text: str) -> Explanation:
    meaning = meaning_of(parse_rules(text, "iptables"), "ip")
    packet = Packet("192.0.2.1", "10.96.0.10", "tcp", 80, "eth0")
    outcomes = Tracer(meaning, Host()).trace(packet)
    return explanation(packet, outcomes, meaning, origin="outside", node="", rules_from="rules")


def shown(text: str, width: int = 80) -> str:
    return "\n".join(painted(line, colour=False) for line in lines_of(explained(text), width))


def test_the_tree() -> None:
    assert (
        shown(rules(2))
        == """\
tcp to 10.96.0.10:80
from 192.0.2.1 (outside, in by eth0)
rules

prerouting (table nat, chain PREROUTING)
└─ → KUBE-SERVICES
   └─ to 10.96.0.10, tcp port 80 → KUBE-SVC-A
      ├─ mark becomes 0x4000
      ├─ 50 %  by chance → KUBE-SEP-0
      │  └─ tcp → 10.0.0.1:80  # default/web
      └─ 50 %  → KUBE-SEP-1
         └─ tcp → 10.0.0.2:80  # default/web

2 endpoints, 50 % each; the source is kept
     50 %  10.0.0.1:80
     50 %  10.0.0.2:80"""
    )


def test_many_branches_of_a_kind_are_one_line() -> None:
    text = shown(rules(50))
    assert "└─ … 47 more, 2 % each" in text
    assert "… 40 more, 2 % each" in text
    assert text.count("KUBE-SEP-") == 3
    assert "mark becomes 0x4000" in text


def test_four_branches_are_all_shown() -> None:
    assert shown(rules(4)).count("KUBE-SEP-") == 4


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_asked(width: int) -> None:
    comment = f"-A KUBE-SERVICES -m geoip --src-cc {'X' * 90} -j DROP\n"
    text = shown(rules(50, more=comment), width)
    assert max(len(line) for line in text.splitlines()) <= width


def test_json_holds_everything() -> None:
    one = explained(rules(50))
    document = msgspec.json.decode(explanations_document([one], ["something"]))
    assert document["schemaVersion"] == SCHEMA_VERSION
    assert document["assumptions"] == ["something"]
    (found,) = document["explanations"]
    assert len(found["ends"]) == 50
    assert sum(end["share"] for end in found["ends"]) == pytest.approx(1)
    (section,) = found["way"]
    chosen = section["rules"][0]["rules"][0]["rules"]
    assert [one["mark"] for one in chosen[:2]] == [0x4000, None]
    assert len(chosen) == 51
    assert chosen[2]["chance"] == pytest.approx(1 / 49)
    assert chosen[2]["share"] == pytest.approx(1 / 50)
    assert chosen[2]["rule"].startswith("-A KUBE-SVC-A -m statistic")


NODE = re.compile(r'  (?:  )?n\d+(?:\["[^"\[\]<>]*"\]|\(\["[^"\[\]<>]*"\]\))')
EDGE = re.compile(r'  (?:  )?n\d+ -->(?:\|"[^"|<>]*"\|)? n\d+')
FRAME = re.compile(r'  subgraph s\d+\["[^"\[\]<>]*"\]|  end')


def test_mermaid_is_of_the_plainest_syntax() -> None:
    hostile = '-A KUBE-SERVICES -m geoip --x "]--> end <b>|`" -j DROP\n'
    chart = flowcharts([explained(rules(50, more=hostile)), explained(rules(2))])
    first, *lines = chart.splitlines()
    assert first == "flowchart TD"
    for line in lines:
        assert NODE.fullmatch(line) or EDGE.fullmatch(line) or FRAME.fullmatch(line), line
    declared = re.findall(r"^ +(n\d+)[\[(]", chart, re.MULTILINE)
    assert len(declared) == len(set(declared))
    used = {name for line in lines if "-->" in line for name in re.findall(r"\bn\d+\b", line)}
    assert used <= set(declared)
    assert sum("subgraph" in line for line in lines) == sum(line == "  end" for line in lines)
    assert "not certain: " in chart
    assert "… 47 more, 2 % each" in chart
