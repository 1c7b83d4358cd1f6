"""A listing of nft's as meaning: tables, base chains, sets and maps; `rule_meaning` reads rules."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nodeport_rules.nftables.match_meaning import TableContext
from nodeport_rules.nftables.rule_meaning import read_rule
from nodeport_rules.nftables.sets_meaning import Key, Kind, NamedSet
from nodeport_rules.nftables.words import Unclear
from nodeport_rules.ruleset.meaning import (
    ActUnknown,
    ChainMeaning,
    Hook,
    HookPoint,
    RuleMeaning,
    RulesMeaning,
    TableMeaning,
    Verdict,
)
from nodeport_rules.ruleset.ruleset import Chain, Ruleset, Table

_PRIORITIES = {
    "raw": -300,
    "mangle": -150,
    "dstnat": -100,
    "filter": 0,
    "security": 50,
    "srcnat": 100,
}
"""Names of priorities in the families ip, ip6 and inet."""
_HOOK = re.compile(
    r"type (?P<type>\w+) hook (?P<point>\w+) priority (?P<priority>[^;]+);"
    r"(?: policy (?P<policy>accept|drop);)?"
)
_PRIORITY = re.compile(r"(?P<name>[a-z]+)(?: (?P<sign>[+-]) (?P<more>\d{1,10}))?|-?\d{1,10}")
_FIRST_OF_ALL = -(1 << 31)
_UPDATED = re.compile(r"(?:^| )(?:update|add) @(\S+)")
_IPTABLES_TABLES = frozenset({"raw", "mangle", "nat", "filter", "security"})


def meaning_of(ruleset: Ruleset, family: str) -> RulesMeaning:
    """What the tables of a listing mean for packets of `family` (`ip` or `ip6`).

    Tables of the family and those for both (inet) count; of an inet table, what looks at the other
    family matches nothing. Tables of bridges, devices and ARP are left out. Whatever is not
    understood stands as text in MatchUnknown and ActUnknown.
    """
    return RulesMeaning(
        family,
        tuple(
            _table(table, family) for table in ruleset.tables if table.family in (family, "inet")
        ),
    )


def _table(table: Table, family: str) -> TableMeaning:
    chains = (*table.chains, *table.hooks)
    names = frozenset(chain.name for chain in chains)
    updated = {name for chain in chains for rule in chain.rules for name in _updated(rule)}
    named = {
        one.name: NamedSet(one, names, dynamic=one.dynamic or one.name in updated)
        for one in table.maps
    }
    context = TableContext(family, names, named, _is_translated(table))
    meanings = {chain.name: _chain(chain, context) for chain in chains}
    sets, networks = _sets(named.values())
    return TableMeaning(
        family,
        table.name,
        meanings,
        sets={**sets, **context.sets},
        networks=networks,
        maps={**_maps(named.values()), **context.maps},
    )


def _updated(rule: str) -> list[str]:
    """The sets that a rule puts elements into; nft 1.0.6's JSON does not flag them as dynamic."""
    return _UPDATED.findall(rule) if " @" in rule else []


def _is_translated(table: Table) -> bool:
    """Whether iptables-nft has made the table: one of its names, and built-in chains' names."""
    return table.name in _IPTABLES_TABLES and any(
        chain.hook and chain.name in HookPoint.__members__ for chain in table.chains
    )


def _sets(
    named: Iterable[NamedSet],
) -> tuple[dict[str, frozenset[Key]], dict[str, tuple[str, ...]]]:
    """Keys and networks of the sets that are understood; the kernel's own ones are left out."""
    sets: dict[str, frozenset[Key]] = {}
    networks: dict[str, tuple[str, ...]] = {}
    for one in named:
        if not one.is_set or one.dynamic or Kind.OTHER in one.kinds:
            continue
        try:
            keys, ranges = one.contents
        except Unclear:
            continue
        sets[one.name] = keys
        if ranges:
            networks[one.name] = ranges
    return sets, networks


def _maps(named: Iterable[NamedSet]) -> dict[str, dict[Key, Verdict]]:
    """The verdict maps that are understood, but for those that choose by number."""
    maps = {}
    for one in named:
        if one.is_set or one.data != "verdict" or Kind.NUMBER in one.kinds:
            continue
        try:
            maps[one.name] = one.verdicts
        except Unclear:
            continue
    return maps


def _chain(chain: Chain, context: TableContext) -> ChainMeaning:
    if not chain.hook:
        return ChainMeaning(chain.name, tuple(read_rule(rule, context) for rule in chain.rules))
    hook = read_hook(chain.hook)
    if hook is not None:
        rules = tuple(read_rule(rule, context) for rule in chain.rules)
        return ChainMeaning(chain.name, rules, hook)
    return _misplaced(chain)


def _misplaced(chain: Chain) -> ChainMeaning:
    """A base chain at a hook that is not understood (`ingress device …`).

    It stands before all others (behind them, for egress), and nothing in it counts as understood:
    it may or may not see a packet. One that does nothing is no matter.
    """
    rules: tuple[RuleMeaning, ...] = ()
    if chain.rules or "policy drop" in chain.hook:
        texts = (chain.hook, *chain.rules)
        rules = tuple(RuleMeaning((ActUnknown(text),), text) for text in texts)
    point = HookPoint.POSTROUTING if " hook egress " in chain.hook else HookPoint.PREROUTING
    priority = -_FIRST_OF_ALL if point is HookPoint.POSTROUTING else _FIRST_OF_ALL
    return ChainMeaning(chain.name, rules, Hook(point, priority, is_nat=False))


def read_hook(text: str) -> Hook | None:
    """`type nat hook prerouting priority dstnat - 10; policy accept;`; None if not understood."""
    found = _HOOK.fullmatch(text.strip())
    if found is None or found["type"] not in ("filter", "nat", "route"):
        return None
    priority = _priority(found["priority"].strip())
    if priority is None or found["point"] not in tuple(HookPoint):
        return None
    return Hook(
        HookPoint(found["point"]), priority, found["type"] == "nat", found["policy"] == "drop"
    )


def _priority(text: str) -> int | None:
    found = _PRIORITY.fullmatch(text)
    if found is None:
        return None
    if found["name"] is None:
        return int(text)
    if found["name"] not in _PRIORITIES:
        return None
    more = int(found["more"] or 0)
    return _PRIORITIES[found["name"]] + (-more if found["sign"] == "-" else more)
