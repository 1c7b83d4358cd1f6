"""What the tracer says about the packets, beside what the kernel did with them."""

from __future__ import annotations

import ipaddress
import math
from collections import Counter, defaultdict
from collections.abc import Iterator

from nodeport_rules.iptables import meaning as iptables_meaning
from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.model.family import Family
from nodeport_rules.model.options import Backend
from nodeport_rules.nftables import meaning as nftables_meaning
from nodeport_rules.nftables.parse import parse_listing
from nodeport_rules.ruleset.meaning import RulesMeaning
from nodeport_rules.ruleset.packet import Ending, Host, is_loopback
from nodeport_rules.ruleset.packet import Outcome as Traced
from nodeport_rules.ruleset.trace import Tracer

from .addresses import is_local
from .comparison import SHOWN, Comparison
from .decisions import AN_ENDPOINT, Decision, Fate, packet_text
from .node import Rules
from .probes import Probe

FATES = {
    Ending.TRANSLATED: Fate.TRANSLATED,
    Ending.PASSED: Fate.PASSED,
    Ending.REJECTED: Fate.REFUSED,
    Ending.DROPPED: Fate.DROPPED,
}

UNLIKELY = 30.0
"""A count is too far from its share where chance alone would have it so with exp(-30)."""

Fared = tuple[Fate, str, int, bool, bool]
"""Fate, destination, whether masqueraded, whether accepted."""


def disagreements(compared: Comparison) -> str:
    """Where the tracer and the kernel disagree, as text for people; empty where they do not."""
    found = [
        text
        for rules in compared.state.rulesets
        for text in _about_ruleset(compared, rules, compared.decisions[rules.name])
    ]
    more = f"\n… and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "\n".join(found[:SHOWN]) + more


def _about_ruleset(compared: Comparison, rules: Rules, decisions: list[Decision]) -> Iterator[str]:
    tracer = Tracer(meaning_of(rules), _host(compared))
    together: defaultdict[frozenset[tuple[Fared, float]], Counter[Fared]] = defaultdict(Counter)
    for probe, decision in zip(compared.probes, decisions, strict=True):
        if _stopped_by_routing(probe, rules):
            continue
        shares: Counter[Fared] = Counter()
        outcomes = tracer.trace(probe.packet)
        for outcome in outcomes:
            shares[_traced(outcome, probe)] += outcome.share  # type: ignore[assignment]
        counts = _counts(decision)
        not_understood = {text for outcome in outcomes for text in outcome.not_understood}
        if set(shares) != set(counts) or not_understood:
            yield (
                f"{compared.state.name}, {compared.state.family}, {rules.name}:"
                f" {packet_text(probe.packet)}\n"
                f"  only in the kernel: {sorted(set(counts) - set(shares))}\n"
                f"  only in the trace:  {sorted(set(shares) - set(counts))}"
                f" {sorted(not_understood) or ''}"
            )
        else:
            together[frozenset(shares.items())].update(counts)
    for expected, counts in together.items():
        for fared, share in expected:
            if not _is_likely(counts[fared], counts.total(), share):
                yield (
                    f"{compared.state.name}, {compared.state.family}, {rules.name}: {fared} got"
                    f" {counts[fared]} of {counts.total()}, and its share is {share:.4f}"
                )


def meaning_of(rules: Rules) -> RulesMeaning:
    """The rules as the tracer takes them."""
    word = "ip" if rules.family is Family.IPV4 else "ip6"
    if rules.backend is Backend.NFTABLES:
        return nftables_meaning.meaning_of(rules.compiled or parse_listing(rules.text), word)
    program = f"{word}tables"
    return iptables_meaning.meaning_of(rules.compiled or parse_rules(rules.text, program), word)


def _host(compared: Comparison) -> Host:
    """The node as the tracer knows it: all of its addresses that packets come from or go to."""
    packets = [probe.packet for probe in compared.probes]
    seen = {address for packet in packets for address in (packet.source, packet.destination)}
    return Host(frozenset(address for address in seen if is_local(address)))


def _stopped_by_routing(probe: Probe, rules: Rules) -> bool:
    """Whether the kernel itself drops the packet: the world's packets to the loopback address."""
    packet = probe.packet
    if packet.from_node or not is_loopback(packet.destination):
        return False
    return not (rules.route_localnet and ipaddress.ip_address(packet.destination).version == 4)


def _traced(outcome: Traced, probe: Probe) -> Fared:
    fate = FATES[outcome.ending]
    goes_on = fate in (Fate.TRANSLATED, Fate.PASSED)
    address, port = "", 0
    if fate is Fate.TRANSLATED:
        address, port = (AN_ENDPOINT, 0) if probe.any_endpoint else (outcome.address, outcome.port)
    return (
        fate,
        address,
        port,
        goes_on and outcome.masqueraded,
        goes_on and outcome.accepted,
    )


def _counts(decision: Decision) -> Counter[Fared]:
    counts: Counter[Fared] = Counter()
    for one, count in decision.counts.items():
        counts[one.fate, one.address, one.port, bool(one.source), one.accepted] += count
    return counts


def _is_likely(count: int, total: int, share: float) -> bool:
    """Chernoff's bound: a share this far off or further has at most probability exp(-n D)."""
    seen = count / total
    divergence = 0.0
    for part, expected in ((seen, share), (1 - seen, 1 - share)):
        if part > 0:
            divergence += part * math.log(part / expected) if expected > 1e-12 else math.inf
    return total * divergence < UNLIKELY
