"""Recalibration by group: an option against scores that mean more in one group than in another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from carelake.ml.held_out import SMALL_CELL, persons_behind
from carelake.ml.logistic import Regression, expit, logit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from carelake.ml.held_out import Floats

OVERALL = "(overall)"  # the calibration of all rows, for levels that were not seen
_SPREAD = np.array(
    [0.5, 0.25]
)  # how far a level's intercept and slope are expected to lie from the overall ones


@dataclass(frozen=True)
class Levels:
    """By what scores are recalibrated: the `column` of the dataset, and of each row its person and the level. Arrays of one length."""

    column: str
    person: NDArray[np.int64]
    level: NDArray[np.str_]


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


def kept_lines(score: Floats, label: Floats, levels: Levels) -> dict[str, tuple[float, float]]:
    """The lines of `recalibrate_by_group` that a model may keep; every other level takes that of `OVERALL`.

    Left out are levels of fewer than 11 persons, and a line that would turn an order round; an overall line that would is (1, 0).
    """
    lines = recalibrate_by_group(score, label, levels.level)
    overall = lines.pop(OVERALL)
    return {OVERALL: overall if overall[0] > 0 else (1.0, 0.0)} | {
        level: line
        for level, line in lines.items()
        if line[0] > 0 and persons_behind(levels.person, levels.level == level) >= SMALL_CELL
    }


def apply(score: Floats, group: NDArray[np.str_], lines: Mapping[str, tuple[float, float]]) -> Floats:
    """The scores, recalibrated by the line of their group; a level without one takes that of `OVERALL`."""
    taken = np.array([lines.get(str(level), lines[OVERALL]) for level in group]).reshape(-1, 2)
    return expit(taken[:, 0] * logit(score) + taken[:, 1])
