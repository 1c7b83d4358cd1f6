"""What `nft list table` and `nft list ruleset` print, as rulesets.

Structure only: chains keep their rules as text. Counters are left out, and so are the elements that
the kernel itself has put into a set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nodeport_rules.errors import NodeportRulesError, quote
from nodeport_rules.ruleset.ruleset import Chain, Map, Ruleset, Table

PROGRAM = "nft"
_FLAGS_OF_DYNAMIC = re.compile(r"flags .*\bdynamic\b")
_COUNTER = re.compile(r" counter( packets \d+ bytes \d+)?(?= |$)")
"""Of an element; `nft -s` leaves the numbers out."""
_ELEMENT_COMMENT = re.compile(r' comment "[^"]*"')


class ListingError(NodeportRulesError):
    """Text that is not a whole listing of nft's."""


class _Lines:
    """The lines of a listing with their numbers; continued elements are joined to one line."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while self.number < len(self._lines):
            line = self._lines[self.number].strip()
            self.number += 1
            if not line or line.startswith("#"):
                continue
            while line.startswith("elements = {") and not _closed(line):
                if self.number >= len(self._lines):
                    raise ListingError("the listing ends inside the elements of a set: cut short")
                line += " " + self._lines[self.number].strip()
                self.number += 1
            return line
        raise StopIteration

    def fault(self, line: str, reason: str) -> ListingError:
        return ListingError(f"line {self.number}, {quote(line)}: {reason}")


def _closed(line: str) -> bool:
    bare = re.sub(r'"[^"]*"', "", line)
    return bare.count("{") == bare.count("}")


def parse_listing(text: str) -> Ruleset:
    """The listing as a ruleset, every table in it, in its order.

    Raises ListingError for a listing cut short and for lines that none has.
    """
    lines = _Lines(text)
    tables = []
    for line in lines:
        words = line.split()
        if len(words) != 4 or words[0] != "table" or words[3] != "{":
            raise lines.fault(line, "expected `table FAMILY NAME {`")
        tables.append(_table(lines, words[1], words[2]))
    return Ruleset(PROGRAM, tuple(tables))


def _table(lines: _Lines, family: str, name: str) -> Table:
    chains: list[Chain] = []
    maps: list[Map] = []
    for line in lines:
        if line == "}":
            return Table(name, tuple(chains), family=family, maps=tuple(maps))
        words = line.split()
        if len(words) == 3 and words[2] == "{" and words[0] == "chain":
            chains.append(_chain(lines, words[1]))
        elif len(words) == 3 and words[2] == "{" and words[0] in ("set", "map"):
            maps.append(_map(lines, words[1], is_set=words[0] == "set"))
        elif len(words) >= 3 and words[-1] == "{":
            _skip(lines)
        elif not line.startswith(("comment ", "flags ")):
            raise lines.fault(line, f"expected a chain, set or map of table {name}")
    raise ListingError(f"the listing ends inside table {name}: it was cut short")


def _skip(lines: _Lines) -> None:
    """An object of another kind (a counter, flowtable …), which rules of ours do not have."""
    for line in lines:
        if line == "}":
            return


def _chain(lines: _Lines, name: str) -> Chain:
    rules: list[str] = []
    hook = comment = ""
    for line in lines:
        if line == "}":
            return Chain(name, tuple(rules), hook, comment)
        if line.startswith("type ") and " hook " in line:
            hook = line
        elif line.startswith('comment "') and not rules:
            comment = line[9:-1]
        else:
            rules.append(line)
    raise ListingError(f"the listing ends inside chain {name}: it was cut short")


def _map(lines: _Lines, name: str, *, is_set: bool) -> Map:
    declaration: list[str] = []
    elements: dict[str, str] = {}
    for line in lines:
        if line == "}":
            dynamic = any(_FLAGS_OF_DYNAMIC.match(one) for one in declaration)
            if dynamic:
                elements = {}
            return Map(name, tuple(declaration), elements, is_set, dynamic)
        if line.startswith("elements = {"):
            inner = line[len("elements = {") : line.rindex("}")]
            elements = dict(_element(one, is_set) for one in split_elements(inner))
        else:
            declaration.append(line)
    raise ListingError(f"the listing ends inside {'set' if is_set else 'map'} {name}: cut short")


def split_elements(text: str) -> Iterator[str]:
    """The elements of `{ a, b : c, "d, e" }` without its braces: cut at commas outside of quotes
    and of inner braces."""
    depth, quoted, start = 0, False, 0
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        elif character == "," and not depth:
            yield text[start:position].strip()
            start = position + 1
    if text[start:].strip():
        yield text[start:].strip()


def _element(text: str, is_set: bool) -> tuple[str, str]:
    """Key and value of an element, without its counter and comment."""
    bare = _ELEMENT_COMMENT.sub("", _COUNTER.sub("", text))
    if is_set:
        return bare.strip(), ""
    key, _, value = bare.partition(" : ")
    return key.strip(), value.strip()


def jump_targets(rule: str) -> list[str]:
    """The chains that a rule of ours jumps or goes to by itself (not through a map)."""
    bare = re.sub(r'"[^"]*"', "", rule)
    return re.findall(r"\b(?:jump|goto) (\S+?)(?=[ ,}]|$)", bare)


def map_references(rule: str) -> list[str]:
    """The named maps and sets that a rule looks something up in."""
    return re.findall(r"@(\S+?)(?=[ ,}]|$)", re.sub(r'"[^"]*"', "", rule))
