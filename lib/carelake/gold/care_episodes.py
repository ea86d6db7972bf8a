"""Visits as care episodes that count once, whoever recorded them (EHR, claims or both)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F
from pyspark.sql import Window

from carelake.silver.vocabulary import structural as v

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_KINDS = {
    # an emergency visit that became a stay is both
    "'emergency', 'inpatient'": (v.VISIT_ER_TO_INPATIENT,),
    "'emergency'": (v.VISIT_EMERGENCY,),
    "'inpatient'": (
        v.VISIT_INPATIENT, v.VISIT_INPATIENT_HOSPITAL, v.VISIT_INPATIENT_PSYCHIATRIC, v.VISIT_INTENSIVE_CARE,
    ),
    "'urgent_care'": (v.VISIT_URGENT_CARE,),
    "'outpatient'": (
        v.VISIT_OUTPATIENT, v.VISIT_OFFICE, v.VISIT_TELEHEALTH, v.VISIT_OUTPATIENT_HOSPITAL, v.VISIT_DIALYSIS,
    ),
    "'post_acute'": (
        v.VISIT_SKILLED_NURSING, v.VISIT_HOSPICE, v.VISIT_HOME, v.VISIT_HOME_HEALTH_AGENCY, v.VISIT_NURSING_FACILITY,
        v.VISIT_INPATIENT_REHABILITATION, v.VISIT_LONG_TERM_CARE,
    ),
}  # fmt: skip


def care_episodes(visits: DataFrame) -> DataFrame:
    """One row per episode: person_id, care, start_date, end_date, visit_occurrence_ids.

    Stays (inpatient, post-acute) whose dates overlap or touch are one episode; every other kind of care counts once a
    person and start date (as HEDIS counts emergency visits). So a contact known to EHR and claims counts once.
    """
    care = " ".join(
        f"WHEN visit_concept_id IN ({', '.join(map(str, concepts))}) THEN array({kinds})"
        for kinds, concepts in _KINDS.items()
    )
    kinds = visits.selectExpr(
        "person_id", f"explode(CASE {care} ELSE array('other') END) AS care", "visit_start_date AS start_date", "visit_occurrence_id",
        "greatest(visit_end_date, visit_start_date) AS visit_end",
    ).selectExpr(
        "*", "CASE WHEN care IN ('inpatient', 'post_acute') THEN visit_end ELSE start_date END AS end_date"
    )  # fmt: skip
    ordered = Window.partitionBy("person_id", "care").orderBy("start_date", "end_date", "visit_occurrence_id")
    before = ordered.rowsBetween(Window.unboundedPreceding, -1)
    until_here = ordered.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    latest_end = F.max("end_date").over(before)
    starts = F.when(latest_end.isNull() | (F.col("start_date") > latest_end), 1).otherwise(0)
    return (
        kinds.withColumn("_starts", starts)
        .withColumn("_episode", F.sum("_starts").over(until_here))
        .groupBy("person_id", "care", "_episode")
        .agg(
            F.min("start_date").alias("start_date"),
            F.max("end_date").alias("end_date"),
            F.sort_array(F.collect_set("visit_occurrence_id")).alias("visit_occurrence_ids"),
        )
        .drop("_episode")
    )


def within_periods(records: DataFrame, date: str, periods: DataFrame) -> DataFrame:
    """The records whose `date` lies in an observation period of their person (OMOP_RULES: others stay out of gold)."""
    spans = periods.selectExpr(
        "person_id AS _person", "observation_period_start_date AS _from", "observation_period_end_date AS _to"
    )
    inside = (F.col("person_id") == F.col("_person")) & F.col(date).between(F.col("_from"), F.col("_to"))
    return records.join(spans, inside, how="left_semi")
