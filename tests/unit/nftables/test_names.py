"""Names and numbers in the nftables table."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeport_rules.nftables import names
from nodeport_rules.ruleset.names import ChainNames, endpoint_chain

LONGEST = f"{'n' * 63}/{'s' * 63}:{'p' * 15}"


def test_names_fit_into_older_kernels() -> None:
    chains = ChainNames.of(LONGEST, "sctp")
    endpoint = endpoint_chain(LONGEST, "sctp", "[fd00:1111:2222:3333:4444:5555:6666:7777]:65535")
    for chain in (chains.cluster, chains.local, chains.external, chains.firewall, endpoint):
        assert len(chain) <= names.MAX_CHAIN_NAME
    place = names.Place(255, 65535)
    for found in (
        place.endpoints_map("sctp"),
        place.choices_map,
        names.affinity_set(endpoint),
    ):
        assert len(found) <= names.MAX_MAP_NAME, found


def test_keys_fit_into_32_bits() -> None:
    assert names.Place(0, names.NUMBERS - 1).offset + (1 << names.SLOT_BITS) - 1 == 2**32 - 1


@pytest.mark.parametrize("length", [1, names.MAX_COMMENT, names.MAX_COMMENT + 1, 300])
def test_comments_are_cut_to_what_the_kernel_keeps(length: int) -> None:
    found = names.comment("x" * length)
    assert len(found) == min(length, names.MAX_COMMENT)
    assert found.endswith("...") is (length > names.MAX_COMMENT)


CHAINS = st.lists(st.integers(0, 400).map(lambda n: f"KUBE-SVC-{n:016}"), unique=True, max_size=60)


@given(CHAINS, st.randoms())
def test_places_depend_on_the_names_alone(chains: list[str], random: object) -> None:
    expected = names.places(chains)
    shuffled = list(chains)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert names.places(shuffled) == expected
    assert len(set(expected.values())) == len(chains)


@given(CHAINS, st.integers(0, 400).map(lambda n: f"KUBE-SVL-{n:016}"))
def test_another_chain_moves_no_other(chains: list[str], added: str) -> None:
    before, after = names.places(chains), names.places([*chains, added])
    assert {chain: after[chain] for chain in chains} == before


def test_where_two_hashes_agree_only_one_of_the_two_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    # A hash of few values makes collisions: of 40 chains in 64 places, many agree.
    def small(chain: str, attempt: int) -> names.Place:
        digest = hashlib.sha256(f"{chain}#{attempt}".encode()).digest()
        return names.Place(0, digest[0] % 64)

    monkeypatch.setattr(names, "_place", small)
    chains = [f"KUBE-SVC-{n:016}" for n in range(40)]
    found = names.places(chains)
    assert len(set(found.values())) == 40
    first = {chain: small(chain, 0) for chain in chains}
    stayed = [chain for chain in chains if found[chain] == first[chain]]
    assert len(stayed) >= len(set(first.values())) / 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1s"), (60, "1m"), (90, "1m30s"), (3600, "1h"), (10800, "3h"), (86400, "1d"), (0, "0s")],
)
def test_durations_as_nft_prints_them(seconds: int, text: str) -> None:
    assert names.duration(seconds) == text
