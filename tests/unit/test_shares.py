"""Shares: the arithmetic behind "each pod got its part"."""

import pytest

from nodeport_rules.report.shares import chi_squared_tail, compare_shares, even_shares

# Critical values from the usual printed tables of the chi-squared distribution.
TABLE = [
    (1, 3.841, 0.05),
    (1, 10.828, 0.001),
    (2, 5.991, 0.05),
    (2, 13.816, 0.001),
    (6, 22.458, 0.001),
    (10, 18.307, 0.05),
    (29, 42.557, 0.05),
    (29, 58.301, 0.001),
]


@pytest.mark.parametrize(("degrees", "statistic", "probability"), TABLE)
def test_tail_agrees_with_printed_tables(
    degrees: int, statistic: float, probability: float
) -> None:
    assert chi_squared_tail(statistic, degrees) == pytest.approx(probability, rel=1e-2)


@pytest.mark.parametrize(
    ("counted", "passes"),
    [
        ({"a": 1000, "b": 1000, "c": 1000}, True),
        ({"a": 1040, "b": 990, "c": 970}, True),
        ({"a": 1200, "b": 900, "c": 900}, False),
        ({"a": 1500, "b": 1500}, False),
        ({"a": 1000, "b": 1000, "c": 999, "stranger": 1}, False),
    ],
)
def test_even_shares(counted: dict[str, int], passes: bool) -> None:
    shares = compare_shares(even_shares(("a", "b", "c")), counted)
    assert (shares.probability > 0.001) is passes, shares


def test_uneven_shares() -> None:
    counted = {"a": 1500, "b": 750, "c": 750}
    assert compare_shares({"a": 0.5, "b": 0.25, "c": 0.25}, counted).probability == 1.0


def test_one_endpoint_leaves_nothing_to_chance() -> None:
    assert compare_shares(even_shares(("a",)), {"a": 300}).probability == 1.0
    assert compare_shares(even_shares(("a",)), {"b": 300}).probability == 0.0


def test_rows_tell_expected_and_measured() -> None:
    shares = compare_shares(even_shares(("a", "b")), {"b": 30, "a": 10})
    assert [(row.name, row.expected, row.connections, row.measured) for row in shares.rows] == [
        ("a", 0.5, 10, 0.25),
        ("b", 0.5, 30, 0.75),
    ]
    assert shares.total == 40
