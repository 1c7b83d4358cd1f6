"""iptables rules as meaning: every construct, what is not understood, and the recordings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeport_rules.iptables.meaning import DumpMeaningError, meaning_of
from nodeport_rules.iptables.parse import parse_rules
from nodeport_rules.iptables.rule_meaning import RuleReader
from nodeport_rules.model.family import Family
from nodeport_rules.ruleset.meaning import (
    Accept,
    ActUnknown,
    AnyStep,
    Drop,
    Field,
    Goto,
    Hook,
    HookPoint,
    Jump,
    Masquerade,
    MatchAddress,
    MatchChance,
    MatchInterface,
    MatchLocal,
    MatchMark,
    MatchPort,
    MatchProtocol,
    MatchRemembered,
    MatchState,
    MatchUnknown,
    Reject,
    Remember,
    Return,
    SetMark,
    State,
    Translate,
)
from tests.unit.recorded import FAMILY_WORDS, STATES, compiled, iptables_dump, not_understood

CHAINS = {"KUBE-A", "KUBE-B"}
TCP, UDP = MatchProtocol("tcp"), MatchProtocol("udp")
BITS = 0xFFFFFFFF


def steps(rule: str, family: str = "ip") -> tuple[AnyStep, ...]:
    """The steps of `-A KUBE-A` and `rule`."""
    return RuleReader(CHAINS, family).read(f"-A KUBE-A {rule}").steps


def source(*networks: str, negate: bool = False) -> MatchAddress:
    return MatchAddress(Field.SOURCE, networks, negate)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("", ()),
        ("-s 10.0.0.0/8", (source("10.0.0.0/8"),)),
        ("! -s 10.0.0.1/32", (source("10.0.0.1/32", negate=True),)),
        ("-s 10.0.0.1", (source("10.0.0.1/32"),)),
        ("-s 10.1.2.3/255.255.0.0", (source("10.1.0.0/16"),)),
        ("-s 0.0.0.0/0.0.0.0", (source("0.0.0.0/0"),)),
        ("-d 10.0.0.1/32", (MatchAddress(Field.DESTINATION, ("10.0.0.1/32",)),)),
        ("-p tcp", (TCP,)),
        ("-p 17", (UDP,)),
        ("-p all", ()),
        ("! -p sctp", (MatchProtocol("sctp", True),)),
        ("-p 89", (MatchProtocol("89"),)),
        ("-i cni0", (MatchInterface("cni0"),)),
        ("! -i cali+", (MatchInterface("cali", True, True),)),
        ('-m comment --comment "a -j DROP \\"! -s x\\""', ()),
        ("-m comment --comment plain", ()),
        ("-p tcp -m tcp", (TCP,)),
        ("-p tcp -m tcp --dport 80", (TCP, MatchPort(80, 80))),
        ("-p udp -m udp ! --dport 80:90", (UDP, MatchPort(80, 90, True))),
        ("-p 132 -m sctp --dport 7", (MatchProtocol("sctp"), MatchPort(7, 7))),
        ("-m addrtype --dst-type LOCAL", (MatchLocal(Field.DESTINATION),)),
        ("-m addrtype ! --src-type LOCAL", (MatchLocal(Field.SOURCE, True),)),
        (
            "-m addrtype --src-type LOCAL ! --dst-type LOCAL",
            (MatchLocal(Field.SOURCE), MatchLocal(Field.DESTINATION, True)),
        ),
        ("-m conntrack --ctstate NEW", (MatchState(frozenset({State.NEW})),)),
        ("-m state --state INVALID", (MatchState(frozenset({State.INVALID})),)),
        (
            "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT",
            (MatchState(frozenset({State.RELATED, State.ESTABLISHED, State.DNAT}), True),),
        ),
        ("-m mark --mark 0x4000/0x4000", (MatchMark(0x4000, 0x4000),)),
        ("-m mark ! --mark 16", (MatchMark(16, BITS, True),)),
        (
            "-m statistic --mode random --probability 0.33333333349",
            (MatchChance(0.33333333349),),
        ),
        ("-m statistic --mode random ! --probability 0.25", (MatchChance(0.75),)),
        (
            "-m recent --rcheck --seconds 10 --reap --name X --mask 255.255.255.255 --rsource",
            (MatchRemembered("X", 10),),
        ),
        ("-m recent --rcheck", (MatchRemembered("DEFAULT"),)),
        ("-m recent --update --seconds 10 --name X", (MatchRemembered("X", 10), Remember("X"))),
        ("-m nfacct --nfacct-name  some_packets", ()),
        ("-j ACCEPT", (Accept(),)),
        ("-j DROP", (Drop(),)),
        ("-j RETURN", (Return(),)),
        ("-j REJECT --reject-with icmp-port-unreachable", (Reject(),)),
        ("-j REJECT", (Reject(),)),
        ("-j KUBE-B", (Jump("KUBE-B"),)),
        ("-g KUBE-B", (Goto("KUBE-B"),)),
        ('-j LOG --log-prefix "-j DROP "', ()),
        ("-j NFLOG --nflog-group 1", ()),
        ("-j MASQUERADE --random-fully", (Masquerade(),)),
        ("-j MASQUERADE", (Masquerade(),)),
        ("-p tcp -j MASQUERADE --to-ports 1024-65535 --random", (TCP, Masquerade())),
        ("-j DNAT --to-destination 10.0.0.1:80", (Translate((("10.0.0.1", 80),)),)),
        ("-j DNAT --to-destination 10.0.0.1 --persistent", (Translate((("10.0.0.1", 0),)),)),
        ("-j MARK --set-xmark 0x4000/0x4000", (SetMark(0xFFFFBFFF, 0x4000),)),
        ("-j MARK --set-xmark 0x4000/0x0", (SetMark(BITS, 0x4000),)),
        ("-j MARK --set-mark 0x1", (SetMark(0, 1),)),
        ("-j MARK --set-mark 0x1/0x2", (SetMark(0xFFFFFFFC, 1),)),
    ],
)
def test_what_is_understood(rule: str, expected: tuple[AnyStep, ...]) -> None:
    assert steps(rule) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("! -s fd00::/8", (source("fd00::/8", negate=True),)),
        ("-j DNAT --to-destination [fd00:0::1]:80", (Translate((("fd00::1", 80),)),)),
        ("-j DNAT --to-destination fd00::1", (Translate((("fd00::1", 0),)),)),
        ("-p ipv6-icmp", (MatchProtocol("ipv6-icmp"),)),
        ("-p icmpv6", (MatchProtocol("ipv6-icmp"),)),
        (
            "-m recent --set --name X --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource",
            (Remember("X"),),
        ),
        ("-j REJECT --reject-with icmp6-port-unreachable", (Reject(),)),
    ],
)
def test_what_is_understood_of_ip6tables(rule: str, expected: tuple[AnyStep, ...]) -> None:
    assert steps(rule, "ip6") == expected


@pytest.mark.parametrize(
    "match",
    [
        "-o eth0",
        "! -o eth0",
        "-f",
        "-s fd00::/8",
        "-s 10.0.0.0/255.0.255.0",
        "-s 10.0.0.0/0.0.0.255",
        "-s 10.0.0.0/8,10.1.0.0/16",
        "-s nonsense",
        "! -p all",
        "-m tcp --sport 80",
        "-m tcp --dport 80 --tcp-flags SYN,ACK SYN",
        "-m tcp --dport http",
        "-m tcp --dport 70000",
        "-m udp --dport 80",
        "-m multiport --dports 80,443",
        "-m addrtype --dst-type BROADCAST",
        "-m addrtype --dst-type LOCAL --limit-iface-in",
        "-m conntrack --ctstate UNTRACKED",
        "-m conntrack --ctstate NEW --ctproto 6",
        "-m mark --mark 0x100000000",
        "-m mark --mark",
        "-m statistic --mode nth --every 2 --packet 0",
        "-m statistic --mode random --probability 2",
        "-m recent --rcheck --name X --rdest",
        "-m recent ! --rcheck --name X",
        "-m recent --rcheck --name X --hitcount 3",
        "-m recent --rcheck --name X --mask 255.255.255.0",
        "-m recent --remove --name X",
        "-m recent --rcheck --seconds soon --name X",
        "-m limit --limit 5/sec",
        "-m set ! --match-set x src",
        '-m string --string "a -j ACCEPT"',
        "-m",
    ],
)
def test_matches_that_are_not_understood_stand_there_as_text(match: str) -> None:
    assert steps(f"-p tcp {match} -j ACCEPT") == (TCP, MatchUnknown(match), Accept())


@pytest.mark.parametrize(
    "target",
    [
        "-j KUBE-MISSING",
        "-g ACCEPT",
        "-j KUBE-B --option",
        "-j ACCEPT --option",
        "-j DNAT --to-destination 10.0.0.1-10.0.0.9",
        "-j DNAT --to-destination 10.0.0.1:80-90",
        "-j DNAT --to-destination :80",
        "-j DNAT --to-destination 10.0.0.1:",
        "-j DNAT --to-destination [fd00::1]:80",
        "-j DNAT --to-destination 10.0.0.1:80 --to-destination 10.0.0.2:80",
        "-j SNAT --to-source 10.0.0.1",
        "-j REDIRECT --to-ports 80",
        "-j MARK --set-xmark nonsense",
        "-j MARK",
        "-j CT --notrack",
        "-j TPROXY --on-port 1 --on-ip 0.0.0.0 --tproxy-mark 0x0/0x0",
        "-j NFQUEUE --queue-num 0",
        "-j",
    ],
)
def test_targets_that_are_not_understood_stand_there_as_text(target: str) -> None:
    assert steps(f"-p tcp {target}") == (TCP, ActUnknown(target))


def test_words_that_belong_to_nothing_and_open_quotes() -> None:
    assert steps("nonsense -j DROP") == (MatchUnknown("nonsense"), Drop())
    text = '-A KUBE-A -m comment --comment "open -j DROP'
    assert RuleReader(CHAINS, "ip").read(text).steps == (MatchUnknown(text), ActUnknown(text))


def test_steps_stand_in_the_order_in_which_the_kernel_takes_them() -> None:
    """A client is remembered only if what stands before it matched; the packet comes first."""
    assert steps(
        "-m mark --mark 1 -p tcp -m recent --set --name X -m tcp --dport 80 -s 10.0.0.1"
        " -j DNAT --to-destination 10.0.0.2:80"
    ) == (
        TCP,
        source("10.0.0.1/32"),
        MatchMark(1, BITS),
        Remember("X"),
        MatchPort(80, 80),
        Translate((("10.0.0.2", 80),)),
    )


# ------------------------------------------------------------------------------ tables and hooks

DUMP = """\
*raw
:PREROUTING ACCEPT [0:0]
COMMIT
*mangle
:POSTROUTING ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-A - [0:0]
-A PREROUTING -j KUBE-A
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
COMMIT
*security
:OUTPUT ACCEPT [0:0]
COMMIT
"""


def test_built_in_chains_stand_where_the_kernel_calls_them() -> None:
    meaning = meaning_of(parse_rules(DUMP, "iptables"), "ip")
    hooks = {
        (table.name, chain.name): chain.hook
        for table in meaning.tables
        for chain in table.chains.values()
    }
    assert hooks == {
        ("raw", "PREROUTING"): Hook(HookPoint.PREROUTING, -300, False),
        ("mangle", "POSTROUTING"): Hook(HookPoint.POSTROUTING, -150, False),
        ("nat", "PREROUTING"): Hook(HookPoint.PREROUTING, -100, True),
        ("nat", "INPUT"): Hook(HookPoint.INPUT, 100, True),
        ("nat", "OUTPUT"): Hook(HookPoint.OUTPUT, -100, True),
        ("nat", "POSTROUTING"): Hook(HookPoint.POSTROUTING, 100, True),
        ("nat", "KUBE-A"): None,
        ("filter", "INPUT"): Hook(HookPoint.INPUT, 0, False, drops_at_end=True),
        ("filter", "FORWARD"): Hook(HookPoint.FORWARD, 0, False),
        ("security", "OUTPUT"): Hook(HookPoint.OUTPUT, 50, False),
    }
    assert meaning.family == "ip"
    assert {table.family for table in meaning.tables} == {"ip"}


def test_a_table_that_iptables_does_not_have_is_an_error() -> None:
    with pytest.raises(DumpMeaningError, match='table "broute"'):
        meaning_of(parse_rules("*broute\nCOMMIT\n", "iptables"), "ip")


def test_chains_are_known_in_their_own_table_only() -> None:
    dump = "*nat\n:KUBE-A - [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT\n-A INPUT -j KUBE-A\nCOMMIT\n"
    _, filters = meaning_of(parse_rules(dump, "iptables"), "ip").tables
    (rule,) = filters.chains["INPUT"].rules
    assert rule.steps == (ActUnknown("-j KUBE-A"),)


# ------------------------------------------------------------------------------ whole rulesets


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES)
def test_every_rule_of_kube_proxy_is_understood(state: str, family: Family) -> None:
    ruleset = parse_rules(iptables_dump(state, family), "iptables")
    meaning = meaning_of(ruleset, FAMILY_WORDS[family])
    assert not_understood(meaning) == []
    assert sum(table.rule_count() for table in ruleset.tables) > 10
    assert [rule.text for t in meaning.tables for c in t.chains.values() for rule in c.rules] == [
        rule for t in ruleset.tables for c in (*t.hooks, *t.chains) for rule in c.rules
    ]


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES)
def test_every_rule_of_ours_is_understood(state: str, family: Family) -> None:
    ruleset = compiled(state, family, "iptables")
    assert not_understood(meaning_of(ruleset, FAMILY_WORDS[family])) == []


# ------------------------------------------------------------------------------ invariants

MARKS = st.integers(0, BITS)
SOME_WORDS = (
    '-A KUBE-A ! -s -d -p -i -o -m -j -g tcp udp 10.0.0.1/32 comment --comment "x" " \\ recent'
    " --set --name --rcheck mark --mark 0x1/0x2 MARK --set-xmark DNAT --to-destination [::1]:2"
    " statistic --mode random --probability 0.5 conntrack --ctstate NEW,X --dport 80:90 é -"
)


@settings(deadline=None)
@given(
    st.text() | st.lists(st.sampled_from(SOME_WORDS.split(" "))).map(" ".join),
    st.sampled_from(["ip", "ip6"]),
)
def test_any_text_has_a_meaning_and_is_kept(text: str, family: str) -> None:
    reader = RuleReader(CHAINS, family)
    for rule in (text, f"-A KUBE-A {text}"):
        assert reader.read(rule).text == rule


@settings(deadline=None)
@given(MARKS, MARKS, MARKS)
def test_marks_change_as_in_the_kernel(mark: int, value: int, mask: int) -> None:
    """xt_MARK: (mark & ~mask) ^ value; libxt_MARK says what the other options stand for."""
    expected = {
        f"--set-xmark {value:#x}/{mask:#x}": (mark & ~mask) ^ value,
        f"--set-mark {value:#x}/{mask:#x}": (mark & ~mask) & ~value | value,
        f"--set-mark {value:#x}": value,
        f"--or-mark {value:#x}": mark | value,
        f"--and-mark {value:#x}": mark & value,
        f"--xor-mark {value:#x}": mark ^ value,
    }
    for option, after in expected.items():
        (step,) = steps(f"-j MARK {option}")
        assert isinstance(step, SetMark)
        assert (mark & step.keep) ^ step.flip == after, option
