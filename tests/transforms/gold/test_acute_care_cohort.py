"""cohort_acute_care_1y: who is asked, what counts as acute care, when the answer is known."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from carelake.gold.cohorts.acute_care_1y import COHORT_ACUTE_CARE_1Y, cohort_acute_care_1y
from carelake.silver.link.tables import VISIT_LINK
from carelake.silver.omop.death import DEATH
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.person import PERSON
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_OF = date(2024, 9, 1)


def visit(number: int, person: int, concept: int, start: str, end: str | None = None) -> dict[str, Any]:
    return {
        "visit_occurrence_id": number, "person_id": person, "visit_concept_id": concept, "visit_start_date": start,
        "visit_end_date": end or start,
    }  # fmt: skip


def cohort(
    spark: SparkSession,
    visits: list[dict[str, Any]],
    deaths: tuple[dict[str, Any], ...] = (),
    planned: dict[int, bool | None] | None = None,
    period: tuple[str, str] = ("2010-01-01", "2024-09-01"),
) -> DataFrame:
    people = sorted({v["person_id"] for v in visits})
    links = [
        {"source": "ehr", "source_encounter_id": f"e{v}", "visit_occurrence_id": v, "planned": p} for v, p in (planned or {}).items()
    ]  # fmt: skip
    spans = [
        {"observation_period_id": p, "person_id": p, "observation_period_start_date": period[0], "observation_period_end_date": period[1]}
        for p in people
    ]  # fmt: skip
    return COHORT_ACUTE_CARE_1Y.conform(
        cohort_acute_care_1y(
            people=frame(spark, PERSON, *({"person_id": p, "year_of_birth": 1950} for p in people)),
            visits=frame(spark, VISIT_OCCURRENCE, *visits), periods=frame(spark, OBSERVATION_PERIOD, *spans),
            deaths=frame(spark, DEATH, *deaths), links=frame(spark, VISIT_LINK, *links),
            as_of=AS_OF,
        )
    )  # fmt: skip


def test_asked_are_landmarks_with_a_visit_in_three_years_before_and_the_as_of_date(
    spark: SparkSession,
) -> None:
    out = cohort(spark, [visit(1, 1, 9202, "2019-01-01"), visit(2, 1, 9202, "2023-06-01")])
    # the visit of 1 January 2019 is not before 2019-01-01 and lies in the three years before 2020, 2021 and 2022
    assert rows(out, "index_date", "label_observed", "followup_days") == [
        ("2020-01-01", True, 366), ("2021-01-01", True, 365), ("2022-01-01", True, 365),
        ("2024-01-01", False, 244), ("2024-09-01", False, 0),
    ]  # fmt: skip


def test_an_emergency_visit_on_the_index_date_counts_and_one_a_year_later_does_not(
    spark: SparkSession,
) -> None:
    out = cohort(
        spark,
        [
            visit(1, 1, 9202, "2020-06-01"),
            visit(2, 1, 9203, "2021-01-01"),
            visit(3, 1, 262, "2022-12-31", "2023-01-04"),
        ],
    )
    assert rows(out.where("label_observed"), "index_date", "label", "days_to_event") == [
        ("2021-01-01", True, 0), ("2022-01-01", True, 364), ("2023-01-01", False, None),
    ]  # fmt: skip


def test_a_year_that_is_not_complete_stays_open_even_when_the_event_is_known(spark: SparkSession) -> None:
    out = cohort(spark, [visit(1, 1, 9202, "2023-06-01"), visit(2, 1, 9203, "2024-02-01")])
    assert rows(out, "index_date", "label", "label_observed", "split") == [
        ("2024-01-01", None, False, "unused"), ("2024-09-01", None, False, "score"),
    ]  # fmt: skip


def test_an_admission_counts_when_a_sender_calls_it_unplanned_and_none_calls_it_planned(
    spark: SparkSession,
) -> None:
    visits = [visit(p, p, 9202, "2021-06-01") for p in (1, 2, 3, 4)]
    visits += [visit(10 + p, p, 9201, "2022-03-01", "2022-03-05") for p in (1, 2, 3)]
    # person 4: two overlapping stays of two senders, one says unplanned, the other planned
    visits += [visit(14, 4, 9201, "2022-03-01", "2022-03-05"), visit(15, 4, 9201, "2022-03-02", "2022-03-05")]
    out = cohort(spark, visits, planned={11: False, 12: True, 13: None, 14: False, 15: True})
    assert rows(out.where("index_date = '2022-01-01'"), "person_id", "label") == [
        (1, True),
        (2, False),
        (3, False),
        (4, False),
    ]


def test_the_dead_are_not_asked_and_death_without_acute_care_is_no_event(spark: SparkSession) -> None:
    out = cohort(
        spark, [visit(1, 1, 9202, "2021-06-01")], deaths=({"person_id": 1, "death_date": "2022-04-11"},)
    )
    assert rows(out, "index_date", "label", "died", "followup_days") == [("2022-01-01", False, True, 100)]


@pytest.mark.omop_rule(4)
def test_a_visit_outside_the_observation_period_does_not_make_anyone_eligible(spark: SparkSession) -> None:
    """CDM v5.4 OBSERVATION_PERIOD: cohorts are asked inside periods alone."""
    out = cohort(spark, [visit(1, 1, 9202, "2021-06-01")], period=("2022-01-01", "2024-09-01"))
    assert rows(out) == []


def test_no_person_is_on_both_sides_and_training_ends_before_testing_begins(spark: SparkSession) -> None:
    visits = [visit(100 * p + y, p, 9202, f"20{y}-06-01") for p in range(1, 41) for y in range(12, 24)]
    out = cohort(spark, visits).cache()
    sides = dict(rows(out.groupBy("split").agg({"index_date": "max"})))
    first_test = out.where("split = 'test'").agg({"index_date": "min"}).first()
    assert sides["train"] == "2020-01-01"
    assert first_test is not None
    assert (first_test[0].isoformat(), sides["test"], sides["score"]) == (
        "2021-01-01",
        "2023-01-01",
        "2024-09-01",
    )
    train, test = ({r[0] for r in rows(out.where(f"split = '{s}'"), "person_id")} for s in ("train", "test"))
    assert train
    assert test
    assert not train & test
