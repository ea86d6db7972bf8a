"""The feature vector, dense and sparse, and the calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import SparseVector, Vectors
from pyspark.sql import functions as F
from sklearn.linear_model import LogisticRegression

from carelake.ml.preparation import Seen, calibration_stages, prepare, varying, with_survival

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_what_varies_is_told_with_its_median_and_missing_share(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [
            (1.0, None, 7.0, None),
            (2.0, 10.0, 7.0, None),
            (6.0, float("nan"), 7.0, None),
            (9.0, 30.0, None, None),
        ],
        "a double, b double, c double, d double",
    )
    # c is 7 or missing, d never there: neither varies
    assert varying(rows, ["b", "a", "c", "d"]) == {"b": Seen(0.5, 10.0), "a": Seen(0.0, 2.0)}
    assert list(varying(rows, ["b", "a"])) == ["b", "a"]
    assert varying(rows, []) == {}


def test_gaps_get_the_median_and_a_mark_and_everything_is_standardised(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1.0, None), (2.0, 10.0), (6.0, 20.0)], "a double, b double").coalesce(1)
    made = prepare(rows, varying(rows, ["a", "b"]))
    assert made.columns == ("a", "b", "b_missing")
    assert made.usual == (2.0, 10.0, 0.0)
    assert made.varying == 3
    x = np.array([r.features.toArray() for r in made.transform(rows).collect()])
    # by hand: a has mean 3 and sample variance (4 + 1 + 9) / 2 = 7; b, with 10 for the gap, mean 40/3
    assert x[:, 0] == pytest.approx(np.array([-2, -1, 3]) / np.sqrt(7))
    assert x[:, 1] == pytest.approx(np.array([-1, -1, 2]) / np.sqrt(3))
    assert x[:, 2] == pytest.approx(np.array([2, -1, -1]) / np.sqrt(3))


def test_a_sparse_column_is_appended_and_stays_sparse(spark: SparkSession) -> None:
    vectors = [
        Vectors.sparse(50, [3], [2.0]),
        Vectors.sparse(50, [3, 7], [4.0, 1.0]),
        Vectors.sparse(50, [], []),
    ]
    rows = spark.createDataFrame(
        [(float(i), v) for i, v in enumerate(vectors)], ["a", "covariates"]
    ).coalesce(1)
    made = prepare(rows, varying(rows, ["a"]))
    assert made.columns == ("a", *(f"covariates[{i}]" for i in range(50)))
    assert made.usual == (1.0, *[0.0] * 50)
    assert made.varying == 3  # a, 3 and 7
    out = [r.features for r in made.transform(rows).collect()]
    assert all(isinstance(v, SparseVector) for v in out)
    # by hand: a / 1 (sample deviation of 0, 1, 2); 3 / 2 (of 2, 4, 0); 7 / sqrt(1/3) (of 0, 1, 0)
    assert out[1].toArray()[[0, 4, 8]] == pytest.approx([1.0, 2.0, np.sqrt(3)])
    assert out[1].numNonzeros() == 3


def test_names_of_a_sparse_column_come_from_its_metadata(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1.0, Vectors.sparse(2, [0], [1.0])), (2.0, Vectors.sparse(2, [1], [1.0]))], ["a", "covariates"]
    )
    named = rows.withColumn(
        "covariates", F.col("covariates").alias("x", metadata={"covariate_names": ["316866", "201826"]})
    )
    assert prepare(named, varying(named, ["a"])).columns == ("a", "316866", "201826")


def test_platt_scaling_is_the_logistic_regression_on_the_margin_and_gives_a_number(
    spark: SparkSession,
) -> None:
    random = np.random.default_rng(2)
    margin = random.normal(size=400)
    label = (random.random(400) < 1 / (1 + np.exp(-(0.7 * margin - 1)))).astype(float)
    theirs = (
        LogisticRegression(C=1e9, tol=1e-10).fit(margin[:, None], label).predict_proba(margin[:, None])[:, 1]
    )
    rows = spark.createDataFrame([(float(m),) for m in margin], "m double").coalesce(1)
    asked = rows.select(array_to_vector(F.array("m")).alias("margin"))
    out = (
        PipelineModel(calibration_stages(label, margin, spark)).transform(asked)
        .select("prediction", vector_to_array("calibrated")[1].alias("p")).collect()
    )  # fmt: skip
    assert [r.p for r in out] == pytest.approx(theirs, abs=1e-3)
    assert [r.prediction for r in out] == pytest.approx([r.p for r in out], abs=1e-12)


def test_calibration_never_turns_the_order_round(spark: SparkSession) -> None:
    margin = np.linspace(-1, 1, 40)
    label = (margin < 0).astype(float)  # the margin is wrong throughout
    platt = calibration_stages(label, margin, spark)[0]
    assert platt.coefficients[0] > 0  # type: ignore[attr-defined]


def test_days_are_to_the_event_or_of_follow_up_and_never_zero(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, 30.0, 400.0), (2, None, 365.0), (3, 0.0, 10.0), (4, None, None)],
        "person_id int, days_to_event double, followup_days double",
    )
    out = {r.person_id: (r.days, r.censor) for r in with_survival(rows).collect()}
    assert out == {1: (30.0, 1.0), 2: (365.0, 0.0), 3: (0.5, 1.0), 4: (None, 0.0)}
    without = rows.drop("followup_days")
    assert with_survival(without).columns == without.columns
