"""Explained packets as JSON, for other programs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nodeport_rules.model.reasons import Why
from nodeport_rules.report.explain_text import left_out_detail
from nodeport_rules.report.explain_tree import Section, Step
from nodeport_rules.report.explain_words import End, summary
from nodeport_rules.report.explanation import Explanation

SCHEMA_VERSION = 1


def explanations_document(explained: Sequence[Explanation], assumptions: Sequence[str]) -> str:
    """`{"schemaVersion", "assumptions", "explanations"}`.

    An explanation has `packet`, `ends` (with shares that add up to 1), `way` (for each base chain
    the tree of rules that matched, each with the share of all packets that it saw and the chance by
    which it matched), `certain`, and `why`: null without objects and without such a Service.
    """
    document = {
        "schemaVersion": SCHEMA_VERSION,
        "assumptions": list(assumptions),
        "explanations": [_explanation(one) for one in explained],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _explanation(explained: Explanation) -> dict[str, object]:
    packet = explained.packet
    return {
        "packet": {
            "source": packet.source,
            "destination": packet.destination,
            "protocol": packet.protocol,
            "port": packet.port,
            "interface": packet.interface,
            "from": explained.origin,
        },
        "node": explained.node,
        "rules": explained.rules,
        "summary": summary(explained.ends),
        "certain": not explained.not_understood,
        "notUnderstood": list(explained.not_understood),
        "ends": [_end(end) for end in explained.ends],
        "sessionAffinity": explained.remembers,
        "way": [_section(section) for section in explained.sections],
        "why": _why(explained.why) if explained.why else None,
        "nearMisses": None if explained.misses is None else list(explained.misses),
        "objectsOnly": list(explained.lost),
        "rulesOnly": list(explained.strange),
    }


def _end(end: End) -> dict[str, object]:
    return {
        "ending": end.ending.value,
        "address": end.address,
        "port": end.port,
        "share": end.share,
        "masqueraded": end.masqueraded,
        "accepted": end.accepted,
    }


def _section(section: Section) -> dict[str, object]:
    return {
        "hook": section.point,
        "table": section.table,
        "chain": section.chain,
        "share": section.share,
        "rules": [_step(step) for step in section.steps],
    }


def _step(step: Step) -> dict[str, object]:
    return {
        "kind": step.kind.value,
        "chain": step.chain,
        "rule": step.rule,
        "matches": step.matches,
        "does": step.does,
        "share": step.share,
        "chance": step.chance,
        "mark": step.mark,
        "oneOf": [
            {"address": address, "port": port, "share": share} for address, port, share in step.ends
        ],
        "rules": [_step(one) for one in step.steps],
    }


def _why(why: Why) -> dict[str, object]:
    port = why.asked.port
    return {
        "namespace": port.key.namespace,
        "service": port.key.service,
        "portName": port.key.port_name,
        "port": port.port,
        "protocol": port.protocol,
        "asked": why.asked.kind.value,
        "policy": {
            "field": why.asked.policy_field,
            "value": "Local" if why.asked.policy_local else "Cluster",
        },
        "target": why.target.value,
        "used": [endpoint.text for endpoint in why.used],
        "leftOut": [
            {
                "endpoint": one.endpoint.text,
                "node": one.endpoint.node_name,
                "reason": one.reason.value,
                "detail": left_out_detail(one),
            }
            for one in why.left_out
        ],
        "notes": list(why.notes),
        "changes": list(why.changes),
    }
