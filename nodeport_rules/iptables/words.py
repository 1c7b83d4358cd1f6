"""A rule of iptables-save cut into words, and words into sections.

iptables-save quotes what has blanks in it, with backslashes before quotes and backslashes
(libxtables' xtables_save_string). A section is one thing that a rule says: a property of the
packet (`! -s 10.0.0.0/8`), a match with its options (`-m tcp --dport 80`), the target.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

_WORD = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?!\S)')
_ESCAPED = re.compile(r"\\(.)")
_START = re.compile(r"-[A-Za-z]", re.ASCII)
_TARGETS = ("-j", "-g")


class Word(msgspec.Struct, frozen=True, gc=False):
    """A word, unquoted, and where it stands in the rule."""

    text: str
    start: int
    end: int
    quoted: bool = False

    def is_option(self) -> bool:
        return not self.quoted and self.text.startswith("--")

    def is_not(self) -> bool:
        """Whether it negates what follows."""
        return not self.quoted and self.text == "!"


def split_words(text: str) -> list[Word] | None:
    """The words of a rule; None when quotes do not match up."""
    words = []
    position, length = 0, len(text.rstrip())
    while position < length:
        found = _WORD.match(text, position)
        if found is None:
            return None
        position = found.end()
        if found[1] is None:
            words.append(Word(found[2], found.start(2), position))
        else:
            shown = _ESCAPED.sub(r"\1", found[1])
            words.append(Word(shown, found.start(1) - 1, position, quoted=True))
    return words


class Option(msgspec.Struct, frozen=True):
    """`! --name value …`, without the dashes."""

    name: str
    values: tuple[str, ...]
    negated: bool


class Section(msgspec.Struct, frozen=True):
    """One thing that a rule says: its letter (`-s`, `-m`, `-j` …) and what follows it."""

    letter: str
    words: tuple[Word, ...]
    """The words after the letter."""
    negated: bool
    start: int
    end: int

    @property
    def values(self) -> tuple[str, ...]:
        """The words up to the first option: an address, the name of a match or target."""
        found = []
        for word in self.words:
            if word.is_option() or word.is_not():
                break
            found.append(word.text)
        return tuple(found)

    def options(self) -> list[Option] | None:
        """The options after the values; None when something stands there that is none."""
        found: list[Option] = []
        words = self.words[len(self.values) :]
        position = 0
        while position < len(words):
            negated = words[position].is_not()
            position += negated
            if position >= len(words) or not words[position].is_option():
                return None
            name = words[position].text[2:]
            end = position + 1
            while end < len(words) and not (words[end].is_option() or words[end].is_not()):
                end += 1
            values = tuple(word.text for word in words[position + 1 : end])
            found.append(Option(name, values, negated))
            position = end
        return found


def split_sections(words: list[Word]) -> list[Section]:
    """The sections of a rule's words (those after `-A CHAIN`), in their order.

    Everything after the target's name belongs to the target. Words before the first letter, which
    no rule of iptables-save has, make a section without a letter.
    """
    return list(_sections(words))


def _sections(words: list[Word]) -> Iterator[Section]:
    begin = 0
    in_target = False
    for position, word in enumerate(words):
        if in_target or word.quoted or not _START.fullmatch(word.text):
            continue
        start = position - 1 if position and words[position - 1].is_not() else position
        if start > begin:
            yield _section(words[begin:start])
        begin = start
        in_target = word.text in _TARGETS
    if begin < len(words):
        yield _section(words[begin:])


def _section(words: list[Word]) -> Section:
    negated = words[0].is_not() and len(words) > 1
    first = words[1] if negated else words[0]
    has_letter = not first.quoted and _START.fullmatch(first.text) is not None
    rest = words[1 + negated :] if has_letter else words
    return Section(
        first.text if has_letter else "",
        tuple(rest),
        negated and has_letter,
        words[0].start,
        words[-1].end,
    )
