"""A ruleset as a value: tables of chains, each rule the text that the kernel's tool prints."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Chain(msgspec.Struct, frozen=True, gc=False):
    """A chain and its rules, each as its tool prints it (`-A KUBE-SVC-… -j KUBE-SEP-…`)."""

    name: str
    rules: tuple[str, ...]
    hook: str = ""
    """nftables: what makes it a base chain (`type nat hook output priority -100; …`)."""
    comment: str = ""
    """nftables: the chain's comment."""


class Map(msgspec.Struct, frozen=True):
    """An nftables map or set.

    `declaration` is all of its properties, as nft prints them: type, flags, counter, comment.
    `elements` are key and value as nft prints them, without counters; the value of a set's element
    is empty. Where the kernel itself adds elements (`dynamic`), they are not part of the ruleset.
    """

    name: str
    declaration: tuple[str, ...]
    elements: dict[str, str] = {}
    is_set: bool = False
    dynamic: bool = False


class Table(msgspec.Struct, frozen=True):
    """Our part of one table.

    `chains` stand in the order in which they can be created: none refers to a later one.
    `hooks` are built-in chains with our jumps alone, which go in front of the host's own rules.
    """

    name: str
    chains: tuple[Chain, ...]
    hooks: tuple[Chain, ...] = ()
    family: str = ""
    """nftables: the table's family, `ip` or `ip6`."""
    maps: tuple[Map, ...] = ()
    """nftables: maps and sets, in the order in which they can be created."""

    def rule_count(self) -> int:
        return sum(len(chain.rules) for chain in (*self.chains, *self.hooks))


class Ruleset(msgspec.Struct, frozen=True):
    """All of our rules for one program: `iptables`, `ip6tables` or `nft`."""

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
