"""Contract: which device account belongs to which patient of which sender."""

from __future__ import annotations

from carelake.core.table import Check, Field, Table
from carelake.silver.conformed.lineage import LINEAGE

ENROLLMENT = Table(
    name="silver/conformed/enrollment",
    doc="One row per statement that an account of one sender and a patient of another are the same person.",
    fields=(
        Field("account_source", "string", "Sender of the account", True, reason="R_REF"),
        Field("account_id", "string", "The account", True, phi="ACCOUNT", reason="R_ID"),
        Field("person_source", "string", "Sender of the patient", True, reason="R_REF"),
        Field(
            "source_person_id", "string", "The patient's id at that sender", True, phi="MRN", reason="R_REF"
        ),
        Field("start_date", "date", "First day on which the account was used by the patient; NULL = always"),
        Field("end_date", "date", "Last such day; NULL = open"),
        *LINEAGE,
    ),
    key=("_source", "_record", "_part"),
    checks=(Check("end_not_before_start", "end_date >= start_date", reason="R_TEMPORAL"),),
)
