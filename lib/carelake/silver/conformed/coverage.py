"""Contract: a span during which a payer covered a person."""

from __future__ import annotations

from carelake.core.table import Check, Field, Table
from carelake.silver.conformed.lineage import LINEAGE

COVERAGE = Table(
    name="silver/conformed/coverage",
    doc="One row per record of enrolment (for yearly files: person, year and part of the plan).",
    fields=(
        Field("source_person_id", "string", "The sender's id of the person", True, phi="MRN", reason="R_REF"),
        Field(
            "source_coverage_id",
            "string",
            "The sender's own id of the coverage, or its natural key",
            True,
            reason="R_ID",
        ),
        Field("payer", "string", "Payer's name as sent", required=True),
        Field("plan", "string", "Plan or part of the plan as sent"),
        Field("payer_type", "string", "medicare, medicaid, commercial, self_pay, other"),
        Field("start_date", "date", "First day covered", required=True, reason="R_DATE"),
        Field("end_date", "date", "Last day covered; NULL = open at the extract"),
        Field("stop_reason", "string", "Why it ended, as sent"),
        *LINEAGE,
    ),
    key=("_source", "_record", "_part"),
    checks=(Check("end_not_before_start", "end_date >= start_date", reason="R_TEMPORAL"),),
    cluster_by=("_source", "source_person_id"),
)
