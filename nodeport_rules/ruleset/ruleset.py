"""A ruleset as a value: tables of chains, each rule the text that the kernel's tool prints."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Chain(msgspec.Struct, frozen=True, gc=False):
    """A chain and its rules, each as its tool prints it (`-A KUBE-SVC-… -j KUBE-SEP-…`)."""

    name: str
    rules: tuple[str, ...]


class Table(msgspec.Struct, frozen=True):
    """Our part of one table.

    `chains` stand in the order in which they can be created: none refers to a later one.
    `hooks` are built-in chains with our jumps alone, which go in front of the host's own rules.
    """

    name: str
    chains: tuple[Chain, ...]
    hooks: tuple[Chain, ...]

    def rule_count(self) -> int:
        return sum(len(chain.rules) for chain in (*self.chains, *self.hooks))


class Ruleset(msgspec.Struct, frozen=True):
    """All of our rules for one program (`iptables` or `ip6tables`)."""

    program: str
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table:
        """The table of that name; KeyError when the ruleset has none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)

    def all_chains(self) -> Iterator[tuple[str, Chain]]:
        """Every chain with its table's name, hooks included."""
        for table in self.tables:
            for chain in (*table.chains, *table.hooks):
                yield table.name, chain
