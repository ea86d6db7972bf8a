"""silver/omop/condition_era: spans of a condition (OMOP_RULES 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import step
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CONDITION_ERA = cdm_table("condition_era")

PERSISTENCE_DAYS = 30

_LANE = "PARTITION BY person_id, condition_concept_id ORDER BY start, stop, condition_occurrence_id"


@step(writes=CONDITION_ERA, conditions=CONDITION_OCCURRENCE)
def condition_era(conditions: DataFrame) -> DataFrame:
    """One row per person, standard concept and span whose occurrences lie at most 30 days apart (CDM v5.4).

    An occurrence without an end lasts a day. The span ends with its last occurrence: the 30 days are not added to it.
    Concept 0 has no era. The id comes from person, concept and first day.
    """
    spans = conditions.where("condition_concept_id <> 0").selectExpr(
        "person_id", "condition_concept_id", "condition_occurrence_id", "condition_start_date AS start",
        "greatest(condition_start_date, condition_end_date) AS stop", "_source", "_record",
    )  # fmt: skip
    before = spans.selectExpr(
        "*", f"max(stop) OVER ({_LANE} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS until"
    )
    numbered = before.selectExpr(
        "*",
        f"count_if(until IS NULL OR datediff(start, until) > {PERSISTENCE_DAYS}) OVER "
        f"({_LANE} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS era",
    )
    eras = numbered.groupBy("person_id", "condition_concept_id", "era").agg(
        F.expr("min(start)").alias("condition_era_start_date"),
        F.expr("max(stop)").alias("condition_era_end_date"),
        F.expr("count(*)").alias("condition_occurrence_count"),
        F.expr("array_join(array_sort(collect_set(_source)), '+')").alias("_source"),
        F.expr("min(_record)").alias("_record"),
    )
    key = ("person_id", "condition_concept_id", "condition_era_start_date")
    return eras.selectExpr("*", f"{id_sql('silver/omop/condition_era', *key)} AS condition_era_id").drop(
        "era"
    )
