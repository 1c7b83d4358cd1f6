"""nftables rules as meaning: every construct, what is not understood, and the recordings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeport_rules.model.family import Family
from nodeport_rules.nftables.match_meaning import TableContext
from nodeport_rules.nftables.meaning import meaning_of, read_hook
from nodeport_rules.nftables.parse import parse_listing
from nodeport_rules.nftables.rule_meaning import read_rule
from nodeport_rules.nftables.sets_meaning import duration_seconds
from nodeport_rules.ruleset.meaning import (
    Accept,
    ActUnknown,
    AnyStep,
    Choose,
    Drop,
    Field,
    Goto,
    Hook,
    HookPoint,
    Jump,
    Lookup,
    Masquerade,
    MatchAddress,
    MatchChance,
    MatchInterface,
    MatchLocal,
    MatchMark,
    MatchPort,
    MatchProtocol,
    MatchRemembered,
    MatchSet,
    MatchState,
    MatchUnknown,
    Reject,
    Remember,
    Return,
    SetMark,
    State,
    TableMeaning,
    Translate,
)
from tests.unit.recorded import (
    FAMILY_WORDS,
    STATES,
    STATES_IN_BOTH_MODES,
    compiled,
    nftables_listing,
    not_understood,
)

TCP = MatchProtocol("tcp")
BITS = 0xFFFFFFFF
A, B = Goto("a"), Goto("b")
TWO = (("10.0.0.1", 80), ("10.0.0.2", 81))

OBJECTS = """
	set clients {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 3h
	}

	set addresses {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.1, 10.1.0.0/16,
				10.2.0.0-10.2.0.2 }
	}

	set hairpins {
		type ipv4_addr . ipv4_addr . inet_proto . inet_service
		elements = { 10.0.0.1 . 10.0.0.1 . tcp . 80 comment "x" }
	}

	set ports {
		typeof tcp dport
		flags interval
		elements = { 80, 90-91 }
	}

	set short-lived {
		type ipv4_addr
		flags timeout
		elements = { 10.0.0.1 timeout 1h expires 30m5s counter packets 1 bytes 60 }
	}

	set pairs-of-ranges {
		type ipv4_addr . inet_service
		flags interval
		elements = { 10.0.0.0/8 . 80-90 }
	}

	set interfaces {
		type ifname
		elements = { "eth0" }
	}

	map services {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 10.0.0.1 . tcp . 80 comment "x : drop" : goto a,
				10.0.0.1 . 17 . 53 counter packets 1 bytes 60 : drop }
	}

	map odd-services {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 10.0.0.1 . tcp . 80 : continue }
	}

	map dynamic-services {
		type ipv4_addr : verdict
		flags dynamic
	}

	map endpoints {
		typeof numgen random mod 65536 : ip daddr . tcp dport
		counter
		elements = { 65536 counter packets 0 bytes 0 : 10.0.0.1 . 80, 65537 : 10.0.0.2 . 81 }
	}

	map choices {
		type integer : verdict
		elements = { 65536 : goto a, 65537 : goto b }
	}

	map odd-choices {
		type integer : verdict
		elements = { 0 : goto a, 1 : goto missing }
	}

	chain a {
	}

	chain b {
	}
