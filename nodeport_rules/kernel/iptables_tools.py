"""iptables-restore and iptables-save, in a network namespace of choice."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nodeport_rules.kernel.errors import KernelError, ToolFailed
from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.processes import run
from nodeport_rules.kernel.restore_blocks import lines_per_block, split_blocks

Family = Literal["ipv4", "ipv6"]
Variant = Literal["default", "nft", "legacy"]
"""Which iptables: the one the host has as `iptables`, or one of the two kinds by name."""

FAMILY_PREFIX: dict[Family, str] = {"ipv4": "ip", "ipv6": "ip6"}
VARIANT_INFIX: dict[Variant, str] = {"default": "", "nft": "-nft", "legacy": "-legacy"}

TABLES = ("mangle", "filter", "nat")

NEIGHBOURS = 2
"""Lines shown before and after the line that iptables-restore refused."""

_FAILED_LINE = re.compile(r"line:? (\d+)")
_COUNTED_RULE = re.compile(r"\[(?P<packets>\d+):(?P<bytes>\d+)\] -A (?P<chain>\S+) ?(?P<text>.*)")
_TARGET = re.compile(r"(?:^| )-[jg] (\S+)")


class RestoreFailed(ToolFailed):
    """iptables-restore refused its input; nothing of the block it names was written.

    `line` is the number, from 1, of the line it names; None when it names none.
    """

    def __init__(self, message: str, *, status: int | None, stderr: str, line: int | None) -> None:
        self.line = line
        super().__init__(message, status=status, stderr=stderr)


def program(family: Family, verb: Literal["restore", "save"], variant: Variant = "default") -> str:
    """The program's name, such as `ip6tables-legacy-save`."""
    return f"{FAMILY_PREFIX[family]}tables{VARIANT_INFIX[variant]}-{verb}"


@contextlib.contextmanager
def _inside(namespace: NetworkNamespace | None) -> Iterator[tuple[int, dict[str, str]]]:
    """Enter the namespace, with a lock of its own for iptables: (descriptor, environment).

    The host's lock file (/run/xtables.lock) guards the host's rules. Rules of a namespace that
    only this process knows need a lock that belongs to nobody else and leaves no file behind.
    """
    lock = os.memfd_create("xtables.lock", os.MFD_CLOEXEC)
    try:
        if namespace is None:
            yield lock, {}
        else:
            with namespace.entered():
                yield lock, {"XTABLES_LOCKFILE": f"/proc/self/fd/{lock}"}
    finally:
        os.close(lock)


def restore(
    family: Family,
    text: str,
    *,
    namespace: NetworkNamespace | None = None,
    variant: Variant = "default",
    flush: bool = False,
    timeout: float = 300.0,
) -> None:
    """Load rules: `text` is input of iptables-restore, added to what is there.

    `namespace` None means the namespace that this process is in. With `flush`, each table in the
    text is emptied first; without, blocks larger than this process may send are split (see
    `restore_blocks`). `timeout` is in seconds. Raises `RestoreFailed` with the line refused and
    its neighbours, or `ToolMissing`.
    """
    command = [program(family, "restore", variant), "-w"]
    if not flush:
        command.append("--noflush")
        limit = lines_per_block() if variant != "legacy" else None
        text = text if limit is None else split_blocks(text, limit)
    with _inside(namespace) as (lock, environment):
        try:
            run(command, text=text, timeout=timeout, keep_open=(lock,), environment=environment)
        except ToolFailed as error:
            found = _FAILED_LINE.search(error.stderr)
            line = int(found.group(1)) if found else None
            place = f" in the network namespace of {namespace.label}" if namespace else ""
            raise RestoreFailed(
                f"the kernel did not take the rules{place}: {error}{_excerpt(text, line)}",
                status=error.status,
                stderr=error.stderr,
                line=line,
            ) from error


def _excerpt(text: str, line: int | None) -> str:
    """The line numbered `line` (from 1) with its neighbours, marked, each on a line of its own."""
    lines = text.splitlines()
    if line is None or not 1 <= line <= len(lines):
        return ""
    first = max(1, line - NEIGHBOURS)
    shown = range(first, min(len(lines), line + NEIGHBOURS) + 1)
    return "".join(
        f"\n{'>' if number == line else ' '} {number:6}: {lines[number - 1]}" for number in shown
    )


def save(
    family: Family,
    *,
    namespace: NetworkNamespace | None = None,
    variant: Variant = "default",
    table: str | None = None,
    counters: bool = False,
    timeout: float = 300.0,
) -> str:
    """The rules there are, as iptables-save prints them: all tables, or the one named.

    With `counters`, each rule begins with its [packets:bytes]. Raises `ToolFailed` (an
    iptables-save that crashes is an error, never an empty ruleset) or `ToolMissing`.
    """
    command = [program(family, "save", variant)]
    if counters:
        command.append("-c")
    if table is not None:
        if table not in (*TABLES, "raw", "security"):
            raise KernelError(f"iptables has no table {table!r}")
        command += ["-t", table]
    with _inside(namespace) as (lock, environment):
        return run(command, timeout=timeout, keep_open=(lock,), environment=environment)


def clear(family: Family, *, namespace: NetworkNamespace, variant: Variant = "default") -> None:
    """Empty the tables that hold Service rules in `namespace`, chains of others included.

    Meant for a namespace of one's own: it takes a namespace, never "the host".
    """
    built_in = {
        "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    }
    text = "".join(
        f"*{table}\n" + "".join(f":{chain} ACCEPT [0:0]\n" for chain in chains) + "COMMIT\n"
        for table, chains in built_in.items()
    )
    restore(family, text, namespace=namespace, variant=variant, flush=True)


@dataclass(frozen=True)
class CountedRule:
    """One rule of a chain with the packets that it has matched.

    In the nat table that is one packet a connection: only the first passes through it.
    `text` is the rule as iptables-save prints it after `-A chain`; `target` is the chain or target
    that it jumps to, empty when it has none.
    """

    chain: str
    text: str
    target: str
    packets: int


def counted_rules(
    family: Family,
    table: str,
    *,
    namespace: NetworkNamespace | None = None,
    variant: Variant = "default",
) -> tuple[CountedRule, ...]:
    """The rules of one table in the order of iptables-save, with their packet counters."""
    dump = save(family, namespace=namespace, variant=variant, table=table, counters=True)
    rules = []
    for line in dump.splitlines():
        found = _COUNTED_RULE.fullmatch(line)
        if found is None:
            continue
        targets = _TARGET.findall(re.sub(r'"(?:[^"\\]|\\.)*"', "", found["text"]))
        rules.append(
            CountedRule(
                chain=found["chain"],
                text=found["text"],
                target=targets[-1] if targets else "",
                packets=int(found["packets"]),
            )
        )
    return tuple(rules)
