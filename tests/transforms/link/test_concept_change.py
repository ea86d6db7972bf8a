"""silver/link/concept_change: what another vocabulary made of the events that were there before."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.link.concept_change import CONCEPT_CHANGE, TABLES, changes, per_table
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.vocabulary.cdm_tables import VOCABULARY_TABLE
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AT = datetime(2026, 1, 2, tzinfo=timezone.utc)


def event(code: str, concept: int, domain: str = "Condition", person: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "source_event_id": code, "person_id": person, "concept_id": concept, "domain_id": domain, "target_no": 0,
        "source_concept_id": 7,
    } | more  # fmt: skip


BEFORE = [
    event("same", 1),
    event("remapped", 1),
    event("remapped by another", 1, person=2),
    event("mapped at last", 0, person=3),
    event("moved", 5),
    event("split", 1),
    event("merged", 1), event("merged", 2, "Measurement", target_no=1),
    event("gone with its record", 1),
    event("unit", 4, "Measurement", unit_concept_id=0, value_as_concept_id=8),
    event("left out", 1, excluded="fulfilled_by_administration"),
]  # fmt: skip
AFTER = [
    event("same", 1),
    event("remapped", 9),
    event("remapped by another", 9, person=2),
    event("mapped at last", 9, person=3, source_concept_id=8),
    event("moved", 5, "Observation"),
    event("split", 1), event("split", 2, "Measurement", target_no=1),
    event("merged", 1),
    event("landed in this run", 9),
    event("unit", 4, "Measurement", unit_concept_id=8840, value_as_concept_id=8),
    event("left out", 9, excluded="fulfilled_by_administration"),
]  # fmt: skip


@pytest.fixture(scope="module")
def changed(spark: SparkSession) -> DataFrame:
    def version(text: str) -> DataFrame:
        return frame(
            spark, VOCABULARY_TABLE,
            {"vocabulary_id": "None", "vocabulary_version": text}, {"vocabulary_id": "LOINC", "vocabulary_version": "2.76"},
        )  # fmt: skip

    made = changes(
        frame(spark, EVENT_LINK, *BEFORE), frame(spark, EVENT_LINK, *AFTER), version("v5.0 28-FEB-25"), version("v5.0 27-AUG-25"), AT
    )  # fmt: skip
    return CONCEPT_CHANGE.conform(made)


def test_rows_that_changed_are_counted_by_table_column_and_pair_of_concepts(changed: DataFrame) -> None:
    condition, measurement = "condition_occurrence", "measurement"
    assert rows(
        changed,
        "table_before",
        "table_after",
        "column",
        "from_concept_id",
        "to_concept_id",
        "n_rows",
        "n_persons",
    ) == [
        (None, measurement, "concept_id", None, 2, 1, 1),  # the second target of `split`
        (None, measurement, "source_concept_id", None, 7, 1, 1),
        (condition, condition, "concept_id", 0, 9, 1, 1),
        (condition, condition, "concept_id", 1, 9, 2, 2),
        (condition, condition, "source_concept_id", 7, 8, 1, 1),
        (condition, "observation", "concept_id", 5, 5, 1, 1),
        (measurement, None, "concept_id", 2, None, 1, 1),  # the second target of `merged`
        (measurement, None, "source_concept_id", 7, None, 1, 1),
        (measurement, measurement, "unit_concept_id", 0, 8840, 1, 1),
    ]


def test_a_change_says_from_which_vocabulary_to_which_and_when(changed: DataFrame) -> None:
    assert rows(changed.select("vocabulary_before", "vocabulary_after").distinct()) == [
        ("v5.0 28-FEB-25", "v5.0 27-AUG-25")
    ]
    assert [r.changed_at for r in changed.select("changed_at").distinct().collect()] == [
        AT.replace(tzinfo=None)
    ]


def test_rows_that_changed_standard_concept_are_summed_per_table(changed: DataFrame) -> None:
    assert rows(per_table(changed)) == [("condition_occurrence", 3), ("measurement", 2), ("observation", 1)]


def test_the_same_vocabulary_changes_nothing(spark: SparkSession) -> None:
    same, none = frame(spark, EVENT_LINK, *AFTER), frame(spark, VOCABULARY_TABLE)
    assert changes(same, same, none, none, AT).collect() == []


def test_every_domain_of_an_event_has_its_table(spark: SparkSession) -> None:
    from carelake.silver.conformed.event import DOMAINS, EPISODE

    assert set(TABLES) == {*DOMAINS, EPISODE}
