"""A parsed iptables-save dump as meaning: what each rule looks at and does.

Where built-in chains stand in the kernel's path is known from their tables' and their own names
(the priorities of include/uapi/linux/netfilter_ipv4.h). Rules are read by `rule_meaning`.
"""

from __future__ import annotations

from collections.abc import Collection

from nodeport_rules.errors import NodeportRulesError, quote
from nodeport_rules.iptables.rule_meaning import RuleReader
from nodeport_rules.ruleset.meaning import ChainMeaning, Hook, HookPoint, RulesMeaning, TableMeaning
from nodeport_rules.ruleset.ruleset import Chain, Ruleset, Table

_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_NAT_PRIORITIES = {
    HookPoint.PREROUTING: -100,
    HookPoint.OUTPUT: -100,
    HookPoint.INPUT: 100,
    HookPoint.POSTROUTING: 100,
}


class DumpMeaningError(NodeportRulesError):
    """A dump with tables of which it is not known where they stand in the kernel's path."""


def meaning_of(ruleset: Ruleset, family: str) -> RulesMeaning:
    """What the rules of `ruleset` mean; `family` is `ip` or `ip6`.

    Rules that are not understood keep their text as MatchUnknown and ActUnknown. Raises
    DumpMeaningError for a table that iptables does not have.
    """
    return RulesMeaning(family, tuple(_table(table, family) for table in ruleset.tables))


def _table(table: Table, family: str) -> TableMeaning:
    if table.name != "nat" and table.name not in _PRIORITIES:
        raise DumpMeaningError(
            f"table {quote(table.name)}: iptables has the tables raw, mangle, nat, filter and"
            " security only"
        )
    chains = (*table.hooks, *table.chains)
    reader = RuleReader({chain.name for chain in chains}, family)
    built_in = {chain.name for chain in table.hooks}
    return TableMeaning(
        family,
        table.name,
        {chain.name: _chain(chain, table.name, reader, built_in) for chain in chains},
    )


def _chain(chain: Chain, table: str, reader: RuleReader, built_in: Collection[str]) -> ChainMeaning:
    return ChainMeaning(
        chain.name,
        tuple(reader.read(rule) for rule in chain.rules),
        _hook(chain, table) if chain.name in built_in else None,
    )


def _hook(chain: Chain, table: str) -> Hook | None:
    """Where a built-in chain is called; None when the kernel calls no chain of that name."""
    if chain.name not in HookPoint.__members__:
        return None
    point = HookPoint[chain.name]
    drops = chain.hook == "DROP"
    if table == "nat":
        if point is HookPoint.FORWARD:
            return None
        return Hook(point, _NAT_PRIORITIES[point], True, drops)
    return Hook(point, _PRIORITIES[table], False, drops)
