"""silver/omop/device_exposure: devices and supplies that a person has or got (OMOP_RULES 19)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.core.table import Check
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DEVICE_EXPOSURE = cdm_table(
    "device_exposure",
    checks=(
        Check(
            "end_not_before_start",
            "device_exposure_end_date >= device_exposure_start_date",
            reason="R_TEMPORAL",
        ),
    ),
)


@step(writes=DEVICE_EXPOSURE, events=EVENT_LINK)
def device_exposure(events: DataFrame) -> DataFrame:
    """One row per event of the domain Device, with the UDI as sent. An end is only what was sent (CDM: may be open).

    Without a time of day a datetime is midnight. quantity is a whole number, 1 where none was sent (CDM v5.4): a fraction is
    NULL here and stays in silver/link/event.
    """
    return events.where("domain_id = 'Device' AND excluded IS NULL").selectExpr(
        "event_id AS device_exposure_id",
        "person_id",
        "concept_id AS device_concept_id",
        "to_date(start_datetime) AS device_exposure_start_date",
        "start_datetime AS device_exposure_start_datetime",
        "to_date(end_datetime) AS device_exposure_end_date",
        "end_datetime AS device_exposure_end_datetime",
        "type_concept_id AS device_type_concept_id",
        "unique_device_id",
        "production_id",
        "CASE WHEN quantity IS NULL THEN 1 WHEN quantity % 1 = 0 THEN quantity END AS quantity",
        "provider_id",
        "visit_occurrence_id",
        "visit_detail_id",
        "source_value AS device_source_value",
        "source_concept_id AS device_source_concept_id",
        "unit_concept_id",
        "unit_source_value",
        "unit_source_concept_id",
        "_source",
        "_record",
    )
