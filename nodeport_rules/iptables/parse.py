"""iptables-save dumps, and our own text for iptables-restore, as rulesets."""

from __future__ import annotations

import re

import msgspec

from nodeport_rules.errors import NodeportRulesError, quote
from nodeport_rules.ruleset.ruleset import Chain, Ruleset, Table

_COUNTERS = re.compile(r"^\[\d+:\d+\] ")
_INSERT = re.compile(r"-I (?P<chain>\S+) (?P<position>\d+) (?P<rule>.*)")


class DumpError(NodeportRulesError):
    """Text that is not whole iptables rules."""


class _OpenTable(msgspec.Struct):
    name: str
    chains: dict[str, list[str]]
    built_in: dict[str, str]
    """Built-in chains and their policies; empty where the text does not say."""


def parse_rules(text: str, program: str) -> Ruleset:
    """The text as a ruleset: every table and chain in it, in its order; counters are left out.

    Reads what iptables-save prints and what `transaction.restore_text` writes: several blocks of
    one table are one table, and `-I CHAIN N` puts a rule at that place. A chain that has a policy,
    or no line of its own, is a built-in one; its policy (`ACCEPT`, `DROP`) is its `hook`.

    Raises DumpError for any other line, and for a table without its COMMIT: a dump cut short must
    never pass for one that has fewer rules.
    """
    tables: dict[str, _OpenTable] = {}
    table: _OpenTable | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("*"):
            if table is not None:
                raise _fault(number, line, f"table {table.name} has no COMMIT before it")
            name = line[1:].strip()
            table = tables.setdefault(name, _OpenTable(name, {}, {}))
        elif table is None:
            raise _fault(number, line, "it stands outside any table")
        elif line.strip() == "COMMIT":
            table = None
        else:
            _add_line(table, number, line)
    if table is not None:
        raise DumpError(f"the rules end inside table {table.name}: they were cut short")
    return Ruleset(program, tuple(_closed(table) for table in tables.values()))


def _add_line(table: _OpenTable, number: int, line: str) -> None:
    """A line inside a table: `:CHAIN …`, or a rule with or without counters before it."""
    if line.startswith(":"):
        name, _, policy = line[1:].partition(" ")
        table.chains.setdefault(name, [])
        if not policy.startswith("-"):
            table.built_in[name] = policy.split(" ", 1)[0]
        return
    rule = _COUNTERS.sub("", line).rstrip()
    if rule.startswith("-A "):
        _rules_of(table, rule.split(" ", 2)[1]).append(rule)
        return
    inserted = _INSERT.fullmatch(rule)
    if inserted is None:
        raise _fault(number, line, "it is no line of iptables-save")
    rules = _rules_of(table, inserted["chain"])
    rules.insert(int(inserted["position"]) - 1, f"-A {inserted['chain']} {inserted['rule']}")


def _rules_of(table: _OpenTable, chain: str) -> list[str]:
    if chain not in table.chains:
        table.chains[chain] = []
        table.built_in[chain] = ""
    return table.chains[chain]


def _closed(table: _OpenTable) -> Table:
    chains = [
        Chain(name, tuple(rules), hook=table.built_in.get(name, ""))
        for name, rules in table.chains.items()
    ]
    return Table(
        table.name,
        tuple(chain for chain in chains if chain.name not in table.built_in),
        tuple(chain for chain in chains if chain.name in table.built_in),
    )


def _fault(number: int, line: str, reason: str) -> DumpError:
    return DumpError(f"line {number}, {quote(line)}: {reason}")


def jump_target(rule: str) -> str | None:
    """The chain that a rule of ours jumps to; None when it ends in a verdict or has no target."""
    before, found, target = rule.rpartition(" -j ")
    if not found or not target.startswith("KUBE-"):
        return None
    # A comment may hold anything but a quote, so a -j inside of one has an odd number before it.
    return None if before.count('"') % 2 else target.split(" ", 1)[0]
