"""Rules, shares and ends in words."""

from __future__ import annotations

import pytest

from nodeport_rules.report.explain_text import BAD, DIM, fit, painted, shorter_names
from nodeport_rules.report.explain_words import (
    actions_in_words,
    ends_of,
    matches_in_words,
    percent,
    summary,
)
from nodeport_rules.ruleset.meaning import (
    Accept,
    ActUnknown,
    AnyStep,
    Drop,
    Field,
    Goto,
    Lookup,
    Masquerade,
    MatchAddress,
    MatchChance,
    MatchInterface,
    MatchLocal,
    MatchMark,
    MatchPort,
    MatchProtocol,
    MatchSet,
    MatchState,
    MatchUnknown,
    Reject,
    Return,
    SetMark,
    State,
    Translate,
)
from nodeport_rules.ruleset.packet import Ending, Outcome

DESTINATION, SOURCE = Field.DESTINATION, Field.SOURCE


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1, "100 %"),
        (1 / 3, "33.3 %"),
        (0.33333333325, "33.3 %"),
        (0.02, "2 %"),
        (0.1, "10 %"),
        (0.0004, "0.04 %"),
        (0.00001, "< 0.01 %"),
        (0, "0 %"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([], ""),
        ([MatchProtocol("tcp"), MatchPort(80, 80)], "tcp port 80"),
        ([MatchProtocol("udp"), MatchLocal(DESTINATION), MatchPort(1, 9)], "udp port 1-9, to an"),
        ([MatchPort(80, 80, negate=True)], "not port 80"),
        ([MatchAddress(DESTINATION, ("10.0.0.1/32",))], "to 10.0.0.1"),
        ([MatchAddress(SOURCE, ("10.0.0.0/8",), negate=True)], "not from 10.0.0.0/8"),
        ([MatchAddress(SOURCE, ("a", "b", "c", "d"))], "from a or b or 2 more"),
        ([MatchAddress(DESTINATION, ("fd00::1/128",))], "to fd00::1"),
        ([MatchInterface("cni0", negate=True)], "not in by cni0"),
        ([MatchInterface("veth", prefix=True)], "in by veth*"),
        ([MatchState(frozenset({State.NEW}))], "connection new"),
        ([MatchState(frozenset({State.DNAT}))], "translated before"),
        ([MatchMark(0x4000, 0x4000, negate=True)], "not marked 0x4000"),
        ([MatchMark(0, 0x4000, negate=True)], "marked 0x4000"),
        ([MatchMark(0, 0x4000)], "not marked 0x4000"),
        ([MatchMark(1, 3)], "mark 0x1 under 0x3"),
        ([MatchSet((SOURCE,), "hairpins")], "in set hairpins"),
        ([MatchChance(0.5)], "by chance"),
        ([MatchUnknown("-m geoip")], "not understood: -m geoip"),
    ],
)
def test_matches(steps: list[AnyStep], text: str) -> None:
    assert matches_in_words(steps).startswith(text)
    assert bool(matches_in_words(steps)) is bool(text)


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([Goto("KUBE-SVC-A")], "→ KUBE-SVC-A"),
        ([Lookup((DESTINATION,), "services")], "→ CHOSEN"),
        ([SetMark(0, 0x4000), Masquerade()], "mark becomes 0x4000, source becomes"),
        ([Translate((("10.0.0.1", 80),))], "→ 10.0.0.1:80"),
        ([Translate((("fd00::1", 80),))], "→ [fd00::1]:80"),
        ([Translate((("10.0.0.1", 0),))], "→ 10.0.0.1"),
        ([Translate((("10.0.0.1", 80), ("10.0.0.2", 80)))], "→ one of 2 endpoints"),
        ([Accept()], "accepted"),
        ([Drop()], "dropped"),
        ([Reject()], "refused"),
        ([Return()], "back to the chain before"),
        ([ActUnknown("queue")], "not understood: queue"),
        ([MatchPort(80, 80)], ""),
    ],
)
def test_actions(steps: list[AnyStep], text: str) -> None:
    assert actions_in_words(steps, "→ CHOSEN", 0x4000).startswith(text)


def outcome(
    share: float, address: str, *, ending: Ending = Ending.TRANSLATED, masqueraded: bool = False
) -> Outcome:
    return Outcome(ending, share, address, 80, masqueraded, False, ())


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ([outcome(1, "10.0.0.1")], "1 endpoint, 10.0.0.1:80; the source is kept"),
        (
            [outcome(0.5, "10.0.0.1", masqueraded=True), outcome(0.5, "10.0.0.2")],
            "2 endpoints, 50 % each; the source becomes the node's address for 1 of them",
        ),
        (
            [outcome(0.25, "10.0.0.1"), outcome(0.75, "10.0.0.2")],
            "2 endpoints, 25 % to 75 %; the source is kept",
        ),
        (
            [outcome(0.5, "a"), outcome(0.5, "a")],
            "1 endpoint, a:80; the source is kept",
        ),
        ([outcome(1, "a", ending=Ending.REJECTED)], "Refused: the sender is told so at once"),
        ([outcome(1, "a", ending=Ending.DROPPED)], "Dropped: the sender gets no answer"),
        ([outcome(1, "a", ending=Ending.PASSED)], "No Service's business: its destination stays"),
        (
            [outcome(0.5, "a"), outcome(0.5, "b", ending=Ending.DROPPED)],
            "50 % 1 endpoint, a:80; the source is kept; 50 % dropped: the sender gets no answer",
        ),
    ],
)
def test_ends(outcomes: list[Outcome], text: str) -> None:
    assert summary(ends_of(outcomes)) == text


def test_what_does_not_fit_is_shortened() -> None:
    name = "service-JAEN4XLV-" + "a" * 60 + "/tcp/"
    assert fit("short", 10) == "short"
    assert fit("a" * 20, 10) == "a" * 9 + "…"
    assert len(fit(f"→ {name}", 60)) <= 60
    assert shorter_names(name).startswith("service-JAEN4XLV")
    assert shorter_names(name).endswith("/tcp/")


def test_painting() -> None:
    line = [(DIM, "└─ "), (BAD, "dropped")]
    assert painted(line, colour=False) == "└─ dropped"
    assert painted(line, colour=True) == "\x1b[2m└─ \x1b[0m\x1b[31mdropped\x1b[0m"
    assert painted([(BAD, "a\x1b[31mb\n")], colour=False) == "a?[31mb?"
