"""silver/omop/dose_era: spans of a constant daily dose of an ingredient (OMOP_RULES 13; CDM v5.4 DOSE_ERA)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import step
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.drug_era import PERSISTENCE_DAYS
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.vocabulary.cdm_tables import CONCEPT, DRUG_STRENGTH

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DOSE_ERA = cdm_table("dose_era")

_KEY = ("person_id", "drug_concept_id", "unit_concept_id", "dose_value")
_LANE = f"PARTITION BY {', '.join(_KEY)} ORDER BY start, stop, drug_exposure_id"
_DECIMALS = 6  # doses that differ by less are one dose, written in two ways

# The CDM's page "How to Calculate Drug Dose" by its numbers. Quantity is in pieces (1 tablets, 2 puffs), in packs
# (3: the strength is that of the whole pack), or the amount itself in mL or g (4). 5, compounds, are one of these.
_DAILY = """CASE
    WHEN amount_value IS NOT NULL THEN quantity * amount_value / days
    WHEN denominator_unit = 'h' THEN numerator_value * 24 / coalesce(denominator_value, 1)
    WHEN denominator_unit = 'mg' AND denominator_value IS NULL THEN quantity * numerator_value * 1000 / days
    ELSE quantity * numerator_value / days END"""


@step(writes=DOSE_ERA, exposures=DRUG_EXPOSURE, strengths=DRUG_STRENGTH, concepts=CONCEPT)
def dose_era(exposures: DataFrame, strengths: DataFrame, concepts: DataFrame) -> DataFrame:
    """One row per person, ingredient, unit, daily dose and span whose exposures leave at most 30 days between them.

    The daily dose is what was ordered, dispensed or given, by the drug's strength on the day on which the exposure
    began, divided by its days (start and end included); a patch gives its hourly rate times 24, whatever its number.
    dose_value is in the unit of drug_strength and not converted. Without a quantity, a strength or a unit there is no
    dose and no era; reversals (negative days of supply) have none either. Dose forms and brands do not matter.
    """
    given = exposures.where("drug_concept_id <> 0 AND coalesce(days_supply, 0) >= 0").selectExpr(
        "person_id", "drug_concept_id AS drug", "drug_exposure_id", "drug_exposure_start_date AS start",
        "greatest(drug_exposure_start_date, drug_exposure_end_date) AS stop", "CASE WHEN quantity > 0 THEN quantity END AS quantity",
        "_source", "_record",
    )  # fmt: skip
    units = concepts.where("vocabulary_id = 'UCUM'").selectExpr(
        "concept_id AS denominator_unit_concept_id", "concept_code AS denominator_unit"
    )
    strong = strengths.join(units, "denominator_unit_concept_id", how="left").selectExpr(
        "drug_concept_id AS drug", "ingredient_concept_id AS drug_concept_id", "valid_start_date", "valid_end_date",
        "coalesce(amount_unit_concept_id, numerator_unit_concept_id) AS unit_concept_id", "amount_value", "numerator_value",
        "denominator_value", "denominator_unit",
    )  # fmt: skip
    dosed = (
        given.join(strong, "drug", how="inner")
        .where("start BETWEEN valid_start_date AND valid_end_date AND unit_concept_id IS NOT NULL")
        .selectExpr("*", "datediff(stop, start) + 1 AS days")
        .selectExpr("*", f"round({_DAILY}, {_DECIMALS}) AS dose_value")
        .where("dose_value > 0")
    )
    numbered = dosed.selectExpr(
        "*", f"max(stop) OVER ({_LANE} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS until"
    ).selectExpr(
        "*",
        f"count_if(until IS NULL OR datediff(start, until) > {PERSISTENCE_DAYS}) OVER "
        f"({_LANE} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS era",
    )
    eras = numbered.groupBy(*_KEY, "era").agg(
        F.expr("min(start)").alias("dose_era_start_date"),
        F.expr("max(stop)").alias("dose_era_end_date"),
        F.expr("array_join(array_sort(collect_set(_source)), '+')").alias("_source"),
        F.expr("min(_record)").alias("_record"),
    )
    return eras.selectExpr("*", f"{id_sql(DOSE_ERA.name, *_KEY, 'dose_era_start_date')} AS dose_era_id").drop(
        "era"
    )
