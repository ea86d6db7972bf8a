"""task_cohort: who is asked, what counts as the outcome, when the answer is known, and the sides of the split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.gold.cohorts.task import DEATH, Event, Task
from tests.helpers.asked import asked, stay, visit
from tests.helpers.tables import rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_asked_are_landmarks_with_a_visit_in_three_years_before_and_the_as_of_date(
    spark: SparkSession,
) -> None:
    out = asked(
        spark, "acute_care_1y", visit=[visit(1, 1, 9202, "2019-01-01"), visit(2, 1, 9202, "2023-06-01")]
    )
    # the visit of 1 January 2019 is not before 2019-01-01 and lies in the three years before 2020, 2021 and 2022
    assert rows(out, "index_date", "label_observed", "followup_days") == [
        ("2020-01-01", True, 366), ("2021-01-01", True, 365), ("2022-01-01", True, 365),
        ("2024-01-01", False, 244), ("2024-09-01", False, 0),
    ]  # fmt: skip


def test_an_emergency_visit_on_the_index_date_counts_and_one_a_year_later_does_not(
    spark: SparkSession,
) -> None:
    visits = [
        visit(1, 1, 9202, "2020-06-01"),
        visit(2, 1, 9203, "2021-01-01"),
        visit(3, 1, 262, "2022-12-31", "2023-01-04"),
    ]
    out = asked(spark, "acute_care_1y", visit=visits)
    assert rows(out.where("label_observed"), "index_date", "label", "days_to_event") == [
        ("2021-01-01", True, 0), ("2022-01-01", True, 364), ("2023-01-01", False, None),
    ]  # fmt: skip


def test_a_year_that_is_not_complete_stays_open_even_when_the_event_is_known(spark: SparkSession) -> None:
    out = asked(
        spark, "acute_care_1y", visit=[visit(1, 1, 9202, "2023-06-01"), visit(2, 1, 9203, "2024-02-01")]
    )
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
    out = asked(
        spark, "acute_care_1y", visit=visits, planned={11: False, 12: True, 13: None, 14: False, 15: True}
    )
    assert rows(out.where("index_date = '2022-01-01'"), "person_id", "label") == [
        (1, True), (2, False), (3, False), (4, False),
    ]  # fmt: skip


def test_the_dead_are_not_asked_and_death_without_the_outcome_is_no_event(spark: SparkSession) -> None:
    given: dict[str, Any] = {
        "visit": [visit(1, 1, 9202, "2021-06-01")], "death": [{"person_id": 1, "death_date": "2022-04-11"}],
    }  # fmt: skip
    out = asked(spark, "acute_care_1y", **given)
    assert rows(out, "index_date", "label", "died", "followup_days") == [("2022-01-01", False, True, 100)]
    out = asked(spark, "mortality_1y", **given)
    assert rows(out, "index_date", "label", "days_to_event", "died") == [("2022-01-01", True, 100, True)]


def test_a_task_for_adults_asks_on_no_day_before_the_eighteenth_birthday(spark: SparkSession) -> None:
    out = asked(spark, "mortality_1y", born=2003, visit=[visit(1, 1, 9202, "2020-06-01")])
    assert rows(out, "index_date") == [("2022-01-01",), ("2023-01-01",)]  # born on 1 July: 18 in July 2021


@pytest.mark.omop_rule(4)
def test_a_visit_outside_the_observation_period_does_not_make_anyone_eligible(spark: SparkSession) -> None:
    """CDM v5.4 OBSERVATION_PERIOD: cohorts are asked inside periods alone."""
    out = asked(
        spark, "acute_care_1y", visit=[visit(1, 1, 9202, "2021-06-01")], period=("2022-01-01", "2024-09-01")
    )
    assert rows(out) == []


def test_no_person_is_on_both_sides_and_training_ends_before_testing_begins(spark: SparkSession) -> None:
    visits = [visit(100 * p + y, p, 9202, f"20{y}-06-01") for p in range(1, 41) for y in range(12, 24)]
    out = asked(spark, "acute_care_1y", visit=visits).cache()
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


def test_a_discharge_is_asked_and_an_unplanned_stay_from_the_next_day_to_the_thirtieth_is_a_readmission(
    spark: SparkSession,
) -> None:
    details = [
        stay(1, 1, "2020-03-01", "2020-03-05"), stay(2, 1, "2020-04-04", "2020-04-06"),  # 30 days later
        stay(3, 2, "2020-03-01", "2020-03-05"), stay(4, 2, "2020-04-05", "2020-04-06"),  # 31 days later
        stay(5, 3, "2020-03-01", "2020-03-05"), stay(6, 3, "2020-03-20", "2020-03-21"),  # for chemotherapy
        stay(7, 4, "2020-03-01", "2020-03-05"), stay(8, 4, "2020-03-20", "2020-03-21"),  # the sender calls it elective
        stay(9, 5, "2020-03-01", "2020-03-05"), stay(10, 5, "2020-03-06", "2020-03-09", care_site_id=2),  # a transfer: one stay
        stay(11, 6, "2020-03-01", "2020-03-05"),  # died on the day of discharge
    ]  # fmt: skip
    visits = [
        visit(
            d["visit_detail_id"],
            d["person_id"],
            9201,
            d["visit_detail_start_date"],
            d["visit_detail_end_date"],
        )
        for d in details
    ]
    out = asked(
        spark, "readmission_30d", visit=visits, visit_detail=details, planned={8: True},
        procedure=[{"procedure_occurrence_id": 1, "person_id": 3, "procedure_concept_id": 4139268, "procedure_date": "2020-03-20"}],
        death=[{"person_id": 6, "death_date": "2020-03-05"}],
    )  # fmt: skip
    assert rows(out, "person_id", "index_date", "label", "days_to_event") == [
        (1, "2020-03-05", True, 30), (1, "2020-04-06", False, None),
        (2, "2020-03-05", False, None), (2, "2020-04-06", False, None),
        (3, "2020-03-05", False, None), (3, "2020-03-21", False, None),
        (4, "2020-03-05", False, None), (4, "2020-03-21", False, None),
        (5, "2020-03-09", False, None),
    ]  # fmt: skip


def test_who_left_hospital_in_the_last_thirty_days_is_scored(spark: SparkSession) -> None:
    details = [stay(1, 1, "2024-07-30", "2024-08-01"), stay(2, 2, "2024-08-01", "2024-08-02")]
    visits = [
        visit(d["visit_detail_id"], d["person_id"], 9201, d["visit_detail_start_date"]) for d in details
    ]
    out = asked(spark, "readmission_30d", visit=visits, visit_detail=details)
    # the thirty days after 1 August end with the 31st, the day before the as-of date: known; those after the 2nd do not
    assert rows(out.where("split = 'score'"), "person_id", "index_date") == [(2, "2024-08-02")]
    assert rows(out, "person_id", "label_observed") == [(1, True), (2, False)]


def test_onset_of_type_2_diabetes_is_asked_of_people_without_any_diabetes_before(spark: SparkSession) -> None:
    def had(number: int, person: int, concept: int, day: str) -> dict[str, Any]:
        return {
            "condition_occurrence_id": number,
            "person_id": person,
            "condition_concept_id": concept,
            "condition_start_date": day,
        }

    out = asked(
        spark, "type2_diabetes_onset_2y", visit=[visit(p, p, 9202, "2018-06-01") for p in (1, 2, 3, 4)],
        condition=[
            had(1, 1, 201826, "2020-12-31"),  # in the two years after 2019 and 2020, before 2021
            had(2, 2, 443767, "2019-02-01"),  # a complication names it
            had(3, 3, 201254, "2017-01-01"),  # type 1 before: never asked
            had(4, 4, 4058243, "2019-02-01"),  # of pregnancy: no event, and excludes nobody
        ],
    )  # fmt: skip
    assert rows(out, "person_id", "index_date", "label") == [
        (1, "2019-01-01", True), (1, "2020-01-01", True), (2, "2019-01-01", True),
        (4, "2019-01-01", False), (4, "2020-01-01", False), (4, "2021-01-01", False),
    ]  # fmt: skip


def test_heart_failure_is_found_by_ancestor_and_not_asked_of_those_who_have_it(spark: SparkSession) -> None:
    out = asked(
        spark, "heart_failure_onset_1y", visit=[visit(1, 1, 9202, "2019-06-01")],
        condition=[{"condition_occurrence_id": 1, "person_id": 1, "condition_concept_id": 4229440, "condition_start_date": "2021-03-01"}],
        concept_ancestor=[{"ancestor_concept_id": 316139, "descendant_concept_id": 4229440}],
    )  # fmt: skip
    assert rows(out, "index_date", "label") == [("2020-01-01", False), ("2021-01-01", True)]


def test_the_cost_of_a_year_is_what_was_paid_in_it_by_the_day_of_the_event(spark: SparkSession) -> None:
    costs = [
        {"cost_id": 1, "cost_event_id": 1, "cost_domain_id": "Visit", "total_paid": 100.0, "_person_id": 1},
        {"cost_id": 2, "cost_event_id": 2, "cost_domain_id": "Visit", "total_paid": 40.0, "total_charge": 900.0, "_person_id": 1},
        {"cost_id": 3, "cost_event_id": 2, "cost_domain_id": "Visit", "amount_allowed": 2.0, "total_charge": 5.0, "_person_id": 1},
        {"cost_id": 4, "cost_event_id": 7, "cost_domain_id": "Drug", "total_charge": 9.0, "_person_id": 1},
        {"cost_id": 5, "cost_event_id": 5, "cost_domain_id": "Cost", "total_paid": 1000.0, "_person_id": 1},  # no day
    ]  # fmt: skip
    out = asked(
        spark, "high_cost_next_year", visit=[visit(1, 1, 9202, "2021-06-01"), visit(2, 1, 9202, "2022-01-01")], cost=costs,
        event_link=[{"event_id": 7, "domain_id": "Drug", "person_id": 1, "source_claim_id": "c", "start_datetime": "2022-12-31 10:00:00"}],
    )  # fmt: skip
    assert rows(out, "index_date", "amount", "label") == [
        ("2022-01-01", 51.0, None), ("2023-01-01", 0.0, None), ("2024-01-01", None, None), ("2024-09-01", None, None),
    ]  # fmt: skip


def test_weeks_after_one_with_glucose_readings_on_three_days_are_asked_for_one_below_70(
    spark: SparkSession,
) -> None:
    def read(number: int, day: str, value: float, unit: int = 8840) -> dict[str, Any]:
        return {
            "measurement_id": number, "person_id": 1, "measurement_concept_id": 3004501, "measurement_date": day, "value_as_number": value,
            "unit_concept_id": unit,
        }  # fmt: skip

    out = asked(spark, "hypoglycaemia_next_week", measurement=[
        read(1, "2024-04-29", 110.0), read(2, "2024-05-01", 120.0), read(3, "2024-05-05", 115.0),  # Monday to Sunday: asked on 6 May
        read(4, "2024-05-08", 3.8, 8753),  # 68 mg/dL, in the week after
        read(5, "2024-05-09", 110.0), read(6, "2024-05-09", 90.0),  # with the 8th two days alone: not asked on the 13th
        read(7, "2024-05-20", 70.0), read(8, "2024-05-21", 80.0), read(9, "2024-05-26", 90.0),  # asked on the 27th: silence, no event
        read(10, "2024-08-26", 100.0), read(11, "2024-08-28", 100.0), read(12, "2024-08-31", 100.0),  # the Monday after is past the as-of date
    ])  # fmt: skip
    assert rows(out, "index_date", "label") == [
        ("2024-05-06", True),
        ("2024-05-27", False),
        ("2024-09-01", None),
    ]
    assert rows(out.where("split = 'score'"), "index_date") == [("2024-09-01",)]


def test_a_discharge_of_more_than_ten_years_ago_is_not_asked(spark: SparkSession) -> None:
    details = [stay(1, 1, "2014-12-20", "2014-12-31"), stay(2, 1, "2015-01-02", "2015-02-01")]
    visits = [
        visit(d["visit_detail_id"], d["person_id"], 9201, d["visit_detail_start_date"]) for d in details
    ]
    assert rows(asked(spark, "readmission_30d", visit=visits, visit_detail=details), "index_date") == [
        ("2015-02-01",)
    ]


def test_a_task_that_asks_for_no_visit_asks_who_was_observed_in_the_year_before(spark: SparkSession) -> None:
    own = Task(
        name="death_1y_of_all",
        words="Death within a year",
        outcome=Event(DEATH, "death"),
        months=12,
        seen_months=0,
    )
    lived = [
        {
            "person_id": 1,
            "condition_occurrence_id": 1,
            "condition_concept_id": 0,
            "condition_start_date": "2016-05-01",
        }
    ]
    out = asked(spark, own.name, site_tasks=(own,), condition=lived, period=("2016-01-01", "2017-06-30"))
    # 2016-01-01 is the first day of the period, which does not begin before it; 2018-06-30 is a year after its end
    assert rows(out, "index_date") == [("2017-01-01",), ("2018-01-01",)]
