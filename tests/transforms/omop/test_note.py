"""silver/omop/note: OMOP_RULES 16, first half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.conformed.note import NOTE as DOCUMENT
from carelake.silver.link.tables import PERSON_LINK, PROVIDER_LINK, VISIT_LINK
from carelake.silver.omop.note import NOTE, note
from carelake.silver.vocabulary.tables import CODE_MAP
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


def document(name: str, *codes: str, system: str = "http://loinc.org", **more: Any) -> dict[str, Any]:
    codings = [(system, c, c, None) for c in codes]
    return {"source_person_id": "p", "source_note_id": name, "note_datetime": "2020-01-01 23:30", "has_time": True, "codings": codings,
            "text": "Well.", "type_concept_id": 32831} | more  # fmt: skip


@pytest.fixture(scope="module")
def notes(spark: SparkSession) -> dict[str, Row]:
    documents = frame(
        spark, DOCUMENT,
        document("mapped", "x", "34117-2", "51847-2", status="superseded", source_encounter_id="e", source_provider_id="dr", title="H and P"),
        document("unmapped", "x", language="fr-CA"),
        document("other system", "34117-2", system="http://snomed.info/sct", language="en-US"),
        document("empty", text=None, codings=None, source_encounter_id="gone", source_provider_id="gone", language="es"),
        document("nobody", source_person_id="stranger"),
    )  # fmt: skip
    people = frame(spark, PERSON_LINK, {"source": "ehr", "source_person_id": "p", "person_id": 1})
    visits = frame(
        spark,
        VISIT_LINK,
        {
            "source": "ehr",
            "source_encounter_id": "e",
            "person_id": 1,
            "visit_occurrence_id": 10,
            "visit_detail_id": 100,
        },
    )
    providers = frame(spark, PROVIDER_LINK, {"source": "ehr", "reference": "dr", "provider_id": 7})
    code = {"vocabulary_id": "LOINC", "source_concept_id": 1, "provenance": "vocabulary", "target_no": 0}
    code_map = frame(
        spark, CODE_MAP, code | {"code": "34117-2", "concept_id": 501}, code | {"code": "51847-2", "concept_id": 502},
        code | {"code": "51847-2", "concept_id": 503, "target_no": 1}, code | {"code": "x", "concept_id": 0},
    )  # fmt: skip
    found = NOTE.conform(note(documents, people, visits, providers, code_map)).collect()
    names = {1: "mapped", 2: "unmapped", 3: "other system", 4: "empty", 5: "nobody"}
    assert len(found) == 4
    return {names[r._record]: r for r in found}


@pytest.mark.omop_rule(16)
def test_rule_16_class_is_the_first_loinc_code_that_maps_else_0(notes: dict[str, Row]) -> None:
    """CDM v5.4 NOTE.note_class_concept_id: LOINC document ontology."""
    found = {k: (r.note_class_concept_id, r.note_source_value) for k, r in notes.items()}
    assert found == {
        "mapped": (501, "34117-2"),
        "unmapped": (0, "x"),
        "other system": (0, "34117-2"),
        "empty": (0, None),
    }


def test_a_superseded_note_and_one_without_text_are_kept_and_strangers_wait(notes: dict[str, Row]) -> None:
    assert {k: r.note_text for k, r in notes.items()} == {
        "mapped": "Well.",
        "unmapped": "Well.",
        "other system": "Well.",
        "empty": "",
    }


@pytest.mark.omop_rule(21, 16)
def test_type_encoding_and_language_are_those_of_the_field_list(notes: dict[str, Row]) -> None:
    """CDM v5.4 NOTE: type 32831 for a note of an EHR, UTF-8 is 32678."""
    assert {(r.note_type_concept_id, r.encoding_concept_id) for r in notes.values()} == {(32831, 32678)}
    assert {k: r.language_concept_id for k, r in notes.items()} == {
        "mapped": 4180186,
        "unmapped": 0,
        "other system": 4180186,
        "empty": 4182511,
    }


def test_visit_and_author_are_linked_and_never_lose_the_note(notes: dict[str, Row]) -> None:
    found = {k: (r.visit_occurrence_id, r.visit_detail_id, r.provider_id) for k, r in notes.items()}
    assert found["mapped"] == (10, 100, 7)
    assert found["empty"] == (None, None, None)


def test_the_day_is_that_of_the_local_clock(notes: dict[str, Row]) -> None:
    assert (str(notes["mapped"].note_date), notes["mapped"].note_datetime.isoformat()) == (
        "2020-01-01",
        "2020-01-01T23:30:00",
    )
