"""Faults in the structure of a ruleset: what can be said without knowing any Service."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nodeport_rules.ruleset.ruleset import Ruleset, Table


def structure_faults(
    ruleset: Ruleset,
    jump_target: Callable[[str], str | None],
    must_be_used: Callable[[str], bool],
) -> list[str]:
    """What is wrong with the chains of `ruleset`; empty when nothing is.

    `jump_target` gives the chain that a rule jumps to, None for a rule that jumps to none.
    `must_be_used` says of a chain's name whether it has to have rules and somebody who jumps to it.
    """
    return [
        f"table {table.name}: {fault}"
        for table in ruleset.tables
        for fault in _table_faults(table, jump_target, must_be_used)
    ]


def _table_faults(
    table: Table,
    jump_target: Callable[[str], str | None],
    must_be_used: Callable[[str], bool],
) -> Iterator[str]:
    created: set[str] = set()
    used: set[str] = set()
    for chain in (*table.chains, *table.hooks):
        if chain.name in created:
            yield f"chain {chain.name} stands there twice"
        for rule in chain.rules:
            target = jump_target(rule)
            if target is None:
                continue
            used.add(target)
            if target not in created:
                yield f"chain {chain.name} jumps to {target}, which does not exist before it"
        created.add(chain.name)
    for chain in table.chains:
        if must_be_used(chain.name):
            if not chain.rules:
                yield f"chain {chain.name} has no rules"
            if chain.name not in used:
                yield f"nothing jumps to chain {chain.name}"
