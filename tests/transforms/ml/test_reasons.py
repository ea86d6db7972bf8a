"""Reasons: exact where the margin is linear, and the same as asking the classifier again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from carelake.ml.estimators import fit
from carelake.ml.model import Estimator, Feature, Kind
from carelake.ml.preparation import calibration_stages, prepare, varying
from carelake.ml.reasons import _asked_again, _per_unit, _texts, with_reasons

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FEATURES = (Feature("visits", "visits", Kind.COUNT), Feature("lab", "lead"), Feature("age", "age"))


@pytest.fixture(scope="module")
def linear(spark: SparkSession) -> tuple[DataFrame, PipelineModel, dict[str, list[float] | list[str]]]:
    random = np.random.default_rng(6)
    visits, lab, age = random.poisson(2, 300), random.normal(size=300), random.normal(60, 10, 300)
    label = random.random(300) < 1 / (1 + np.exp(-(visits - 2 + 1.5 * lab)))
    rows = [
        (i, float(label[i]), 1.0, float(visits[i]), float(lab[i]) if i % 4 else None, float(age[i])) for i in range(300)
    ]  # fmt: skip
    frame = spark.createDataFrame(
        rows, "person_id int, label double, weight double, visits double, lab double, age double"
    ).coalesce(1).withColumn("index_date", F.lit("2024-01-01"))  # fmt: skip
    made = prepare(frame, varying(frame, ["visits", "lab", "age"]))
    stages = fit(Estimator("logistic"), {"regParam": 0.01}, made.transform(frame), 1)
    ends = calibration_stages(np.array([0.0, 1, 0, 1]), np.array([-1.0, 1, 1, 2]), spark)
    return (
        frame,
        PipelineModel([*made.stages, *stages, *ends]),
        {"columns": list(made.columns), "medians": list(made.usual)},
    )


def test_a_linear_models_reasons_are_its_terms_by_hand(linear) -> None:  # type: ignore[no-untyped-def]
    frame, pipeline, reference = linear
    slope = _per_unit(pipeline)
    assert slope is not None
    scored = pipeline.transform(frame).withColumn("score", F.col("prediction"))
    found = {r.person_id: r.reasons for r in with_reasons(scored, pipeline, reference, FEATURES).collect()}
    words = {("visits", 1): "more visits than usual", ("visits", 0): "fewer visits than usual", ("lab", 1): "higher lead than usual",
             ("lab", 0): "lower lead than usual", ("age", 1): "higher age than usual", ("age", 0): "lower age than usual",
             ("lab_missing", 1): "no recent lead on record", ("lab_missing", 0): "lead on record"}  # fmt: skip
    for row in frame.collect():
        lab = reference["medians"][1] if row.lab is None else row.lab
        values = [row.visits, lab, row.age, float(row.lab is None)]
        gains = {
            words[name, int(v > usual)]: w * (v - usual)
            for name, v, usual, w in zip(
                reference["columns"], values, reference["medians"], slope, strict=True
            )
        }
        by_hand = sorted((t for t, g in gains.items() if g > 0.01), key=lambda t: -gains[t])
        assert found[row.person_id] == by_hand


def test_asking_the_classifier_again_gives_the_same_reasons(linear) -> None:  # type: ignore[no-untyped-def]
    frame, pipeline, reference = linear
    scored = pipeline.transform(frame).withColumn("score", F.col("prediction"))
    exact = {r.person_id: r.reasons for r in with_reasons(scored, pipeline, reference, FEATURES).collect()}
    above, below = (F.array(*map(F.lit, t)) for t in _texts(reference["columns"], FEATURES, {}))
    rows = scored.select(
        "person_id", "index_date", "score", vector_to_array(F.col("assembled")).alias("_x"), vector_to_array(F.col("margin"))[0].alias("_margin"),
    ).withColumns({"_usual": F.array(*map(F.lit, reference["medians"])), "_above": above, "_below": below})  # fmt: skip
    assert {r.person_id: r.reasons for r in _asked_again(rows, pipeline).collect()} == exact
