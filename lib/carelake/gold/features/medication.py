"""Drugs before an index date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.concept_sets import members
from carelake.gold.features.before import before
from carelake.gold.features.value_sets import DRUGS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def medication(asked: DataFrame, drugs: DataFrame, concepts: DataFrame, ancestors: DataFrame) -> DataFrame:
    """Different drugs of the last year, and took_…: whether one of the class was among them."""
    sets = members(DRUGS, ("Drug",), concepts, ancestors)
    exposures = drugs.selectExpr(
        "person_id",
        "drug_concept_id AS concept_id",
        "drug_exposure_start_date AS date",
        "drug_source_value AS code",
    )
    known = exposures.join(F.broadcast(sets), "concept_id", how="left")
    return before(asked, known, 12).groupBy("person_id", "index_date").agg(
        F.expr("count(DISTINCT CASE WHEN concept_id <> 0 THEN cast(concept_id AS string) ELSE code END)").alias("drugs_1y"),
        *[F.expr(f"max(cast(array_contains(sets, '{d.name}') AS int))").alias(f"took_{d.name}_1y") for d in DRUGS],
    )  # fmt: skip


def ingredients(asked: DataFrame, eras: DataFrame) -> DataFrame:
    """An era that began earlier and reaches into the year counts: gaps over 30 days split eras, so it was taken in it."""
    known = eras.selectExpr(
        "person_id", "drug_concept_id", "drug_era_start_date AS date", "drug_era_end_date AS until"
    )
    return before(asked, known).where("until >= add_months(index_date, -12)").groupBy("person_id", "index_date").agg(
        F.count_distinct("drug_concept_id").alias("ingredients_1y")
    )  # fmt: skip
