"""silver/omop/drug_era."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.omop.drug_era import DRUG_ERA, drug_era
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_ANCESTOR
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LISINOPRIL, HYDROCHLOROTHIAZIDE = 1308216, 974166
TABLET, COMBINED, VACCINE = 19080128, 40165015, 40213251


@pytest.mark.omop_rule(13)
def test_exposures_at_most_thirty_days_apart_are_one_era_of_each_ingredient(spark: SparkSession) -> None:
    """CDM v5.4 DRUG_ERA: overlaps count their days once (no stockpiling); gap_days are the days of the span that no exposure covers."""

    def at(person: int, drug: int, start: str, end: str, **more: Any) -> dict[str, Any]:
        return {
            "person_id": person, "drug_concept_id": drug, "drug_exposure_start_date": start,
            "drug_exposure_end_date": end, "drug_type_concept_id": 32838,
        } | more  # fmt: skip

    given = [
        # 1-10, 5-14 (overlaps), 8-9 (inside); the next is 30 days after the 14th, the last 32 days after the 22nd
        at(1, TABLET, "2020-01-01", "2020-01-10"), at(1, TABLET, "2020-01-05", "2020-01-14", _source="claims"),
        at(1, LISINOPRIL, "2020-01-08", "2020-01-09"), at(1, COMBINED, "2020-02-13", "2020-02-22"),
        at(1, TABLET, "2020-03-25", "2020-03-25"),
        at(2, TABLET, "2020-01-01", "2020-01-30", days_supply=30), at(2, TABLET, "2020-02-20", "2020-02-20", days_supply=-30),
        at(2, VACCINE, "2020-01-01", "2020-01-01"), at(2, 0, "2020-01-01", "2020-01-01"),
    ]  # fmt: skip
    ingredient = {
        "concept_class_id": "Ingredient",
        "standard_concept": "S",
        "vocabulary_id": "RxNorm",
        "domain_id": "Drug",
    }
    concepts = frame(
        spark, CONCEPT,
        ingredient | {"concept_id": LISINOPRIL}, ingredient | {"concept_id": HYDROCHLOROTHIAZIDE},
        ingredient | {"concept_id": 21600001, "vocabulary_id": "ATC"},
        ingredient | {"concept_id": TABLET, "concept_class_id": "Clinical Drug"},
    )  # fmt: skip
    ancestors = frame(
        spark, CONCEPT_ANCESTOR,
        *[
            {"ancestor_concept_id": a, "descendant_concept_id": d, "min_levels_of_separation": 1, "max_levels_of_separation": 1}
            for a, d in [
                (LISINOPRIL, TABLET), (LISINOPRIL, COMBINED), (HYDROCHLOROTHIAZIDE, COMBINED), (21600001, TABLET),
                (TABLET, TABLET), (LISINOPRIL, LISINOPRIL),
            ]
        ],
    )  # fmt: skip
    exposures = frame(
        spark, DRUG_EXPOSURE, *[r | {"drug_exposure_id": n} for n, r in enumerate(given, start=1)]
    )
    made = DRUG_ERA.conform(drug_era(exposures, concepts, ancestors))
    assert rows(
        made, "person_id", "drug_concept_id", "drug_era_start_date", "drug_era_end_date", "drug_exposure_count",
        "gap_days", "_source",
    ) == [
        (1, LISINOPRIL, "2020-01-01", "2020-02-22", 4, 29, "claims+ehr"),  # 53 days, 14 + 10 of them exposed
        (1, LISINOPRIL, "2020-03-25", "2020-03-25", 1, 0, "ehr"),
        (1, HYDROCHLOROTHIAZIDE, "2020-02-13", "2020-02-22", 1, 0, "ehr"),
        (2, LISINOPRIL, "2020-01-01", "2020-01-30", 1, 0, "ehr"),
    ]  # fmt: skip
    assert len({r.drug_era_id for r in made.collect()}) == 4
