"""gold/unmapped_code and gold/mapping_coverage."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from carelake.gold.mapping_coverage import MAPPING_COVERAGE, mapping_coverage
from carelake.gold.unmapped_code import UNMAPPED_CODE, unmapped_code
from carelake.report import usagi
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.vocabulary.cdm_tables import CONCEPT
from carelake.silver.vocabulary.folder import settings
from carelake.silver.vocabulary.local_rows import maps
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pathlib import Path

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


def test_unmapped_codes_are_ranked_by_rows_and_words_are_not_shown(
    spark: SparkSession, events: DataFrame
) -> None:
    concepts = frame(
        spark,
        CONCEPT,
        {"concept_id": 900111, "concept_name": "Rare disorder"},
        {"concept_id": 0, "concept_name": "No"},
    )
    made = UNMAPPED_CODE.conform(unmapped_code(events, concepts))
    assert rows(
        made, "rank", "source", "vocabulary_id", "code", "source_text", "n_persons_text", "domain_id", "source_concept_id",
        "source_concept_name", "n_rows", "n_persons", "first_date", "last_date",
    ) == [
        (1, "ehr", "SNOMED", "111", "rare thing", 1, "Condition", 900111, "Rare disorder", 3, 2, "2020-01-02", "2021-05-06"),
        (2, "ehr", None, None, "(text only)", 2, "Condition", 0, None, 2, 2, "2020-01-02", "2020-01-02"),
        (3, "ehr", "urn:oid:1.2", "x", None, None, "Condition", 0, None, 1, 1, "2020-01-02", "2020-01-02"),
        (4, "ehr", "urn:oid:1.2", "x", None, None, "Drug", 0, None, 1, 1, "2020-01-02", "2020-01-02"),
    ]  # fmt: skip


def test_the_words_shown_for_a_code_are_those_of_most_persons(spark: SparkSession) -> None:
    made = unmapped_code(
        frame(
            spark, EVENT_LINK,
            *[event(1, "X", "1", source_display="Ann Smith's ward") for _ in range(3)],
            event(2, "X", "1", source_display="ward"), event(3, "X", "1", source_display="ward"),
            event(2, "X", "2", source_display="b"), event(3, "X", "2", source_display="a"), event(4, "X", "2"),
        ),
        frame(spark, CONCEPT),
    )  # fmt: skip
    assert rows(made, "code", "source_text", "n_persons_text", "n_persons") == [
        ("1", "ward", 2, 3),
        ("2", "a", 1, 3),
    ]


def unmapped(rank: int, code: str | None, persons: int, **more: Any) -> dict[str, Any]:
    return {
        "rank": rank, "source": "ehr", "vocabulary_id": "urn:oid:1.2", "code": code, "source_text": None,
        "n_persons_text": None, "domain_id": "Condition", "source_concept_id": 0, "source_concept_name": None,
        "n_rows": 100, "n_persons": persons,
    } | more  # fmt: skip


def test_the_worklist_has_the_columns_that_usagi_asks_for_and_one_line_per_code() -> None:
    lines = list(csv.DictReader(io.StringIO(usagi.text([
        unmapped(2, "A", 11, n_rows=40, source_text='a "word", used often', n_persons_text=11),
        unmapped(3, "A", 20, n_rows=70, domain_id="Drug", source="claims"),
        unmapped(1, "B", 90, n_rows=90, vocabulary_id="ICD10CM", source_concept_id=45533, source_concept_name="Official name"),
        unmapped(4, "C", 11, n_rows=3 * 2**30),
    ]))))  # fmt: skip
    assert [tuple(x.values()) for x in lines] == [
        ("C", "C", str(2**31 - 1), "urn:oid:1.2", "0", "Condition", "11"),
        ("A", 'a "word", used often', "110", "urn:oid:1.2", "0", "Condition", "20"),
        ("B", "Official name", "90", "ICD10CM", "45533", "Condition", "90"),
    ]
    assert list(lines[0])[:4] == ["sourceCode", "sourceName", "sourceFrequency", "sourceVocabularyId"]


def test_the_worklist_holds_nothing_that_may_speak_of_one_person() -> None:
    text = usagi.text(
        [
            unmapped(1, None, 5000, vocabulary_id=None, source_text="(text only)", n_persons_text=5000),
            unmapped(2, "free words in a code", 40, vocabulary_id="None"),
            unmapped(3, "rare", 10, source_text="few have it", n_persons_text=10),
            unmapped(4, "often", 11, source_text="Ann Smith's ward", n_persons_text=10),
        ]
    )
    assert text.splitlines()[1:] == ["often,often,100,urn:oid:1.2,0,Condition,11"]


def test_the_worklist_comes_back_from_usagi_as_a_map(tmp_path: Path) -> None:
    (line,) = csv.DictReader(io.StringIO(usagi.text([unmapped(1, "A", 11)])))
    chosen = {"sourceCode": line["sourceCode"], "sourceName": line["sourceName"]} | {
        f"ADD_INFO:{c}": line[c] for c in ("sourceVocabularyId", "sourceConceptId", "domainId", "persons")
    }
    saved = chosen | {"mappingStatus": "APPROVED", "conceptId": "201826", "mappingType": "MAPS_TO"}
    with (tmp_path / "usagi.csv").open("w", newline="") as f:
        writer = csv.DictWriter(f, saved)
        writer.writeheader()
        writer.writerow(saved)
    (row,) = maps(settings(None, str(tmp_path))["local_maps"].found)
    assert (row["source_vocabulary_id"], row["source_code"], row["target_concept_id"]) == (
        "urn:oid:1.2",
        "A",
        "201826",
    )


def test_coverage_counts_events_and_codes_once(events: DataFrame) -> None:
    made = MAPPING_COVERAGE.conform(mapping_coverage(events))
    assert rows(made) == [
        ("ehr", "(text only)", "Condition", 2, 0, 0, 0),
        ("ehr", "SNOMED", "Condition", 4, 1, 2, 1),
        ("ehr", "urn:oid:1.2", "Condition", 1, 0, 1, 0),
        ("ehr", "urn:oid:1.2", "Drug", 1, 0, 1, 0),
    ]
