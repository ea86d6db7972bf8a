"""clinical_score: the published equations by another implementation's figures, and why a score is missing."""

from __future__ import annotations

import csv
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from carelake.gold.features.person_features import PERSON_FEATURES
from carelake.gold.precision.clinical_score import CLINICAL_SCORE, clinical_score
from carelake.gold.precision.pooled_cohort_equations import ascvd_10y_sql
from carelake.gold.precision.prevent import prevent_10y_sql
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

DAY = date(2023, 1, 1)
WELL = {
    "person_id": 1, "index_date": "2023-01-01", "age_years": 55.9, "female": 1.0, "race": "white", "last_total_cholesterol": 213.0,
    "last_hdl": 50.0, "last_systolic": 120.0, "last_egfr": 90.0, "last_bmi": 25.0, "has_diabetes": 0.0, "smoking": "never",
    "took_ace_or_arb_1y": 0.0, "took_beta_blocker_1y": 0.0, "took_calcium_channel_blocker_1y": 0.0, "took_diuretic_1y": 0.0,
    "took_statin_1y": 0.0, "has_coronary_disease": 0.0, "has_stroke": 0.0, "has_heart_failure": 0.0,
}  # fmt: skip


def scores(
    spark: SparkSession, *people: dict[str, Any]
) -> dict[tuple[int, str], tuple[float | None, str | None]]:
    given = [WELL | {"person_id": n} | p for n, p in enumerate(people, start=1)]
    out = CLINICAL_SCORE.conform(clinical_score(features=frame(spark, PERSON_FEATURES, *given), as_of=DAY))
    return {(r.person_id, r.score_name): (r.value, r.reason) for r in out.collect()}


def test_the_example_of_the_guideline_comes_out(spark: SparkSession) -> None:
    """Goff 2013, table B: a woman of 55, cholesterol 213, HDL 50, untreated systolic 120, no smoker, no diabetes: white 2.1 %, black 3.0 %;
    a man of the same: white 5.3 %, black 6.1 %.
    """
    found = scores(
        spark, {}, {"race": "black"}, {"female": 0.0}, {"female": 0.0, "race": "black"},
    )  # fmt: skip
    risks = [100 * (found[n, "ascvd_pce_10y"][0] or 0) for n in (1, 2, 3, 4)]
    # the paper's example works with sums rounded to two decimals
    assert risks == pytest.approx([2.1, 3.0, 5.3, 6.1], abs=0.08)


def test_what_is_unknown_out_of_range_or_prior_disease_is_the_reason(spark: SparkSession) -> None:
    found = scores(
        spark,
        {"last_hdl": None}, {"age_years": 39.9}, {"has_stroke": 1.0}, {"smoking": "unknown"}, {"last_egfr": None},
        {"last_bmi": 45.0}, {"has_heart_failure": 1.0}, {"index_date": "2022-01-01"},
    )  # fmt: skip
    assert found[1, "ascvd_pce_10y"] == (None, "unknown hdl")
    assert found[1, "prevent_cvd_10y"] == (None, "unknown hdl")
    assert found[1, "prevent_heart_failure_10y"][1] is None  # asks for no lipids
    assert found[2, "ascvd_pce_10y"] == (None, "age out of range 40 to 79")
    assert found[2, "prevent_cvd_10y"][1] is None  # from 30 on
    assert {
        found[3, s][1]
        for s in ("ascvd_pce_10y", "prevent_cvd_10y", "prevent_ascvd_10y", "prevent_heart_failure_10y")
    } == {"prior cardiovascular disease"}
    assert found[4, "ascvd_pce_10y"] == (None, "unknown smoker")
    assert (found[5, "ascvd_pce_10y"][1], found[5, "prevent_cvd_10y"][1]) == (None, "unknown egfr")
    assert (found[6, "prevent_heart_failure_10y"][1], found[6, "prevent_cvd_10y"][1]) == (
        "bmi out of range 18.5 to 39.9",
        None,
    )
    assert (found[7, "ascvd_pce_10y"][1], found[7, "prevent_cvd_10y"][1]) == (
        None,
        "prior cardiovascular disease",
    )
    assert not [k for k in found if k[0] == 8]  # another day than the as-of day


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def test_pooled_cohort_equations_equal_two_other_implementations(spark: SparkSession, data: Path) -> None:
    cases = read(data / "reference_scores" / "ascvd_pce.csv")
    given = spark.createDataFrame(
        [
            (c["case"], c["sex"] == "F", c["race"] == "aa", float(c["age"]), float(c["total_chol"]), float(c["hdl"]), float(c["sbp"]),
             c["bp_treated"] == "1", c["smoker"] == "1", c["diabetic"] == "1")
            for c in cases
        ],
        "case string, female boolean, black boolean, age double, total_cholesterol double, hdl double, systolic double, treated boolean, "
        "smoker boolean, diabetes boolean",
    )  # fmt: skip
    columns = (
        "female",
        "black",
        "age",
        "total_cholesterol",
        "hdl",
        "systolic",
        "treated",
        "smoker",
        "diabetes",
    )
    ours = {
        r.case: r.risk
        for r in given.selectExpr("case", ascvd_10y_sql(**{c: c for c in columns}) + " AS risk").collect()
    }
    assert len(cases) == 64
    for c in cases:
        if c["expected"]:
            # the reference is rounded to a tenth of a percent
            assert 100 * ours[c["case"]] == pytest.approx(float(c["expected"]), abs=0.0501), c["case"]
        else:
            assert ours[c["case"]] is None, c["case"]  # twenty years old


@pytest.mark.parametrize(
    ("outcome", "column"), [("cvd", "cvd10"), ("ascvd", "ascvd10"), ("heart_failure", "hf10")]
)
def test_prevent_equals_another_implementation(
    spark: SparkSession, data: Path, outcome: str, column: str
) -> None:
    cases = read(data / "reference_scores" / "aha_prevent.csv")
    given = spark.createDataFrame(
        [
            (c["case"], c["sex"] == "female", float(c["age"]), float(c["total_chol"]), float(c["hdl"]), float(c["sbp"]),
             c["diabetes"] == "True", c["smoker"] == "True", float(c["bmi"]), float(c["egfr"]), c["htn_meds"] == "True",
             c["statin"] == "True")
            for c in cases
        ],
        "case string, female boolean, age double, total_cholesterol double, hdl double, systolic double, diabetes boolean, smoker boolean, "
        "bmi double, egfr double, treated boolean, statin boolean",
    )  # fmt: skip
    columns = (
        "female",
        "age",
        "total_cholesterol",
        "hdl",
        "systolic",
        "diabetes",
        "smoker",
        "bmi",
        "egfr",
        "treated",
        "statin",
    )
    risk = prevent_10y_sql(outcome, **{c: c for c in columns})
    ours = {r.case: r.risk for r in given.selectExpr("case", risk + " AS risk").collect()}
    assert len(cases) == 60
    for c in cases:
        # the reference has four decimals of a percent
        assert 100 * ours[c["case"]] == pytest.approx(float(c[column]), abs=6e-5), c["case"]
