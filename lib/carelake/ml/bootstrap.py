"""Intervals by resampling persons, many resamples at once: arrays of weights, one row per resample, one column per row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from carelake.ml.held_out import Floats

RESAMPLES = 1000
_CELLS = (
    250_000  # weights at a time: 2 MB, so that the working arrays of a batch stay in the processor's cache
)


def draws(person: NDArray[np.int64], seed: int, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Batches of (resamples, rows): how often each row was drawn when whole persons are drawn with replacement."""
    persons, index = np.unique(person, return_inverse=True)
    random = np.random.default_rng(seed)
    size = max(1, _CELLS // max(1, len(person)))
    for done in range(0, resamples, size):
        batch = min(size, resamples - done)
        drawn = random.integers(0, len(persons), (batch, len(persons)))
        drawn += np.arange(batch)[:, None] * len(persons)
        times = np.bincount(drawn.ravel(), minlength=batch * len(persons)).reshape(batch, len(persons))
        yield times.astype(np.float64)[:, index]


def interval(values: Floats) -> tuple[float, float]:
    """95 % percentile interval of what could be computed; NaN when fewer than half of the resamples could."""
    known = values[np.isfinite(values)]
    if not known.size or 2 * known.size < values.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def bootstrap(
    person: NDArray[np.int64],
    statistics: Callable[[Floats], Mapping[str, Floats]],
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of each statistic, resampling whole persons with replacement (Efron and Tibshirani 1993).

    `statistics` takes weights of (resamples, rows) and gives for each name one value per resample. Differences computed
    inside it are paired. A resample in which one cannot be computed (one class only) leaves its interval to the others.
    """
    drawn: dict[str, list[Floats]] = {}
    for weights in draws(person, seed, resamples):
        for name, values in statistics(weights).items():
            drawn.setdefault(name, []).append(values)
    return {name: interval(np.concatenate(batches)) for name, batches in drawn.items()}
