"""From the columns of the examples to the vector that estimators take, and from a margin to a probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyspark.sql.functions as F
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import (
    Imputer,
    ImputerModel,
    SQLTransformer,
    StandardScaler,
    VectorAssembler,
)
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import DenseMatrix, Vectors
from pyspark.ml.regression import IsotonicRegression

from carelake.ml.model import SURVIVAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame, SparkSession

    from carelake.ml.evaluate import Floats

COVARIATES = "covariates"  # an optional vector column of the examples, sparse as a rule
_NAMES = "covariate_names"  # in that column's metadata: what each place of the vector is


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


def prepare(train: DataFrame, names: Sequence[str], missing: Mapping[str, float]) -> Prepared:
    """Fit missing indicators, medians for what is missing, one vector (`assembled`), standardised (`features`).

    `names` are the columns that vary, `missing` the missing share of those with gaps. A vector column `covariates` is
    appended as it is, zeros for what is absent; nothing is centred then, which would fill it (the estimators centre
    within). It uses no outcome.
    """
    sparse = COVARIATES in train.columns
    marks = "".join(f", CAST(`{n}` IS NULL AS DOUBLE) AS `{n}_missing`" for n in missing)
    inputs = [
        *(f"{n}_imputed" for n in names),
        *(f"{n}_missing" for n in missing),
        *([COVARIATES] if sparse else []),
    ]
    stages: list[Any] = [
        SQLTransformer(statement=f"SELECT *{marks} FROM __THIS__"),
        *([Imputer(inputCols=list(names), outputCols=[f"{n}_imputed" for n in names], strategy="median")] if names else []),
        VectorAssembler(inputCols=inputs, outputCol="assembled"),
        StandardScaler(inputCol="assembled", outputCol="features", withMean=not sparse, withStd=True),
    ]  # fmt: skip
    fitted = Pipeline(stages=stages).fit(train)
    scaler: Any = fitted.stages[-1]
    spread = scaler.std.toArray()
    dense = len(inputs) - sparse
    columns = (*names, *(f"{n}_missing" for n in missing), *_covariate_names(train, len(spread) - dense))
    usual = (*_medians(fitted, names), *(float(share > 0.5) for share in missing.values()))
    return Prepared(
        tuple(fitted.stages),
        columns,
        (*usual, *[0.0] * (len(columns) - len(usual))),
        dense + int((spread[dense:] > 0).sum()),
    )


def _covariate_names(train: DataFrame, places: int) -> tuple[str, ...]:
    if not places:
        return ()
    known = train.schema[COVARIATES].metadata.get(_NAMES, [])
    return tuple(known) if len(known) == places else tuple(f"{COVARIATES}[{i}]" for i in range(places))


def _medians(fitted: PipelineModel, names: Sequence[str]) -> list[float]:
    found = [s.surrogateDF.first() for s in fitted.stages if isinstance(s, ImputerModel)]
    return [float(row[n]) for row in found if row is not None for n in names]


def with_survival(train: DataFrame) -> DataFrame:
    """Add `days` (to the event, else of follow-up; at least half a day) and `censor` (1 event, 0 none seen) where known."""
    if not set(SURVIVAL) <= set(train.columns):
        return train
    return train.withColumns({
        "days": F.expr("CASE WHEN coalesce(days_to_event, followup_days) IS NOT NULL THEN greatest(0.5D, coalesce(days_to_event, followup_days)) END"),
        "censor": F.expr("CAST(days_to_event IS NOT NULL AS DOUBLE)"),
    })  # fmt: skip


def calibration_stages(label: Floats, margin: Floats, spark: SparkSession) -> list[Transformer]:
    """Platt scaling of the margin (`calibrated`, a vector), and its probability of the event as a number (`prediction`).

    Unweighted logistic regression of the outcome on the out-of-fold margin; a slope above zero never reverses the order.
    Platt (1999), Probabilistic outputs for support vector machines.
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
        featuresCol="calibrated", labelCol="label", predictionCol="prediction", featureIndex=1
    ).fit(line)
    return [platt, number]
