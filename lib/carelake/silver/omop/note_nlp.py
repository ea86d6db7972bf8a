"""silver/omop/note_nlp: what was found in notes (CDM v5.4 NOTE_NLP)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.note import NOTE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NOTE_NLP = cdm_table("note_nlp", of_person=True)


@step(writes=NOTE_NLP, notes=NOTE)
def note_nlp(notes: DataFrame) -> DataFrame:
    """No row: notes are kept and not yet read."""
    return notes.where("false").selectExpr("note_id", "_source", "_record", "person_id AS _person_id")
