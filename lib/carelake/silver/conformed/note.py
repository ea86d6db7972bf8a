"""Contract: a document written about a person."""

from __future__ import annotations

from carelake.core.table import Field, Table
from carelake.silver.conformed.lineage import CODING, LINEAGE

NOTE = Table(
    name="silver/conformed/note",
    doc="One row per document, its text decoded.",
    fields=(
        Field("source_person_id", "string", "The sender's id of the person", True, phi="MRN", reason="R_REF"),
        Field("source_note_id", "string", "The sender's own id of the document", True, reason="R_ID"),
        Field("source_encounter_id", "string", "The sender's id of the encounter"),
        Field("source_provider_id", "string", "The sender's id of the author"),
        Field(
            "note_datetime", "timestamp_ntz", "When written, local wall clock as sent", True, reason="R_DATE"
        ),
        Field("has_time", "boolean", "False when the sender gives a day only", required=True),
        Field("codings", CODING, "Kind of document (LOINC document ontology)"),
        Field("title", "string", "Title as sent"),
        Field("text", "string", "The text", phi="FREE_TEXT"),
        Field("content_type", "string", "Media type as sent"),
        Field("encoding", "string", "Character set"),
        Field("language", "string", "Language, BCP 47"),
        Field("status", "string", "current, superseded ... as sent"),
        Field("type_concept_id", "int", "Kind of data (OMOP type concept)", required=True),
        *LINEAGE,
    ),
    key=("_source", "source_note_id"),
    cluster_by=("_source", "source_person_id"),
)
