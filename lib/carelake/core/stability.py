"""The population stability index: how far a distribution has moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST = 1e-4  # share of a bucket that is empty on one side; the index of nothing against something would be infinite
_Z_999 = 3.0902  # of the normal distribution, one-sided 99.9 %


def stability(shares: Iterable[tuple[float, float]]) -> float:
    """Sum of (b - a) ln(b / a) over the shares a (then) and b (now) of each bucket; 0 is the same.

    By custom above 0.1 is a shift, above 0.25 a large one (Siddiqi, Credit Risk Scorecards, 2006).
    """
    total = 0.0
    for a, b in shares:
        x, y = max(a, LEAST), max(b, LEAST)
        total += (y - x) * math.log(y / x)
    return total


def stability_by_chance(buckets: int, n_was: int, n_now: int) -> float:
    """What the index of two samples of one population stays below 999 times of 1,000.

    The index times nm / (n + m) is about chi-square with one degree less than buckets (Yurdakul, Statistical Properties of the
    Population Stability Index, 2018); its quantile is Wilson and Hilferty's. 0 with one bucket.
    """
    k = buckets - 1
    if k < 1:
        return 0.0
    quantile = k * (1 - 2 / (9 * k) + _Z_999 * math.sqrt(2 / (9 * k))) ** 3
    return quantile * (1 / n_was + 1 / n_now)
