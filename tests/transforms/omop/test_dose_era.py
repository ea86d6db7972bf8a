"""silver/omop/dose_era."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.omop.dose_era import DOSE_ERA, dose_era
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.vocabulary.cdm_tables import CONCEPT, DRUG_STRENGTH
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TABLET, PUFFS, SUSPENSION, GEL, PATCH, PAIR = 1, 2, 3, 4, 5, 6
ACETAMINOPHEN, NICOTINE, PRAMOXINE, ESTRADIOL, SECOND = 101, 102, 103, 104, 105
MG, ML, HOUR, ACTUATION = 8576, 8587, 8505, 45744809


def strength(drug: int, ingredient: int, **more: Any) -> dict[str, Any]:
    return {
        "drug_concept_id": drug, "ingredient_concept_id": ingredient, "valid_start_date": "2000-01-01",
        "valid_end_date": "2099-12-31",
    } | more  # fmt: skip


def exposed(
    person: int, drug: int, start: str, end: str, quantity: float | None, **more: Any
) -> dict[str, Any]:
    return {
        "person_id": person, "drug_concept_id": drug, "drug_exposure_start_date": start, "drug_exposure_end_date": end,
        "quantity": quantity,
    } | more  # fmt: skip


def eras(spark: SparkSession, *given: dict[str, Any]) -> DataFrame:
    strengths = frame(
        spark, DRUG_STRENGTH,
        strength(TABLET, ACETAMINOPHEN, amount_value=500.0, amount_unit_concept_id=MG),
        strength(TABLET, ACETAMINOPHEN, amount_value=1.0, amount_unit_concept_id=MG, valid_end_date="1999-12-31",
                 valid_start_date="1990-01-01"),
        strength(PUFFS, NICOTINE, numerator_value=0.5, numerator_unit_concept_id=MG, denominator_unit_concept_id=ACTUATION),
        strength(SUSPENSION, ACETAMINOPHEN, numerator_value=1250.0, numerator_unit_concept_id=MG, denominator_value=5.0,
                 denominator_unit_concept_id=ML),
        strength(GEL, PRAMOXINE, numerator_value=0.01, numerator_unit_concept_id=MG, denominator_unit_concept_id=MG),
        strength(PATCH, ESTRADIOL, numerator_value=0.000833, numerator_unit_concept_id=MG, denominator_unit_concept_id=HOUR),
        strength(PAIR, ACETAMINOPHEN, amount_value=250.0, amount_unit_concept_id=MG),
        strength(PAIR, SECOND, amount_value=125.0, amount_unit_concept_id=MG),
    )  # fmt: skip
    units = {MG: "mg", ML: "mL", HOUR: "h", ACTUATION: "{actuat}"}
    concepts = frame(
        spark, CONCEPT, *[{"concept_id": n, "concept_code": c, "vocabulary_id": "UCUM"} for n, c in units.items()]
    )  # fmt: skip
    exposures = frame(
        spark, DRUG_EXPOSURE, *[g | {"drug_exposure_id": n} for n, g in enumerate(given, start=1)]
    )
    return DOSE_ERA.conform(dose_era(exposures, strengths, concepts))


@pytest.mark.omop_rule(13)
def test_rule_13_the_daily_dose_is_that_of_the_cdms_own_examples(spark: SparkSession) -> None:
    """OHDSI, How to Calculate Drug Dose (CommonDataModel/drug_dose): tablets 20 x 500 mg, two packs of 1250 mg / 5 mL,
    37 g of a gel of 0.01 mg/mg, a patch of 0.000833 mg/h; 150 puffs of 0.5 mg (its example of an inhaler). Over 10 days,
    1 day, 10 days, a week, 30 days."""
    made = eras(
        spark,
        exposed(1, TABLET, "2020-01-01", "2020-01-10", 20.0),
        exposed(2, SUSPENSION, "2020-01-01", "2020-01-01", 2.0),
        exposed(3, GEL, "2020-01-01", "2020-01-10", 37.0),
        exposed(4, PATCH, "2020-01-01", "2020-01-07", 1.0),
        exposed(5, PUFFS, "2020-01-01", "2020-01-30", 150.0),
    )
    assert rows(made, "person_id", "drug_concept_id", "dose_value", "unit_concept_id") == [
        (1, ACETAMINOPHEN, 1000.0, MG),
        (2, ACETAMINOPHEN, 2500.0, MG),
        (3, PRAMOXINE, 37.0, MG),
        (4, ESTRADIOL, 0.019992, MG),
        (5, NICOTINE, 2.5, MG),
    ]


@pytest.mark.omop_rule(13)
def test_rule_13_a_dose_era_is_of_one_ingredient_unit_and_daily_dose(spark: SparkSession) -> None:
    """CDM v5.4 DOSE_ERA: an era ends with 31 days or more between records; forms do not matter, another dose is another
    era, and an ingredient of several has its own."""
    made = eras(
        spark,
        exposed(1, TABLET, "2020-01-01", "2020-01-10", 20.0),
        exposed(
            1, SUSPENSION, "2020-02-09", "2020-02-09", 0.8, _source="claims"
        ),  # 30 days after, 1000 mg too
        exposed(1, TABLET, "2020-03-11", "2020-03-20", 20.0),  # 31 days after
        exposed(1, TABLET, "2020-01-05", "2020-01-09", 5.0),  # 500 mg a day
        exposed(2, PAIR, "2020-01-01", "2020-01-02", 2.0),
    )
    assert rows(made, "person_id", "drug_concept_id", "dose_value", "dose_era_start_date", "dose_era_end_date", "_source") == [
        (1, ACETAMINOPHEN, 1000.0, "2020-01-01", "2020-02-09", "claims+ehr"),
        (1, ACETAMINOPHEN, 1000.0, "2020-03-11", "2020-03-20", "ehr"),
        (1, ACETAMINOPHEN, 500.0, "2020-01-05", "2020-01-09", "ehr"),
        (2, ACETAMINOPHEN, 250.0, "2020-01-01", "2020-01-02", "ehr"),
        (2, SECOND, 125.0, "2020-01-01", "2020-01-02", "ehr"),
    ]  # fmt: skip
    assert len({r.dose_era_id for r in made.collect()}) == 5


@pytest.mark.omop_rule(13)
def test_rule_13_without_quantity_strength_or_sense_there_is_no_dose(spark: SparkSession) -> None:
    """CDM v5.4 DOSE_ERA: derived from drug_exposure and drug_strength; a reversal exposes nobody."""
    made = eras(
        spark,
        exposed(1, TABLET, "2020-01-01", "2020-01-10", None),
        exposed(1, TABLET, "2020-01-01", "2020-01-10", 0.0),
        exposed(1, 999, "2020-01-01", "2020-01-10", 20.0),
        exposed(1, 0, "2020-01-01", "2020-01-10", 20.0),
        exposed(1, TABLET, "2020-01-01", "2020-01-10", 20.0, days_supply=-10),
    )
    assert rows(made) == []
