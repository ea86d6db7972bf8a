"""silver/omop/condition_occurrence: what a person was found to have (OMOP_RULES 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.core.table import Check
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CONDITION_OCCURRENCE = cdm_table(
    "condition_occurrence",
    checks=(
        Check("end_not_before_start", "condition_end_date >= condition_start_date", reason="R_TEMPORAL"),
    ),
)

_STATUS = (
    f"CASE WHEN role IN ('principal', 'admitting', 'secondary') THEN CASE role WHEN 'principal' THEN {C.STATUS_PRINCIPAL} "
    f"WHEN 'admitting' THEN {C.STATUS_ADMITTING} ELSE {C.STATUS_SECONDARY} END "
    f"WHEN role <> 'problem_list' THEN {C.NO_CONCEPT} END"
)


@step(writes=CONDITION_OCCURRENCE, events=EVENT_LINK)
def condition_occurrence(events: DataFrame) -> DataFrame:
    """One row per event of the domain Condition. An end is only what was sent; without a time of day a datetime is
    midnight (CDM v5.4, THEMIS 10).

    Status is the diagnosis's role in its claim or encounter. A problem list is no status but a kind of record: it is
    the type concept. What was refuted or entered in error is no event (the sources leave it out).
    """
    return events.where("domain_id = 'Condition' AND excluded IS NULL").selectExpr(
        "event_id AS condition_occurrence_id",
        "person_id",
        "concept_id AS condition_concept_id",
        "to_date(start_datetime) AS condition_start_date",
        "start_datetime AS condition_start_datetime",
        "to_date(end_datetime) AS condition_end_date",
        "end_datetime AS condition_end_datetime",
        f"CASE WHEN role = 'problem_list' AND type_concept_id = {C.TYPE_EHR} THEN {C.TYPE_EHR_PROBLEM_LIST} "
        "ELSE type_concept_id END AS condition_type_concept_id",
        f"{_STATUS} AS condition_status_concept_id",
        "stop_reason",
        "provider_id",
        "visit_occurrence_id",
        "visit_detail_id",
        "source_value AS condition_source_value",
        "source_concept_id AS condition_source_concept_id",
        "nullif(role, 'problem_list') AS condition_status_source_value",
        "_source",
        "_record",
    )
