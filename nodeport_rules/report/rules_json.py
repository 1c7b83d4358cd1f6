"""Rulesets as JSON, for other programs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nodeport_rules.ruleset.ruleset import Chain, Ruleset

SCHEMA_VERSION = 1


def rules_document(rules: Sequence[tuple[str, str, Ruleset]], assumptions: Sequence[str]) -> bytes:
    """`{"schemaVersion", "assumptions", "rulesets"}`; one ruleset for each (node, family, rules).

    In a table, `chains` stand in the order in which they can be created, `hooks` are the rules
    that go in front of the host's own in built-in chains.
    """
    document = {
        "schemaVersion": SCHEMA_VERSION,
        "assumptions": list(assumptions),
        "rulesets": [
            {
                "node": node,
                "family": family,
                "program": ruleset.program,
                "tables": {
                    table.name: {
                        "chains": _chains(table.chains),
                        "hooks": _chains(table.hooks),
                    }
                    for table in ruleset.tables
                },
            }
            for node, family, ruleset in rules
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def _chains(chains: Sequence[Chain]) -> dict[str, tuple[str, ...]]:
    return {chain.name: chain.rules for chain in chains}
