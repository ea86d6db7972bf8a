"""metadata, specimen and note_nlp: small tables of the CDM."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.metadata import METADATA, metadata
from carelake.silver.omop.note import NOTE
from carelake.silver.omop.note_nlp import NOTE_NLP, note_nlp
from carelake.silver.omop.specimen import SPECIMEN, specimen
from carelake.silver.vocabulary.cdm_tables import VOCABULARY_TABLE
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.omop_rule(17)
def test_rule_17_metadata_tells_release_versions_extract_and_senders(spark: SparkSession) -> None:
    """CDM v5.4 METADATA: facts about the data set; the CDM's version is concept 756265; every day is the extract's."""
    vocabularies = frame(
        spark, VOCABULARY_TABLE,
        {"vocabulary_id": "None", "vocabulary_version": "v5.0 29-FEB-24"},
        {"vocabulary_id": "LOINC", "vocabulary_version": "LOINC 2.77"},
        {"vocabulary_id": "Local"},
    )  # fmt: skip
    senders = ({"name": "ehr", "priority": 1, "time_zone": "Europe/Rome"}, {"name": "claims", "priority": 2})
    made = METADATA.conform(
        metadata(vocabularies, senders=senders, extract_date=dt.date(2024, 9, 1), release="9.9")
    )
    assert rows(made, "name", "value_as_string", "value_as_concept_id", "value_as_number") == [
        ("CDM version", "v5.4", 756265, None),
        ("carelake release", "9.9", None, None),
        ("extract date", "2024-09-01", None, None),
        ("sender claims", "UTC", None, 2.0),
        ("sender ehr", "Europe/Rome", None, 1.0),
        ("vocabulary version", "v5.0 29-FEB-24", None, None),
        ("vocabulary version LOINC", "LOINC 2.77", None, None),
    ]
    assert rows(
        made.select("metadata_concept_id", "metadata_type_concept_id", "metadata_date").distinct()
    ) == [(0, 32880, "2024-09-01")]
    assert len({r.metadata_id for r in made.collect()}) == 7


@pytest.mark.omop_rule(7, 19)
def test_rule_7_a_sample_goes_to_specimen_by_its_domain(spark: SparkSession) -> None:
    """CDM v5.4 SPECIMEN: the unit is NULL without one, the sender's own id is kept."""
    events = frame(
        spark, EVENT_LINK,
        {"event_id": 1, "person_id": 7, "domain_id": "Specimen", "concept_id": 4001225, "type_concept_id": 32817,
         "start_datetime": "2020-01-02 08:00:00", "has_time": True, "quantity": 2.0, "source_event_id": "s1",
         "source_value": "119297000"},
        {"event_id": 2, "person_id": 7, "domain_id": "Measurement", "concept_id": 4001225, "type_concept_id": 32817,
         "start_datetime": "2020-01-02 08:00:00", "has_time": True},
    )  # fmt: skip
    assert rows(
        SPECIMEN.conform(specimen(events)), "specimen_id", "person_id", "specimen_concept_id", "specimen_type_concept_id",
        "specimen_date", "specimen_datetime", "quantity", "unit_concept_id", "specimen_source_id", "specimen_source_value",
    ) == [(1, 7, 4001225, 32817, "2020-01-02", "2020-01-02T08:00:00", 2.0, None, "s1", "119297000")]  # fmt: skip


@pytest.mark.omop_rule(16)
def test_rule_16_a_note_that_nobody_read_tells_of_no_term(spark: SparkSession) -> None:
    """CDM v5.4 NOTE_NLP: one row per term that was extracted. Notes are kept and not read: no term, and no condition."""
    assert rows(NOTE_NLP.conform(note_nlp(frame(spark, NOTE, {"note_id": 1, "note_text": "no fever"})))) == []
