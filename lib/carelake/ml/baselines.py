"""What a model must beat: the prevalence, and logistic regressions on a few declared columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carelake.ml.evaluate import logistic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from carelake.ml.evaluate import Floats

PREVALENCE = "prevalence"


def prevalence(label: Floats) -> Callable[[Floats], Floats]:
    """Everyone's probability is the share of events on the training side."""
    share = float(label.mean())
    return lambda x: np.full(len(x), share)


def few_columns(x: Floats, label: Floats) -> Callable[[Floats], Floats]:
    """Logistic regression of the label on the columns of `x`, standardised, what is missing (NaN) at the training median.

    An empty or constant column says nothing.
    """
    known = np.isfinite(x).any(axis=0)
    center, spread = np.zeros(x.shape[1]), np.ones(x.shape[1])
    center[known], spread[known] = np.nanmedian(x[:, known], axis=0), np.nanstd(x[:, known], axis=0)
    used = known & (spread > 0)

    def shaped(values: Floats) -> Floats:
        kept = values[:, used]
        return np.asarray((np.where(np.isnan(kept), center[used], kept) - center[used]) / spread[used])

    beta = logistic(shaped(x), label)
    return lambda values: np.asarray(1 / (1 + np.exp(-(shaped(values) @ beta[1:] + beta[0]))))


def baseline_scores(
    baselines: Mapping[str, Sequence[str]], train: Mapping[str, Floats], test: Mapping[str, Floats]
) -> dict[str, Floats]:
    """The probability that each baseline, fit on the training side, gives to each test row; `prevalence` is always there.

    `train` has `label`; both sides have an array for each column of the baselines (NaN where missing).
    """
    label = train["label"]
    rows = len(test["label"])
    scores = {PREVALENCE: prevalence(label)(np.empty((rows, 0)))}
    for name, columns in baselines.items():
        sides = [np.column_stack([side[c] for c in columns]).astype(np.float64) for side in (train, test)]
        scores[name] = few_columns(sides[0], label)(sides[1])
    return scores
