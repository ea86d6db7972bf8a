"""Recalibration by group: an option against scores that mean more in one group than in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carelake.ml.logistic import Regression, expit, logit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from carelake.ml.held_out import Floats

OVERALL = "(overall)"  # the calibration of all rows, for levels that were not seen
_SPREAD = np.array(
    [0.5, 0.25]
)  # how far a level's intercept and slope are expected to lie from the overall ones


def recalibrate_by_group(
    score: Floats, label: Floats, group: NDArray[np.str_]
) -> dict[str, tuple[float, float]]:
    """Slope and intercept on the logit of the score for each level, and for all rows under `OVERALL`.

    Each level's line is held near the overall one by a normal prior (standard deviation 0.5 for the intercept, 0.25 for the
    slope, in log-odds): a large group gets its own line, a small one nearly the overall. To be learnt on out-of-fold scores of
    the training side, never on the test side. It keeps the order within a group as long as the slope is positive, not between groups.
    """
    design = np.column_stack([np.ones(len(score)), logit(score)])
    overall = Regression(design, label).fit()
    near = Regression(design, label, penalty=_SPREAD**-2, center=overall)
    out = {OVERALL: (float(overall[1]), float(overall[0]))}
    for level in np.unique(group):
        intercept, slope = near.fit((group == level).astype(np.float64))
        out[str(level)] = (float(slope), float(intercept))
    return out


def apply(score: Floats, group: NDArray[np.str_], lines: Mapping[str, tuple[float, float]]) -> Floats:
    """The scores, recalibrated by the line of their group; a level without one takes that of `OVERALL`."""
    taken = np.array([lines.get(str(level), lines[OVERALL]) for level in group]).reshape(-1, 2)
    return expit(taken[:, 0] * logit(score) + taken[:, 1])
