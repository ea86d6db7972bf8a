"""Contract: a contact of a person with care, as one sender recorded it."""

from __future__ import annotations

from carelake.core.table import Check, Field, Table
from carelake.silver.conformed.lineage import CODING, LINEAGE

VISIT_CLASSES = (
    "inpatient",
    "emergency",
    "outpatient",
    "office",
    "urgent_care",
    "telehealth",
    "home",
    "skilled_nursing",
    "hospice",
    "laboratory",
    "pharmacy",
    "unknown",
)

ENCOUNTER = Table(
    name="silver/conformed/encounter",
    doc="One row per encounter of a sender, latest version. Claims yield one encounter per facility or professional claim.",
    fields=(
        Field("source_person_id", "string", "The sender's id of the person", True, phi="MRN", reason="R_REF"),
        Field("source_encounter_id", "string", "The sender's own id of the encounter", True, reason="R_ID"),
        Field("visit_class", "string", "What kind of visit: " + ", ".join(VISIT_CLASSES), required=True),
        Field("class_source_value", "string", "Class and type as sent"),
        Field("planned", "boolean", "Whether an admission was elective; NULL when the sender does not say"),
        Field("start_datetime", "timestamp_ntz", "Start, local wall clock as sent", True, reason="R_DATE"),
        Field(
            "end_datetime", "timestamp_ntz", "End, local wall clock as sent; NULL = still open at the extract"
        ),
        Field("start_at", "timestamp", "Start as an instant"),
        Field("end_at", "timestamp", "End as an instant"),
        Field("has_time", "boolean", "False when the sender gives days only", required=True),
        Field("zone_assumed", "boolean", "True when the time came without zone and the sender's was taken"),
        Field("part_of", "string", "The sender's id of the encounter that this one belongs to"),
        Field("types", CODING, "Codes that say what the encounter was"),
        Field("reasons", CODING, "Codes that say why"),
        Field("source_facility_id", "string", "The sender's id of the facility"),
        Field("source_provider_id", "string", "The sender's id of the provider"),
        Field("admitted_from", "string", "Where the person came from, as sent"),
        Field("discharged_to", "string", "Where the person went, as sent"),
        Field(
            "type_concept_id",
            "int",
            "Kind of data (OMOP type concept): 32817 EHR, 32855 inpatient claim ...",
            required=True,
        ),
        *LINEAGE,
    ),
    key=("_source", "source_encounter_id"),
    checks=(
        Check("class_known", f"visit_class IN {VISIT_CLASSES!r}", reason="R_CODE"),
        Check("end_not_before_start", "end_datetime >= start_datetime", reason="R_TEMPORAL"),
        Check(
            "start_in_range", "start_datetime BETWEEN DATE'1850-01-01' AND DATE'2200-01-01'", reason="R_DATE"
        ),
    ),
    cluster_by=("_source", "source_person_id"),
)


def elective(said: str) -> str:
    """BOOLEAN: whether words (SQL of lower-case text) call an admission planned; NULL when they say neither."""
    return (
        f"CASE WHEN {said} RLIKE '(^|[^-a-z])emergency' THEN false "
        f"WHEN {said} RLIKE '(^|[^a-z])(elective|planned|non-?urgent)([^a-z]|$)' THEN true END"
    )
