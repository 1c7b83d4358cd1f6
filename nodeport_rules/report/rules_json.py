"""Rulesets as JSON, for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from nodeport_rules.ruleset.ruleset import Chain, Ruleset, Table

SCHEMA_VERSION = 1


def rules_document(
    rules: Iterable[tuple[str, str, Ruleset]], assumptions: Sequence[str]
) -> Iterator[str]:
    """`{"schemaVersion", "assumptions", "rulesets"}`, in pieces: one ruleset is held at a time.

    `rules` are (node, family, ruleset). In a table, `chains` stand in the order in which they can
    be created, `hooks` are the rules that go in front of the host's own in built-in chains. An
    nftables table has `maps` (sets and maps with their elements) and `baseChains` besides.
    """
    yield f'{{"schemaVersion": {SCHEMA_VERSION}, "assumptions": '
    yield _text(list(assumptions)) + ', "rulesets": ['
    separator = "\n"
    for node, family, ruleset in rules:
        document = {
            "node": node,
            "family": family,
            "program": ruleset.program,
            "tables": {
                table.name: {
                    "chains": _chains(table.chains),
                    "hooks": _chains(table.hooks),
                    **_nftables_parts(table),
                }
                for table in ruleset.tables
            },
        }
        yield separator + _text(document)
        separator = ",\n"
    yield "\n]}\n"


def _text(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()


def _chains(chains: Sequence[Chain]) -> dict[str, tuple[str, ...]]:
    return {chain.name: chain.rules for chain in chains}


def _nftables_parts(table: Table) -> dict[str, object]:
    if not table.family:
        return {}
    return {
        "maps": {
            one.name: {
                "kind": "set" if one.is_set else "map",
                "declaration": one.declaration,
                "elements": list(one.elements) if one.is_set else one.elements,
            }
            for one in table.maps
        },
        "baseChains": {chain.name: chain.hook for chain in table.chains if chain.hook},
    }
