"""Values from hashes: unique, independent of order, and still where nothing collides."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeport_rules.kube.stable_choice import (
    Claim,
    Range,
    address_range,
    choose,
    stable_number,
)

keys = st.lists(st.text(max_size=5), unique=True, max_size=30)


def claims(names: list[str], size: int) -> list[Claim]:
    return [Claim(name, f"owner of {name}", Range(first=100, size=size)) for name in names]


@given(keys, st.integers(min_value=1, max_value=60), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_no_two_are_alike(
    names: list[str], size: int, random: object
) -> None:
    found = choose(claims(names, size), {})
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose(claims(shuffled, size), {}) == found
    values = [choice.value for choice in found.values() if choice.value]
    assert len(set(values)) == len(values) == min(len(names), size)
    assert all(100 <= int(value) < 100 + size for value in values)


@given(keys, st.text(max_size=5), st.integers(min_value=1, max_value=200))
def test_one_more_claim_moves_only_what_collides(names: list[str], added: str, size: int) -> None:
    others = [name for name in names if name != added]
    before, after = choose(claims(others, size), {}), choose(claims([*others, added], size), {})
    for name in others:
        if before[name] != after[name]:
            assert before[name].note or after[name].note or not after[name].value, name


def test_a_collision_names_who_has_the_value() -> None:
    found = choose(claims(["a"], 50), {str(100 + stable_number("a", 50)): "Service x/y"})
    wanted = 100 + stable_number("a", 50)
    assert found["a"].value != str(wanted)
    assert found["a"].note == f"its hash gives {wanted}, which Service x/y has"


def test_a_loser_never_takes_a_first_choice() -> None:
    names = [f"service-{number}" for number in range(300)]
    found = choose(claims(names, 1000), {})
    first = {name: str(100 + stable_number(name, 1000)) for name in names}
    winners = {choice.value for name, choice in found.items() if choice.value == first[name]}
    assert winners == set(first.values())


def test_a_full_range_is_used_to_the_last_value_and_then_said() -> None:
    found = choose(claims([str(number) for number in range(12)], 10), {})
    assert sorted(choice.value for choice in found.values())[:2] == ["", ""]
    assert len({choice.value for choice in found.values()}) == 11


RANGES = [
    ("10.0.0.0/24", "10.0.0.2", "10.0.0.254", 253),
    ("10.0.0.0/30", "10.0.0.2", "10.0.0.2", 1),
    ("10.0.0.0/31", None, None, 0),
    ("10.0.0.0/32", None, None, 0),
    ("10.96.0.0/12", "10.96.0.2", "10.111.255.254", 2**20 - 3),
    ("fd00::/108", "fd00::2", "fd00::f:ffff", 2**20 - 2),
    ("fd00::/48", "fd00::2", "fd00::1:0:1", 2**32),
    ("fd00::/127", None, None, 0),
]


@pytest.mark.parametrize(("cidr", "first", "last", "size"), RANGES)
def test_usable_addresses(cidr: str, first: str | None, last: str | None, size: int) -> None:
    found = address_range(ipaddress.ip_network(cidr))
    assert found.size == size
    if size:
        assert (found.text(0), found.text(size - 1)) == (first, last)


def test_numbers_are_the_same_for_ever() -> None:
    """Pinned: another value would move every assumed address of every user."""
    keys = ("default/web-service IPv4", "a", "")
    assert [stable_number(key, 1000) for key in keys] == [43, 499, 549]
