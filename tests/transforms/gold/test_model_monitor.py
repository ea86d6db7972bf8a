"""gold/model_monitor and gold/score_history on a few people, worked by hand."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import pytest

from carelake.scores.model_monitor import MODEL_MONITOR, known_outcomes, model_monitor, watched
from carelake.scores.score_history import SCORE_HISTORY, score_history

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

JAN, JUL = date(2023, 1, 1), date(2023, 7, 1)
THEN, LATER = datetime(2023, 1, 2), datetime(2023, 7, 2)
# of 1,000 people: half with no visit, half with more; scores below and above 0.2 alike
REFERENCE = {
    "rows": 1000, "persons": 1000,
    "values": {
        "score": {"edges": [0.2], "shares": [0.5, 0.5], "missing": 0.0},
        "visits": {"edges": [0.0], "shares": [0.5, 0.5], "missing": 0.0},
        "withdrawn": {"edges": [0.0], "shares": [0.5, 0.5], "missing": 0.0},
    },
}  # fmt: skip


def history(spark: SparkSession, *rows: tuple[object, ...]) -> DataFrame:
    return spark.createDataFrame(list(rows), SCORE_HISTORY.schema)


def test_scores_of_the_same_model_and_day_are_replaced_and_others_stay(spark: SparkSession) -> None:
    published = history(
        spark, (1, "a", "1", JAN, 0.1, THEN), (1, "a", "1", JUL, 0.2, THEN), (2, "a", "1", JUL, 0.3, THEN), (1, "b", "1", JUL, 0.4, THEN)
    )  # fmt: skip
    new = history(spark, (1, "a", "2", JUL, 0.9, LATER))
    rows = {
        (r.person_id, r.model, r.model_version, r.index_date, r.score)
        for r in score_history(new, published).collect()
    }
    assert rows == {(1, "a", "1", JAN, 0.1), (1, "b", "1", JUL, 0.4), (1, "a", "2", JUL, 0.9)}


def test_outcomes_are_those_of_the_same_person_and_earlier_day_that_are_known(spark: SparkSession) -> None:
    past = history(
        spark, (1, "a", "1", JAN, 0.1, THEN), (2, "a", "1", JAN, 0.2, THEN), (3, "a", "1", JAN, 0.3, THEN), (1, "a", "2", JUL, 0.4, THEN),
        (1, "b", "1", JAN, 0.5, THEN),
    )  # fmt: skip
    cohort = spark.createDataFrame(
        [(1, JAN, True), (2, JAN, None), (3, JUL, True), (1, JUL, False)],
        "person_id bigint, index_date date, label boolean",
    )
    assert [tuple(r) for r in known_outcomes(past, "a", cohort, JUL).collect()] == [("1", JAN, 0.1, True)]


def test_the_rows_of_a_model_by_hand(spark: SparkSession) -> None:
    # 400 people now: one in four without a visit, half of them at 0.1
    scored = spark.createDataFrame(
        [(i, JUL, 0.0 if i % 4 == 0 else 3.0, 0.1 if i % 2 else 0.3) for i in range(400)],
        "person_id bigint, index_date date, visits double, score double",
    )
    # 50 of January, scored 0.1 and 0.3: ten expected, 20 observed; the version of the time before: 40 of whom 8
    outcomes = spark.createDataFrame(
        [("2", JAN, 0.1 if i % 2 else 0.3, i < 20) for i in range(50)]
        + [("1", JAN, 0.2, i < 8) for i in range(40)],
        "model_version string, index_date date, score double, label boolean",
    )
    rows = {
        (r["model_version"], r["subject"]): r for r in watched("a", "2", JUL, scored, REFERENCE, outcomes)
    }
    assert set(rows) == {
        ("2", "score"),
        ("2", "visits"),
        ("2", "outcome"),
        ("1", "outcome"),
    }  # what is withdrawn is not watched
    visits, own, other = rows["2", "visits"], rows["2", "outcome"], rows["1", "outcome"]
    assert visits["psi"] == pytest.approx(0.2746530722)  # 0.25 ln 3, see test_stability
    assert (visits["rows"], visits["status"], rows["2", "score"]["psi"], rows["2", "score"]["status"]) == (
        400,
        "alarm",
        0.0,
        "ok",
    )
    assert (own["rows"], own["observed"], own["index_date"], own["status"]) == (50, 20, JAN, "alarm")
    assert own["expected"] == pytest.approx(10.0)
    assert own["observed_expected"] == pytest.approx(2.0)
    assert own["observed_expected_lower"] == pytest.approx(2 * 2.718281828 ** (-1.96 * (0.6 / 20) ** 0.5))
    assert own["reason"] == "1 of 1 features have moved; observed over expected is 2.00"
    assert own["retrain_proposed"]
    assert (other["status"], other["observed"], other["retrain_proposed"], other["reason"]) == (
        "suppressed",
        None,
        False,
        None,
    )
    for r in rows.values():
        assert {"model", "as_of", "index_date", "status"} <= set(r)
        assert set(r) <= set(MODEL_MONITOR.columns)


def test_a_version_without_a_reference_is_held_against_outcomes_alone(spark: SparkSession) -> None:
    scored = spark.createDataFrame([(1, JUL, 0.1)], "person_id bigint, index_date date, score double")
    none = spark.createDataFrame([], "model_version string, index_date date, score double, label boolean")
    assert watched("a", "1", JUL, scored, {}, none) == []


def test_rows_of_other_days_stay_and_those_of_this_day_are_made_anew(spark: SparkSession) -> None:
    def row(day: date, subject: str) -> dict[str, object]:
        return {
            "model": "a", "model_version": "1", "as_of": day, "subject": subject, "index_date": day, "status": "ok", "retrain_proposed": False,
        }  # fmt: skip

    empty = spark.createDataFrame([], MODEL_MONITOR.schema)
    first = model_monitor([row(JAN, "score")], empty, JAN)
    second = model_monitor([row(JUL, "score"), row(JUL, "visits")], first, JUL)
    again = model_monitor([row(JUL, "score")], second, JUL)
    assert sorted((r.as_of, r.subject) for r in second.collect()) == [
        (JAN, "score"),
        (JUL, "score"),
        (JUL, "visits"),
    ]
    assert sorted((r.as_of, r.subject) for r in again.collect()) == [(JAN, "score"), (JUL, "score")]
