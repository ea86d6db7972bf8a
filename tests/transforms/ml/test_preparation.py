"""The feature vector, dense and sparse, and the calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import SparseVector
from pyspark.sql import functions as F
from sklearn.linear_model import LogisticRegression

from carelake.ml.logistic import expit
from carelake.ml.preparation import Seen, calibration_stages, frequent, prepare, varying, with_survival
from carelake.ml.recalibrate import OVERALL, Levels, apply, kept_lines

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession


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


def covariates_of(spark: SparkSession, *rows: tuple[int, list[str]]) -> DataFrame:
    return spark.createDataFrame(
        [(p, float(i), c) for i, (p, c) in enumerate(rows)],
        "person_id long, a double, covariates array<string>",
    ).coalesce(1)


def test_covariates_are_appended_as_ones_and_stay_sparse(spark: SparkSession) -> None:
    rows = covariates_of(spark, (1, ["316866101"]), (2, ["201826101", "316866101", "9999101"]), (3, []))
    of_others = [f"{n}101" for n in range(1, 31)]
    made = prepare(rows, varying(rows, ["a"]), ["201826101", "316866101", *of_others])
    assert made.columns == ("a", "201826101", "316866101", *of_others)
    assert made.usual == (1.0, *[0.0] * 32)
    assert made.varying == 3
    out = [r.features for r in made.transform(rows).collect()]
    assert all(isinstance(v, SparseVector) for v in out)
    # by hand: a / 1 (sample deviation of 0, 1, 2); the others / sqrt(1/3) (of 0, 1, 0 and of 1, 1, 0); 9999101 has no place
    assert out[1].toArray()[:3] == pytest.approx([1.0, np.sqrt(3), np.sqrt(3)])
    assert [v.numNonzeros() for v in out] == [1, 3, 1]


def test_what_fewer_than_eleven_persons_have_is_no_covariate(spark: SparkSession) -> None:
    rows = covariates_of(
        spark, *((p, ["1101", "2101"] if p <= 10 else ["1101"]) for p in range(1, 12)), (10, ["2101"])
    )  # 2101: eleven rows, ten persons
    assert frequent(rows, 11) == ["1101"]
    assert frequent(rows.drop("covariates"), 11) == []


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


def test_a_level_has_its_own_line_whatever_its_name_and_the_saved_model_keeps_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    random = np.random.default_rng(9)
    names = ["plain", "d'Or \\\\' OR 1=1 --", "${env:HOME} __THIS__", "\u00e9\U0001f600\n"]
    group = random.choice(names, 1600)
    margin = random.normal(size=1600)
    shift = np.array([names.index(g) for g in group]) - 1.5  # the levels differ by one in log-odds each
    label = (random.random(1600) < expit(0.8 * margin + shift)).astype(float)
    by = Levels("group_kind", np.arange(1600), group)
    made = PipelineModel(calibration_stages(label, margin, spark, by))
    made.write().save(str(tmp_path / "m"))
    asked = [(m, g) for m in (-2.0, 0.0, 1.5) for g in (*names, "unseen", "", None)]
    rows = spark.createDataFrame(asked, "m double, group_kind string").coalesce(1)
    rows = rows.withColumn("margin", array_to_vector(F.array("m")))
    out = PipelineModel.load(str(tmp_path / "m")).transform(rows).collect()
    platt = made.stages[0]
    score = expit(platt.coefficients[0] * margin + platt.intercept)
    lines = kept_lines(score, label, by)
    assert set(lines) == {OVERALL, *names}
    assert np.diff([lines[n][1] for n in names]) == pytest.approx(np.ones(3), abs=0.5)
    expected = apply(
        np.array([r.platt_probability for r in out]), np.array([r.group_kind or "" for r in out]), lines
    )
    assert [r.prediction for r in out] == pytest.approx(expected, abs=1e-12)


def test_where_every_level_is_small_all_take_the_line_of_the_whole(spark: SparkSession) -> None:
    random = np.random.default_rng(9)
    margin = random.normal(size=200)
    label = (random.random(200) < expit(margin)).astype(float)
    by = Levels("group_kind", np.arange(200) % 5, np.full(200, "few"))
    asked = spark.createDataFrame([(0.5, "few"), (0.5, "other")], "m double, group_kind string").coalesce(1)
    stages = PipelineModel(calibration_stages(label, margin, spark, by))
    one, two = stages.transform(asked.withColumn("margin", array_to_vector(F.array("m")))).collect()
    # the overall line of scores that are calibrated already changes nothing
    assert one.prediction == two.prediction == pytest.approx(one.platt_probability, abs=1e-3)


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
