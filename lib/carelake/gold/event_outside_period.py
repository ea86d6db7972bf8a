"""event_outside_period: events on days on which nobody looked, which cohorts and features leave out (OMOP_RULES 4)."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.core.table import Field, Table
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.device_exposure import DEVICE_EXPOSURE
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.omop.measurement import MEASUREMENT
from carelake.silver.omop.observation import OBSERVATION
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.procedure_occurrence import PROCEDURE_OCCURRENCE
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EVENT_OUTSIDE_PERIOD = Table(
    name="gold/event_outside_period",
    doc="One row per event of the CDM that began on a day outside its person's observation periods. The event stays where it "
    "is; within a period silence means that nothing happened, outside one it means nothing.",
    fields=(
        Field("cdm_table", "string", "The CDM table that has the event", required=True),
        Field("event_id", "bigint", "Its key in that table", required=True),
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("event_date", "date", "The day on which it began", required=True, phi="DATE"),
    ),
    key=("cdm_table", "event_id"),
    cluster_by=("person_id",),
)

# Key and first day of each table of events.
_DAYS = {
    "visit_occurrence": ("visit_occurrence_id", "visit_start_date"),
    "condition_occurrence": ("condition_occurrence_id", "condition_start_date"),
    "drug_exposure": ("drug_exposure_id", "drug_exposure_start_date"),
    "procedure_occurrence": ("procedure_occurrence_id", "procedure_date"),
    "device_exposure": ("device_exposure_id", "device_exposure_start_date"),
    "measurement": ("measurement_id", "measurement_date"),
    "observation": ("observation_id", "observation_date"),
}


@step(
    writes=EVENT_OUTSIDE_PERIOD, periods=OBSERVATION_PERIOD, visit_occurrence=VISIT_OCCURRENCE,
    condition_occurrence=CONDITION_OCCURRENCE, drug_exposure=DRUG_EXPOSURE, procedure_occurrence=PROCEDURE_OCCURRENCE,
    device_exposure=DEVICE_EXPOSURE, measurement=MEASUREMENT, observation=OBSERVATION,
)  # fmt: skip
def event_outside_period(
    periods: DataFrame,
    visit_occurrence: DataFrame,
    condition_occurrence: DataFrame,
    drug_exposure: DataFrame,
    procedure_occurrence: DataFrame,
    device_exposure: DataFrame,
    measurement: DataFrame,
    observation: DataFrame,
) -> DataFrame:
    """Events whose first day is in no period of their person, also of a person without any."""
    given = (
        visit_occurrence, condition_occurrence, drug_exposure, procedure_occurrence, device_exposure, measurement,
        observation,
    )  # fmt: skip
    events = reduce(
        lambda a, b: a.union(b),
        [
            frame.selectExpr(
                f"'{name}' AS cdm_table", f"{key} AS event_id", "person_id", f"{day} AS event_date"
            )
            for frame, (name, (key, day)) in zip(given, _DAYS.items(), strict=True)
        ],
    )
    spans = periods.selectExpr(
        "person_id",
        "observation_period_start_date AS _start",
        "observation_period_end_date AS _end",
    )
    inside = (events["person_id"] == spans["person_id"]) & events["event_date"].between(
        spans["_start"], spans["_end"]
    )
    return events.join(spans, inside, how="left_anti")
