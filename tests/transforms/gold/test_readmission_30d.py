"""gold/readmission_30d: CMS's transfer rule, follow-up, OMOP_RULES 1 and 22. Each case is a person."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from carelake.gold.measures.readmission_30d import READMISSION_30D, readmission_30d
from carelake.silver.link.tables import VISIT_LINK
from carelake.silver.omop.death import DEATH
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.visit_detail import VISIT_DETAIL
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

A, B = 1, 2  # care sites
# case: (start, end, care site, more columns)
CASES: dict[str, tuple[tuple[Any, ...], ...]] = {
    "day 30": (("2020-01-01", "2020-01-05", A), ("2020-02-04", "2020-02-06", A)),
    "day 31": (("2020-01-01", "2020-01-05", A), ("2020-02-05", "2020-02-06", A)),
    "transfer next day": (("2020-01-01", "2020-01-05", A), ("2020-01-06", "2020-01-10", B)),
    "transfer and back": (("2020-01-01", "2020-01-05", A), ("2020-01-05", "2020-01-10", B), ("2020-01-20", "2020-01-22", A)),
    "same hospital next day": (("2020-01-01", "2020-01-05", A), ("2020-01-06", "2020-01-10", A)),
    "unknown hospital": (("2020-01-01", "2020-01-05", A), ("2020-01-06", "2020-01-10", None)),
    "other hospital later": (("2020-01-01", "2020-01-05", A), ("2020-01-07", "2020-01-10", B)),
    "same day again": (("2020-01-01 08:00", "2020-01-05 09:00", A), ("2020-01-05 20:00", "2020-01-07 09:00", A)),
    "rolled in": (
        ("2020-01-01", "2020-01-05", A), ("2020-01-05 20:00", "2020-01-05 21:00", A, {"parent_visit_detail_id": 1}),
        ("2020-01-10", "2020-01-10", A, {"visit_detail_concept_id": 9203}),
    ),
    "two senders": (
        ("2020-01-01", "2020-01-05", A), ("2020-01-01", "2020-01-06", 7, {"_source": "claims"}),
        ("2020-01-06", "2020-01-09", A), ("2020-01-07", "2020-01-09", 7, {"_source": "claims"}),
    ),
    "two bills": (("2020-01-01", "2020-01-05", A), ("2020-01-05", "2020-01-09", A)),
    "planned": (("2020-01-01", "2020-01-05", A, {"planned": True}), ("2020-01-15", "2020-01-15", A, {"planned": False})),
    "died": (("2020-01-01", "2020-01-05", A), ("2020-01-15", "2020-01-20", A)),
    "status 20": (("2020-01-01", "2020-01-05", A, {"discharged_to_source_value": "20"}),),
    "open": (("2020-01-01", "2020-01-05", A, {"visit_detail_type_concept_id": 32220}),),
    "too late": (("2020-12-01", "2020-12-02", A), ("2020-11-30", "2020-12-01", A, {"person": "just in time"})),
    "unobserved": (("2021-01-01", "2021-01-02", A),),
}  # fmt: skip
PEOPLE = {name: n for n, name in enumerate((*CASES, "just in time"), 1)}


@pytest.fixture(scope="module")
def index(spark: SparkSession) -> list[Row]:
    rows, planned = [], []
    for case, stays in CASES.items():
        for start, end, site, *rest in stays:
            more = dict(rest[0]) if rest else {}
            key = len(rows) + 1
            planned.append(
                {
                    "source": more.get("_source", "ehr"),
                    "source_encounter_id": str(key),
                    "visit_detail_id": key,
                    "planned": more.pop("planned", None),
                }
            )
            rows.append(
                {
                    "person_id": PEOPLE[more.pop("person", case)], "visit_detail_id": key, "visit_occurrence_id": key + 1000, "care_site_id": site,
                    "visit_detail_start_datetime": start, "visit_detail_end_datetime": end, "visit_detail_start_date": start[:10],
                    "visit_detail_end_date": end[:10], "visit_detail_concept_id": 9201, "visit_detail_type_concept_id": 32817,
                } | more
            )  # fmt: skip
    periods = [
        {
            "person_id": n,
            "observation_period_start_date": "2015-01-01",
            "observation_period_end_date": "2022-01-01",
        }
        if case != "unobserved"
        else {
            "person_id": n,
            "observation_period_start_date": "2020-01-01",
            "observation_period_end_date": "2021-01-31",
        }
        for case, n in PEOPLE.items()
    ]
    deaths = frame(spark, DEATH, {"person_id": PEOPLE["died"], "death_date": "2020-01-20"})
    df = readmission_30d(
        frame(spark, VISIT_DETAIL, *rows),
        frame(spark, VISIT_LINK, *planned),
        deaths,
        frame(spark, OBSERVATION_PERIOD, *periods),
        date(2021, 1, 1),
    )
    return READMISSION_30D.conform(df).collect()


def of(index: list[Row], case: str) -> list[tuple[str, str, bool, int | None]]:
    """admission, discharge (month-day), readmitted, days of a case's index discharges."""
    found = [r for r in index if r.person_id == PEOPLE[case]]
    return sorted(
        (f"{r.admission_date:%m-%d}", f"{r.discharge_date:%m-%d}", r.readmitted, r.days_to_readmission)
        for r in found
    )


