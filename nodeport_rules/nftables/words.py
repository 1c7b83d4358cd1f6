"""A rule as nft prints it, cut into words."""

from __future__ import annotations

import re

from nodeport_rules.errors import NodeportRulesError

_WORD = re.compile(r'\s*("[^"]*"|[{}(),]|[^\s{}"(),]+(?:,[^\s{}"(),]+)*)')
"""A quoted text, a brace, a comma between elements, or a word (`new`, `established,related`)."""

_OPERATORS = frozenset({"|", "&", "^", "/", "-", "<<", ">>", ".", "vmap", "map", "and", "or"})
"""What would make more of a value than the word before it."""


class Unclear(NodeportRulesError):
    """What stands here is not understood. Never leaves the modules that read rules."""


class Words:
    """The words of one rule, read from left to right."""

    def __init__(self, text: str) -> None:
        """Raises Unclear when the text has a quote that nothing closes."""
        self.text = text
        self._words: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.position = 0
        place, length = 0, len(text.rstrip())
        while place < length:
            found = _WORD.match(text, place)
            if found is None:
                raise Unclear(text)
            self._words.append(found[1])
            self._starts.append(found.start(1))
            place = found.end()
            self._ends.append(place)

    def peek(self, ahead: int = 0) -> str:
        """The next word, or one after it; empty at the end."""
        place = self.position + ahead
        return self._words[place] if place < len(self._words) else ""

    def at_end(self) -> bool:
        return self.position >= len(self._words)

    def take(self) -> str:
        """The next word, passing it; raises Unclear at the end."""
        if self.at_end():
            raise Unclear(self.text)
        self.position += 1
        return self._words[self.position - 1]

    def accept(self, *words: str) -> bool:
        """Passes these words if they come next; whether they did."""
        if any(self.peek(ahead) != word for ahead, word in enumerate(words)):
            return False
        self.position += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Passes these words; raises Unclear when others come next."""
        if not self.accept(*words):
            raise Unclear(self.text)

    def value(self) -> str:
        """A value that consists of one word; raises Unclear when more of it follows."""
        word = self.take()
        if word in "{}()," or word.startswith("@") or self.peek() in _OPERATORS:
            raise Unclear(self.text)
        return word

    def quoted(self) -> str:
        """A text in quotes, without them; raises Unclear for anything else, and for escapes."""
        word = self.value()
        if not word.startswith('"') or "\\" in word:
            raise Unclear(self.text)
        return word[1:-1]

    def number(self) -> int:
        """A number, decimal or hexadecimal; raises Unclear for anything else."""
        return number_of(self.value())

    def braces(self) -> str:
        """`{ … }` as it stands, braces included; raises Unclear when there is none."""
        begin = self.position
        self.expect("{")
        depth = 1
        while depth:
            depth += {"{": 1, "}": -1}.get(self.take(), 0)
        return self.since(begin)

    def words_since(self, begin: int) -> list[str]:
        """The words from position `begin` up to the present position."""
        return self._words[begin : self.position]

    def since(self, begin: int) -> str:
        """The text from the word at position `begin` up to the present position."""
        if begin >= self.position:
            return ""
        return self.text[self._starts[begin] : self._ends[self.position - 1]]


def number_of(text: str) -> int:
    """A number of at most 32 bits, decimal or hexadecimal; raises Unclear for anything else."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,8}|[0-9]{1,10}", text, re.ASCII):
        raise Unclear(text)
    number = int(text, 16) if text.startswith("0x") else int(text)
    if number > 0xFFFFFFFF:
        raise Unclear(text)
    return number
