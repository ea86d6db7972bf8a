"""code_map: every source code once, with the standard concepts that it means.

OHDSI's rules (CDM conventions, Themis): a code maps by its valid `Maps to` to concepts that are standard and valid, a
standard concept to itself; a concept that was replaced and has no `Maps to` follows `Concept replaced by`;
`Maps to value` gives value_as_concept_id. Where the vocabulary says nothing, a local map does. A plain distributed
join: a full Athena download has some ten million concepts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F
from pyspark.sql import Window

from carelake.core.step import step
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_RELATIONSHIP, SOURCE_TO_CONCEPT_MAP
from carelake.silver.vocabulary.codes import code_sql
from carelake.silver.vocabulary.tables import CODE_MAP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

REPLACEMENTS_FOLLOWED = 3


@step(writes=CODE_MAP, concepts=CONCEPT, relationships=CONCEPT_RELATIONSHIP, local=SOURCE_TO_CONCEPT_MAP)
def code_map(concepts: DataFrame, relationships: DataFrame, local: DataFrame) -> DataFrame:
    """One row per code and standard target, numbered by concept id; one row with concept 0 when there is none."""
    standard = concepts.where("standard_concept = 'S' AND invalid_reason IS NULL").select(
        "concept_id", "domain_id", "concept_class_id"
    )
    by_vocabulary = (
        _codes(concepts)
        .join(_targets(relationships, standard), "source_concept_id", how="left")
        .join(_values(relationships, standard), "source_concept_id", how="left")
        .withColumn("provenance", F.lit("vocabulary"))
        .withColumn("priority", F.when(F.col("concept_id").isNotNull(), 0).otherwise(2))
    )
    by_map = _local(local, standard).withColumn("priority", F.lit(1))
    code = Window.partitionBy("vocabulary_id", "code")
    return (
        by_vocabulary.unionByName(by_map, allowMissingColumns=True)
        .withColumns(
            {
                "decides": F.min("priority").over(code),
                "source_concept_id": F.coalesce(F.max("source_concept_id").over(code), F.lit(0)),
                "source_domain_id": F.max("source_domain_id").over(code),
                "target_no": F.row_number().over(code.orderBy("priority", "concept_id")) - 1,
            }
        )
        .where("priority = decides")  # the rows of the deciding priority come first, so target_no starts at 0
        .join(standard, "concept_id", how="left")
        .withColumn("concept_id", F.coalesce("concept_id", F.lit(0)))
    )


def _codes(concepts: DataFrame) -> DataFrame:
    """One concept per vocabulary and code in look-up form: valid before invalid, standard first, then the lowest id."""
    best = Window.partitionBy("vocabulary_id", "code").orderBy(
        F.col("invalid_reason").isNotNull(),
        F.coalesce(F.col("standard_concept"), F.lit("")) != "S",
        "concept_id",
    )
    return (
        concepts.selectExpr(
            "vocabulary_id",
            f"{code_sql('vocabulary_id', 'concept_code')} AS code",
            "concept_id AS source_concept_id",
            "domain_id AS source_domain_id",
            "concept_id",
            "standard_concept",
            "invalid_reason",
        )
        .where("code IS NOT NULL AND concept_id <> 0")
        .withColumn("n", F.row_number().over(best))
        .where("n = 1")
        .select("vocabulary_id", "code", "source_concept_id", "source_domain_id")
    )


def _targets(relationships: DataFrame, standard: DataFrame) -> DataFrame:
    """source_concept_id, concept_id: standard targets; without `Maps to`, those of the nearest successor that has any."""
    valid = relationships.where("invalid_reason IS NULL")
    maps = (
        valid.where("relationship_id = 'Maps to'")
        .selectExpr("concept_id_1 AS at", "concept_id_2 AS concept_id")
        .join(standard.select("concept_id"), "concept_id", how="left_semi")
        .select("at", "concept_id")
        .union(standard.selectExpr("concept_id AS at", "concept_id"))
    )
    replaced = valid.where("relationship_id = 'Concept replaced by'").selectExpr(
        "concept_id_1 AS at", "concept_id_2 AS next"
    )
    found = maps.selectExpr("at AS source_concept_id", "concept_id", "0 AS steps")
    chain = replaced.selectExpr("at AS source_concept_id", "next AS at", "1 AS steps")
    for _ in range(REPLACEMENTS_FOLLOWED):
        found = found.union(
            chain.join(maps, "at", how="inner").select("source_concept_id", "concept_id", "steps")
        )
        chain = chain.join(replaced, "at", how="inner").selectExpr(
            "source_concept_id", "next AS at", "steps + 1 AS steps"
        )
    nearest = F.min("steps").over(Window.partitionBy("source_concept_id"))
    return (
        found.withColumn("nearest", nearest)
        .where("steps = nearest")
        .select("source_concept_id", "concept_id")
        .distinct()
    )


def _values(relationships: DataFrame, standard: DataFrame) -> DataFrame:
    """source_concept_id, value_as_concept_id; of several values the lowest id, since OHDSI pairs no value with a target."""
    return (
        relationships.where("relationship_id = 'Maps to value' AND invalid_reason IS NULL")
        .selectExpr("concept_id_1 AS source_concept_id", "concept_id_2 AS concept_id")
        .join(standard.select("concept_id"), "concept_id", how="left_semi")
        .groupBy("source_concept_id")
        .agg(F.min("concept_id").alias("value_as_concept_id"))
    )


def _local(local: DataFrame, standard: DataFrame) -> DataFrame:
    """vocabulary_id, code, concept_id, provenance of the local maps whose target is standard and valid."""
    return (
        local.where("invalid_reason IS NULL")
        .selectExpr(
            "source_vocabulary_id AS vocabulary_id",
            f"{code_sql('source_vocabulary_id', 'source_code')} AS code",
            "target_concept_id AS concept_id",
            "coalesce(_map, 'source_to_concept_map') AS provenance",
        )
        .where("code IS NOT NULL")
        .join(standard.select("concept_id"), "concept_id", how="left_semi")
        .groupBy("vocabulary_id", "code", "concept_id")
        .agg(F.min("provenance").alias("provenance"))
    )
