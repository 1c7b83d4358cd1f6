"""One rule of iptables-save as meaning.

The kernel looks at the addresses, interfaces and protocol of a rule first, wherever they stand in
its text, then at the matches in their order, and last comes the target.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from nodeport_rules.iptables.match_meaning import MATCHES
from nodeport_rules.iptables.target_meaning import TARGETS
from nodeport_rules.iptables.words import Section, split_sections, split_words
from nodeport_rules.ruleset.canonical import canonical_network, canonical_protocol
from nodeport_rules.ruleset.meaning import (
    ActUnknown,
    AnyStep,
    Field,
    Goto,
    Jump,
    MatchAddress,
    MatchInterface,
    MatchProtocol,
    MatchUnknown,
    RuleMeaning,
)

_WHOLE_PROTOCOLS = ("0", "all")


class RuleReader:
    """Reads the rules of one table: `chains` are the table's, `family` is `ip` or `ip6`."""

    def __init__(self, chains: Collection[str], family: str) -> None:
        self._chains = chains
        self._family = family

    def read(self, text: str) -> RuleMeaning:
        """The meaning of `-A CHAIN …`; what is not understood stands in it as text."""
        words = split_words(text)
        if words is None or len(words) < 2 or words[0].text != "-A":
            return RuleMeaning((MatchUnknown(text), ActUnknown(text)), text)
        packet: list[AnyStep] = []
        matches: list[AnyStep] = []
        target: list[AnyStep] = []
        sections = split_sections(words[2:])
        protocol = _protocol_of(sections)
        for section in sections:
            shown = text[section.start : section.end]
            if section.letter in ("-j", "-g"):
                target += self._target(section, shown)
            elif section.letter == "-m":
                matches += self._match(section, shown, protocol)
            else:
                packet += self._packet(section, shown)
        return RuleMeaning((*packet, *matches, *target), text)

    def _packet(self, section: Section, shown: str) -> list[AnyStep]:
        read = _PACKET.get(section.letter)
        value = section.values[0] if len(section.words) == len(section.values) == 1 else None
        steps = read(value, section.negated, self._family) if read and value is not None else None
        return [MatchUnknown(shown)] if steps is None else steps

    def _match(self, section: Section, shown: str, protocol: str) -> list[AnyStep]:
        values, options = section.values, section.options()
        if len(values) != 1 or options is None or section.negated:
            return [MatchUnknown(shown)]
        read = MATCHES.get(values[0])
        steps = read(options, protocol, self._family) if read else None
        return [MatchUnknown(shown)] if steps is None else steps

    def _target(self, section: Section, shown: str) -> list[AnyStep]:
        values, options = section.values, section.options()
        if len(values) != 1 or options is None or section.negated:
            return [ActUnknown(shown)]
        name = values[0]
        if name in self._chains:
            if options:
                return [ActUnknown(shown)]
            return [Goto(name) if section.letter == "-g" else Jump(name)]
        read = TARGETS.get(name) if section.letter == "-j" else None
        steps = read(options, self._family) if read else None
        return [ActUnknown(shown)] if steps is None else steps


def _protocol_of(sections: list[Section]) -> str:
    """The protocol that the rule is for; empty when it says none."""
    for section in sections:
        if section.letter == "-p" and not section.negated and section.values:
            return canonical_protocol(section.values[0])
    return ""


def _address(field: Field) -> Callable[[str, bool, str], list[AnyStep] | None]:
    def read(value: str, negated: bool, family: str) -> list[AnyStep] | None:
        network = canonical_network(value)
        if network is None or (":" in network) is not (family == "ip6"):
            return None
        return [MatchAddress(field, (network,), negated)]

    return read


def _protocol(value: str, negated: bool, _family: str) -> list[AnyStep] | None:
    if value in _WHOLE_PROTOCOLS:
        return None if negated else []
    return [MatchProtocol(canonical_protocol(value), negated)]


def _interface(value: str, negated: bool, _family: str) -> list[AnyStep]:
    if value.endswith("+"):
        return [MatchInterface(value[:-1], True, negated)]
    return [MatchInterface(value, False, negated)]


_PACKET: dict[str, Callable[[str, bool, str], list[AnyStep] | None]] = {
    "-s": _address(Field.SOURCE),
    "-d": _address(Field.DESTINATION),
    "-p": _protocol,
    "-i": _interface,
}
