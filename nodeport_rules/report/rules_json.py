"""Rulesets as JSON, for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from nodeport_rules.ruleset.ruleset import Chain, Ruleset

SCHEMA_VERSION = 1


def rules_document(
    rules: Iterable[tuple[str, str, Ruleset]], assumptions: Sequence[str]
) -> Iterator[str]:
    """`{"schemaVersion", "assumptions", "rulesets"}`, in pieces: one ruleset is held at a time.

    `rules` are (node, family, ruleset). In a table, `chains` stand in the order in which they can
    be created, `hooks` are the rules that go in front of the host's own in built-in chains.
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
                table.name: {"chains": _chains(table.chains), "hooks": _chains(table.hooks)}
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
