"""episode, episode_event and fact_relationship: what events were for and what they consist of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.episode import EPISODE, episode
from carelake.silver.omop.episode_event import EPISODE_EVENT, episode_event
from carelake.silver.omop.fact_relationship import FACT_RELATIONSHIP, fact_relationship
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SNOMED = "http://snomed.info/sct"
HYPERTENSION, DIABETES = "59621000", "44054006"
CONDITION_FIELD, OBSERVATION_FIELD = 1147127, 1147165
CONDITION, DRUG, MEASUREMENT, OBSERVATION = 19, 13, 21, 27


def event(key: int, domain: str, fact: str, start: str, **more: Any) -> dict[str, Any]:
    return {
        "event_id": key, "person_id": 1, "domain_id": domain, "fact": fact, "start_datetime": f"{start} 00:00:00",
        "has_time": False, "source_event_id": f"e{key}", "type_concept_id": 32817, "source_vocabulary_id": "SNOMED",
        "concept_id": 1000 + key, "source_concept_id": 2000 + key,
    } | more  # fmt: skip


def code(value: str) -> list[tuple[Any, ...]]:
    return [(SNOMED, value, None, None)]


def diagnosis(key: int, value: str, start: str, end: str | None = None, **more: Any) -> dict[str, Any]:
    ended = {"end_datetime": f"{end} 00:00:00"} if end else {}
    return event(key, "Condition", "diagnosis", start, source_value=value, **ended) | more


def plan(key: int, start: str, **more: Any) -> dict[str, Any]:
    return event(key, "Episode", "care_plan", start, source_value="443402002") | more


@pytest.fixture(scope="module")
def events(spark: SparkSession) -> DataFrame:
    return frame(
        spark, EVENT_LINK,
        diagnosis(1, HYPERTENSION, "2010-01-01", "2011-01-01"),
        diagnosis(2, HYPERTENSION, "2015-01-01"),
        diagnosis(3, HYPERTENSION, "2018-01-01"),
        diagnosis(4, DIABETES, "2015-01-01", person_id=2),
        diagnosis(5, DIABETES, "2012-01-01", domain_id="Observation"),
        plan(10, "2016-05-01", reason_ids=["e2", "e4", "e99"], end_datetime="2016-08-01 00:00:00"),
        plan(11, "2016-05-01", reasons=code(HYPERTENSION), start_datetime="2016-05-01 09:30:00", has_time=True,
             type_concept_id=32881),
        plan(12, "2013-01-01", reasons=code(HYPERTENSION)),
        plan(13, "2016-05-01", reasons=code(DIABETES)),
        plan(14, "2016-05-01"),
        event(20, "Drug", "order", "2016-05-01", reason_ids=["e2"], reasons=code(HYPERTENSION)),
        event(21, "Drug", "order", "2016-05-01", reason_ids=["e2"], excluded="fulfilled_by_administration"),
        event(30, "Measurement", "report", "2016-05-01", member_ids=["e31", "e32", "e33", "e30"]),
        event(31, "Measurement", "result", "2016-05-01"),
        event(32, "Observation", "result", "2016-05-01"),
        event(33, "Measurement", "result", "2016-05-01", _source="elsewhere"),
    )  # fmt: skip


@pytest.mark.omop_rule(19)
def test_rule_19_a_plan_of_care_is_an_episode_of_treatment(events: DataFrame) -> None:
    """CDM v5.4 EPISODE: a treatment regimen (32531) whose object is the plan's concept; no end that nobody sent."""
    made = EPISODE.conform(episode(events)).where("episode_id <= 11")
    assert rows(
        made, "episode_id", "person_id", "episode_concept_id", "episode_start_date", "episode_start_datetime",
        "episode_end_date", "episode_object_concept_id", "episode_type_concept_id", "episode_source_value",
        "episode_source_concept_id",
    ) == [
        (10, 1, 32531, "2016-05-01", None, "2016-08-01", 1010, 32828, "443402002", 2010),
        (11, 1, 32531, "2016-05-01", "2016-05-01T09:30:00", None, 1011, 32881, "443402002", 2011),
    ]  # fmt: skip


@pytest.mark.omop_rule(19)
def test_rule_19_an_episode_has_the_conditions_that_its_plan_is_for(events: DataFrame) -> None:
    """CDM v5.4 EPISODE_EVENT: by reference (never of another person), else by code: the diagnosis of that code begun
    last and not ended before; the field says in which table it is. A plan for nothing on record has no event."""
    made = EPISODE_EVENT.conform(episode_event(events))
    assert rows(made, "episode_id", "event_id", "episode_event_field_concept_id") == [
        (10, 2, CONDITION_FIELD),
        (11, 2, CONDITION_FIELD),  # not the one of 2018, which came later, nor that of 2010, which had ended
        (13, 5, OBSERVATION_FIELD),
    ]


@pytest.mark.omop_rule(19)
def test_rule_19_each_relationship_of_facts_is_told_from_both_sides(events: DataFrame) -> None:
    """CDM v5.4 FACT_RELATIONSHIP: all relationships are directional and each is represented twice.

    A result by id and by code is one relationship; what is in no table, of another sender or of itself has none.
    """
    made = FACT_RELATIONSHIP.conform(fact_relationship(events))
    assert rows(made.drop("_person_id", "_source", "_record")) == [
        (DRUG, 20, CONDITION, 2, 44818792),
        (CONDITION, 2, DRUG, 20, 44818890),
        (MEASUREMENT, 30, MEASUREMENT, 31, 581436),
        (MEASUREMENT, 31, MEASUREMENT, 30, 581437),
    ]  # fmt: skip
