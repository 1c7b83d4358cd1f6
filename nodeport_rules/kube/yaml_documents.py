"""YAML text as plain Python values, the way Kubernetes reads it.

PyYAML does the parsing (libyaml where it is there); building the values from its events is done
here, because what PyYAML's own loaders build is not what kubectl builds: they turn timestamps into
dates and `22:22` into a number, let the last of two equal keys win without a word, and neither
aliases that multiply nor deep nesting have a bound.

Plain scalars resolve as in sigs.k8s.io/yaml, which kubectl uses: null, booleans in YAML 1.1's
spellings (`yes` and `on` are true), numbers, and everything else is text. A number written with a
fraction of zero (`80.0`) is the whole number, as it is after kubectl's way through JSON. Keys are
always text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from nodeport_rules.errors import quote

MAX_DEPTH = 200
"""Nesting allowed; the deepest in real life are CustomResourceDefinitions, about 40."""

MAX_ALIASED_NODES = 200_000
"""Nodes that the aliases of one document may add up to, each use counted."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG_PREFIX = "tag:yaml.org,2002:"
_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)

_NULL_WORDS = ("", "~", "null", "Null", "NULL")
_TRUE_WORDS = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE_WORDS = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(_NULL_WORDS, None),
    **dict.fromkeys(_TRUE_WORDS, True),
    **dict.fromkeys(_FALSE_WORDS, False),
}
_MAYBE_NUMBER = re.compile(r"[-+.0-9]")
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)")
_OLD_OCTAL = re.compile(r"0[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS = 40
_EXACT_FLOAT = 2**53


class YamlDocument(msgspec.Struct, frozen=True):
    """One document: its value, or what is wrong with it; `line` is where it begins, from 1."""

    line: int
    value: Any = None
    error: str = ""


_COMPLEX_KEY = "has a mapping or a list as a key (a template's {{ … }} reads like that)"


class _DocumentError(Exception):
    """What is wrong with the document at hand; the text is for the user."""


def yaml_documents(text: str) -> Iterator[YamlDocument]:
    """The documents of a stream, one by one; empty ones are left out.

    The text is cut at its `---` lines first (as kubectl does it), so that a document that is no
    YAML costs no other document anything.
    """
    for offset, piece in _pieces(text):
        line = offset + _blank_lines(piece) + 1
        try:
            for value in _Builder(offset).documents(piece):
                if value is not None:
                    yield YamlDocument(line, value)
        except _DocumentError as error:
            yield YamlDocument(line, error=str(error))
        except yaml.YAMLError as error:
            yield YamlDocument(line, error=_syntax_message(error, offset))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """(lines before it, text) of each document; directives (%YAML) stay with theirs."""
    starts = [0]
    for match in _SEPARATOR.finditer(text):
        head = text[starts[-1] : match.start()]
        lines = [line for line in head.splitlines() if line.strip() and line[0] != "#"]
        if not lines or not all(line.startswith("%") for line in lines):
            starts.append(match.start())
    offset = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        piece = text[start:end]
        if _blank_lines(piece) < piece.count("\n") + 1:
            yield offset, piece
        offset += piece.count("\n")


def _blank_lines(piece: str) -> int:
    """How many lines come before the content: blank ones, comments and the separator."""
    count = 0
    for line in piece.split("\n"):
        bare = line.strip()
        if bare and not bare.startswith("#") and bare != "---":
            return count
        count += 1
    return count


def _syntax_message(error: yaml.YAMLError, offset: int) -> str:
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable")
    mark = getattr(error, "problem_mark", None)
    place = f" (line {offset + mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"is no YAML: {problem if problem.isprintable() else quote(problem)}{place}"


class _Frame:
    """A mapping or list being filled."""

    __slots__ = ("anchor", "items", "key", "mapping", "merged", "merging", "size")

    def __init__(self, anchor: str | None, *, is_mapping: bool) -> None:
        self.anchor = anchor
        self.mapping: dict[str, Any] | None = {} if is_mapping else None
        self.items: list[Any] = []
        self.key: str | None = None
        self.merging = False
        self.merged: list[dict[str, Any]] = []
        self.size = 1


class _Builder:
    """Values from libyaml's events; no recursion, so that nesting costs no stack."""

    def __init__(self, offset: int) -> None:
        """`offset` is how many lines of the file come before the text."""
        self._offset = offset
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliased = 0
        self._root: Any = None

    def documents(self, piece: str) -> Iterator[Any]:
        """The values of the piece's documents (one, as a rule)."""
        for event in yaml.parse(piece, Loader=_LOADER):
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent):
                self._open(event, is_mapping=True)
            elif isinstance(event, yaml.SequenceStartEvent):
                self._open(event, is_mapping=False)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._close(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._anchors, self._aliased, self._root = {}, 0, None
            elif isinstance(event, yaml.DocumentEndEvent):
                yield self._root

    def _error(self, event: yaml.Event, message: str) -> _DocumentError:
        line = self._offset + (event.start_mark.line if event.start_mark else 0) + 1
        return _DocumentError(f"{message} (line {line})")

    def _open(self, event: yaml.CollectionStartEvent, *, is_mapping: bool) -> None:
        if self._stack and self._stack[-1].mapping is not None and self._stack[-1].key is None:
            raise self._error(event, _COMPLEX_KEY)
        if len(self._stack) >= MAX_DEPTH:
            raise self._error(event, f"is nested more than {MAX_DEPTH} levels deep")
        self._stack.append(_Frame(event.anchor, is_mapping=is_mapping))

    def _close(self, event: yaml.CollectionEndEvent) -> None:
        frame = self._stack.pop()
        value: Any = frame.items if frame.mapping is None else frame.mapping
        if frame.mapping is not None:
            for source in frame.merged:
                for key, item in source.items():
                    frame.mapping.setdefault(key, item)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (value, frame.size)
        self._add(event, value, frame.size)

    def _alias(self, event: yaml.AliasEvent) -> None:
        anchor = event.anchor or ""
        if anchor not in self._anchors:
            raise self._error(event, f"has an alias of {quote(anchor)}, which is not defined yet")
        value, size = self._anchors[anchor]
        self._aliased += size
        if self._aliased > MAX_ALIASED_NODES:
            raise self._error(event, f"has aliases for more than {MAX_ALIASED_NODES} values")
        self._add(event, value, size)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        text: str = event.value
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.mapping is not None and frame.key is None:
            if event.anchor is not None:
                self._anchors[event.anchor] = (text, 1)
            self._take_key(event, frame, text, is_merge=text == "<<" and event.implicit[0])
            return
        value: Any = text
        if event.implicit[0] or event.tag in _RESOLVED_TAGS:
            value = plain_value(text)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._add(event, value, 1)

    def _take_key(self, event: yaml.Event, frame: _Frame, text: str, *, is_merge: bool) -> None:
        frame.merging = is_merge
        if is_merge:
            frame.key = text
        elif frame.mapping is not None and text in frame.mapping:
            raise self._error(event, f"has the key {quote(text)} twice in one mapping")
        else:
            frame.key = text

    def _add(self, event: yaml.Event, value: object, size: int) -> None:
        if not self._stack:
            self._root = value
            return
        frame = self._stack[-1]
        frame.size += size
        if frame.mapping is None:
            frame.items.append(value)
        elif frame.key is None:
            if not isinstance(value, str):
                raise self._error(event, "has an alias as key that is no text")
            self._take_key(event, frame, value, is_merge=False)
        elif frame.merging:
            for source in value if isinstance(value, list) else [value]:
                if not isinstance(source, dict):
                    raise self._error(event, 'has a merge key "<<" of something that is no mapping')
                frame.merged.append(source)
            frame.key = None
        else:
            frame.mapping[frame.key] = value
            frame.key = None


_RESOLVED_TAGS = frozenset(_TAG_PREFIX + name for name in ("null", "bool", "int", "float"))


def plain_value(text: str) -> bool | int | float | str | None:
    """What a plain scalar stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if not _MAYBE_NUMBER.match(text) or len(text) > _MAX_DIGITS:
        return text
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(digits):
        sign = -1 if digits[0] == "-" else 1
        bare = digits.lstrip("+-").lower()
        return sign * (int(bare, 8) if _OLD_OCTAL.fullmatch(bare) else int(bare, 0))
    if _FLOAT.fullmatch(digits):
        number = float(digits)
        return int(number) if abs(number) < _EXACT_FLOAT and number.is_integer() else number
    return text
