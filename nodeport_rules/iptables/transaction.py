"""Rulesets as the input of iptables-restore."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from nodeport_rules.ruleset.ruleset import Chain, Ruleset, Table

CHAINS_PER_BLOCK = 300
"""Chains in one `*table … COMMIT` block for iptables-nft-restore.

It looks chains up in a list: 110,000 chains take minutes in one block and 8.3 s in blocks of a few
hundred (decision 2 of the design).
"""


class Variant(StrEnum):
    """Which iptables reads the text."""

    NFT = "nft"
    LEGACY = "legacy"
    """Rewrites a whole table at every COMMIT: one block a table."""


def restore_text(ruleset: Ruleset, variant: Variant = Variant.NFT) -> Iterator[str]:
    """The text for `iptables-restore --noflush` that writes `ruleset`, in pieces.

    For a node that has none of our rules. No line declares a built-in chain, which would reset the
    host's policy; our jumps go in front of the host's own rules. Every block leaves a correct
    ruleset: a chain is complete before anything jumps to it.
    """
    for table in ruleset.tables:
        size = CHAINS_PER_BLOCK if variant is Variant.NFT else max(len(table.chains), 1)
        starts = range(0, max(len(table.chains), 1), size)
        for start in starts:
            hooks = table.hooks if start == starts[-1] else ()
            yield from _block(table, table.chains[start : start + size], hooks)


def _block(table: Table, chains: tuple[Chain, ...], hooks: tuple[Chain, ...]) -> Iterator[str]:
    yield f"*{table.name}\n"
    yield "".join([f":{chain.name} - [0:0]\n" for chain in chains])
    yield "".join(["\n".join(chain.rules) + "\n" for chain in chains if chain.rules])
    for hook in hooks:
        yield "".join(
            f"{_as_insert(rule, hook.name, position)}\n"
            for position, rule in enumerate(hook.rules, 1)
        )
    yield "COMMIT\n"


def _as_insert(rule: str, chain: str, position: int) -> str:
    """`-A INPUT …` as `-I INPUT 2 …`, so that it stands before the host's own rules."""
    return f"-I {chain} {position} {rule.removeprefix(f'-A {chain} ')}"
