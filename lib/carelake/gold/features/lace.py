"""LACE: the risk of death or readmission after discharge from four facts of the stay.

van Walraven C et al., Derivation and validation of an index to predict early death or unplanned readmission after discharge
from hospital to the community, CMAJ 2010; 182:551-7, table 2 and its footnote (Charlson's groups with weights of its own).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.care_episodes import care_episodes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Quan's one group of kidney disease has mild disease too, so it weighs as that (2); severe would be 4.
WEIGHTS = {
    "myocardial_infarction": 1, "cerebrovascular": 1, "peripheral_vascular": 1, "diabetes": 1, "heart_failure": 2,
    "diabetes_complicated": 2, "chronic_pulmonary": 2, "liver_mild": 2, "renal": 2, "cancer": 2, "dementia": 3, "rheumatic": 3,
    "aids": 4, "liver_severe": 4, "metastatic": 6,
}  # fmt: skip


def comorbidity_points_sql(groups: str) -> str:
    """SQL of the points C: the sum over Charlson's `groups` (an array of names that count), 5 from a sum of 4 on."""
    total = " + ".join(f"IF(array_contains({groups}, '{g}'), {w}, 0)" for g, w in WEIGHTS.items())
    return f"IF(({total}) >= 4, 5, {total})"


def lace_sql(days: str, acute: str, points: str, emergency_visits: str) -> str:
    """SQL of the index (0 to 19): nights of the stay, whether the admission was acute, the points C, and the number of emergency
    visits in the six months before the admission. NULL when one is unknown.
    """
    stay = f"CASE WHEN {days} < 1 THEN 0 WHEN {days} <= 3 THEN {days} WHEN {days} <= 6 THEN 4 WHEN {days} <= 13 THEN 5 WHEN {days} >= 14 THEN 7 END"
    return f"({stay} + IF({acute}, 3, 0) + {points} + IF({emergency_visits} > 4, 4, {emergency_visits}))"


def lace(asked: DataFrame, visits: DataFrame, comorbidity: DataFrame) -> DataFrame:
    """lace_score of the index dates that are the day of discharge of a hospital stay that began before; no row for others.

    `visits` are VISIT_OCCURRENCE rows; `comorbidity` has person_id, index_date, lace_points. Acute is a stay that came through
    the emergency department (262, or an emergency visit on the day of admission or the day before); that visit is not among
    those of the six months.
    """
    at_discharge = visits.selectExpr("person_id", "visit_end_date AS index_date").distinct()
    discharged = asked.join(at_discharge, ["person_id", "index_date"], how="left_semi")
    # episodes are made anew for each index date of what began before it: a stay that follows must not lengthen one
    of_date = discharged.join(visits, "person_id", how="inner").where("visit_start_date < index_date")
    episodes = care_episodes(of_date.withColumn("person_id", F.struct("person_id", "index_date"))).selectExpr(
        "person_id.person_id", "person_id.index_date", "care", "start_date", "end_date"
    )
    key = ["person_id", "index_date"]
    stays = episodes.where("care = 'inpatient' AND end_date = index_date").selectExpr(
        *key, "start_date AS admitted"
    )
    emergency = episodes.where("care = 'emergency'").selectExpr(*key, "start_date AS day")
    seen = (
        stays.join(emergency, key, how="left")
        .groupBy(*key, "admitted")
        .agg(
            F.expr("coalesce(bool_or(day BETWEEN date_sub(admitted, 1) AND admitted), false)").alias("acute"),
            F.expr("count_if(day < date_sub(admitted, 1) AND day >= add_months(admitted, -6))").alias(
                "emergencies"
            ),
        )
        .join(comorbidity.select(*key, "lace_points"), key, how="left")
    )
    score = lace_sql("datediff(index_date, admitted)", "acute", "lace_points", "emergencies")
    return seen.groupBy(*key).agg(F.max(F.expr(score)).alias("lace_score"))
