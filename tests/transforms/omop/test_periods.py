"""observation_period, payer_plan_period and cdm_source."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.conformed.coverage import COVERAGE
from carelake.silver.conformed.encounter import ENCOUNTER
from carelake.silver.conformed.event import EVENT
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.cdm_source import CDM_SOURCE, cdm_source
from carelake.silver.omop.death import DEATH
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD, observation_period
from carelake.silver.omop.payer_plan_period import PAYER_PLAN_PERIOD, payer_plan_period
from carelake.silver.omop.person import PERSON
from carelake.silver.vocabulary.cdm_tables import VOCABULARY_TABLE
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

EXTRACT = dt.date(2024, 9, 1)


def links(spark: SparkSession, people: int) -> DataFrame:
    return frame(
        spark, PERSON_LINK,
        *[{"source": "ehr", "source_person_id": str(n), "person_id": n, "rule": "self", "score": 1.0} for n in range(1, people + 1)],
    )  # fmt: skip


def persons(spark: SparkSession, people: int, **birth: Any) -> DataFrame:
    return frame(
        spark, PERSON, *[{"person_id": n, "year_of_birth": 1950} | birth for n in range(1, people + 1)]
    )


def stay(key: int, start: str, end: str | None, kind: int = 32817) -> dict[str, Any]:
    return {
        "source_person_id": str(key),
        "start_datetime": start,
        "end_datetime": end,
        "type_concept_id": kind,
    }


def event(key: int, start: str, kind: int = 32817, end: str | None = None) -> dict[str, Any]:
    return {
        "source_person_id": str(key),
        "start_datetime": start,
        "end_datetime": end,
        "type_concept_id": kind,
    }


def cover(key: int, start: str, end: str | None, **more: Any) -> dict[str, Any]:
    return {
        "source_person_id": str(key),
        "payer": "Medicare",
        "plan": "A",
        "start_date": start,
        "end_date": end,
    } | more


@pytest.mark.omop_rule(3)
def test_observation_periods_follow_the_rules_of_enrolment_and_ehr(spark: SparkSession) -> None:
    """CDM v5.4 OBSERVATION_PERIOD and THEMIS: claims periods by enrolment (32813), EHR periods by events (32882), split at 548 days
    of silence, never overlapping or back to back, not before birth, 60 days after death or the last event."""
    coverages = (
        cover(1, "2014-01-01", "2014-12-31"), cover(1, "2015-01-01", "2015-12-31"),  # touch: one
        cover(1, "2015-01-01", "2015-06-30", plan="B"), cover(1, "2017-01-01", None),
        cover(2, "2014-01-01", "2014-12-31"), cover(3, "1940-01-01", "2025-12-31"),
        cover(4, "2000-01-01", "2010-12-31", payer_type="self_pay"), cover(5, "2019-01-01", "2020-12-31"),
    )  # fmt: skip
    encounters = (
        stay(1, "2017-03-01 10:00:00", "2017-03-02 10:00:00", 32855),  # a claim makes no EHR span
        stay(2, "2015-01-15 23:30:00", "2015-01-16 00:30:00"),  # + 60 days; a gap to the enrolment
        stay(2, "2016-07-16 00:00:00", "2016-07-17 00:00:00"),  # 547 days after the last day: no split
        stay(2, "2018-01-16 00:00:00", "2018-01-16 00:00:00"),  # 548 days: a split
        stay(5, "2020-05-01 08:00:00", None),  # open, but dead since
        stay(7, "2024-08-31 08:00:00", None), stay(8, "2023-01-01 00:00:00", "2023-01-02 00:00:00", 32861),
        stay(9, "1949-01-01 00:00:00", "1950-01-20 00:00:00"), stay(10, "2024-10-01 00:00:00", None),
    )  # fmt: skip
    events = (
        event(2, "2015-01-16 12:00:00", end="2030-01-01 00:00:00"),  # the end of a fact is not a sighting
        event(6, "2021-02-03 04:05:00"),  # no encounter
    )
    out = OBSERVATION_PERIOD.conform(
        observation_period(
            persons(spark, 10), links(spark, 10), frame(spark, DEATH, {"person_id": 5, "death_date": "2020-05-10"}),
            frame(spark, COVERAGE, *coverages), frame(spark, ENCOUNTER, *encounters), frame(spark, EVENT, *events), EXTRACT,
        )
    )  # fmt: skip
    assert rows(out, "person_id", "observation_period_start_date", "observation_period_end_date", "period_type_concept_id") == sorted(
        [
            (1, "2014-01-01", "2015-12-31", 32813), (1, "2017-01-01", "2024-09-01", 32813),
            (2, "2014-01-01", "2014-12-31", 32813), (2, "2015-01-15", "2016-09-15", 32882), (2, "2018-01-16", "2018-03-17", 32882),
            (3, "1950-01-01", "2024-09-01", 32813), (5, "2019-01-01", "2020-07-09", 32882),
            (6, "2021-02-03", "2021-04-04", 32882), (7, "2024-08-31", "2024-09-01", 32882),
            (8, "2023-01-01", "2023-03-03", 32882), (9, "1950-01-01", "1950-03-21", 32882),
        ],
        key=str,
    )  # fmt: skip
    assert out.selectExpr("count(DISTINCT observation_period_id)").first()[0] == 11


@pytest.mark.omop_rule(14, 3)
def test_coverage_of_one_plan_merges_when_it_touches_and_other_plans_may_overlap(spark: SparkSession) -> None:
    """CDM v5.4 PAYER_PLAN_PERIOD: a person may be in several plans at once."""
    coverages = frame(
        spark, COVERAGE,
        cover(1, "2014-01-01", "2014-12-31"), cover(1, "2015-01-01", None, stop_reason="moved"),
        cover(1, "2014-06-01", "2014-12-31", plan="B"), cover(1, "2015-03-01", "2015-12-31", plan="B"),
        cover(2, "2020-01-01", "2030-01-01", plan=None), cover(3, "2020-01-01", None), cover(2, "2025-01-01", None),
    )  # fmt: skip
    out = PAYER_PLAN_PERIOD.conform(payer_plan_period(coverages, links(spark, 3), persons(spark, 2), EXTRACT))
    assert rows(
        out, "person_id", "plan_source_value", "payer_plan_period_start_date", "payer_plan_period_end_date", "payer_concept_id",
        "plan_concept_id", "stop_reason_source_value", "stop_reason_concept_id",
    ) == [
        (1, "A", "2014-01-01", "2024-09-01", 0, 0, "moved", 0),
        (1, "B", "2014-06-01", "2014-12-31", 0, 0, None, None),
        (1, "B", "2015-03-01", "2015-12-31", 0, 0, None, None),
        (2, None, "2020-01-01", "2024-09-01", 0, None, None, None),
    ]  # fmt: skip


@pytest.mark.omop_rule(17)
def test_cdm_source_is_one_row_with_the_vocabulary_version_also_when_there_is_none(
    spark: SparkSession,
) -> None:
    """CDM v5.4 CDM_SOURCE: vocabulary version, CDM version 756265, release date = extract date."""
    senders = ({"name": "ehr"}, {"name": "claims"})
    given = frame(
        spark, VOCABULARY_TABLE,
        {"vocabulary_id": "None", "vocabulary_version": "v5.0 31-AUG-23"}, {"vocabulary_id": "LOINC", "vocabulary_version": "2.74"},
    )  # fmt: skip
    columns = (
        "source_description",
        "cdm_etl_reference",
        "cdm_release_date",
        "cdm_version_concept_id",
        "vocabulary_version",
    )
    assert rows(CDM_SOURCE.conform(cdm_source(given, senders, EXTRACT, "0.1.0")), *columns) == [
        ("Harmonised from: claims, ehr", "carelake 0.1.0", "2024-09-01", 756265, "v5.0 31-AUG-23")
    ]
    assert rows(
        CDM_SOURCE.conform(cdm_source(given.limit(0), senders, EXTRACT, "0.1.0")), "vocabulary_version"
    ) == [("unknown",)]
