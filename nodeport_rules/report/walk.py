"""The way of packets through chains, as the rules' own packet counters tell it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

FIRST_CHAIN = "KUBE-SERVICES"
OUR_CHAINS = "KUBE-"
MARKING = "KUBE-MARK-MASQ"

_COMMENT = re.compile(r'-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) ?')
_JUMP = re.compile(r"(?:^| )-[jg] \S+(?: --to-destination \S+)?")
_MATCH_NAMES = re.compile(r"-m (?:tcp|udp|sctp|statistic|addrtype|mark|nfacct|recent) ?")
_DESTINATION = re.compile(r"--to-destination (\S+)")


class CountedStep(msgspec.Struct, frozen=True):
    """A rule of a chain, and how many packets it has matched.

    `text` is the rule as iptables-save prints it after `-A chain`; `target` is what it jumps to.
    """

    chain: str
    text: str
    target: str
    packets: int


class Step(msgspec.Struct, frozen=True):
    """One rule on the way: its chain, what it matches, where it leads, and packets by node."""

    chain: str
    matches: str
    leads_to: str
    packets: tuple[int, ...]


def since(before: Sequence[CountedStep], after: Sequence[CountedStep]) -> list[CountedStep]:
    """The packets counted between two readings of the same rules."""
    return [
        msgspec.structs.replace(late, packets=late.packets - early.packets)
        for early, late in zip(before, after, strict=True)
    ]


def walk(nodes: Sequence[Sequence[CountedStep]]) -> tuple[Step, ...]:
    """The rules that packets from outside came through on the way to an endpoint, chain by chain.

    `nodes` holds one reading for each node, of the nat table. Begins at KUBE-SERVICES and follows
    each jump that any packet took on any node; the same rule on several nodes is one step.
    """
    counted: dict[str, dict[tuple[str, str], list[int]]] = {}
    for number, rules in enumerate(nodes):
        for rule in rules:
            packets = counted.setdefault(rule.chain, {}).setdefault(
                (rule.text, rule.target), [0] * len(nodes)
            )
            packets[number] += rule.packets
    steps: list[Step] = []
    waiting, seen = [FIRST_CHAIN], {FIRST_CHAIN, MARKING}
    while waiting:
        chain = waiting.pop(0)
        for (text, target), packets in counted.get(chain, {}).items():
            if not any(packets) or not (chain.startswith(OUR_CHAINS) or _is_ours(target)):
                continue
            steps.append(Step(chain, matches_of(text), leads_to(text, target), tuple(packets)))
            if _is_ours(target) and target not in seen:
                seen.add(target)
                waiting.append(target)
    return tuple(steps)


def _is_ours(target: str) -> bool:
    return target.startswith(OUR_CHAINS)


def matches_of(text: str) -> str:
    """What a rule matches, without comment and target; empty when it matches everything."""
    return " ".join(_MATCH_NAMES.sub("", _JUMP.sub("", _COMMENT.sub("", text))).split())


def leads_to(text: str, target: str) -> str:
    """Where a rule leads: a chain, a target, or `DNAT to address:port`."""
    destination = _DESTINATION.search(text)
    return f"{target} to {destination.group(1)}" if destination else target


def named_destinations(steps: Sequence[Step], names: Mapping[str, str]) -> tuple[Step, ...]:
    """The steps with the pod's name behind every `DNAT to` of which `names` has one."""
    return tuple(
        msgspec.structs.replace(step, leads_to=f"{step.leads_to} ({names[where]})")
        if (where := step.leads_to.removeprefix("DNAT to ")) in names
        else step
        for step in steps
    )
