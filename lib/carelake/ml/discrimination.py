"""How well a score tells those with the event from those without: AUROC, average precision, the top of the list."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from carelake.ml.held_out import Floats


@dataclass(frozen=True)
class Ranking:
    """Rows by falling score: their `order`, and where in it each tie (rows of one score) `starts`."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @staticmethod
    def of(score: Floats) -> Ranking:
        """The ranking of scores (rows)."""
        order = np.argsort(-score, kind="stable")
        return Ranking(order, np.flatnonzero(np.append(True, np.diff(score[order]) != 0)[: len(score)]))

    @cached_property
    def tie(self) -> NDArray[np.intp]:
        """The number of each row's tie, 0 for the highest score."""
        out = np.empty_like(self.order)
        out[self.order] = np.searchsorted(self.starts, np.arange(len(self.order)), side="right") - 1
        return out

    def weighed(self, label: Floats, weights: Floats) -> Ranked:
        """The ties with what they weigh, for weights of (resamples, rows)."""
        rows = np.take(weights, self.order, axis=1)
        events = rows * label[self.order]
        if len(self.starts) < len(self.order):
            rows = np.add.reduceat(rows, self.starts, axis=1)
            events = np.add.reduceat(events, self.starts, axis=1)
        return Ranked(self.tie, events, rows)


@dataclass(frozen=True)
class Ranked:
    """Weights of `events` and `rows` of (resamples, ties), by falling score; `tie` is the number of each row's tie."""

    tie: NDArray[np.intp]
    events: Floats
    rows: Floats

    @cached_property
    def hits(self) -> Floats:
        """Events down to each tie."""
        return np.cumsum(self.events, axis=1)

    @cached_property
    def flagged(self) -> Floats:
        """Rows down to each tie."""
        return np.cumsum(self.rows, axis=1)


def ratio(above: Floats, below: Floats) -> Floats:
    """The quotient, NaN where the divisor is 0."""
    above, below = np.broadcast_arrays(above, below)
    return np.asarray(np.divide(above, below, out=np.full(below.shape, np.nan), where=below != 0))


def areas(r: Ranked) -> Floats:
    """Area under the ROC curve per resample, ties counted half (Mann-Whitney); NaN when one class is absent."""
    others = r.rows - r.events
    down = np.cumsum(others, axis=1)
    total, events = down[:, -1], r.events.sum(axis=1)
    above = np.einsum("ij,ij->i", r.events, down) - np.einsum("ij,ij->i", r.events, others) / 2
    return ratio(total * events - above, total * events)


def precisions(r: Ranked) -> Floats:
    """Average precision per resample: the step-wise area under precision and recall; NaN without an event."""
    precision = np.divide(r.hits, r.flagged, out=np.zeros_like(r.hits), where=r.flagged > 0)
    return ratio(np.einsum("ij,ij->i", precision, r.events), r.hits[:, -1])


def aurocs(label: Floats, score: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve for each row of weights of (resamples, rows)."""
    return areas(Ranking.of(score).weighed(label, weights))


def auroc(label: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Area under the ROC curve, ties counted half; NaN when one class is absent."""
    return float(aurocs(label, score, one(label, weight))[0]) if len(label) else float("nan")


def auprc(label: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Average precision (the step-wise area under precision and recall); NaN without an event."""
    if not len(label):
        return float("nan")
    return float(precisions(Ranking.of(score).weighed(label, one(label, weight)))[0])


@dataclass(frozen=True)
class Line:
    """Where the top of a list ends, per resample: in which `tie`, and which `part` (0-1) of it is still in.

    Of the tie on the line a part is taken, as if by lot: the length is kept exactly, and what follows from it does not depend
    on the order of rows.
    """

    tie: NDArray[np.intp]
    part: Floats

    @staticmethod
    def at(r: Ranked, budget: float) -> Line:
        """The line below the top `budget` (0-1) of the rows."""
        room = budget * r.flagged[:, -1]
        tie = np.minimum((r.flagged < room[:, None]).sum(axis=1), r.rows.shape[1] - 1)
        inside, before = _pick(r.rows, tie), _pick(r.flagged, tie) - _pick(r.rows, tie)
        return Line(tie, np.clip(ratio(room - before, inside), 0, 1))

    def hits(self, r: Ranked) -> Floats:
        """Events above the line."""
        return np.asarray(_pick(r.hits, self.tie) - (1 - self.part) * _pick(r.events, self.tie))

    def shares(self, ties: NDArray[np.intp]) -> Floats:
        """Which part (0-1) of rows in these ties is above the line: (resamples, rows)."""
        above = (ties < self.tie[:, None]).astype(np.float64)
        return np.where(ties == self.tie[:, None], self.part[:, None], above)


def flagged(score: Floats, budget: float) -> Floats:
    """The part (0-1) of each row that stands in the top `budget` of all rows. Shape: at least one row."""
    r = Ranking.of(score).weighed(np.zeros_like(score), np.ones((1, len(score))))
    return np.asarray(Line.at(r, budget).shares(r.tie)[0])


def one(label: Floats, weight: Floats | None) -> Floats:
    """One weight per row as (1, rows), all 1 without."""
    return np.ones((1, len(label))) if weight is None else weight[None, :]


def _pick(values: Floats, at: NDArray[np.intp]) -> Floats:
    return np.asarray(np.take_along_axis(values, at[:, None], axis=1)[:, 0])
