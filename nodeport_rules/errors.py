"""What can go wrong, in words for people: what, where, and what to do.

Everything this program raises on purpose is a `NodeportRulesError`. Input that is wrong is not
raised but collected as `Fault` values, so that all faults of a run can be shown at once.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

MAX_QUOTED = 80


def quote(value: object) -> str:
    """`value` as it may be shown in a message: on one line, printable, and short.

    Input is hostile until checked: a newline or an escape sequence in a name must not be able to
    forge a line of our own output or to drive the terminal.
    """
    text = value if isinstance(value, str) else repr(value)
    shown = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    if len(shown) > MAX_QUOTED:
        shown = shown[: MAX_QUOTED - 1] + "…"
    return f'"{shown}"' if isinstance(value, str) else shown


class Fault(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong with the input.

    `where` is file and document ("web.yaml, document 2"), `subject` the object ("Service
    default/web"), `field` its path inside the object ("spec.ports[0].port"); each may be empty.
    `message` says what is wrong and, where that is not plain from it, what to do.
    """

    where: str
    subject: str
    field: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.subject, self.field) if part) + (
            f": {self.message}" if self.where or self.subject or self.field else self.message
        )


class NodeportRulesError(Exception):
    """Base of all errors of this program; `str()` is the message for the user."""


class UsageError(NodeportRulesError):
    """A flag, a flag's value or a combination of flags cannot be used."""


class InputError(NodeportRulesError):
    """The input has faults; all of them are in `faults`."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))
