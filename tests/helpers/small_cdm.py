"""A CDM of three persons that breaks no rule of the Data Quality Dashboard, and copies of it that do."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from carelake.core.config import Quality
from carelake.quality.published import all_rules, rules
from carelake.silver.omop.cdm import cdm_table
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from carelake.quality.published import Rule

Rows = dict[str, list[dict[str, Any]]]

# id: domain, class, standard
CONCEPTS = {
    0: ("Metadata", "Undefined", None),
    8507: ("Gender", "Gender", "S"), 8532: ("Gender", "Gender", "S"), 8527: ("Race", "Race", "S"),
    38003564: ("Ethnicity", "Ethnicity", "S"), 9202: ("Visit", "Visit", "S"), 32817: ("Type Concept", "Type Concept", "S"),
    32220: ("Visit", "UB04 Pt dis status", None), 756265: ("Metadata", "CDM", "S"),
    201826: ("Condition", "Disorder", "S"), 26662: ("Condition", "Disorder", "S"), 4000001: ("Condition", "Disorder", "S"),
    999001: ("Condition", "ICD10 code", None), 4010253: ("Procedure", "Procedure", "S"), 1503297: ("Drug", "Ingredient", "S"),
    40163924: ("Drug", "Clinical Drug", "S"), 4132161: ("Route", "Qualifier Value", "S"), 3000963: ("Measurement", "Lab Test", "S"),
    8713: ("Unit", "Unit", "S"), 8840: ("Unit", "Unit", "S"), 4030000: ("Device", "Physical Object", "S"),
}  # fmt: skip
PERSON = {"gender_concept_id": 8532, "year_of_birth": 1960, "month_of_birth": 1, "day_of_birth": 2, "birth_datetime": "1960-01-02",
          "race_concept_id": 8527, "ethnicity_concept_id": 38003564, "location_id": 1, "provider_id": 1, "care_site_id": 1,
          "person_source_value": "p"}  # fmt: skip
VISIT = {"person_id": 1, "visit_concept_id": 9202, "visit_start_date": "2019-03-01", "visit_end_date": "2019-03-02",
         "visit_type_concept_id": 32817, "visit_source_value": "AMB", "provider_id": 1, "care_site_id": 1}  # fmt: skip
CONDITION = {"person_id": 1, "condition_concept_id": 201826, "condition_start_date": "2019-03-01", "condition_end_date": "2019-03-02",
             "condition_type_concept_id": 32817, "visit_occurrence_id": 1, "provider_id": 1, "condition_source_value": "E11",
             "condition_source_concept_id": 999001}  # fmt: skip
MEASUREMENT = {"person_id": 1, "measurement_concept_id": 3000963, "measurement_date": "2019-03-01", "measurement_type_concept_id": 32817,
               "unit_concept_id": 8713, "unit_source_value": "g/dL", "value_as_number": 13.0, "visit_occurrence_id": 1,
               "measurement_source_value": "718-7"}  # fmt: skip
DRUG = {"person_id": 1, "drug_concept_id": 40163924, "drug_exposure_start_date": "2019-03-01", "drug_exposure_end_date": "2019-03-30",
        "drug_type_concept_id": 32817, "days_supply": 30, "visit_occurrence_id": 1, "drug_source_value": "860975"}  # fmt: skip
CLEAN: Rows = {
    "concept": [
        {"concept_id": i, "concept_name": "n", "domain_id": d, "vocabulary_id": "v", "concept_class_id": c, "standard_concept": s,
         "concept_code": str(i), "valid_start_date": "1970-01-01", "valid_end_date": "2099-12-31"}
        for i, (d, c, s) in CONCEPTS.items()
    ],
    "concept_ancestor": [
        {"ancestor_concept_id": a, "descendant_concept_id": 4000001, "min_levels_of_separation": 1, "max_levels_of_separation": 1}
        for a in (4090861, 4025213)  # of both: counted once
    ],
    "cdm_source": [{"cdm_source_name": "c", "cdm_source_abbreviation": "c", "cdm_holder": "h", "source_release_date": "2020-12-31",
                    "cdm_release_date": "2020-12-31", "cdm_version_concept_id": 756265, "vocabulary_version": "v5"}],
    "location": [{"location_id": 1}],
    "care_site": [{"care_site_id": 1, "location_id": 1}],
    "provider": [{"provider_id": 1, "care_site_id": 1}],
    "person": [
        PERSON | {"person_id": 1, "gender_concept_id": 8507},
        PERSON | {"person_id": 2},
        PERSON | {"person_id": 3, "birth_datetime": None, "month_of_birth": None, "day_of_birth": None},
    ],
    "death": [{"person_id": 3, "death_date": "2020-06-01", "death_type_concept_id": 32817}],
    "observation_period": [
        {"observation_period_id": i, "person_id": p, "observation_period_start_date": s, "observation_period_end_date": e,
         "period_type_concept_id": 32817}
        for i, p, s, e in ((1, 1, "2019-01-01", "2019-06-30"), (2, 1, "2019-07-02", "2019-12-31"), (3, 2, "2019-01-01", "2019-12-31"),
                           (4, 3, "2019-01-01", "2020-07-31"))
    ],
    "visit_occurrence": [VISIT | {"visit_occurrence_id": 1}, VISIT | {"visit_occurrence_id": 2, "person_id": 2},
                         VISIT | {"visit_occurrence_id": 3, "person_id": 3, "visit_type_concept_id": 32220}],
    "condition_occurrence": [
        CONDITION | {"condition_occurrence_id": 1},
        CONDITION | {"condition_occurrence_id": 2, "person_id": 2, "visit_occurrence_id": 2},
        CONDITION | {"condition_occurrence_id": 3, "condition_concept_id": 26662},  # person 1 is male
        CONDITION | {"condition_occurrence_id": 4, "condition_concept_id": 4000001},
    ],
    "condition_era": [
        {"condition_era_id": i, "person_id": i, "condition_concept_id": 201826, "condition_era_start_date": "2019-03-01",
         "condition_era_end_date": "2019-03-02", "condition_occurrence_count": 1}
        for i in (1, 2)
    ],
    "procedure_occurrence": [{"procedure_occurrence_id": 1, "person_id": 1, "procedure_concept_id": 4010253, "procedure_date": "2019-03-01",
                              "procedure_type_concept_id": 32817, "procedure_source_value": "P"}],
    "drug_exposure": [DRUG | {"drug_exposure_id": 1}, DRUG | {"drug_exposure_id": 2, "person_id": 2, "visit_occurrence_id": 2}],
    "drug_era": [{"drug_era_id": 1, "person_id": 1, "drug_concept_id": 1503297, "drug_era_start_date": "2019-03-01",
                  "drug_era_end_date": "2019-03-30", "drug_exposure_count": 1, "gap_days": 0}],
    "measurement": [MEASUREMENT | {"measurement_id": 1},
                    MEASUREMENT | {"measurement_id": 2, "person_id": 3, "measurement_date": "2020-07-31", "visit_occurrence_id": None,
                                   "unit_concept_id": None, "unit_source_value": None}],
    "device_exposure": [{"device_exposure_id": 1, "person_id": 1, "device_concept_id": 4030000, "device_exposure_start_date": "2019-03-01",
                         "device_type_concept_id": 32817, "quantity": 1, "device_source_value": "D"}],
    "note": [{"note_id": 1, "person_id": 1, "note_date": "2019-03-01", "note_type_concept_id": 32817, "note_class_concept_id": 756265,
              "note_text": "", "encoding_concept_id": 756265, "language_concept_id": 756265}],
}  # fmt: skip


def frames(spark: SparkSession, rows: Rows) -> dict[str, DataFrame]:
    """The tables by the CDM's names."""
    return {name: frame(spark, cdm_table(name), *some) for name, some in rows.items()}


def copy() -> Rows:
    """The clean rows, to be spoilt."""
    return deepcopy(CLEAN)


def asked(*left_out: str) -> list[Rule]:
    """The dashboard's checks of the tables that this CDM has, but for its vocabulary."""
    vocabulary = ("concept", "concept_ancestor")
    ours = set(CLEAN) - {*vocabulary, *left_out}
    return rules(
        Quality(exclude_tables={r.table: "not of this CDM" for r in all_rules() if r.table not in ours})
    )
