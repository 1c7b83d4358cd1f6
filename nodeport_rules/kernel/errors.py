"""What can go wrong where the host is touched."""

from __future__ import annotations

from nodeport_rules.errors import NodeportRulesError


class KernelError(NodeportRulesError):
    """Base of all errors of this room: the kernel or one of its tools did not do as asked."""


class ToolMissing(KernelError):
    """A program that is needed is not installed."""


class ToolFailed(KernelError):
    """A program ended with a status other than 0, or not at all within its time.

    `status` is its exit status (negative: ended by that signal; None: stopped after its time-out),
    `stderr` what it said.
    """

    def __init__(self, message: str, *, status: int | None, stderr: str) -> None:
        self.status = status
        self.stderr = stderr
        super().__init__(message)


class NamespaceError(KernelError):
    """The kernel does not let this process make, enter or set up a namespace."""


class TopologyError(KernelError):
    """The description of a sandbox is not one that can be built."""
