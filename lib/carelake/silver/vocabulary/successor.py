"""successor: what came in the place of a concept, step by step along `Concept replaced by`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.silver.vocabulary.cdm_tables import CONCEPT_RELATIONSHIP
from carelake.silver.vocabulary.tables import SUCCESSOR

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

STEPS = 8  # also what ends a circle of replacements


@step(writes=SUCCESSOR, relationships=CONCEPT_RELATIONSHIP)
def successor(relationships: DataFrame) -> DataFrame:
    """One row per concept and concept that came after it, with the least number of steps, at most STEPS."""
    replaced = relationships.where(
        "relationship_id = 'Concept replaced by' AND invalid_reason IS NULL AND concept_id_1 <> concept_id_2"
    )
    ways = replaced.selectExpr(
        "concept_id_1 AS concept_id", "concept_id_2 AS here", "array(concept_id_2) AS way"
    )
    following = replaced.selectExpr("concept_id_1 AS here", "concept_id_2 AS next")
    for _ in range(STEPS - 1):  # one row per way: the plan grows by one join a step
        ways = ways.join(following, "here", how="left").selectExpr(
            "concept_id",
            "next AS here",
            "CASE WHEN next IS NULL THEN way ELSE array_append(way, next) END AS way",
        )
    return (
        ways.selectExpr("concept_id", "posexplode(way) AS (pos, successor_concept_id)")
        .groupBy("concept_id", "successor_concept_id")
        .agg({"pos": "min"})
        .selectExpr("concept_id", "successor_concept_id", "`min(pos)` + 1 AS steps")
    )
