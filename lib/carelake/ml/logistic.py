"""Logistic regression by Newton's method, for one weighting of the rows or for many at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from carelake.ml.held_out import Floats

EDGE = 1e-6  # probabilities nearer to 0 or 1 are taken as this far from it
FARTHEST = 30.0  # log-odds beyond it no longer move
_STEPS = 50
_STRIDE = 5.0  # the longest step, so that a first step too far does not run away
_REST = 1e-6  # a step so short squares the error: nothing is left to gain
_RESAMPLED_REST = (
    1e-3  # the same for a resample, which is 1e-6 from its end then and only marks out an interval
)


def logit(p: Floats) -> Floats:
    """Log-odds of probabilities, those of 0 and 1 held to about ±13.8."""
    held = np.clip(p, EDGE, 1 - EDGE)
    return np.asarray(np.log(held / (1 - held)))


def expit(x: Floats) -> Floats:
    """Probability of log-odds; beyond ±30 it no longer moves."""
    out = np.clip(x, -FARTHEST, FARTHEST)
    np.negative(out, out=out)
    np.exp(out, out=out)
    out += 1
    return np.asarray(np.reciprocal(out, out=out))


def logistic(
    x: Floats, label: Floats, weight: Floats | None = None, offset: Floats | None = None, ridge: float = 1e-6
) -> Floats:
    """Coefficients (intercept first) of a logistic regression on the columns of x; `ridge` spares the intercept."""
    design = np.column_stack([np.ones(len(label)), x])
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 1e-9
    return Regression(design, label, offset, penalty).fit(np.ones(len(label)) if weight is None else weight)


@dataclass(frozen=True)
class Regression:
    """A logistic regression of `label` (rows) on `design` (rows, columns), to be fitted to any weights of the rows.

    `penalty` holds each coefficient near `center` (0 without one) as a normal prior of that precision would.
    """

    design: Floats
    label: Floats
    offset: Floats | None = None
    penalty: Floats | None = None
    center: Floats | None = None

    def fit(self, weight: Floats | None = None) -> Floats:
        """The coefficients for one weight per row, all 1 without."""
        start = np.zeros(self.design.shape[1]) if self.center is None else self.center
        weights = np.ones((1, len(self.label))) if weight is None else weight[None, :]
        return np.asarray(self._descend(start[None, :].copy(), weights, _REST)[0])

    def fits(self, weights: Floats) -> Floats:
        """The coefficients of (resamples, columns) for weights of (resamples, rows).

        All start from the fit to equal weights, so that their first step needs no probabilities of their own.
        """
        start, gradients, curvatures = self._first
        beta = np.tile(start, (len(weights), 1))
        beta += self._step(beta, weights @ gradients, weights @ curvatures)[0]
        return self._descend(beta, weights, _RESAMPLED_REST)

    @cached_property
    def _first(self) -> tuple[Floats, Floats, Floats]:
        """The fit to equal weights, and what each row adds there to gradient and curvature."""
        start = self.fit()
        p = self._probabilities(start[None, :])[0]
        return start, (self.label - p)[:, None] * self.design, _spread(p)[:, None] * self._products

    @cached_property
    def _pairs(self) -> list[tuple[int, int]]:
        return list(itertools.combinations_with_replacement(range(self.design.shape[1]), 2))

    @cached_property
    def _products(self) -> Floats:
        return np.column_stack([self.design[:, i] * self.design[:, j] for i, j in self._pairs])

    def _probabilities(self, beta: Floats) -> Floats:
        linear = beta @ self.design.T
        if self.offset is not None:
            linear += self.offset
        return expit(linear)

    def _step(self, beta: Floats, gradient: Floats, curvature: Floats) -> tuple[Floats, Floats]:
        """Newton's step for each resample, no longer than the stride, and the length it wanted."""
        columns = self.design.shape[1]
        held = np.full(columns, 1e-6) if self.penalty is None else self.penalty
        target = np.zeros(columns) if self.center is None else self.center
        hessian = np.empty((len(beta), columns, columns))
        for at, (i, j) in enumerate(self._pairs):
            hessian[:, i, j] = hessian[:, j, i] = curvature[:, at]
        hessian += np.diag(held)
        change = np.linalg.solve(hessian, (gradient - held * (beta - target))[:, :, None])[:, :, 0]
        length = np.abs(change).max(axis=1)
        return change * np.minimum(1, _STRIDE / np.maximum(length, _REST))[:, None], length

    def _descend(self, beta: Floats, weights: Floats, rest: float) -> Floats:
        """Steps until each resample has come to rest."""
        active, used = np.arange(len(weights)), weights
        for _ in range(_STEPS):
            p = self._probabilities(beta[active])
            curvature = (used * _spread(p)) @ self._products
            gradient = (used * np.subtract(self.label, p, out=p)) @ self.design
            change, length = self._step(beta[active], gradient, curvature)
            beta[active] += change
            moving = length >= rest
            if not moving.any():
                break
            if not moving.all():
                active, used = active[moving], used[moving]
        return beta


def _spread(p: Floats) -> Floats:
    return np.asarray(np.maximum(p * (1 - p), 1e-12))
