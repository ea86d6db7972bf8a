"""silver/omop/procedure_occurrence: what was done to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.core.table import Check
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PROCEDURE_OCCURRENCE = cdm_table(
    "procedure_occurrence",
    checks=(Check("end_not_before_start", "procedure_end_date >= procedure_date", reason="R_TEMPORAL"),),
)


@step(writes=PROCEDURE_OCCURRENCE, events=EVENT_LINK)
def procedure_occurrence(events: DataFrame) -> DataFrame:
    """One row per event of the domain Procedure. Modifiers are kept verbatim; their concept is 0 where any was sent.

    quantity is a whole number in the CDM, and 1 for a source's 0: a fraction is NULL here and stays in silver/link/event.
    """
    return events.where("domain_id = 'Procedure' AND excluded IS NULL").selectExpr(
        "event_id AS procedure_occurrence_id",
        "person_id",
        "concept_id AS procedure_concept_id",
        "to_date(start_datetime) AS procedure_date",
        "CASE WHEN has_time THEN start_datetime END AS procedure_datetime",
        "to_date(end_datetime) AS procedure_end_date",
        "CASE WHEN has_time THEN end_datetime END AS procedure_end_datetime",
        "type_concept_id AS procedure_type_concept_id",
        "CASE WHEN modifier_source_value IS NOT NULL THEN 0 END AS modifier_concept_id",
        "CASE WHEN quantity = 0 THEN 1 WHEN quantity % 1 = 0 THEN quantity END AS quantity",
        "provider_id",
        "visit_occurrence_id",
        "visit_detail_id",
        "source_value AS procedure_source_value",
        "source_concept_id AS procedure_source_concept_id",
        "modifier_source_value",
        "_source",
        "_record",
    )
