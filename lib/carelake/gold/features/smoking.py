"""Whether a person smokes, as the last answer before an index date said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.features.before import before

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SMOKING_STATUS = "72166-2"  # LOINC: tobacco smoking status
# by the words of the answer (SNOMED CT names as US Core has them): never before former before current, for all name smoking
_MEANT = (
    "CASE WHEN lower(said) RLIKE 'never|non[- ]?smoker' THEN 'never' WHEN lower(said) RLIKE '^ex[- ]|ex-smoker|former|quit|stopped' "
    "THEN 'former' WHEN lower(said) RLIKE 'smok' THEN 'current' END"
)


def smoking(asked: DataFrame, observations: DataFrame, concepts: DataFrame) -> DataFrame:
    """`smoking` (current, former, never), the last answer that says one of them, and `current_smoker` (1 when current)."""
    question = concepts.where(f"vocabulary_id = 'LOINC' AND concept_code = '{SMOKING_STATUS}'").select(
        "concept_id"
    )
    answers = concepts.where("lower(concept_name) LIKE '%smok%'").selectExpr(
        "concept_id AS value_as_concept_id", "concept_name AS _answer"
    )
    known = (
        observations.selectExpr(
            "person_id", "coalesce(nullif(observation_concept_id, 0), observation_source_concept_id) AS concept_id",
            "observation_date AS date", "observation_datetime AS at", "observation_id AS id", "value_as_string", "value_as_concept_id",
        )
        .join(F.broadcast(question), "concept_id", how="left_semi")
        .join(F.broadcast(answers), "value_as_concept_id", how="left")
        .selectExpr("*", "coalesce(_answer, value_as_string) AS said")
        .selectExpr("person_id", "date", "at", "id", f"{_MEANT} AS smoking")
        .where("smoking IS NOT NULL")
    )  # fmt: skip
    return (
        before(asked, known)
        .groupBy("person_id", "index_date")
        .agg(F.expr("max_by(smoking, struct(date, at, id))").alias("smoking"))
        .selectExpr("*", "cast(smoking = 'current' AS int) AS current_smoker")
    )
