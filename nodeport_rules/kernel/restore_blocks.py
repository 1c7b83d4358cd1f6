"""Input of iptables-restore in blocks that one netlink message can hold.

iptables-nft sends what stands between `*table` and `COMMIT` as one message, and asks for a send
buffer of that size in the way that only root of the host may. For root of a user namespace the
buffer stays at net.core.wmem_default, and a few hundred rules are "Message too long".
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

SO_SNDBUFFORCE = 32
"""asm-generic/socket.h: set a send buffer without regard to the limit, if one may."""


BYTES_A_LINE = 1500
"""More than a rule of kube-proxy's takes in a netlink message, long comments included."""

FEWEST_LINES = 20


def lines_per_block() -> int | None:
    """How many lines one block may have for this process; None when there is no limit.

    A new socket's buffer is of the default size, whatever its family.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
        size = tried.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        try:
            tried.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, size)
        except PermissionError:
            return max(size // BYTES_A_LINE, FEWEST_LINES)
    return None


def split_blocks(text: str, limit: int) -> str:
    """The same input in blocks of at most `limit` lines between `*table` and `COMMIT`.

    Only for `--noflush`, where a block adds to what earlier ones left. Lines keep their order, so
    a ruleset written leaves first still has every chain complete before anything jumps to it.
    """
    return "".join(f"{line}\n" for line in _split(text, limit))


def _split(text: str, limit: int) -> Iterator[str]:
    table = ""
    count = 0
    for line in text.splitlines():
        if line.startswith("*"):
            table, count = line, 0
        elif line == "COMMIT":
            table = ""
        elif table:
            if count == limit:
                yield "COMMIT"
                yield table
                count = 0
            count += 1
        yield line
