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
from carelake.ml.recalibrate import Levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

    from carelake.ml.evaluate import Floats
    from carelake.ml.model import Estimator, RiskModel

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


@dataclass(frozen=True)
class OutOfFold:
    """Rows of the training side in arrays of one length, each with the `margin` of the fit that did not see its person.

    `texts` are those of `texts_of`, by column.
    """

    person: NDArray[np.int64]
    label: Floats
    margin: Floats
    texts: Mapping[str, NDArray[np.str_]]

    @staticmethod
    def together(parts: Sequence[OutOfFold]) -> OutOfFold:
        """The rows of all parts; at least one part."""
        return OutOfFold(
            np.concatenate([p.person for p in parts]), np.concatenate([p.label for p in parts]),
            np.concatenate([p.margin for p in parts]),
            {name: np.concatenate([p.texts[name] for p in parts]) for name in parts[0].texts},
        )  # fmt: skip

    def where(self, rows: NDArray[np.bool_]) -> OutOfFold:
        """Some of the rows."""
        return OutOfFold(
            self.person[rows],
            self.label[rows],
            self.margin[rows],
            {n: t[rows] for n, t in self.texts.items()},
        )

    def levels(self, column: str | None) -> Levels | None:
        """By what scores are recalibrated; None without a column."""
        return None if column is None else Levels(column, self.person, self.texts[column])


def texts_of(model: RiskModel) -> list[str]:
    """The columns of words of the dataset that training reads beside the features: of recalibration and of sites."""
    return [*filter(None, [model.recalibrated_column, "site" if model.site else None])]


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
) -> tuple[list[Candidate], Candidate, OutOfFold]:
    """Each candidate with its folds, the best by mean AUROC, and the training side with the out-of-fold margins of the best.

    `prepared` has person_id, label, weight, fold, features and the columns of `texts_of`. Candidates whose words are in `known` (AUROC by fold, from an earlier attempt) are
    not fitted again, save the best of all, whose margins are kept nowhere; `judged` is told each of the others when its
    last fold is. Medians and scales are those of the whole training side: they use no outcome. Not MLlib's
    CrossValidator, which cuts rows and not persons, and gives no out-of-fold margins for the calibration.
    """
    asked = candidates(model)
    new = [c for c in asked if c.words not in known]
    found = {
        c.words: Candidate(c.estimator, c.params, tuple(known[c.words])) for c in asked if c.words in known
    }
    kept: dict[str, list[OutOfFold]] = {}
    for candidate, folds in _fitted(model, prepared, new):
        done = Candidate(
            candidate.estimator, candidate.params, tuple(auroc(f.label, f.margin) for f in folds)
        )
        found[done.words], kept[done.words] = done, folds
        judged(done)
    ranked = [found[c.words] for c in asked]
    best = max(ranked, key=lambda c: c.auroc)
    folds = kept.get(best.words) or next(_fitted(model, prepared, [best]))[1]
    return ranked, best, OutOfFold.together(folds)


def _fitted(
    model: RiskModel, prepared: DataFrame, asked: Sequence[Candidate]
) -> Iterator[tuple[Candidate, list[OutOfFold]]]:
    """Each candidate with its folds, in order."""
    texts = texts_of(model)

    def judge(task: tuple[Candidate, int]) -> OutOfFold:
        candidate, fold = task
        others, own = prepared.where(F.col("fold") != fold), prepared.where(F.col("fold") == fold)
        stages = PipelineModel(fit(candidate.estimator, candidate.params, others, model.seed))
        rows = stages.transform(own).select(
            "person_id", "label", vector_to_array(F.col("margin"))[0].alias("margin"), *texts
        )  # fmt: skip
        table = rows.toArrow()
        words = {name: table[name].to_numpy().astype(str) for name in texts}
        return OutOfFold(
            table["person_id"].to_numpy(), table["label"].to_numpy(), table["margin"].to_numpy(), words
        )

    results = concurrently(prepared.sparkSession, judge, itertools.product(asked, range(model.folds)))
    for candidate in asked:
        yield candidate, [next(results) for _ in range(model.folds)]


def concurrently(session: SparkSession, work: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
    """What `work` makes of each task, in order; several fits at a time, since each leaves most of a small cluster idle."""
    with ThreadPool(max(2, min(_AT_A_TIME, session.sparkContext.defaultParallelism))) as pool:
        yield from pool.imap(inheritable_thread_target(session)(work), tasks)
