"""silver/omop/episode: plans of care, as spans of treatment (OMOP_RULES 19; CDM v5.4 EPISODE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.core.table import Check
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EPISODE = cdm_table(
    "episode",
    checks=(Check("end_not_before_start", "episode_end_date >= episode_start_date", reason="R_TEMPORAL"),),
)


@step(writes=EPISODE, events=EVENT_LINK)
def episode(events: DataFrame) -> DataFrame:
    """One row per plan of care. It is a treatment regimen, and what it consists of is the plan's own concept.

    The CDM asks for an object of the domain Procedure: vocabularies put some plans (a record artifact of SNOMED CT)
    into Observation, and those keep their concept too, since 0 would say less. The end is only what was sent. No sender
    numbers plans or nests them.
    """
    return events.where("domain_id = 'Episode' AND excluded IS NULL").selectExpr(
        "event_id AS episode_id",
        "person_id",
        f"{C.EPISODE_TREATMENT_REGIMEN} AS episode_concept_id",
        "to_date(start_datetime) AS episode_start_date",
        "CASE WHEN has_time THEN start_datetime END AS episode_start_datetime",
        "to_date(end_datetime) AS episode_end_date",
        "CASE WHEN has_time THEN end_datetime END AS episode_end_datetime",
        "concept_id AS episode_object_concept_id",
        f"CASE WHEN type_concept_id = {C.TYPE_EHR} THEN {C.TYPE_EHR_EPISODE} ELSE type_concept_id END "
        "AS episode_type_concept_id",
        "source_value AS episode_source_value",
        "source_concept_id AS episode_source_concept_id",
        "_source",
        "_record",
    )
