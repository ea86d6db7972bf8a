"""gold/unmapped_code and gold/mapping_coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.gold.mapping_coverage import MAPPING_COVERAGE, mapping_coverage
from carelake.gold.unmapped_code import UNMAPPED_CODE, unmapped_code
from carelake.silver.link.tables import EVENT_LINK
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def event(person: int, vocabulary: str | None, value: str, concept: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "person_id": person, "source_vocabulary_id": vocabulary, "source_value": value, "concept_id": concept,
        "domain_id": "Condition", "source_concept_id": 0, "target_no": 0, "start_datetime": "2020-01-02 03:04:05",
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def events(spark: SparkSession) -> DataFrame:
    return frame(
        spark, EVENT_LINK,
        event(1, "SNOMED", "111", source_display="rare thing", source_concept_id=900111),
        event(1, "SNOMED", "111", source_display="rare thing", source_concept_id=900111, start_datetime="2021-05-06 00:00:00"),
        event(2, "SNOMED", "111", source_concept_id=900111),
        event(2, "SNOMED", "44054006", 201826),
        event(2, "SNOMED", "44054006", 443731, target_no=1, domain_id="Measurement"),
        event(3, "urn:oid:1.2", "x"),
        event(3, "urn:oid:1.2", "x", domain_id="Drug"),
        event(3, "urn:oid:1.2", "x", domain_id="Drug", excluded="fulfilled_by_administration"),
        event(3, None, "pain since Ann Smith left"), event(4, None, "sore knee"),
    )  # fmt: skip


def test_unmapped_codes_are_ranked_by_rows_and_words_are_not_shown(events: DataFrame) -> None:
    made = UNMAPPED_CODE.conform(unmapped_code(events))
    assert rows(
        made, "rank", "source", "vocabulary_id", "code", "source_text", "domain_id", "source_concept_id", "n_rows",
        "n_persons", "first_date", "last_date",
    ) == [
        (1, "ehr", "SNOMED", "111", "rare thing", "Condition", 900111, 3, 2, "2020-01-02", "2021-05-06"),
        (2, "ehr", None, None, "(text only)", "Condition", 0, 2, 2, "2020-01-02", "2020-01-02"),
        (3, "ehr", "urn:oid:1.2", "x", None, "Condition", 0, 1, 1, "2020-01-02", "2020-01-02"),
        (4, "ehr", "urn:oid:1.2", "x", None, "Drug", 0, 1, 1, "2020-01-02", "2020-01-02"),
    ]  # fmt: skip


def test_coverage_counts_events_and_codes_once(events: DataFrame) -> None:
    made = MAPPING_COVERAGE.conform(mapping_coverage(events))
    assert rows(made) == [
        ("ehr", "(text only)", "Condition", 2, 0, 0, 0),
        ("ehr", "SNOMED", "Condition", 4, 1, 2, 1),
        ("ehr", "urn:oid:1.2", "Condition", 1, 0, 1, 0),
        ("ehr", "urn:oid:1.2", "Drug", 1, 0, 1, 0),
    ]
