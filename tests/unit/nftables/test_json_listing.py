"""nft's JSON as text: every construct as nft 1.0.6 prints it in both forms, and what is no JSON."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeport_rules.nftables.json_listing import listing_from_text_or_json, parse_json_listing
from nodeport_rules.nftables.json_statements import rule_text, statement_text
from nodeport_rules.nftables.meaning import meaning_of
from nodeport_rules.nftables.parse import ListingError
from nodeport_rules.ruleset.ruleset import Chain, Map

SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DADDR = {"payload": {"protocol": "ip", "field": "daddr"}}
L4PROTO = {"meta": {"key": "l4proto"}}
DPORT = {"payload": {"protocol": "th", "field": "dport"}}
MARK = {"meta": {"key": "mark"}}
MASKED = {"&": [MARK, 0x4000]}


def match(left: object, right: object, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def numgen(slots: int, offset: int = 0) -> dict[str, Any]:
    return {"numgen": {"mode": "random", "mod": slots, "offset": offset}}


def prefix(address: str, length: int) -> dict[str, Any]:
    return {"prefix": {"addr": address, "len": length}}


GOTO_A = {"goto": {"target": "a"}}


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (match(SADDR, "10.0.0.1"), "ip saddr 10.0.0.1"),
        (match(SADDR, prefix("10.0.0.0", 8), "!="), "ip saddr != 10.0.0.0/8"),
        (match(SADDR, {"range": ["10.0.0.1", "10.0.0.9"]}), "ip saddr 10.0.0.1-10.0.0.9"),
        (
            match(SADDR, {"set": ["10.0.0.1", prefix("10.1.0.0", 16)]}, "!="),
            "ip saddr != { 10.0.0.1, 10.1.0.0/16 }",
        ),
        (match(SADDR, {"set": "10.0.0.1"}), "ip saddr { 10.0.0.1 }"),
        (match(DPORT, 80), "th dport 80"),
        (match(DPORT, {"range": [80, 90]}), "th dport 80-90"),
        (match(DPORT, 1024, ">="), "th dport >= 1024"),
        (match(L4PROTO, "tcp"), "meta l4proto tcp"),
        (
            match({"concat": [SADDR, DADDR, L4PROTO, DPORT]}, "@hairpins", "!="),
            "ip saddr . ip daddr . meta l4proto . th dport != @hairpins",
        ),
        (
            match({"concat": [DADDR, DPORT]}, {"set": [{"concat": ["10.0.0.1", 80]}]}),
            "ip daddr . th dport { 10.0.0.1 . 80 }",
        ),
        (match({"meta": {"key": "iifname"}}, "cni0", "!="), 'iifname != "cni0"'),
        (match({"meta": {"key": "iifname"}}, {"set": ["a", "b"]}), 'iifname { "a", "b" }'),
        (match({"meta": {"key": "iifname"}}, "@names"), "iifname @names"),
        (match({"ct": {"key": "state"}}, "new", "in"), "ct state new"),
        (match({"ct": {"key": "state"}}, ["new", "related"], "in"), "ct state new,related"),
        (match({"ct": {"key": "state"}}, {"set": ["new"]}), "ct state { new }"),
        (match({"ct": {"key": "status"}}, "dnat", "!"), "ct status ! dnat"),
        (
            match({"ct": {"key": "ip daddr", "dir": "original"}}, "10.0.0.1"),
            "ct original ip daddr 10.0.0.1",
        ),
        (match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), "fib daddr type local"),
        (match({"fib": {"result": "type", "flags": "daddr"}}, "local"), "fib daddr type local"),
        (
            match({"fib": {"result": "type", "flags": ["daddr", "iif"]}}, "local"),
            "fib daddr . iif type local",
        ),
        (match(MARK, 1), "meta mark 0x00000001"),
        (match(MASKED, 0, "!="), "meta mark & 0x00004000 != 0x00000000"),
        (match(MASKED, 0x4000), "meta mark & 0x00004000 == 0x00004000"),
        (match(numgen(4), 1, "<"), "numgen random mod 4 < 1"),
        # Numbers above 2³¹ have a sign in nft 1.0.6's JSON.
        (
            match(numgen(-1, -6), 4294967290),
            "numgen random mod 4294967295 offset 4294967290 4294967290",
        ),
        ({"mangle": {"key": MARK, "value": 1}}, "meta mark set 0x00000001"),
        (
            {"mangle": {"key": MARK, "value": {"|": [MARK, 0x4000]}}},
            "meta mark set meta mark | 0x00004000",
        ),
        (
            {"mangle": {"key": MARK, "value": {"|": [{"&": [MARK, 0xFFFF]}, 1]}}},
            "meta mark set meta mark & 0x0000ffff | 0x00000001",
        ),
        ({"accept": None}, "accept"),
        ({"drop": None}, "drop"),
        ({"return": None}, "return"),
        ({"continue": None}, "continue"),
        (GOTO_A, "goto a"),
        ({"jump": {"target": "a"}}, "jump a"),
        ({"reject": None}, "reject"),
        ({"reject": {"type": "icmp", "expr": "port-unreachable"}}, "reject"),
        (
            {"reject": {"type": "icmp", "expr": "host-unreachable"}},
            "reject with icmp host-unreachable",
        ),
        ({"reject": {"type": "tcp reset"}}, "reject with tcp reset"),
        ({"counter": {"packets": 1, "bytes": 60}}, "counter packets 1 bytes 60"),
        ({"counter": None}, "counter"),
        ({"counter": "x"}, 'counter name "x"'),
        ({"log": None}, "log"),
        ({"log": {"prefix": "a ", "level": "debug"}}, 'log prefix "a " level debug'),
        ({"log": {"group": 1, "flags": "all"}}, "log group 1 flags all"),
        ({"masquerade": None}, "masquerade"),
        ({"masquerade": {"flags": "fully-random"}}, "masquerade fully-random"),
        ({"masquerade": {"flags": ["random", "persistent"]}}, "masquerade random,persistent"),
        (
            {"masquerade": {"port": {"range": [1024, 2048]}}},
            "masquerade to :1024-2048",
        ),
        ({"redirect": {"port": 80}}, "redirect to :80"),
        ({"snat": {"addr": "10.0.0.1"}}, "snat to 10.0.0.1"),
        ({"dnat": {"addr": "10.0.0.1", "port": 80}}, "dnat to 10.0.0.1:80"),
        ({"dnat": {"addr": "fd00::1", "port": 80}}, "dnat to [fd00::1]:80"),
        (
            {
                "dnat": {
                    "family": "ip",
                    "addr": {
                        "map": {
                            "key": numgen(2),
                            "data": {
                                "set": [
                                    [0, {"concat": ["10.0.0.1", 80]}],
                                    [1, {"concat": ["10.0.0.2", 81]}],
                                ]
                            },
                        }
                    },
                }
            },
            "dnat ip to numgen random mod 2 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 81 }",
        ),
        (
            {
                "dnat": {
                    "family": "ip6",
                    "addr": {"map": {"key": numgen(3, 65536), "data": "@endpoints"}},
                }
            },
            "dnat ip6 to numgen random mod 3 offset 65536 map @endpoints",
        ),
        (
            {"vmap": {"key": numgen(2), "data": {"set": [[0, GOTO_A], [1, {"drop": None}]]}}},
            "numgen random mod 2 vmap { 0 : goto a, 1 : drop }",
        ),
        (
            {"vmap": {"key": {"concat": [L4PROTO, DPORT]}, "data": "@node-ports"}},
            "meta l4proto . th dport vmap @node-ports",
        ),
        ({"set": {"op": "update", "elem": SADDR, "set": "@c"}}, "update @c { ip saddr }"),
        (
            {
                "set": {
                    "op": "add",
                    "elem": {"elem": {"val": SADDR, "timeout": 10}},
                    "set": "@c",
                    "stmt": [{"counter": {"packets": 0, "bytes": 0}}],
                }
            },
            "add @c { ip saddr timeout 10s counter packets 0 bytes 0 }",
        ),
        ({"notrack": None}, "notrack"),
        ({"xt": {"type": "match", "name": "recent"}}, "xt match recent"),
        ("synproxy anything", "synproxy anything"),
        ({"limit": {"rate": 1}}, '{"limit":{"rate":1}}'),
        ({"match": {"op": "=="}}, '{"match":{"op":"=="}}'),
        ({"dnat": 7}, '{"dnat":7}'),
        (7, "7"),
    ],
)
def test_statements(statement: object, text: str) -> None:
    assert statement_text(statement) == text


def test_rules_with_comments() -> None:
    """nft allows no quotes in a comment, so one in JSON must not end it."""
    rule = {"expr": [match(DPORT, 80), {"accept": None}], "comment": 'a" drop "b'}
    assert rule_text(rule) == "th dport 80 accept comment \"a' drop 'b\""
    assert rule_text({"expr": []}) == ""


def listing(*objects: dict[str, Any]) -> str:
    head = [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "t"}}]
    return json.dumps({"nftables": [*head, *objects]})


def of_table(kind: str, **fields: Any) -> dict[str, Any]:
    return {kind: {"family": "ip", "table": "t", "handle": 7, **fields}}


def test_a_listing() -> None:
    text = listing(
        {"counter": {"family": "ip", "name": "x"}},
        of_table(
            "set",
            name="hairpins",
            type=["ipv4_addr", "inet_proto"],
            elem=[{"concat": ["10.0.0.1", "tcp"]}],
        ),
        of_table("set", name="clients", type="ipv4_addr", flags=["timeout"], size=9, timeout=10),
        of_table("set", name="seen", type="ipv4_addr", flags="dynamic", elem=["10.0.0.1"]),
        of_table(
            "map",
            name="services",
            type=["ipv4_addr", "inet_service"],
            map="verdict",
            elem=[
                [{"concat": ["10.0.0.1", 80]}, GOTO_A],
                [{"elem": {"val": {"concat": ["10.0.0.2", 80]}, "comment": "x"}}, {"drop": None}],
            ],
        ),
        of_table(
            "map",
            name="endpoints",
            type="integer",
            map="ipv4_addr . inet_service",
            elem=[[{"elem": {"val": 1, "counter": None}}, {"concat": ["10.0.0.1", 80]}]],
            stmt=[{"counter": None}],
        ),
        of_table("map", name="newer", type={"typeof": numgen(9)}, map={"typeof": DADDR}),
        of_table("chain", name="a", comment="some words"),
        of_table("chain", name="b", type="nat", hook="output", prio=-100, policy="accept"),
        of_table("chain", name="c", type="filter", hook="ingress", dev="lo", prio=0),
        of_table(
            "rule", chain="a", expr=[{"set": {"op": "update", "elem": SADDR, "set": "@clients"}}]
        ),
        of_table("rule", chain="b", expr=[match(SADDR, "@clients"), GOTO_A], comment="x"),
    )
    (table,) = listing_from_text_or_json(text).tables
    assert (table.family, table.name) == ("ip", "t")
    assert table.chains == (
        Chain("a", ("update @clients { ip saddr }",), comment="some words"),
        Chain(
            "b",
            ('ip saddr @clients goto a comment "x"',),
            hook="type nat hook output priority -100; policy accept;",
        ),
        Chain("c", (), hook='type filter hook ingress device "lo" priority 0; policy accept;'),
    )
    pairs = ("type ipv4_addr . inet_service : verdict",)
    assert table.maps == (
        Map("hairpins", ("type ipv4_addr . inet_proto",), {"10.0.0.1 . tcp": ""}, is_set=True),
        Map(
            "clients",
            ("type ipv4_addr", "size 9", "flags timeout", "timeout 10s"),
            is_set=True,
            dynamic=True,
        ),
        Map("seen", ("type ipv4_addr", "flags dynamic"), is_set=True, dynamic=True),
        Map("services", pairs, {"10.0.0.1 . 80": "goto a", "10.0.0.2 . 80": "drop"}),
        Map("endpoints", ("type integer : ipv4_addr . inet_service",), {"1": "10.0.0.1 . 80"}),
        Map("newer", ("typeof numgen random mod 9 : ip daddr",)),
    )


def test_the_form_is_told_by_its_first_character() -> None:
    (table,) = listing_from_text_or_json("table ip t {\n\tchain a {\n\t\tdrop\n\t}\n}\n").tables
    assert table.chains == (Chain("a", ("drop",)),)
    with pytest.raises(ListingError):
        listing_from_text_or_json("chain a {\n}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"nftables": [', "no JSON of nft's"),
        (b'{"nftables": ["\xff"]}', "no JSON of nft's"),
        ("{}", 'it has no list "nftables"'),
        ('{"nftables": 7}', 'it has no list "nftables"'),
        ("[]", 'it has no list "nftables"'),
        ('{"nftables": [7]}', "no object of nft's: 7"),
        ('{"nftables": [{"table": 7}]}', "no table of nft's: 7"),
        ('{"nftables": [{"table": {"family": "ip"}}]}', "a table without name"),
        (
            listing({"chain": {"family": "ip", "table": "x", "name": "a"}}),
            "a chain of a table that",
        ),
        (listing(of_table("chain")), "a chain without name"),
        (listing(of_table("rule", chain="a", expr=[])), 'a rule of chain "a", which'),
        (
            listing(of_table("chain", name="a"), of_table("rule", chain="a", expr=7)),
            "a rule without statements",
        ),
        (listing(of_table("map", name="m", type="integer", elem=[7])), "no element of a map: 7"),
        ('{"nftables": ' + "[" * 100_000, "no JSON of nft's"),
    ],
)
def test_what_is_no_listing_is_an_error(text: str | bytes, message: str) -> None:
    with pytest.raises(ListingError, match=message):
        parse_json_listing(text)


# ------------------------------------------------------------------------------ invariants

SOME_KEYS = (
    "match op left right payload meta key set elem val vmap data concat prefix range dnat addr port"
    " numgen goto target fib & log counter reject mangle value ct flags map accept x"
)
KEYS = st.sampled_from(SOME_KEYS.split())
ATOMS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | KEYS
TREES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=12,
)


@settings(deadline=None)
@given(TREES)
def test_any_statement_has_a_text_and_a_meaning(statement: object) -> None:
    text = listing(of_table("chain", name="a"), of_table("rule", chain="a", expr=[statement]))
    meaning = meaning_of(parse_json_listing(text), "ip")
    (rule,) = meaning.tables[0].chains["a"].rules
    assert rule.text == statement_text(statement)


@settings(deadline=None)
@given(st.sampled_from(["set", "map", "chain", "rule", "table"]), TREES, TREES)
def test_any_object_is_read_or_refused(kind: str, value: object, elements: object) -> None:
    with contextlib.suppress(ListingError):
        parse_json_listing(json.dumps({"nftables": [{kind: value}]}))
    with contextlib.suppress(ListingError):
        parse_json_listing(listing(of_table(kind, name="a", chain="a", type=value, elem=elements)))
