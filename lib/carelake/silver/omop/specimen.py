"""silver/omop/specimen: samples taken of a person (CDM v5.4 SPECIMEN)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SPECIMEN = cdm_table("specimen")


@step(writes=SPECIMEN, events=EVENT_LINK)
def specimen(events: DataFrame) -> DataFrame:
    """One row per event of the domain Specimen. Site and disease status are not told by any sender: NULL."""
    return events.where("domain_id = 'Specimen' AND excluded IS NULL").selectExpr(
        "event_id AS specimen_id",
        "person_id",
        "concept_id AS specimen_concept_id",
        "type_concept_id AS specimen_type_concept_id",
        "to_date(start_datetime) AS specimen_date",
        "CASE WHEN has_time THEN start_datetime END AS specimen_datetime",
        "quantity",
        "unit_concept_id",
        "source_event_id AS specimen_source_id",
        "source_value AS specimen_source_value",
        "unit_source_value",
        "_source",
        "_record",
    )
