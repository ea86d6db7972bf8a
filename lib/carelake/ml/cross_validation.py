"""Candidates compete over folds of persons inside the training side; those that an earlier attempt judged stay judged."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING

import numpy as np
import pyspark.sql.functions as F
from pyspark import inheritable_thread_target
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array

from carelake.ml.estimators import fit
from carelake.ml.evaluate import auroc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pyspark.sql import DataFrame

    from carelake.ml.evaluate import Floats
    from carelake.ml.model import Estimator, RiskModel

    Judged = tuple[Floats, Floats]  # label and out-of-fold margin of one fold

_AT_A_TIME = 8  # fits; the driver holds the model of each


@dataclass(frozen=True)
class Candidate:
    """A point of an estimator's grid and its AUROC on each fold (NaN where a fold has one class only)."""

    estimator: Estimator
    params: Mapping[str, float]
    folds: tuple[float, ...] = ()

    @property
    def words(self) -> str:
        """As `logistic(maxIter=25, regParam=0.05)`: the candidate's name within a model."""
        return f"{self.estimator.kind}({', '.join(f'{k}={v:g}' for k, v in sorted(self.params.items()))})"

    @property
    def auroc(self) -> float:
        """The mean over the folds that have one; 0 when none has."""
        known = [a for a in self.folds if np.isfinite(a)]
        return float(np.mean(known)) if known else 0.0


def candidates(model: RiskModel) -> list[Candidate]:
    """Every point of every grid, in the declared order."""
    return [
        Candidate(estimator, {**estimator.fixed, **dict(zip(estimator.grid, values, strict=True))})
        for estimator in model.estimator
        for values in itertools.product(*estimator.grid.values())
    ]


def cross_validate(
    model: RiskModel,
    prepared: DataFrame,
    *,
    known: Mapping[str, Sequence[float]],
    judged: Callable[[Candidate], None],
) -> tuple[list[Candidate], Candidate, Floats, Floats]:
    """Each candidate with its folds, the best by mean AUROC, and the labels and out-of-fold margins of the best.

    `prepared` has label, weight, fold and features. Candidates whose words are in `known` (AUROC by fold, from an earlier attempt) are
    not fitted again, save the best of all, whose margins are kept nowhere; `judged` is told each of the others when its
    last fold is. Medians and scales are those of the whole training side: they use no outcome. Not MLlib's
    CrossValidator, which cuts rows and not persons, and gives no out-of-fold margins for the calibration.
    """
    asked = candidates(model)
    new = [c for c in asked if c.words not in known]
    found = {
        c.words: Candidate(c.estimator, c.params, tuple(known[c.words])) for c in asked if c.words in known
    }
    kept: dict[str, list[Judged]] = {}
    for candidate, folds in _fitted(model, prepared, new):
        done = Candidate(candidate.estimator, candidate.params, tuple(auroc(y, m) for y, m in folds))
        found[done.words], kept[done.words] = done, folds
        judged(done)
    ranked = [found[c.words] for c in asked]
    best = max(ranked, key=lambda c: c.auroc)
    folds = kept.get(best.words) or next(_fitted(model, prepared, [best]))[1]
    return ranked, best, np.concatenate([y for y, _ in folds]), np.concatenate([m for _, m in folds])


def _fitted(
    model: RiskModel, prepared: DataFrame, asked: Sequence[Candidate]
) -> Iterator[tuple[Candidate, list[Judged]]]:
    """Each candidate with its folds, in order; several fits at a time, since each leaves most of a small cluster idle."""

    def judge(task: tuple[Candidate, int]) -> Judged:
        candidate, fold = task
        others, own = prepared.where(F.col("fold") != fold), prepared.where(F.col("fold") == fold)
        stages = PipelineModel(fit(candidate.estimator, candidate.params, others, model.seed))
        rows = stages.transform(own).select("label", vector_to_array(F.col("margin"))[0].alias("margin"))
        table = rows.toArrow()
        return table["label"].to_numpy(), table["margin"].to_numpy()

    session = prepared.sparkSession
    with ThreadPool(max(2, min(_AT_A_TIME, session.sparkContext.defaultParallelism))) as pool:
        tasks = itertools.product(asked, range(model.folds))
        results = pool.imap(inheritable_thread_target(session)(judge), tasks)
        for candidate in asked:
            yield candidate, [next(results) for _ in range(model.folds)]
