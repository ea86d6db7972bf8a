"""silver/omop/observation: facts that belong to no other table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

OBSERVATION = cdm_table("observation")


@step(writes=OBSERVATION, events=EVENT_LINK)
def observation(events: DataFrame) -> DataFrame:
    """One row per event of the domain Observation, or of a domain without a table of its own.

    value_as_string is the result in words; a coded answer is value_as_concept_id and, verbatim, value_source_value.
    Without a time of day observation_datetime is midnight (CDM v5.4).
    """
    return events.where("domain_id = 'Observation' AND excluded IS NULL").selectExpr(
        "event_id AS observation_id",
        "person_id",
        "concept_id AS observation_concept_id",
        "to_date(start_datetime) AS observation_date",
        "start_datetime AS observation_datetime",
        "type_concept_id AS observation_type_concept_id",
        "value_number AS value_as_number",
        "value_text AS value_as_string",
        "value_as_concept_id",
        "unit_concept_id",
        "provider_id",
        "visit_occurrence_id",
        "visit_detail_id",
        "source_value AS observation_source_value",
        "source_concept_id AS observation_source_concept_id",
        "unit_source_value",
        "value_source_value",
        "_source",
        "_record",
    )
