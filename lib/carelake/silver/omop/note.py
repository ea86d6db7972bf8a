"""silver/omop/note: one row per document (OMOP_RULES 16; CDM v5.4 note)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import step
from carelake.silver.conformed.note import NOTE as DOCUMENT
from carelake.silver.link.tables import PERSON_LINK, PROVIDER_LINK, VISIT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C
from carelake.silver.vocabulary.codes import code_sql, vocabulary_sql
from carelake.silver.vocabulary.tables import CODE_MAP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NOTE = cdm_table("note")


@step(
    writes=NOTE,
    documents=DOCUMENT,
    persons=PERSON_LINK,
    visits=VISIT_LINK,
    providers=PROVIDER_LINK,
    code_map=CODE_MAP,
)
def note(
    documents: DataFrame, persons: DataFrame, visits: DataFrame, providers: DataFrame, code_map: DataFrame
) -> DataFrame:
    """One row per document whose person is known.

    Every status is kept: superseded tells of the chain of documents, and Synthea marks all but the last so. A document
    without text (an attachment by reference) is evidence that it was written and has the text ''. The class is that of
    the first LOINC coding that maps to a standard concept, else 0; the text is in UTF-8 whatever it was sent in. A
    language that is not said is taken as English, another than English or Spanish is 0. No loss of the row by an
    unknown visit or author.
    """
    rows = (
        documents.join(
            persons.selectExpr("source AS _source", "source_person_id", "person_id"),
            on=["_source", "source_person_id"], how="inner",
        )
        .join(
            visits.selectExpr("source AS _source", "source_encounter_id", "person_id", "visit_occurrence_id", "visit_detail_id"),
            on=["_source", "source_encounter_id", "person_id"], how="left",
        )
        .join(
            providers.selectExpr("source AS _source", "reference AS source_provider_id", "provider_id"),
            on=["_source", "source_provider_id"], how="left",
        )
        .join(_classes(documents, code_map), on=["_source", "source_note_id"], how="left")
    )  # fmt: skip
    language = (
        f"CASE WHEN language IS NULL OR lower(language) RLIKE '^en(-|_|$)' THEN {C.LANGUAGE_ENGLISH} "
        f"WHEN lower(language) RLIKE '^es(-|_|$)' THEN {C.LANGUAGE_SPANISH} ELSE {C.NO_CONCEPT} END"
    )
    return rows.selectExpr(
        f"{id_sql(NOTE.name, '_source', 'source_note_id')} AS note_id", "person_id",
        "to_date(note_datetime) AS note_date", "note_datetime", f"{C.TYPE_EHR_NOTE} AS note_type_concept_id",
        f"coalesce(class_concept_id, {C.NO_CONCEPT}) AS note_class_concept_id", "title AS note_title",
        "coalesce(text, '') AS note_text", f"{C.ENCODING_UTF8} AS encoding_concept_id", f"{language} AS language_concept_id",
        "provider_id", "visit_occurrence_id", "visit_detail_id",
        "coalesce(class_code, get(codings, 0).code, get(codings, 0).display) AS note_source_value", "_source", "_record",
    )  # fmt: skip


def _classes(documents: DataFrame, code_map: DataFrame) -> DataFrame:
    """One row per document with a LOINC coding that maps: its class and the code that says so, verbatim."""
    codes = documents.select("_source", "source_note_id", F.posexplode("codings").alias("position", "coding")).selectExpr(
        "_source", "source_note_id", "position", "coding.code AS class_code",
        f"{vocabulary_sql('coding.system')} AS vocabulary_id", f"{code_sql(repr('LOINC'), 'coding.code')} AS code",
    )  # fmt: skip
    loinc = code_map.where("vocabulary_id = 'LOINC' AND target_no = 0 AND concept_id <> 0").selectExpr(
        "vocabulary_id", "code", "concept_id AS class_concept_id"
    )
    first = F.min_by(F.struct("class_concept_id", "class_code"), "position").alias("first")
    mapped = codes.join(loinc, on=["vocabulary_id", "code"], how="inner")
    return (
        mapped.groupBy("_source", "source_note_id").agg(first).select("_source", "source_note_id", "first.*")
    )