"""


def table(
    *rules: str, head: str = "table ip t", name: str = "c", family: str = "ip"
) -> TableMeaning:
    """A table with OBJECTS and one chain of these rules."""
    lines = "".join(f"\t\t{rule}\n" for rule in rules)
    listing = f"{head} {{{OBJECTS}\n\tchain {name} {{\n{lines}\t}}\n}}\n"
    (found,) = meaning_of(parse_listing(listing), family).tables
    return found


def steps(rule: str, head: str = "table ip t", family: str = "ip") -> tuple[AnyStep, ...]:
    (read,) = table(rule, head=head, family=family).chains["c"].rules
    assert read.text == rule
    return read.steps


def source(*networks: str, negate: bool = False) -> MatchAddress:
    return MatchAddress(Field.SOURCE, networks, negate)


def destination(*networks: str) -> MatchAddress:
    return MatchAddress(Field.DESTINATION, networks)


def state(*states: State, negate: bool = False) -> MatchState:
    return MatchState(frozenset(states), negate)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ip daddr 10.0.0.1", (destination("10.0.0.1/32"),)),
        ("ip saddr != 10.0.0.0/8", (source("10.0.0.0/8", negate=True),)),
        ("ip saddr 10.0.0.3-10.0.0.5", (source("10.0.0.3/32", "10.0.0.4/31"),)),
        ("ip saddr { 10.0.0.1, 10.1.0.0/16 }", (source("10.0.0.1/32", "10.1.0.0/16"),)),
        (
            "ip saddr != { 10.0.0.1, 10.1.0.0/16 }",
            (source("10.0.0.1/32", "10.1.0.0/16", negate=True),),
        ),
        ("meta l4proto tcp", (TCP,)),
        ("meta l4proto != 17", (MatchProtocol("udp", True),)),
        ("meta l4proto 200", (MatchProtocol("200"),)),
        ("ip protocol tcp", (TCP,)),
        ("tcp dport 80", (TCP, MatchPort(80, 80))),
        ("udp dport != 80-90", (MatchProtocol("udp"), MatchPort(80, 90, True))),
        ("th dport 53", (MatchPort(53, 53),)),
        ("tcp dport < 1024", (TCP, MatchPort(0, 1023))),
        ("tcp dport >= 1024", (TCP, MatchPort(1024, 65535))),
        ('iifname "cni0"', (MatchInterface("cni0"),)),
        ('iifname != "cali*"', (MatchInterface("cali", True, True),)),
        ('iif "lo"', (MatchInterface("lo"),)),
        ("fib daddr type local", (MatchLocal(Field.DESTINATION),)),
        ("fib saddr type != local", (MatchLocal(Field.SOURCE, True),)),
        ("ct state new", (state(State.NEW),)),
        ("ct state established,related", (state(State.ESTABLISHED, State.RELATED),)),
        ("ct state { new, invalid }", (state(State.NEW, State.INVALID),)),
        ("ct state != new", (state(State.NEW, negate=True),)),
        ("ct state ! new,related", (state(State.NEW, State.RELATED, negate=True),)),
        ("ct status dnat", (state(State.DNAT),)),
        ("ct status ! dnat", (state(State.DNAT, negate=True),)),
        ("meta mark 0x00000010", (MatchMark(16, BITS),)),
        ("meta mark & 0x00004000 != 0x00000000", (MatchMark(0, 0x4000, True),)),
        ("meta mark 0x80000000/1", (MatchMark(1 << 31, 1 << 31),)),
        ("meta mark != 0x00000000/16", (MatchMark(0, 0xFFFF0000, True),)),
        ("mark and 0x4000 == 0x4000", (MatchMark(0x4000, 0x4000),)),
        ("numgen random mod 4 0", (MatchChance(0.25),)),
        ("numgen random mod 4 offset 2 < 3", (MatchChance(0.25),)),
        ("meta nfproto ipv4 meta protocol ip", ()),
        ("ip saddr @clients", (MatchRemembered("clients", 3 * 3600),)),
        ("ip daddr @addresses", (MatchSet((Field.DESTINATION,), "addresses"),)),
        ("ip daddr != @addresses", (MatchSet((Field.DESTINATION,), "addresses", True),)),
        ("tcp dport @ports", (TCP, MatchSet((Field.DESTINATION_PORT,), "ports"))),
        (
            "ip saddr . ip daddr . meta l4proto . th dport @hairpins",
            (
                MatchSet(
                    (Field.SOURCE, Field.DESTINATION, Field.PROTOCOL, Field.DESTINATION_PORT),
                    "hairpins",
                ),
            ),
        ),
    ],
)
def test_matches_that_are_understood(rule: str, expected: tuple[AnyStep, ...]) -> None:
    assert steps(f"{rule} accept") == (*expected, Accept())


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("accept", (Accept(),)),
        ("drop", (Drop(),)),
        ("return", (Return(),)),
        ("continue", ()),
        ("jump a", (Jump("a"),)),
        ("goto a", (A,)),
        ("reject", (Reject(),)),
        ("reject with icmp host-unreachable", (Reject(),)),
        ("reject with icmp type host-unreachable", (Reject(),)),
        ("reject with tcp reset", (Reject(),)),
        ("counter packets 1 bytes 60 drop", (Drop(),)),
        ('counter name "x" drop', (Drop(),)),
        ("counter", ()),
        ('log prefix "a drop" level debug flags all drop', (Drop(),)),
        ("log flags tcp sequence,options group 2", ()),
        ('drop comment "accept, if { you }"', (Drop(),)),
        ("masquerade", (Masquerade(),)),
        ("masquerade fully-random", (Masquerade(),)),
        ("masquerade to :1024-65535 random,persistent", (Masquerade(),)),
        ("meta mark set 0x00000001", (SetMark(0, 1),)),
        ("meta mark set meta mark | 0x00004000", (SetMark(0xFFFFBFFF, 0x4000),)),
        ("meta mark set mark or 0x4000", (SetMark(0xFFFFBFFF, 0x4000),)),
        ("meta mark set meta mark ^ 0x00004000", (SetMark(BITS, 0x4000),)),
        ("meta mark set meta mark & 0x0000ffff | 0x00000001", (SetMark(0xFFFE, 1),)),
        ("update @clients { ip saddr }", (Remember("clients"),)),
        ("add @clients { ip saddr timeout 3h counter }", (Remember("clients"),)),
        ("dnat to 10.0.0.1:80", (Translate((("10.0.0.1", 80),)),)),
        ("dnat ip to 10.0.0.1 random,persistent", (Translate((("10.0.0.1", 0),)),)),
    ],
)
def test_actions_that_are_understood(rule: str, expected: tuple[AnyStep, ...]) -> None:
    assert steps(rule) == expected


BRACES = "{ 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 81 }"
PORTED = "dnat ip addr . port to numgen random mod"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (f"{PORTED} 2 map {BRACES}", (Translate(TWO),)),
        (f"dnat ip to numgen random mod 2 map {BRACES}", (Translate(TWO),)),
        (f"{PORTED} 2 offset 65536 map @endpoints", (Translate(TWO),)),
        (f"{PORTED} 1 offset 65537 map @endpoints", (Translate(TWO[1:]),)),
        (f"{PORTED} 4 offset 65536 map @endpoints", (MatchChance(0.5), Translate(TWO))),
        (f"{PORTED} 4 map @endpoints", (MatchChance(0.0),)),
        (
            "dnat to numgen random mod 3 map { 0-1 : 10.0.0.1, 2 : 10.0.0.2 }",
            (Translate((("10.0.0.1", 0), ("10.0.0.1", 0), ("10.0.0.2", 0))),),
        ),
        ("numgen random mod 2 vmap { 0 : goto a, 1 : jump b }", (Choose((A, Jump("b"))),)),
        ("numgen random mod 2 offset 65536 vmap @choices", (Choose((A, B)),)),
        ("numgen random mod 4 offset 65535 vmap @choices", (MatchChance(0.5), Choose((A, B)))),
        ("numgen random mod 1 vmap @choices accept", (MatchChance(0.0), Accept())),
    ],
)
def test_choices_by_chance(rule: str, expected: tuple[AnyStep, ...]) -> None:
    """Where a slot has no element, the rule ends for those packets."""
    assert steps(rule) == expected


def test_sets_and_maps_of_a_table() -> None:
    found = table("ip daddr . meta l4proto . th dport vmap @services")
    assert found.sets == {
        "addresses": frozenset({("10.0.0.1",)}),
        "hairpins": frozenset({("10.0.0.1", "10.0.0.1", "tcp", "80")}),
        "ports": frozenset({("80",), ("90",), ("91",)}),
        "short-lived": frozenset({("10.0.0.1",)}),
    }
    assert found.networks == {"addresses": ("10.1.0.0/16", "10.2.0.0/31", "10.2.0.2/32")}
    assert found.maps == {
        "services": {("10.0.0.1", "tcp", "80"): A, ("10.0.0.1", "udp", "53"): Drop()}
    }


def test_anonymous_sets_and_maps_are_named_by_their_text() -> None:
    found = table(
        "tcp dport { 80, 90-91 } accept",
        "meta l4proto != { tcp, 17 } drop",
        "ip daddr . tcp dport { 10.0.0.1 . 80 } accept",
        "ip daddr . meta l4proto vmap { 10.0.0.1 . tcp : goto a, 10.0.0.2 . udp : drop } accept",
    )
    read = [rule.steps for rule in found.chains["c"].rules]
    ports, protocols, pairs = (
        "tcp dport { 80, 90-91 }",
        "meta l4proto { tcp, 17 }",
        "ip daddr . tcp dport { 10.0.0.1 . 80 }",
    )
    verdicts = "ip daddr . meta l4proto { 10.0.0.1 . tcp : goto a, 10.0.0.2 . udp : drop }"
    assert read == [
        (TCP, MatchSet((Field.DESTINATION_PORT,), ports), Accept()),
        (MatchSet((Field.PROTOCOL,), protocols, True), Drop()),
        (TCP, MatchSet((Field.DESTINATION, Field.DESTINATION_PORT), pairs), Accept()),
        # What stands after a verdict map is never reached.
        (Lookup((Field.DESTINATION, Field.PROTOCOL), verdicts),),
    ]
    assert found.sets[ports] == {("80",), ("90",), ("91",)}
    assert found.sets[protocols] == {("tcp",), ("udp",)}
    assert found.sets[pairs] == {("10.0.0.1", "80")}
    assert found.maps[verdicts] == {("10.0.0.1", "tcp"): A, ("10.0.0.2", "udp"): Drop()}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3h", 10800),
        ("1d2h3m4s", 93784),
        ("10800s", 10800),
        ("0s", 0),
        ("1s500ms", None),
        ("", None),
    ],
)
def test_durations(text: str, seconds: int | None) -> None:
    assert duration_seconds(text) == seconds


def test_a_set_that_rules_write_into_is_dynamic_whatever_its_flags() -> None:
    """nft 1.0.6 leaves the flag out of its JSON, and older versions out of their text."""
    found = table("update @short-lived { ip saddr }", "ip saddr @short-lived accept")
    assert [rule.steps for rule in found.chains["c"].rules] == [
        (Remember("short-lived"),),
        (MatchRemembered("short-lived"), Accept()),
    ]
    assert "short-lived" not in found.sets


# ------------------------------------------------------------------------------ not understood


@pytest.mark.parametrize(
    "match",
    [
        "ip saddr & 255.0.255.0 == 10.0.1.0",
        "ip saddr > 10.0.0.1",
        "ip saddr nonsense",
        "ip saddr fd00::1",
        "ip ttl 1",
        "ip6 nexthdr tcp",
        "tcp sport 80",
        "tcp dport http",
        "tcp dport 65536",
        "tcp dport { 1-9999 }",
        "tcp flags syn / fin,syn",
        "tcp flags & (fin | syn) == syn",
        'oifname "eth0"',
        'iifname { "a", "b" }',
        'iifname "a\\*"',
        "iifname @interfaces",
        "iif 7",
        "meta pkttype broadcast",
        "meta nfproto { ipv4, ipv6 }",
        "meta mark 0x00000001-0x00000005",
        "meta mark { 0x00000001 }",
        "meta mark & 0x000000ff",
        "meta mark 0x00000000/33",
        "meta mark & 0x000000ff == 0x00000000/1",
        "fib daddr . iif type local",
        "fib daddr type broadcast",
        "fib daddr type { local, broadcast }",
        "fib saddr . iif oif missing",
        "ct state new,untracked",
        "ct state != established | related",
        "ct status != dnat",
        "ct status snat,dnat",
        "ct direction original",
        "ct original ip daddr 10.0.0.1",
        "numgen inc mod 2 0",
        "numgen random mod 2 0-1",
        "ip daddr @clients",
        "ip saddr != @clients",
        "ip saddr @missing",
        "ip saddr @services",
        "ip saddr @ports",
        "ip saddr . ip daddr @addresses",
        "ip saddr . tcp dport @pairs-of-ranges",
        "ip daddr . tcp dport 10.0.0.1 . 80",
        "limit rate 10/second burst 5 packets",
        "quota over 10 mbytes",
        "icmp type echo-request",
        "xt match comment",
        '{"limit":{"rate":10,"per":"second"}}',
        "socket transparent 1",
    ],
)
def test_matches_that_are_not_understood_stand_there_as_text(match: str) -> None:
    assert steps(f"meta l4proto tcp {match} counter packets 0 bytes 0 accept") == (
        TCP,
        MatchUnknown(match),
        Accept(),
    )


@pytest.mark.parametrize(
    "action",
    [
        "jump missing",
        "snat to 10.0.0.1",
        "redirect to :80",
        "dnat to :80",
        "dnat to 10.0.0.1-10.0.0.9",
        "dnat to 10.0.0.1:80-90",
        "dnat to fd00::1",
        "dnat ip6 to fd00::1",
        "dnat ip prefix to ip daddr map @x",
        "dnat to tcp dport map { 80 : 10.0.0.1 }",
        "dnat to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }",
        "dnat to jhash ip saddr mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }",
        "dnat to numgen random mod 2 map { 0 : 10.0.0.1, * : 10.0.0.2 }",
        "dnat to numgen random mod 2 map @missing",
        "dnat to numgen random mod 2 map @choices",
        "dnat to numgen random mod 100000 map @endpoints",
        "numgen random mod 2 vmap { 0 : continue, 1 : goto a }",
        "numgen random mod 2 vmap @odd-choices",
        "numgen random mod 2 vmap @endpoints",
        "numgen random mod 0 vmap @choices",
        "ct state vmap { established : accept, invalid : drop }",
        "ip daddr vmap { 10.0.0.0/8 : drop }",
        "ip daddr vmap @dynamic-services",
        "ip daddr . meta l4proto . th dport vmap @odd-services",
        "ip daddr . meta l4proto . th dport vmap @missing",
        "update @clients { ip saddr limit rate 10/second }",
        "update @clients { ip saddr timeout 1h }",
        "update @hairpins { ip saddr . ip daddr }",
        "delete @clients { ip saddr }",
        "ct mark set 0x00000001",
        "meta mark set ct mark",
        "meta mark set meta mark | 0x00000001 & 0x00000002",
        "meta mark set numgen random mod 2",
        "meta nftrace set 1",
        "queue to 1",
        "notrack",
        "masquerade to nonsense",
        "xt target CT",
        "{",
    ],
)
def test_actions_that_are_not_understood_stand_there_as_text(action: str) -> None:
    assert steps(f"meta l4proto tcp {action}") == (TCP, ActUnknown(action))


def test_actions_before_a_verdict_are_no_matches() -> None:
    assert steps("tcp dport 80 ct mark set 0x00000002 accept") == (
        TCP,
        MatchPort(80, 80),
        ActUnknown("ct mark set 0x00000002"),
        Accept(),
    )
    assert steps("notrack counter") == (ActUnknown("notrack"),)


def test_quotes_that_nothing_closes() -> None:
    text = 'accept comment "open'
    assert steps(text) == (MatchUnknown(text), ActUnknown(text))


# ------------------------------------------------------------------------------ tables and hooks


@pytest.mark.parametrize(
    ("text", "hook"),
    [
        (
            "type nat hook prerouting priority dstnat; policy accept;",
            Hook(HookPoint.PREROUTING, -100, True),
        ),
        (
            "type filter hook prerouting priority dstnat - 10; policy accept;",
            Hook(HookPoint.PREROUTING, -110, False),
        ),
        (
            "type nat hook postrouting priority srcnat + 5; policy drop;",
            Hook(HookPoint.POSTROUTING, 105, True, True),
        ),
        ("type filter hook output priority -110;", Hook(HookPoint.OUTPUT, -110, False)),
        ("type route hook output priority mangle;", Hook(HookPoint.OUTPUT, -150, False)),
        ("type filter hook input priority filter;", Hook(HookPoint.INPUT, 0, False)),
        ("type filter hook forward priority security;", Hook(HookPoint.FORWARD, 50, False)),
        ("type filter hook prerouting priority raw;", Hook(HookPoint.PREROUTING, -300, False)),
        ("type filter hook prerouting priority 7;", Hook(HookPoint.PREROUTING, 7, False)),
        ('type filter hook ingress device "lo" priority filter; policy accept;', None),
        ("type filter hook input priority soon; policy accept;", None),
        ("type odd hook input priority filter; policy accept;", None),
        ("nonsense", None),
    ],
)
def test_hooks(text: str, hook: Hook | None) -> None:
    assert read_hook(text) == hook


def test_nothing_counts_as_understood_at_a_hook_that_is_not() -> None:
    ingress = 'type filter hook ingress device "lo" priority filter; policy drop;'
    found = table(ingress, "ip daddr 10.0.0.1 drop").chains["c"]
    assert found.hook == Hook(HookPoint.PREROUTING, -(1 << 31), False)
    assert [rule.steps for rule in found.rules] == [
        (ActUnknown(ingress),),
        (ActUnknown("ip daddr 10.0.0.1 drop"),),
    ]
    assert table(ingress.replace("drop", "accept")).chains["c"].rules == ()
    egress = table(ingress.replace("ingress", "egress")).chains["c"]
    assert egress.hook == Hook(HookPoint.POSTROUTING, 1 << 31, False)


def test_tables_for_both_families_count_in_each_and_others_in_none() -> None:
    rules = ("ip saddr 10.0.0.1 drop", "ip6 saddr fd00::1 drop", "meta nfproto ipv6 drop")
    never = destination()
    in_ip = [r.steps for r in table(*rules, head="table inet t").chains["c"].rules]
    in_ip6 = [r.steps for r in table(*rules, head="table inet t", family="ip6").chains["c"].rules]
    assert in_ip == [
        (source("10.0.0.1/32"), Drop()),
        (never, source("fd00::1/128"), Drop()),
        (never, Drop()),
    ]
    assert in_ip6 == [
        (never, source("10.0.0.1/32"), Drop()),
        (source("fd00::1/128"), Drop()),
        (Drop(),),
    ]
    listing = "table ip a {\n}\ntable ip6 b {\n}\ntable inet c {\n}\ntable bridge d {\n}\n"
    for family, names in (("ip", ["a", "c"]), ("ip6", ["b", "c"])):
        meaning = meaning_of(parse_listing(listing), family)
        assert [one.name for one in meaning.tables] == names
        assert {one.family for one in meaning.tables} == {family}


def test_what_nft_loses_of_iptables_matches_is_not_understood() -> None:
    """nft 1.0.6 lists `-m conntrack ! --ctstate ESTABLISHED,DNAT` as `ct status dnat`."""
    hook = "type filter hook input priority filter; policy accept;"
    rules = (hook, "ct status dnat counter packets 0 bytes 0 drop")
    for name, head, expected in (
        ("INPUT", "table ip filter", (MatchUnknown("ct status dnat"), Drop())),
        ("INPUT", "table ip other", (state(State.DNAT), Drop())),
        ("input", "table ip filter", (state(State.DNAT), Drop())),
    ):
        (rule,) = table(*rules, head=head, name=name).chains[name].rules
        assert rule.steps == expected


# ------------------------------------------------------------------------------ whole rulesets


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES_IN_BOTH_MODES)
def test_every_rule_of_kube_proxy_is_understood(state: str, family: Family) -> None:
    listing = parse_listing(nftables_listing(state, family))
    meaning = meaning_of(listing, FAMILY_WORDS[family])
    assert not_understood(meaning) == []
    (found,), (read,) = meaning.tables, listing.tables
    assert {name: len(chain.rules) for name, chain in found.chains.items()} == {
        chain.name: len(chain.rules) for chain in read.chains
    }
    assert [name for name, chain in found.chains.items() if chain.hook] == [
        chain.name for chain in read.chains if chain.hook
    ]
    assert found.sets.keys() == {m.name for m in read.maps if m.is_set and not m.dynamic}
    assert found.maps.keys() == {m.name for m in read.maps if not m.is_set}


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES)
def test_every_rule_of_ours_is_understood(state: str, family: Family) -> None:
    ruleset = compiled(state, family, "nftables")
    meaning = meaning_of(ruleset, FAMILY_WORDS[family])
    assert not_understood(meaning) == []
    (found,), (written,) = meaning.tables, ruleset.tables
    assert found.sets.keys() == {m.name for m in written.maps if m.is_set and not m.dynamic}
    assert all(
        MatchChance not in map(type, rule.steps)
        for chain in found.chains.values()
        for rule in chain.rules
    ), "a slot without an element"


# ------------------------------------------------------------------------------ invariants

NUMBERS = st.integers(0, BITS)
SOME_WORDS = (
    'ip ip6 saddr daddr != { } , . meta l4proto mark & | ^ set 0x1 10.0.0.1 fd00::/8 @clients " "x"'
    " @services @endpoints vmap map : tcp dport 80 80-90 fib type local ct state status new dnat to"
    " addr port numgen random mod offset 2 drop accept goto a update masquerade counter log é \\"
)


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_characters="{}\n"))
    | st.lists(st.sampled_from(SOME_WORDS.split(" "))).map(" ".join)
)
def test_any_text_has_a_meaning_and_is_kept(text: str) -> None:
    context = TableContext("ip", frozenset("ab"), {})
    read = read_rule(text, context)
    assert read.text == text
    for step in read.steps:
        if isinstance(step, MatchUnknown | ActUnknown):
            assert step.text in text


@settings(deadline=None)
@given(NUMBERS, st.lists(st.tuples(st.sampled_from("&^|"), NUMBERS), max_size=3))
def test_marks_change_as_they_are_computed(mark: int, operations: list[tuple[str, int]]) -> None:
    """Python's operators bind as nft's do."""
    operations.sort(key=lambda one: "&^|".index(one[0]))
    shown = "".join(f" {sign} {value:#010x}" for sign, value in operations)
    (step,) = steps(f"meta mark set meta mark{shown}")
    assert isinstance(step, SetMark)
    assert (mark & step.keep) ^ step.flip == eval(f"{mark}{shown}")


@settings(deadline=None)
@given(
    st.integers(1, 9),
    st.integers(0, 9),
    st.integers(0, 20),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
)
def test_chances_are_the_share_of_numbers(slots: int, offset: int, value: int, sign: str) -> None:
    (step,) = steps(f"numgen random mod {slots} offset {offset} {sign} {value}")
    hits = [n for n in range(offset, offset + slots) if eval(f"{n} {sign} {value}")]
    assert step == MatchChance(len(hits) / slots)
