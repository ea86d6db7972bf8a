"""Why a score is high, in words: what the score would lose if one feature were as usual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyspark.sql.functions as F
from pyspark.ml.feature import StandardScalerModel, VectorAssembler
from pyspark.ml.functions import array_to_vector, vector_to_array

from carelake.ml.estimators import slopes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from carelake.ml.evaluate import Floats
    from carelake.ml.model import Feature

TOP = 4
_ENOUGH = 0.01  # of the margin (log-odds for a linear model): less is no reason


def with_reasons(
    scored: DataFrame, pipeline: PipelineModel, reference: Mapping[str, Any], features: Sequence[Feature]
) -> DataFrame:
    """person_id, index_date, score and `reasons`: up to four texts, strongest first, of what raises the score of each row.

    `scored` comes from `pipeline.transform`, with `score`. A feature's contribution is the margin minus the margin with that
    feature at the training median: exact and additive where the margin is linear (the contributions are Shapley values
    then, against the median person), else by asking the classifier again; features that share their effect share it here too.
    Texts name features and directions, never a value.
    """
    above, below = (
        F.array(*map(F.lit, texts))
        for texts in _texts(reference["columns"], features, reference.get("covariates", {}))
    )
    usual = F.array(*[F.lit(float(m)) for m in reference["medians"]])
    rows = scored.select(
        "person_id", "index_date", "score", vector_to_array(F.col("assembled")).alias("_x"),
        vector_to_array(F.col("margin"))[0].alias("_margin"),
    ).withColumns({"_usual": usual, "_above": above, "_below": below})  # fmt: skip
    linear = _per_unit(pipeline)
    return _linear(rows, linear) if linear is not None else _asked_again(rows, pipeline)


def _per_unit(pipeline: PipelineModel) -> Floats | None:
    """What the margin gains for one more of each of `assembled`, where it is linear."""
    at, scaler = next((i, s) for i, s in enumerate(pipeline.stages) if isinstance(s, StandardScalerModel))
    per_deviation = slopes(pipeline.stages[at + 1 : at + 2])  # not the calibrator's
    if per_deviation is None:
        return None
    spread = np.asarray(scaler.std.toArray(), dtype=np.float64)
    return np.divide(
        per_deviation, spread, out=np.zeros_like(spread), where=spread > 0
    )  # the scaler makes zeros of a constant


def _linear(rows: DataFrame, per_unit: Floats) -> DataFrame:
    gains = "transform(_x, (x, i) -> struct(-_w[i] * (x - _usual[i]) AS loss, if(x > _usual[i], _above[i], _below[i]) AS text))"
    strongest = f"slice(array_sort(filter({gains}, g -> g.loss < -{_ENOUGH})), 1, {TOP})"
    return rows.withColumn("_w", F.array(*[F.lit(float(w)) for w in per_unit])).select(
        "person_id", "index_date", "score", F.expr(f"transform({strongest}, g -> g.text)").alias("reasons")
    )


def _asked_again(rows: DataFrame, pipeline: PipelineModel) -> DataFrame:
    at = next(i for i, s in enumerate(pipeline.stages) if isinstance(s, VectorAssembler))
    one = rows.select("*", F.posexplode("_x").alias("_j", "_value")).withColumn(
        "assembled", array_to_vector(F.expr("transform(_x, (x, i) -> if(i = _j, _usual[_j], x))"))
    )
    for stage in pipeline.stages[at + 1 :]:  # scaler, classifier, margin; the calibrator keeps the order
        one = stage.transform(one)
        if "margin" in one.columns:
            break
    listed = f"collect_list(struct(-_gain, _text)) FILTER (WHERE _gain > {_ENOUGH})"
    return (
        one.withColumns({
            "_gain": F.col("_margin") - vector_to_array(F.col("margin"))[0],
            "_text": F.expr("if(_value > _usual[_j], _above[_j], _below[_j])"),
        })
        .groupBy("person_id", "index_date")
        .agg(
            F.first("score").alias("score"),
            F.expr(f"transform(slice(array_sort({listed}), 1, {TOP}), r -> r._text)").alias("reasons"),
        )
    )  # fmt: skip


def _texts(
    columns: Sequence[str], features: Sequence[Feature], covariates: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The reason of each column of the vector when it is above, and when it is below the usual."""
    named = {f.name: (f.above, f.below) for f in features}
    named |= {f"{f.name}_missing": (f.absent, f"{f.words} on record") for f in features}
    named |= {c: (name, f"no {name}") for c, name in covariates.items()}
    found = [named[c] for c in columns]
    return [a for a, _ in found], [b for _, b in found]
