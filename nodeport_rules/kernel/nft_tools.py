"""The program nft, in a network namespace of choice: loading scripts and listing tables."""

from __future__ import annotations

import contextlib
from typing import Literal

from nodeport_rules.kernel.namespaces import NetworkNamespace
from nodeport_rules.kernel.processes import run

TableFamily = Literal["ip", "ip6", "inet"]
"""The families of tables that Service rules, or rules beside them, live in."""


def load(text: str, *, namespace: NetworkNamespace | None = None, timeout: float = 300.0) -> None:
    """Run a script through `nft -f -`: one transaction, all of it or nothing.

    `namespace` None means the namespace that this process is in. `timeout` is in seconds. Raises
    `ToolFailed` with what nft said (it names line and column), or `ToolMissing`.
    """
    with namespace.entered() if namespace else contextlib.nullcontext():
        run(["nft", "-f", "-"], text=text, timeout=timeout)


def list_table(
    family: TableFamily,
    table: str,
    *,
    namespace: NetworkNamespace | None = None,
    stateless: bool = False,
    timeout: float = 300.0,
) -> str:
    """One table as nft lists it; `stateless` leaves out counters and what the kernel remembers.

    Raises `ToolFailed` (also when there is no such table) or `ToolMissing`.
    """
    command = ["nft", *(["-s"] if stateless else []), "list", "table", family, table]
    with namespace.entered() if namespace else contextlib.nullcontext():
        return run(command, timeout=timeout)
