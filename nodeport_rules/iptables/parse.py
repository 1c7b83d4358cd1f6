"""iptables-save dumps as rulesets."""

from __future__ import annotations

import re

import msgspec

from nodeport_rules.errors import NodeportRulesError, quote
from nodeport_rules.ruleset.ruleset import Chain, Ruleset, Table


class DumpError(NodeportRulesError):
    """Text that is not a whole iptables-save dump."""


_COUNTERS = re.compile(r"^\[\d+:\d+\] ")


class _OpenTable(msgspec.Struct):
    name: str
    chains: dict[str, list[str]]
    built_in: set[str]


def parse_save(text: str, program: str) -> Ruleset:
    """The dump as a ruleset: every table and chain in it, in its order; counters are left out.

    Raises DumpError for a line that no iptables-save prints, and for a table without its COMMIT: a
    dump cut short must never pass for one that has fewer rules.
    """
    tables: list[Table] = []
    table: _OpenTable | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("*"):
            if table is not None:
                raise _fault(number, line, f"table {table.name} has no COMMIT before it")
            table = _OpenTable(line[1:].strip(), {}, set())
        elif table is None:
            raise _fault(number, line, "it stands outside any table")
        elif line.strip() == "COMMIT":
            tables.append(_closed(table))
            table = None
        else:
            _add_line(table, number, line)
    if table is not None:
        raise DumpError(f"the dump ends inside table {table.name}: it was cut short")
    return Ruleset(program, tuple(tables))


def _add_line(table: _OpenTable, number: int, line: str) -> None:
    """A line inside a table: `:CHAIN …`, or a rule with or without counters before it."""
    if line.startswith(":"):
        name, _, policy = line[1:].partition(" ")
        table.chains.setdefault(name, [])
        if not policy.startswith("-"):
            table.built_in.add(name)
        return
    rule = _COUNTERS.sub("", line).rstrip()
    if not rule.startswith("-A "):
        raise _fault(number, line, "it is no line of an iptables-save dump")
    name = rule.split(" ", 2)[1]
    if name not in table.chains:
        table.chains[name] = []
        table.built_in.add(name)
    table.chains[name].append(rule)


def _closed(table: _OpenTable) -> Table:
    chains = [Chain(name, tuple(rules)) for name, rules in table.chains.items()]
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
    # A comment may hold anything but a quote, so the last -j outside of quotes is the real one.
    return None if before.count('"') % 2 else target.split(" ", 1)[0]
