"""person, death and location from the records of several senders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.conformed.encounter import ENCOUNTER
from carelake.silver.conformed.event import EVENT
from carelake.silver.conformed.facility import FACILITY
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.tables import FACILITY_LINK, PERSON_LINK, PROVIDER_LINK
from carelake.silver.omop.death import DEATH, death
from carelake.silver.omop.location import LOCATION, location
from carelake.silver.omop.person import PERSON, person
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SENDERS = tuple(
    {"name": n, "priority": p, "time_zone": "UTC", "type_concept_id": 32817}
    for n, p in (("claims", 2), ("ehr", 1))
)


def links(spark: SparkSession, *pairs: tuple[str, str, int]) -> DataFrame:
    return frame(
        spark, PERSON_LINK,
        *[{"source": s, "source_person_id": k, "person_id": p, "rule": "self", "score": 1.0} for s, k, p in pairs],
    )  # fmt: skip


def record(source: str, key: str, **facts: Any) -> dict[str, Any]:
    return {"_source": source, "source_person_id": key, "is_latest": True} | facts


@pytest.mark.omop_rule(8)
def test_facts_come_from_the_latest_record_of_the_first_sender_and_gaps_are_filled_from_the_others(
    spark: SparkSession,
) -> None:
    """CDM v5.4 PERSON: one row each, identity resolved before; no year of birth, no person (THEMIS)."""
    patients = frame(
        spark, PATIENT,
        record("claims", "-1", period="2015", year_of_birth=1950, month_of_birth=1, day_of_birth=9, sex="female",
               sex_source_value="2", race="2028-9", race_source_value="4", zip="02139"),
        record("claims", "-1", period="2016", race="2054-5", race_source_value="2", zip="02140"),
        record("ehr", "x", version_at="2020-01-01", is_latest=False, zip="99999", year_of_birth=1900, race="1002-5"),
        record("ehr", "x", version_at="2021-01-01", year_of_birth=1951, birth_date="1951-02-03", sex="unknown",
               sex_source_value="U", ethnicity="not_hispanic", ethnicity_source_value="2186-5", source_provider_id="p",
               source_facility_id="f"),
        record("ehr", "y", sex="male", sex_source_value="M", race_source_value="Other"),
    )  # fmt: skip
    providers = frame(spark, PROVIDER_LINK, {"source": "ehr", "reference": "p", "provider_id": 11},
                      {"source": "claims", "reference": "p", "provider_id": 12})  # fmt: skip
    facilities = frame(spark, FACILITY_LINK, {"source": "ehr", "reference": "f", "care_site_id": 21})
    known = links(spark, ("claims", "-1", 1), ("ehr", "x", 1), ("ehr", "y", 2))
    table = PERSON.conform(person(patients, known, providers, facilities, SENDERS))
    assert rows(
        table, "person_id", "gender_concept_id", "gender_source_value", "year_of_birth", "month_of_birth", "day_of_birth",
        "birth_datetime", "race_concept_id", "race_source_value", "ethnicity_concept_id", "provider_id", "care_site_id", "person_source_value",
        "_source", "_record",
    ) == [
        (1, 8532, "2", 1951, 2, 3, "1951-02-03T00:00:00", 8516, "2", 38003564, 11, 21, "x", "claims+ehr", 1),
        (2, 8507, "M", None, None, None, None, 0, "Other", 0, None, None, "y", "ehr", 5),
    ]  # fmt: skip
    assert [
        r["reasons"]
        for r in table.where("person_id = 2").selectExpr(f"{PERSON.reasons()} AS reasons").collect()
    ] == [["R_SCHEMA:year_of_birth_missing"]]
    places = LOCATION.conform(location(patients, known, frame(spark, FACILITY), SENDERS))
    assert rows(places, "zip", "location_source_value", "_source") == [("02140", "02140", "claims+ehr")]
    assert rows(places, "location_id") == rows(table.where("person_id = 1"), "location_id")


def test_a_birth_without_time_is_at_midnight_and_without_day_on_the_first_of_its_month(
    spark: SparkSession,
) -> None:
    patients = frame(
        spark, PATIENT,
        record("ehr", "time", birth_date="1951-02-03", birth_datetime="1951-02-03 04:05:06"),
        record("ehr", "day", year_of_birth=1951, month_of_birth=2, day_of_birth=3),
        record("ehr", "month", year_of_birth=1951, month_of_birth=12),
        record("ehr", "year", year_of_birth=1951),
        record("ehr", "no month", year_of_birth=1951, month_of_birth=13, day_of_birth=1),
    )  # fmt: skip
    known = links(
        spark, *[("ehr", k, n) for n, k in enumerate(("time", "day", "month", "year", "no month"), start=1)]
    )
    table = person(patients, known, frame(spark, PROVIDER_LINK), frame(spark, FACILITY_LINK), SENDERS)
    assert rows(table, "person_source_value", "birth_datetime") == [
        ("day", "1951-02-03T00:00:00"), ("month", "1951-12-01T00:00:00"), ("no month", None), ("time", "1951-02-03T04:05:06"),
        ("year", None),
    ]  # fmt: skip


@pytest.mark.omop_rule(15)
def test_a_place_that_people_and_facilities_share_is_one_location(spark: SparkSession) -> None:
    """CDM v5.4 LOCATION: unique addresses."""
    patients = frame(
        spark, PATIENT,
        record("ehr", "x", address_line="1 Mill St", city="Lowell", state="MA", zip="01850-1234", county="Middlesex", country="US"),
        record("ehr", "y", address_line="1 mill  st", city="LOWELL", state="MA", zip="018501234", country="US"),
    )  # fmt: skip
    facilities = frame(
        spark, FACILITY,
        {"source_facility_id": "f", "facility_kind": "location", "address_line": "1 Mill St", "city": "Lowell", "state": "MA",
         "zip": "018501234", "country": "US", "latitude": 42.5, "longitude": -71.25},
        {"source_facility_id": "g", "facility_kind": "location", "city": "Toronto", "state": "Ontario"},
    )  # fmt: skip
    places = LOCATION.conform(
        location(patients, links(spark, ("ehr", "x", 1), ("ehr", "y", 2)), facilities, SENDERS)
    )
    assert rows(places, "city", "state", "zip", "county", "latitude", "longitude", "country_concept_id") == [
        ("Lowell", "MA", "018501234", "Middlesex", 42.5, -71.25, 0),
        ("Toronto", None, None, None, None, None, None),  # the CDM has room for two letters
    ]


@pytest.mark.omop_rule(9)
def test_death_is_the_most_reliable_then_the_latest_and_never_without_a_date(spark: SparkSession) -> None:
    """CDM v5.4 DEATH and THEMIS: at most one row, none without a date, the most reliable source first."""
    told = frame(
        spark, PATIENT,
        record("claims", "-1", death_date="2020-05-09", death_type_concept_id=32848),
        record("ehr", "x", death_date="2020-05-01", death_datetime="2020-05-01 10:30:00", death_type_concept_id=32817),
        record("claims", "-2", period="2019", death_date="2019-02-01", death_type_concept_id=32848),
        record("claims", "-2", period="2020", death_date="2019-02-03", death_type_concept_id=32848),
        record("ehr", "y"), record("ehr", "quarantined", death_date="2020-01-01"),
    )  # fmt: skip
    known = links(
        spark,
        ("claims", "-1", 1),
        ("ehr", "x", 1),
        ("claims", "-2", 2),
        ("ehr", "y", 3),
        ("ehr", "quarantined", 4),
    )
    persons = frame(spark, PERSON, {"person_id": 1}, {"person_id": 2}, {"person_id": 3})
    nothing = frame(spark, ENCOUNTER), frame(spark, EVENT)
    out = DEATH.conform(death(told, known, persons, *nothing, SENDERS))
    assert rows(
        out, "person_id", "death_date", "death_datetime", "death_type_concept_id", "cause_concept_id"
    ) == [
        (1, "2020-05-01", "2020-05-01T10:30:00", 32817, None),
        (2, "2019-02-03", None, 32848, None),
    ]


@pytest.mark.omop_rule(9)
def test_rule_9_an_event_more_than_60_days_after_a_death_makes_it_suspect(spark: SparkSession) -> None:
    """CDM v5.4 DEATH and DQD plausibleBeforeDeath: 60 days after are allowed. The row stays, an event of any sender of
    the person counts, and so does an encounter; nobody else's does."""
    died = {"death_date": "2020-05-01"}
    told = frame(spark, PATIENT, *[record("ehr", key, **died) for key in "abcd"])
    known = links(spark, *[("ehr", key, n) for n, key in enumerate("abcd", start=1)], ("claims", "-2", 2))
    persons = frame(spark, PERSON, *[{"person_id": n} for n in (1, 2, 3, 4)])
    encounters = frame(spark, ENCOUNTER, {"source_person_id": "c", "start_datetime": "2020-07-01 08:00:00"})
    events = frame(
        spark, EVENT,
        {"source_person_id": "a", "start_datetime": "2020-06-30 23:59:00"},  # the 60th day
        {"_source": "claims", "source_person_id": "-2", "start_datetime": "2020-07-01 00:00:00"},
        {"source_person_id": "stranger", "start_datetime": "2021-01-01 00:00:00"},
    )  # fmt: skip
    out = DEATH.conform(death(told, known, persons, encounters, events, SENDERS))
    assert rows(out, "person_id", "_suspect") == [(1, False), (2, True), (3, True), (4, False)]


@pytest.mark.omop_rule(8)
def test_rule_8_a_person_without_events_sex_or_race_is_a_person_with_concept_0(spark: SparkSession) -> None:
    """CDM v5.4 PERSON: all persons, with or without events; gender 8507 or 8532 at birth, unknown race 0 (THEMIS)."""
    said = {
        "f": ("female", "hispanic"),
        "m": ("male", "not_hispanic"),
        "o": ("other", None),
        "n": (None, None),
    }
    patients = frame(
        spark, PATIENT,
        *[record("ehr", key, year_of_birth=1950, sex=sex, ethnicity=e) for key, (sex, e) in said.items()],
    )  # fmt: skip
    known = links(spark, *[("ehr", key, n) for n, key in enumerate(said, start=1)])
    table = PERSON.conform(
        person(patients, known, frame(spark, PROVIDER_LINK), frame(spark, FACILITY_LINK), SENDERS)
    )
    assert rows(table, "person_id", "gender_concept_id", "race_concept_id", "ethnicity_concept_id") == [
        (1, 8532, 0, 38003563), (2, 8507, 0, 38003564), (3, 0, 0, 0), (4, 0, 0, 0),
    ]  # fmt: skip
