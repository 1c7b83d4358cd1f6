"""Marks that the observing rules leave on a tracked connection."""

from __future__ import annotations

SENT = 0x01
"""The packet left the node."""
DELIVERED = 0x02
"""The packet was delivered to the node itself."""
SEEN_IN_OUTPUT = 0x04
SEEN_IN_FORWARD = 0x08
SEEN_IN_INPUT = 0x10
"""The host's own rules, which stand after those of the Service proxy, saw the packet."""
SEEN_IN = {"input": SEEN_IN_INPUT, "forward": SEEN_IN_FORWARD, "output": SEEN_IN_OUTPUT}

REPLY_SHIFT = 8
"""So many bits higher are the marks for packets in reply direction."""
