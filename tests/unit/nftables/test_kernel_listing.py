"""What a real nft lists, as text and as JSON, means the same as what was loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nodeport_rules.kernel.namespaces import NetworkNamespace, ensure_network_namespaces
from nodeport_rules.kernel.processes import run
from nodeport_rules.model.family import Family
from nodeport_rules.nftables.json_listing import listing_from_text_or_json
from nodeport_rules.nftables.meaning import meaning_of
from nodeport_rules.nftables.parse import parse_listing
from nodeport_rules.nftables.transaction import script
from nodeport_rules.ruleset.meaning import RulesMeaning
from tests.unit.recorded import (
    FAMILY_WORDS,
    STATES,
    STATES_IN_BOTH_MODES,
    compiled,
    nftables_listing,
    not_understood,
    without_texts,
)


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    ensure_network_namespaces()
    with NetworkNamespace.create("listings") as created:
        yield created


def listed(namespace: NetworkNamespace, family: str, *flags: str) -> str:
    with namespace.entered():
        return run(["nft", *flags, "list", "ruleset", family], timeout=60)


def loaded(
    text: str, namespace: NetworkNamespace, family: str
) -> tuple[RulesMeaning, RulesMeaning]:
    """What nft lists after loading `text`: read as text, and as JSON."""
    with namespace.entered():
        run(["nft", "-f", "-"], text=text, timeout=60)
    as_text, as_json = listed(namespace, family), listed(namespace, family, "-j")
    assert as_json.startswith("{")
    return (
        meaning_of(listing_from_text_or_json(as_text), family),
        meaning_of(listing_from_text_or_json(as_json), family),
    )


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES)
def test_our_rules(state: str, family: Family, namespace: NetworkNamespace) -> None:
    word = FAMILY_WORDS[family]
    ruleset = compiled(state, family, "nftables")
    wanted = meaning_of(ruleset, word)
    as_text, as_json = loaded("".join(script(ruleset)), namespace, word)
    assert without_texts(as_text) == without_texts(wanted)
    assert without_texts(as_json) == without_texts(wanted)
    assert not_understood(as_json) == []


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("state", STATES_IN_BOTH_MODES)
def test_kube_proxys_rules(state: str, family: Family, namespace: NetworkNamespace) -> None:
    word, recorded = FAMILY_WORDS[family], nftables_listing(state, family)
    wanted = meaning_of(parse_listing(recorded), word)
    as_text, as_json = loaded(recorded, namespace, word)
    assert as_text == wanted
    assert without_texts(as_json) == without_texts(wanted)


RULES = """\
ip saddr != { 10.0.0.1, 10.1.0.0/16 } drop
ip daddr 10.0.0.3-10.0.0.9 drop
meta l4proto { tcp, udp } accept
tcp dport { 80, 90-91 } accept
tcp dport 100-200 accept
udp dport != 53 accept
th dport 53 accept
ip daddr . tcp dport { 10.0.0.1 . 80 } accept
ip daddr . meta l4proto . th dport vmap { 10.0.0.1 . tcp . 80 : drop }
meta mark 0x4000 accept
meta mark and 0x4000 != 0x4000 accept
meta mark set mark or 0x80000000
meta mark and 0x80000000 == 0x80000000 accept
meta mark and 0xff000000 != 0x01000000 accept
numgen random mod 4294967295 < 4294967290 accept
numgen random mod 2 offset 4294967290 4294967290 accept
meta mark set (mark and 0xffff) or 0x1
iifname "cni*" accept
iifname != "cni0" accept
iif lo accept
fib daddr type local accept
fib saddr type != local accept
ct state established,related accept
ct state { new, invalid } accept
ct state != new accept
ct status ! dnat accept
numgen random mod 4 < 1 accept
numgen random mod 2 vmap { 0 : goto other, 1 : drop }
update @clients { ip saddr timeout 3h }
ip saddr @clients accept
ip daddr @addresses accept
log prefix "a" counter reject with icmp type host-unreachable
jump other
continue
masquerade random,persistent
dnat to 10.0.0.1
meta l4proto tcp dnat to 10.0.0.1:80
dnat to numgen random mod 3 map { 0-1 : 10.0.0.1, 2 : 10.0.0.2 }
"""


def test_rules_of_all_kinds_read_the_same_in_both_forms(namespace: NetworkNamespace) -> None:
    """nft 1.0.6 prints every one of these without losing what it means."""
    statements = RULES.splitlines()
    nat = [one for one in statements if "dnat to" in one or "masquerade" in one]
    plain = [one for one in statements if one not in nat]
    text = "\n".join(
        [
            "table ip t {",
            "set clients { type ipv4_addr; flags dynamic,timeout; timeout 3h; size 9; }",
            "set addresses { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 11.0.0.1 } }",
            *("chain other {", "}"),
            *("chain plain {", *plain, "}"),
            "chain masquerading { type nat hook postrouting priority srcnat + 5; policy drop;",
            *(one for one in nat if "masquerade" in one),
            "}",
            "chain translating { type nat hook output priority -100;",
            *(one for one in nat if "dnat" in one),
            "}",
            "}",
        ]
    )
    as_text, as_json = loaded(text, namespace, "ip")
    assert not_understood(as_text) == []
    assert without_texts(as_json) == without_texts(as_text)
    (table,) = as_text.tables
    rules = sum(len(chain.rules) for chain in table.chains.values())
    assert rules == len(statements)
