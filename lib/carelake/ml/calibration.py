"""Whether a probability means what it says: overall error, calibration slope and intercept, the flexible curve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from carelake.ml.discrimination import one, ratio
from carelake.ml.logistic import Regression, expit, logit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from carelake.ml.held_out import Floats

# where the knots of a restricted cubic spline lie, in quantiles (Harrell, Regression Modeling Strategies, table 2.3)
_KNOTS = {3: (0.1, 0.5, 0.9), 5: (0.05, 0.275, 0.5, 0.725, 0.95)}
_ENOUGH_FOR_FIVE = 100  # events and non-events


def brier(label: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Mean squared difference between probability and outcome; NaN without weight."""
    return float(briers(label, score, one(label, weight))[0])


def briers(label: Floats, score: Floats, weights: Floats) -> Floats:
    """Brier score of each row of weights of (resamples, rows)."""
    return ratio(weights @ (score - label) ** 2, weights.sum(axis=1))


def skills(label: Floats, score: Floats, weights: Floats) -> Floats:
    """Scaled Brier score: 1 is perfect, 0 no better than giving everyone the prevalence (Steyerberg 2010)."""
    prevalence = ratio(weights @ label, weights.sum(axis=1))
    return 1 - ratio(briers(label, score, weights), prevalence * (1 - prevalence))


def log_losses(label: Floats, score: Floats, weights: Floats) -> Floats:
    """Mean negative log-likelihood in nats; certainties are held off 0 and 1 by the machine's precision."""
    tiny = np.finfo(np.float64).eps
    p = np.clip(score, tiny, 1 - tiny)
    return -ratio(weights @ np.where(label > 0, np.log(p), np.log1p(-p)), weights.sum(axis=1))


def calibration(label: Floats, score: Floats, weight: Floats | None = None) -> tuple[float, float]:
    """Slope of the outcome on the logit of the score, and intercept with the slope held at 1; ideal is (1, 0).

    Cox 1958. NaN when one class is absent or, for the slope, all scores are the same.
    """
    weights = one(label, weight)
    if not both_classes(label, weights).any():
        return float("nan"), float("nan")
    calibrated = Calibrated(label, score)
    used = None if weight is None else weight
    slope = calibrated.sloped.fit(used)[1] if calibrated.vary(weights).all() else np.nan
    return float(slope), float(calibrated.shifted.fit(used)[0])


@dataclass(frozen=True)
class Calibrated:
    """The regressions of an outcome on the logit of its score, ready for many resamples. Shape: label and score of one length."""

    label: Floats
    score: Floats

    @cached_property
    def sloped(self) -> Regression:
        """Intercept and slope."""
        return Regression(np.column_stack([np.ones(len(self.label)), logit(self.score)]), self.label)

    @cached_property
    def shifted(self) -> Regression:
        """Intercept with the slope held at 1."""
        return Regression(np.ones((len(self.label), 1)), self.label, offset=logit(self.score))

    @cached_property
    def flexible(self) -> Regression:
        """The flexible curve, on columns that are made orthogonal: those of a spline are nearly parallel."""
        design = Flexible.of(self.label, self.score).design(self.score)
        return Regression(np.linalg.qr(design)[0] * np.sqrt(len(design)), self.label)

    @cached_property
    def _ascending(self) -> tuple[NDArray[np.intp], Floats]:
        order = np.argsort(self.score, kind="stable")
        return order, self.score[order]

    def vary(self, weights: Floats) -> NDArray[np.bool_]:
        """Whether the rows drawn have more than one score, per resample."""
        order, ascending = self._ascending
        drawn = np.take(weights, order, axis=1) > 0
        last = len(order) - 1 - drawn[:, ::-1].argmax(axis=1)
        return np.asarray(ascending[drawn.argmax(axis=1)] < ascending[last])

    def slopes(self, weights: Floats) -> Floats:
        """The calibration slope for weights of (resamples, rows); NaN when one class is absent or the score does not vary."""
        out = np.full(len(weights), np.nan)
        known = both_classes(self.label, weights)
        known[known] = self.vary(weights[known])
        if known.any():
            out[known] = self.sloped.fits(weights[known])[:, 1]
        return out

    def measured(self, weights: Floats) -> dict[str, Floats]:
        """calibration_slope, calibration_intercept and ici for weights of (resamples, rows); NaN when one class is absent.

        `ici`, the integrated calibration index, is the mean distance between score and flexible curve (Austin and Steyerberg,
        Statistics in Medicine 2019), with a spline in place of loess (as Austin, Harrell and van Klaveren 2020). It cannot be
        negative: in small samples even a perfect model has some.
        """
        out = {
            name: np.full(len(weights), np.nan)
            for name in ("calibration_slope", "calibration_intercept", "ici")
        }
        both = both_classes(self.label, weights)
        if not both.any():
            return out
        used = weights if both.all() else weights[both]
        out["calibration_intercept"][both] = self.shifted.fits(used)[:, 0]
        out["calibration_slope"] = self.slopes(weights)
        away = expit(self.flexible.fits(used) @ self.flexible.design.T)
        away -= self.score
        out["ici"][both] = np.einsum("ij,ij->i", used, np.abs(away, out=away)) / used.sum(axis=1)
        return out

    def distances(self) -> Floats:
        """How far each score is from the flexible curve. Raises nothing; meaningless when one class is absent."""
        return np.asarray(np.abs(expit(self.flexible.design @ self.flexible.fit()) - self.score))


@dataclass(frozen=True)
class Flexible:
    """The shape of a flexible calibration curve: a restricted cubic spline in the logit of the score, with these knots.

    Three knots below 100 events or non-events, five from there; fewer than three different ones leave a straight line, a
    score that never varies a constant.
    """

    knots: tuple[float, ...]
    constant: bool = False

    @staticmethod
    def of(label: Floats, score: Floats) -> Flexible:
        """Knots for these rows. Shape: label and score of one length, at least one row."""
        x = logit(score)
        fewer = min(label.sum(), (1 - label).sum())
        knots = np.unique(np.quantile(x, _KNOTS[5 if fewer >= _ENOUGH_FOR_FIVE else 3]))
        return Flexible(tuple(knots.tolist()) if len(knots) > 2 else (), bool(x.min() == x.max()))

    def design(self, score: Floats) -> Floats:
        """The columns of the curve for scores: intercept, logit, cubic terms that are straight beyond the outer knots."""
        x = logit(score)
        if self.constant:
            return np.ones((len(x), 1))
        columns = [np.ones(len(x)), x]
        if self.knots:
            *inner, before, last = self.knots

            def cubed(knot: float) -> Floats:
                return np.asarray(np.maximum(x - knot, 0) ** 3)

            for knot in inner:
                bent = (
                    cubed(knot)
                    - cubed(before) * (last - knot) / (last - before)
                    + cubed(last) * (before - knot) / (last - before)
                )
                columns.append(bent / (last - self.knots[0]) ** 2)
        return np.column_stack(columns)


def both_classes(label: Floats, weights: Floats) -> NDArray[np.bool_]:
    """Whether both events and others were drawn, per resample."""
    events = weights @ label
    return np.asarray((events > 0) & (events < weights.sum(axis=1)))
