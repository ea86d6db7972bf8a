"""From the columns of the examples to the vector that estimators take, and from a margin to a probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyspark.sql.functions as F
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import CountVectorizerModel, SQLTransformer, StandardScaler, VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import DenseMatrix, Vectors
from pyspark.ml.regression import IsotonicRegression

from carelake.core.sql import text_literal
from carelake.ml.held_out import SMALL_CELL
from carelake.ml.logistic import EDGE, FARTHEST, expit
from carelake.ml.model import COVARIATES, SURVIVAL
from carelake.ml.recalibrate import OVERALL, kept_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame, SparkSession

    from carelake.ml.evaluate import Floats
    from carelake.ml.recalibrate import Levels

_VECTOR = "covariate_vector"
_LEAST_SHARE = (
    0.001  # of the training side's persons; OHDSI's FeatureExtraction, tidyCovariateData(minFraction)
)


@dataclass(frozen=True)
class Seen:
    """Of a feature on the training side: the share of rows that lack it, and the median of the others."""

    missing: float
    median: float


@dataclass(frozen=True)
class Prepared:
    """The fitted stages up to `features`, the name of each place of that vector, and the usual (median) value of each."""

    stages: Sequence[Transformer]
    columns: tuple[str, ...]
    usual: tuple[float, ...]
    varying: int

    def transform(self, rows: DataFrame) -> DataFrame:
        """The rows with `features`."""
        out: DataFrame = PipelineModel(list(self.stages)).transform(rows)
        return out


def varying(train: DataFrame, names: Sequence[str]) -> dict[str, Seen]:
    """What the training side tells of each of `names` that varies there, in one pass; NaN counts as missing."""
    if not names:
        return {}
    values = train.select(
        F.posexplode(F.array(*[F.expr(f"nanvl(`{n}`, NULL)") for n in names])).alias("_j", "_value")
    )
    measured = values.groupBy("_j").agg(
        F.avg(F.col("_value").isNull().cast("double")), F.percentile_approx("_value", 0.5, 10_000), F.max("_value") > F.min("_value")
    )  # fmt: skip
    found = {names[r[0]]: Seen(float(r[1]), float(r[2])) for r in measured.collect() if r[3]}
    return {n: found[n] for n in names if n in found}


def frequent(train: DataFrame, persons: int) -> list[str]:
    """The ids, in order, of covariates that at least 11 persons, and one in a thousand, of the `persons` of the training side have; none without that column.

    A rarer one would tell of persons, in the model's own files, more than of a population.
    """
    if COVARIATES not in train.columns:
        return []
    least = max(SMALL_CELL, persons * _LEAST_SHARE)
    found = (
        train.select("person_id", F.explode(COVARIATES).alias("id"))
        .groupBy("id").agg(F.count_distinct("person_id").alias("persons"))
        .where(F.col("persons") >= least)
    )  # fmt: skip
    return sorted(r["id"] for r in found.select("id").collect())


def prepare(train: DataFrame, seen: Mapping[str, Seen], covariates: Sequence[str] = ()) -> Prepared:
    """Missing indicators, medians for what is missing, one vector (`assembled`), standardised (`features`).

    Ids of `covariates` that a row has are appended as 1, sparse; nothing is centred then, which would fill the zeros
    (the estimators centre within). It uses no outcome.
    """
    gaps = [n for n, s in seen.items() if s.missing > 0]
    filled = [f"coalesce(nanvl(`{n}`, NULL), {s.median!r}D) AS `{n}_filled`" for n, s in seen.items()]
    marks = [f"CAST(nanvl(`{n}`, NULL) IS NULL AS DOUBLE) AS `{n}_missing`" for n in gaps]
    columns = (*seen, *(f"{n}_missing" for n in gaps), *covariates)
    dense = [*(f"{n}_filled" for n in seen), *(f"{n}_missing" for n in gaps)]
    listed = CountVectorizerModel.from_vocabulary(
        list(covariates), inputCol=COVARIATES, outputCol=_VECTOR, binary=True
    ) if covariates else None  # fmt: skip
    stages: list[Any] = [
        SQLTransformer(statement=f"SELECT {', '.join(['*', *filled, *marks])} FROM __THIS__"),
        *([listed] if listed else []),
        VectorAssembler(inputCols=[*dense, *([_VECTOR] if listed else [])], outputCol="assembled"),
        StandardScaler(inputCol="assembled", outputCol="features", withMean=not listed, withStd=True),
    ]
    fitted = Pipeline(stages=stages).fit(train)
    scaler: Any = fitted.stages[-1]
    usual = (
        *(s.median for s in seen.values()),
        *(float(seen[n].missing > 0.5) for n in gaps),
        *[0.0] * len(covariates),
    )
    return Prepared(tuple(fitted.stages), columns, usual, int((scaler.std.toArray() > 0).sum()))


def with_survival(train: DataFrame) -> DataFrame:
    """Add `days` (to the event, else of follow-up; at least half a day) and `censor` (1 event, 0 none seen) where known."""
    if not set(SURVIVAL) <= set(train.columns):
        return train
    return train.withColumns({
        "days": F.expr("CASE WHEN coalesce(days_to_event, followup_days) IS NOT NULL THEN greatest(0.5D, coalesce(days_to_event, followup_days)) END"),
        "censor": F.expr("CAST(days_to_event IS NOT NULL AS DOUBLE)"),
    })  # fmt: skip


def calibration_stages(
    label: Floats, margin: Floats, spark: SparkSession, by: Levels | None = None
) -> list[Transformer]:
    """From the margin to `prediction`, the probability of the event: Platt scaling and, with `by`, a line for each level of a group.

    Unweighted logistic regression of the outcome on the out-of-fold margin; a slope above zero never reverses the order.
    Platt (1999), Probabilistic outputs for support vector machines. The lines by level are learnt on the scores that follow.
    """
    pairs = spark.createDataFrame(
        [(float(y), float(m)) for y, m in zip(label, margin, strict=True)], "label double, _margin double"
    )
    platt = LogisticRegression(
        featuresCol="margin", labelCol="label", predictionCol="calibrated_class", probabilityCol="calibrated",
        rawPredictionCol="calibrated_raw", lowerBoundsOnCoefficients=DenseMatrix(1, 1, [1e-3]), maxIter=30,
    ).fit(pairs.select("label", array_to_vector(F.array("_margin")).alias("margin")).coalesce(1))  # fmt: skip
    # Spark ML takes a number out of a vector in no transformer; the isotonic fit of 0 -> 0, 1 -> 1 is the identity
    line = spark.createDataFrame(
        [(0.0, Vectors.dense(1.0, 0.0), 1.0), (1.0, Vectors.dense(0.0, 1.0), 1.0)],
        ["label", "calibrated", "weight"],
    ).coalesce(1)
    number = IsotonicRegression(
        featuresCol="calibrated", labelCol="label", featureIndex=1,
        predictionCol="prediction" if by is None else "platt_probability",
    ).fit(line)  # fmt: skip
    if by is None:
        return [platt, number]
    score = expit(np.asarray(platt.coefficients[0] * margin + platt.intercept))
    return [platt, number, _by_level(kept_lines(score, label, by), by.column)]


def _by_level(lines: Mapping[str, tuple[float, float]], column: str) -> Transformer:
    """`recalibrate.apply` in SQL: `prediction` from `platt_probability` and the level in `column`."""

    def chosen(which: int) -> str:
        own = [
            f"WHEN {text_literal(level)} THEN {line[which]!r}D"
            for level, line in lines.items()
            if level != OVERALL
        ]
        other = f"{lines[OVERALL][which]!r}D"
        return f"CASE `{column}` {' '.join(own)} ELSE {other} END" if own else other

    held = f"greatest({EDGE!r}D, least({1 - EDGE!r}D, platt_probability))"
    linear = f"({chosen(0)}) * ln({held} / (1D - {held})) + ({chosen(1)})"
    bounded = f"greatest(-{FARTHEST!r}D, least({FARTHEST!r}D, {linear}))"
    return SQLTransformer(statement=f"SELECT *, 1D / (1D + exp(-{bounded})) AS prediction FROM __THIS__")
