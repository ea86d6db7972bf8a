"""silver/omop/episode_event: what a plan of care is for (OMOP_RULES 19; CDM v5.4 EPISODE_EVENT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.silver.link.reason import reasons
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EPISODE_EVENT = cdm_table(
    "episode_event", key=("episode_id", "event_id", "episode_event_field_concept_id"), of_person=True
)

_FIELD = (
    f"CASE reason_domain_id WHEN 'Condition' THEN {C.FIELD_CONDITION_OCCURRENCE_ID} "
    f"WHEN 'Observation' THEN {C.FIELD_OBSERVATION_ID} END"
)


@step(writes=EPISODE_EVENT, events=EVENT_LINK)
def episode_event(events: DataFrame) -> DataFrame:
    """One row per plan of care and condition that it addresses, in the table to which the condition's code maps.

    A plan for nothing that is on record has no row. What happened while a plan ran is not taken for a part of it.
    """
    return (
        reasons(events)
        .where("domain_id = 'Episode'")
        .selectExpr(
            "event_id AS episode_id",
            "reason_id AS event_id",
            f"{_FIELD} AS episode_event_field_concept_id",
            "person_id AS _person_id",
            "_source",
            "_record",
        )
    )
