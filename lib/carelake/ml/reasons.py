"""Why a score is high, in words: what the score would lose if one feature were as usual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyspark.sql.functions as F
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import array_to_vector, vector_to_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from carelake.ml.model import Feature

TOP = 4
_ENOUGH = 0.01  # of the margin (log-odds for a linear model): less is no reason


def with_reasons(
    scored: DataFrame, pipeline: PipelineModel, reference: Mapping[str, Any], features: Sequence[Feature]
) -> DataFrame:
    """person_id, index_date, score and `reasons`: up to four texts, strongest first, of what raises the score of each row.

    `scored` comes from `pipeline.transform`, with `score`. A feature's contribution is the margin minus the margin with that
    feature at the training median. It holds for any classifier; features that share their effect share it here too. Texts
    name features and directions, never a value.
    """
    columns: list[str] = list(reference["columns"])
    above, below = _texts(columns, features)
    at = next(i for i, s in enumerate(pipeline.stages) if isinstance(s, VectorAssembler))
    one = (
        scored.select(
            "person_id", "index_date", "score", vector_to_array(F.col("assembled")).alias("_x"), vector_to_array(F.col("margin"))[0].alias("_margin")
        )
        .withColumn("_usual", F.array(*[F.lit(float(m)) for m in reference["medians"]]))
        .select("*", F.posexplode("_x").alias("_j", "_value"))
        .withColumn("assembled", array_to_vector(F.expr("transform(_x, (x, i) -> if(i = _j, _usual[_j], x))")))
    )  # fmt: skip
    for stage in pipeline.stages[at + 1 : -1]:  # scaler, classifier, margin; the calibrator keeps the order
        one = stage.transform(one)
    texts = F.when(F.expr("_value > _usual[_j]"), F.array(*map(F.lit, above))[F.col("_j")]).otherwise(
        F.array(*map(F.lit, below))[F.col("_j")]
    )
    listed = f"collect_list(struct(-_gain, _text)) FILTER (WHERE _gain > {_ENOUGH})"
    return (
        one.withColumns({"_gain": F.col("_margin") - vector_to_array(F.col("margin"))[0], "_text": texts})
        .groupBy("person_id", "index_date")
        .agg(
            F.first("score").alias("score"),
            F.expr(f"transform(slice(array_sort({listed}), 1, {TOP}), r -> r._text)").alias("reasons"),
        )
    )


def _texts(columns: Sequence[str], features: Sequence[Feature]) -> tuple[list[str], list[str]]:
    named = {f.name: (f.above, f.below) for f in features}
    named |= {f"{f.name}_missing": (f.absent, f"{f.words} on record") for f in features}
    return [named[c][0] for c in columns], [named[c][1] for c in columns]
