"""Expected and measured shares of endpoints, and whether chance explains the difference."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec


class Share(msgspec.Struct, frozen=True):
    """One endpoint: the part of all connections it should get (0 to 1), and what it got."""

    name: str
    expected: float
    connections: int
    total: int

    @property
    def measured(self) -> float:
        """The part of all connections that it got; 0 when there were none."""
        return self.connections / self.total if self.total else 0.0


class Shares(msgspec.Struct, frozen=True):
    """What a number of connections, all meant for the same endpoints, came to.

    `unexpected` names those that answered although they should not have, with how often.
    """

    rows: tuple[Share, ...]
    unexpected: tuple[tuple[str, int], ...]
    total: int

    @property
    def statistic(self) -> float:
        """Pearson's chi-squared: the squared differences from the expected counts, weighted."""
        return sum(
            (row.connections - row.expected * row.total) ** 2 / (row.expected * row.total)
            for row in self.rows
            if row.expected * row.total > 0
        )

    @property
    def probability(self) -> float:
        """How often chance alone gives shares at least this far from the expected ones.

        0 when something answered that should not have.
        """
        if self.unexpected:
            return 0.0
        return chi_squared_tail(self.statistic, len(self.rows) - 1)


def compare_shares(expected: Mapping[str, float], counted: Mapping[str, int]) -> Shares:
    """Connections counted by endpoint, set beside the shares expected (which add up to 1).

    Rows come in the order of `expected`.
    """
    total = sum(counted.values())
    return Shares(
        rows=tuple(
            Share(name=name, expected=share, connections=counted.get(name, 0), total=total)
            for name, share in expected.items()
        ),
        unexpected=tuple(
            (name, count) for name, count in counted.items() if count and not expected.get(name)
        ),
        total=total,
    )


def even_shares(names: tuple[str, ...]) -> dict[str, float]:
    """The same share for each endpoint."""
    return {name: 1 / len(names) for name in names}


def chi_squared_tail(statistic: float, degrees: int) -> float:
    """The probability that a chi-squared variable exceeds `statistic`.

    With whole degrees of freedom this is a finite sum: the regularised incomplete gamma function
    Q(k/2, x/2), from Q(1/2, y) = erfc(√y) or Q(1, y) = e^-y by
    Q(a+1, y) = Q(a, y) + y^a e^-y / Γ(a+1). With no degrees of freedom nothing is left to chance.
    """
    if statistic <= 0:
        return 1.0
    if degrees < 1:
        return 0.0
    half = statistic / 2
    shape, tail = (0.5, math.erfc(math.sqrt(half))) if degrees % 2 else (1.0, math.exp(-half))
    while shape < degrees / 2:
        tail += math.exp(shape * math.log(half) - half - math.lgamma(shape + 1))
        shape += 1
    return min(tail, 1.0)
