"""Rulesets as scripts for `nft -f`."""

from __future__ import annotations

from collections.abc import Iterator

from nodeport_rules.ruleset.ruleset import Chain, Map, Ruleset, Table

ELEMENTS_PER_LINE = 500
"""Elements in one `add element` command, so that no line grows without bound."""


def script(ruleset: Ruleset) -> Iterator[str]:
    """The script for `nft -f` that writes `ruleset`, in pieces; one transaction.

    Safe to load again over itself: chains are emptied and filled again, and elements that are there
    already stay as they are, with their counters; so do the clients that session affinity
    remembers. (nft 1.0.6 knows no `destroy`, and deleting the table would lose them.)
    """
    for table in ruleset.tables:
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    where = f"{table.family} {table.name}"
    yield f"add table {where}\n"
    for one in table.maps:
        kind = "set" if one.is_set else "map"
        yield f"add {kind} {where} {one.name} {{ {_properties(one.declaration)} }}\n"
    chains = (*table.chains, *table.hooks)
    for chain in chains:
        yield f"add chain {where} {chain.name}{_chain_properties(chain)}\n"
    for chain in chains:
        yield f"flush chain {where} {chain.name}\n"
    for one in table.maps:
        yield from _elements(where, one)
    for chain in chains:
        yield "".join(f"add rule {where} {chain.name} {rule}\n" for rule in chain.rules)


def _properties(declaration: tuple[str, ...]) -> str:
    return "; ".join(declaration) + ";"


def _chain_properties(chain: Chain) -> str:
    parts = [chain.hook.rstrip(";") + ";"] if chain.hook else []
    if chain.comment:
        parts.append(f'comment "{chain.comment}";')
    return f" {{ {' '.join(parts)} }}" if parts else ""


def _elements(where: str, one: Map) -> Iterator[str]:
    if one.dynamic:
        return
    pairs = [f"{key} : {value}" if value else key for key, value in one.elements.items()]
    for start in range(0, len(pairs), ELEMENTS_PER_LINE):
        some = ", ".join(pairs[start : start + ELEMENTS_PER_LINE])
        yield f"add element {where} {one.name} {{ {some} }}\n"