def test_an_admission_on_the_30th_day_is_a_readmission_and_on_the_31st_is_none(index: list[Row]) -> None:
    assert of(index, "day 30") == [("01-01", "01-05", True, 30), ("02-04", "02-06", False, None)]
    assert of(index, "day 31") == [("01-01", "01-05", False, None), ("02-05", "02-06", False, None)]


def test_an_admission_to_another_hospital_on_the_next_day_is_a_transfer(index: list[Row]) -> None:
    assert of(index, "transfer next day") == [("01-01", "01-10", False, None)]
    [row] = [r for r in index if r.person_id == PEOPLE["transfer next day"]]
    assert (row.length_of_stay_days, row.care_site_id, row.admissions) == (9, B, 2)


def test_the_last_discharge_of_a_chain_is_the_index(index: list[Row]) -> None:
    assert of(index, "transfer and back") == [("01-01", "01-10", True, 10), ("01-20", "01-22", False, None)]


@pytest.mark.omop_rule(1)
@pytest.mark.parametrize("case", ["same hospital next day", "unknown hospital"])
def test_rule_1_a_next_day_readmission_is_not_hidden(index: list[Row], case: str) -> None:
    """CMS, 30-day readmission: a readmission on the next day counts, so it is read from CDM v5.4 VISIT_DETAIL."""
    assert of(index, case) == [("01-01", "01-05", True, 1), ("01-06", "01-10", False, None)]


def test_an_admission_to_another_hospital_two_days_later_is_a_readmission(index: list[Row]) -> None:
    assert of(index, "other hospital later")[0] == ("01-01", "01-05", True, 2)


def test_a_readmission_on_the_day_of_discharge_has_zero_days(index: list[Row]) -> None:
    assert of(index, "same day again")[0] == ("01-01", "01-05", True, 0)


def test_what_rolled_into_a_stay_or_was_emergency_alone_is_no_readmission(index: list[Row]) -> None:
    assert of(index, "rolled in") == [("01-01", "01-05", False, None)]


@pytest.mark.omop_rule(22)
def test_rule_22_a_stay_known_to_ehr_and_claims_is_one_and_hides_no_readmission(index: list[Row]) -> None:
    """CMS, 30-day readmission: a stay is one index however many records tell of it."""
    assert of(index, "two senders") == [("01-01", "01-06", True, 0), ("01-06", "01-09", False, None)]


def test_two_bills_of_one_hospital_that_meet_on_a_day_are_one_stay(index: list[Row]) -> None:
    assert of(index, "two bills") == [("01-01", "01-09", False, None)]


def test_planned_is_told_of_the_index_and_of_the_readmission(index: list[Row]) -> None:
    first, second = sorted(
        (r for r in index if r.person_id == PEOPLE["planned"]), key=lambda r: r.admission_date
    )
    assert (first.planned, first.readmission_planned, first.readmission_visit_detail_id) == (
        True,
        False,
        second.index_visit_detail_id,
    )
    assert (second.planned, second.readmission_planned) == (False, None)


def test_a_stay_that_ends_with_death_is_no_index_but_is_a_readmission(index: list[Row]) -> None:
    assert of(index, "died") == [("01-01", "01-05", True, 10)]
    assert of(index, "status 20") == []


def test_a_stay_still_open_is_no_index(index: list[Row]) -> None:
    assert of(index, "open") == []


def test_thirty_days_must_be_over_before_as_of_and_observed(index: list[Row]) -> None:
    assert of(index, "just in time") == [("11-30", "12-01", False, None)]
    assert of(index, "too late") == []
    assert of(index, "unobserved") == []
