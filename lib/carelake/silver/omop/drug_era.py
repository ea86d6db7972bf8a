"""silver/omop/drug_era: spans of exposure to an ingredient (OMOP_RULES 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import step
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_ANCESTOR

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DRUG_ERA = cdm_table("drug_era")

PERSISTENCE_DAYS = 30

_LANE = "PARTITION BY person_id, drug_concept_id ORDER BY start, stop, drug_exposure_id"


def ingredients(concepts: DataFrame, ancestors: DataFrame) -> DataFrame:
    """drug, drug_concept_id: each drug with its standard RxNorm ingredients, an ingredient with itself.

    The bundled vocabulary's concept_ancestor holds the ingredients that it knows by the drug's name alone, too.
    """
    known = concepts.where(
        "concept_class_id = 'Ingredient' AND standard_concept = 'S' AND vocabulary_id IN ('RxNorm', 'RxNorm Extension')"
    ).selectExpr("concept_id AS drug_concept_id")
    below = ancestors.selectExpr("ancestor_concept_id AS drug_concept_id", "descendant_concept_id AS drug")
    return (
        below.join(F.broadcast(known), "drug_concept_id", how="left_semi")
        .select("drug", "drug_concept_id")
        .union(known.selectExpr("drug_concept_id AS drug", "drug_concept_id"))
        .distinct()
    )


@step(writes=DRUG_ERA, exposures=DRUG_EXPOSURE, concepts=CONCEPT, ancestors=CONCEPT_ANCESTOR)
def drug_era(exposures: DataFrame, concepts: DataFrame, ancestors: DataFrame) -> DataFrame:
    """One row per person, ingredient and span whose exposures leave at most 30 days without the drug between them.

    Overlapping exposures count their days once (no stockpiling): gap_days = days of the span - days exposed. The span
    ends with the last exposure: the 30 days are not added to it. A drug of several ingredients is in an era of each.
    Reversals (negative days of supply), concept 0 and drugs without a known ingredient have no era.
    """
    spans = (
        exposures.where("drug_concept_id <> 0 AND coalesce(days_supply, 0) >= 0")
        .selectExpr(
            "person_id", "drug_concept_id AS drug", "drug_exposure_id", "drug_exposure_start_date AS start",
            "greatest(drug_exposure_start_date, drug_exposure_end_date) AS stop", "_source", "_record",
        )
        .join(ingredients(concepts, ancestors), "drug", how="inner")
    )  # fmt: skip
    before = spans.selectExpr(
        "*", f"max(stop) OVER ({_LANE} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS until"
    )
    numbered = before.selectExpr(
        "*",
        f"count_if(until IS NULL OR datediff(start, until) > {PERSISTENCE_DAYS}) OVER "
        f"({_LANE} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS era",
        "greatest(0, datediff(stop, greatest(date_sub(start, 1), until))) AS new_days",
    )
    eras = numbered.groupBy("person_id", "drug_concept_id", "era").agg(
        F.expr("min(start)").alias("drug_era_start_date"),
        F.expr("max(stop)").alias("drug_era_end_date"),
        F.expr("count(*)").alias("drug_exposure_count"),
        F.expr("datediff(max(stop), min(start)) + 1 - sum(new_days)").alias("gap_days"),
        F.expr("array_join(array_sort(collect_set(_source)), '+')").alias("_source"),
        F.expr("min(_record)").alias("_record"),
    )
    key = ("person_id", "drug_concept_id", "drug_era_start_date")
    return eras.selectExpr("*", f"{id_sql('silver/omop/drug_era', *key)} AS drug_era_id").drop("era")
