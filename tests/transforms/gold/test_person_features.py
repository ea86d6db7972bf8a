"""person_features: nothing from the index date on, contacts counted once, unknown is not zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.comorbidity.comorbidity import COMORBIDITY
from carelake.gold.features.area_vulnerability import AREA_VULNERABILITY
from carelake.gold.features.person_features import PERSON_FEATURES, person_features
from carelake.silver.link.daily_sample import DAILY_SAMPLE
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.cost import COST
from carelake.silver.omop.drug_era import DRUG_ERA
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.omop.measurement import MEASUREMENT
from carelake.silver.omop.observation import OBSERVATION
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.payer_plan_period import PAYER_PLAN_PERIOD
from carelake.silver.omop.person import PERSON
from carelake.silver.omop.procedure_occurrence import PROCEDURE_OCCURRENCE
from carelake.silver.omop.visit_detail import VISIT_DETAIL
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_ANCESTOR
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

INPUTS = {
    "people": PERSON, "periods": OBSERVATION_PERIOD, "visits": VISIT_OCCURRENCE, "details": VISIT_DETAIL, "plans": PAYER_PLAN_PERIOD,
    "conditions": CONDITION_OCCURRENCE, "observations": OBSERVATION, "procedures": PROCEDURE_OCCURRENCE, "drugs": DRUG_EXPOSURE,
    "eras": DRUG_ERA, "measurements": MEASUREMENT, "samples": DAILY_SAMPLE, "ancestors": CONCEPT_ANCESTOR,
    "comorbidity": COMORBIDITY, "costs": COST, "events": EVENT_LINK, "areas": AREA_VULNERABILITY,
}  # fmt: skip
CONCEPTS = [
    (201826, "Type 2 diabetes mellitus", "Condition", "SNOMED", "44054006"),
    (37018196, "Prediabetes", "Condition", "SNOMED", "714628002"),
    (316139, "Heart failure", "Condition", "SNOMED", "84114007"),
    (4229440, "Chronic congestive failure", "Condition", "SNOMED", "88805009"),  # only the ancestor tells
    (4139934, "Homeless", "Observation", "SNOMED", "32911000"),
    (4237458, "Fracture of clavicle", "Condition", "SNOMED", "58150001"),
    (
        40231925,
        "acetaminophen 325 MG / oxycodone hydrochloride 5 MG Oral Tablet",
        "Drug",
        "RxNorm",
        "1049221",
    ),
    (3004410, "Hemoglobin A1c/Hemoglobin.total in Blood", "Measurement", "LOINC", "4548-4"),
    (3004501, "Glucose [Mass/volume] in Serum or Plasma", "Measurement", "LOINC", "2345-7"),
    (3030354, "Glomerular filtration rate", "Measurement", "LOINC", "33914-3"),
    (40758879, "PHQ-2 total score", "Observation", "LOINC", "55758-7"),
    (43054909, "Tobacco smoking status", "Observation", "LOINC", "72166-2"),
    (4209585, "Smokes tobacco daily", "Observation", "SNOMED", "449868002"),
    (8554, "percent", "Unit", "UCUM", "%"),
    (9579, "millimole per mole", "Unit", "UCUM", "mmol/mol"),
    (8753, "millimole per liter", "Unit", "UCUM", "mmol/L"),
]


def features(
    spark: SparkSession, index_dates: tuple[str, ...] = ("2023-01-01",), **tables: list[dict[str, Any]]
) -> list[Row]:
    """The features of person 1, by index date."""
    given = {
        "people": [{"person_id": 1, "year_of_birth": 1960, "month_of_birth": 1, "day_of_birth": 1, "gender_concept_id": 8532,
                    "race_concept_id": 8527, "ethnicity_concept_id": 38003564}],
        "periods": [{"person_id": 1, "observation_period_start_date": "2015-01-01", "observation_period_end_date": "2024-12-31"}],
    } | tables  # fmt: skip
    frames = {
        name: frame(
            spark,
            table,
            *({"person_id": 1} | r if "person_id" in table.columns else r for r in given.get(name, [])),
        )
        for name, table in INPUTS.items()
    }
    concepts = frame(spark, CONCEPT, *(
        dict(zip(("concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_code"), c, strict=True)) for c in CONCEPTS
    ))  # fmt: skip
    cohort = frame(spark, TASK_COHORT, *({"person_id": 1, "index_date": d} for d in index_dates))
    out = PERSON_FEATURES.conform(person_features(cohort=cohort, concepts=concepts, **frames))
    return out.orderBy("index_date").collect()


def visit(
    number: int, concept: int, start: str, end: str | None = None, site: int | None = None
) -> dict[str, Any]:
    return {
        "care_site_id": site,
        "visit_occurrence_id": number,
        "visit_concept_id": concept,
        "visit_start_date": start,
        "visit_end_date": end or start,
    }


def test_a_person_with_nothing_on_record_has_zero_counts_and_unknown_values(spark: SparkSession) -> None:
    (row,) = features(spark)
    assert (row.age_years, row.female, row.sex, row.race, row.ethnicity) == (
        63.0,
        1.0,
        "female",
        "white",
        "not_hispanic",
    )
    assert (row.ed_1y, row.outpatient_3y, row.conditions_active, row.has_diabetes, row.took_opioid_1y) == (
        0,
        0,
        0,
        0,
        0,
    )
    assert (row.cost_1y, row.lace_score, row.frailty_score) == (None, None, None)
    assert (row.payer, row.smoking, row.current_smoker) == ("unknown", "unknown", 0)
    assert (row.svi_quartile, row.care_site) == ("unknown", "unknown")
    assert (row.last_hba1c, row.wearable_steps, row.wearable_days_1y) == (None, None, 0)
    assert (row.days_since_visit, row.days_since_ed) == (1096.0, 1096.0)


def test_utilisation_is_cut_at_the_index_date_and_counts_a_contact_of_two_senders_once(
    spark: SparkSession,
) -> None:
    visits = [
        visit(1, 9203, "2022-05-01"), visit(2, 9203, "2022-05-01", "2022-05-02"),  # one emergency, seen by EHR and claims
        visit(3, 9201, "2022-06-10", "2022-06-14"), visit(4, 9201, "2022-06-11", "2022-06-14"),  # one stay of five days
        visit(5, 262, "2022-12-30", "2023-01-03"),  # still in hospital at the index date: two days before it
        visit(6, 9202, "2021-03-01"), visit(7, 9203, "2023-01-01"), visit(8, 9202, "2019-12-31"),
    ]  # fmt: skip
    (row,) = features(spark, visits=visits)
    assert (row.ed_1y, row.ed_3y) == (2, 2)
    assert (row.inpatient_1y, row.inpatient_days_1y, row.inpatient_days_3y) == (2, 7, 7)
    assert (row.outpatient_1y, row.outpatient_3y) == (0, 1)
    assert (row.days_since_visit, row.days_since_ed) == (2, 2)


def planted(day: str) -> dict[str, list[dict[str, Any]]]:
    """A row of every input that begins on `day`."""
    return {
        "visits": [visit(2, 9203, day, site=40), visit(3, 9201, day, "2023-02-09", site=40)],
        "details": [{"visit_detail_id": 2, "visit_detail_type_concept_id": 32817, "visit_detail_start_date": day}],
        "conditions": [{"condition_concept_id": 316139, "condition_start_date": day}],
        "observations": [{"observation_id": 1, "observation_concept_id": 4139934, "observation_date": day},
                         {"observation_id": 2, "observation_concept_id": 43054909, "observation_date": day, "value_as_string": "Ex-smoker"}],
        "procedures": [{"procedure_date": day}],
        "drugs": [{"drug_concept_id": 40231925, "drug_exposure_start_date": day}],
        "eras": [{"drug_concept_id": 5, "drug_era_start_date": day, "drug_era_end_date": "2023-02-01"}],
        "measurements": [{"measurement_concept_id": 3004410, "measurement_date": day, "value_as_number": 9.0, "unit_concept_id": 8554}],
        "samples": [{"day": day, "metric": "steps", "value": 9000.0}, {"day": day, "metric": "resting_heart_rate", "value": 99.0}],
        "plans": [{"payer_plan_period_start_date": day, "payer_plan_period_end_date": "2023-12-31", "payer_source_value": "Medicaid"}],
        "costs": [{"cost_id": 2, "cost_domain_id": "Visit", "cost_event_id": 2, "total_paid": 900.0}],
        "events": [],
        "comorbidity": [],  # test_comorbidity.py cuts it
        "areas": [],  # it has no day
    }  # fmt: skip


def test_nothing_on_or_after_the_index_date_changes_a_feature(spark: SparkSession) -> None:
    """And the same rows a day earlier change every part, so the test would see a cut that is a day late, or none."""
    before = {
        "visits": [visit(1, 9203, "2022-05-01", site=50)],
        "areas": [{"svi_overall": 0.9, "svi_quartile": "q4"}],  # of the address as it is now
        "details": [
            {
                "visit_detail_id": 1,
                "visit_detail_type_concept_id": 32817,
                "visit_detail_start_date": "2022-05-01",
            }
        ],
        "conditions": [{"condition_concept_id": 201826, "condition_start_date": "2020-01-01"}],
        "samples": [{"day": "2022-12-01", "metric": "steps", "value": 5000.0}],
        "costs": [{"cost_id": 1, "cost_domain_id": "Visit", "cost_event_id": 1, "total_paid": 70.0}],
        "comorbidity": [{"index_date": "2023-01-01", "charlson_score": 1, "lace_points": 1}],
    }

    def with_planted(day: str) -> Row:
        return features(spark, **{n: before.get(n, []) + more for n, more in planted(day).items()})[0]  # type: ignore[arg-type]

    (alone,) = features(spark, **before)  # type: ignore[arg-type]
    assert (alone.care_site, alone.svi_quartile) == ("50", "q4")
    assert with_planted("2023-01-01") == alone
    earlier = with_planted("2022-12-31")
    changed = {c for c in PERSON_FEATURES.columns if alone[c] != earlier[c]}
    assert changed >= {
        "ed_1y", "inpatient_1y", "days_since_visit", "claims_days_3y", "procedures_1y", "cost_1y", "cost_3y", "conditions_active",
        "has_heart_failure", "has_social_risk", "drugs_1y", "took_opioid_1y", "ingredients_1y", "results_1y", "last_hba1c",
        "wearable_days_1y", "wearable_steps", "wearable_steps_sd", "wearable_steps_trend", "wearable_resting_heart_rate", "payer", "smoking",
        "care_site",
    }  # fmt: skip


def test_problems_come_by_name_or_ancestor_and_from_observations(spark: SparkSession) -> None:
    (row,) = features(
        spark,
        conditions=[
            {"condition_concept_id": 201826, "condition_start_date": "2016-01-01"},
            {"condition_concept_id": 4229440, "condition_start_date": "2022-03-01", "condition_end_date": "2023-05-01"},
            {"condition_concept_id": 4237458, "condition_start_date": "2017-03-01", "condition_end_date": "2017-05-01"},
            {"condition_concept_id": 0, "condition_start_date": "2022-03-01"},
        ],
        observations=[{"observation_concept_id": 4139934, "observation_date": "2022-01-05"}],
        ancestors=[{"ancestor_concept_id": 316139, "descendant_concept_id": 4229440}],
    )  # fmt: skip
    assert (row.has_diabetes, row.has_heart_failure, row.has_social_risk) == (1, 1, 1)
    assert row.has_prediabetes == 0
    assert row.has_injury == 0  # more than three years ago
    assert (row.conditions_active, row.conditions_new_1y) == (2, 1)


@pytest.mark.omop_rule(4)
def test_events_outside_the_observation_period_are_not_features(spark: SparkSession) -> None:
    """CDM v5.4 OBSERVATION_PERIOD: features look inside periods alone."""
    (row,) = features(spark, visits=[visit(1, 9203, "2014-12-31")], conditions=[
        {"condition_concept_id": 201826, "condition_start_date": "2014-12-31"}
    ])  # fmt: skip
    assert (row.has_diabetes, row.days_since_visit) == (0, 1096)


@pytest.mark.omop_rule(11)
def test_the_last_value_counts_in_its_canonical_unit_and_an_unknown_unit_is_unknown(
    spark: SparkSession,
) -> None:
    """CDM v5.4 MEASUREMENT keeps the unit as sent (THEMIS); gold converts it."""

    def result(number: int, concept: int, day: str, value: float, **unit: Any) -> dict[str, Any]:
        return {
            "measurement_id": number,
            "measurement_concept_id": concept,
            "measurement_date": day,
            "value_as_number": value,
        } | unit

    (row,) = features(
        spark,
        measurements=[
            result(1, 3004410, "2022-01-01", 6.1, unit_concept_id=8554),
            result(2, 3004410, "2022-06-01", 75.0, unit_concept_id=9579),  # IFCC: 75 mmol/mol = 9.0 %
            result(3, 3004501, "2022-06-01", 5.0, unit_concept_id=8753),  # 5 mmol/L = 90 mg/dL
            result(4, 3004501, "2022-07-01", 5.0, unit_source_value="jugs"),
            result(5, 0, "2021-07-01", 44.0, unit_source_value="mL/min/{1.73_m2}", measurement_source_concept_id=3030354),
            result(6, 3004410, "2022-08-01", 900.0, unit_concept_id=8554),  # impossible
        ],
        observations=[{"observation_id": 1, "observation_concept_id": 40758879, "observation_date": "2022-02-02",
                       "value_as_number": 3.0, "unit_source_value": "{score}"}],
    )  # fmt: skip
    assert round(row.last_hba1c, 1) == 9.0
    assert round(row.last_glucose) == 90
    assert (row.last_egfr, row.last_phq2, row.last_ldl) == (44.0, 3.0, None)
    assert row.results_1y == 4


def test_drugs_count_by_class_and_eras_that_reach_into_the_year(spark: SparkSession) -> None:
    (row,) = features(
        spark,
        drugs=[
            {"drug_concept_id": 40231925, "drug_exposure_start_date": "2022-03-01"},
            {"drug_concept_id": 40231925, "drug_exposure_start_date": "2022-04-01"},
            {"drug_concept_id": 0, "drug_source_value": "a", "drug_exposure_start_date": "2022-04-01"},
            {"drug_concept_id": 0, "drug_source_value": "b", "drug_exposure_start_date": "2022-04-01"},
        ],
        eras=[
            {"drug_concept_id": 5, "drug_era_start_date": "2020-01-01", "drug_era_end_date": "2022-02-01"},
            {"drug_concept_id": 6, "drug_era_start_date": "2020-01-01", "drug_era_end_date": "2021-12-31"},
        ],
    )
    assert (row.drugs_1y, row.took_opioid_1y, row.took_insulin_1y, row.ingredients_1y) == (3, 1, 0, 1)


def test_a_day_without_wear_is_missing_and_observed_days_are_counted_per_source(spark: SparkSession) -> None:
    (row,) = features(
        spark,
        samples=[
            {"day": "2022-05-01", "metric": "steps", "value": 4000.0, "worn_minutes": 900.0},
            {"day": "2022-05-02", "metric": "steps", "value": 8000.0, "worn_minutes": None},
            {"day": "2022-05-03", "metric": "steps", "value": 0.0, "worn_minutes": 0.0},
            {"day": "2022-05-01", "metric": "sleep_duration", "value": 400.0},
        ],
        plans=[
            {"payer_plan_period_start_date": "2022-12-01", "payer_plan_period_end_date": "2023-06-30"},
            {"payer_plan_period_start_date": "2022-12-11", "payer_plan_period_end_date": "2022-12-20"},
        ],
        details=[
            {
                "visit_detail_id": 1,
                "visit_detail_type_concept_id": 32817,
                "visit_detail_start_date": "2022-12-22",
            },
            {
                "visit_detail_id": 2,
                "visit_detail_type_concept_id": 32855,
                "visit_detail_start_date": "2022-01-01",
            },
        ],
    )
    assert (row.wearable_steps, row.wearable_days_1y, row.wearable_sleep) == (6000.0, 2, 400.0)
    assert (row.claims_days_3y, row.ehr_days_3y) == (31, 10)


def test_each_index_date_has_its_own_view(spark: SparkSession) -> None:
    first, second = features(spark, ("2022-01-01", "2023-01-01"), visits=[visit(1, 9203, "2022-05-01")])
    assert (first.ed_1y, second.ed_1y) == (0, 1)
    assert (first.age_years, second.age_years) == (62, 63)


def test_the_features_have_one_row_per_cohort_row(spark: SparkSession) -> None:
    out = features(
        spark, ("2021-01-01", "2022-01-01"), visits=[visit(n, 9202, f"2020-{n:02d}-01") for n in range(1, 9)]
    )
    assert [r.index_date.isoformat() for r in out] == ["2021-01-01", "2022-01-01"]


def test_comorbidity_cost_payer_smoking_and_lace_arrive_in_their_columns(spark: SparkSession) -> None:
    """The parts have tests of their own (test_feature_parts.py)."""
    (row,) = features(
        spark,
        visits=[visit(1, 262, "2022-12-28", "2023-01-01")],
        costs=[{"cost_id": 1, "cost_domain_id": "Visit", "cost_event_id": 1, "total_paid": 1000.25}],
        plans=[{"payer_plan_period_start_date": "2022-01-01", "payer_plan_period_end_date": "2023-12-31", "payer_source_value": "Medicare"}],
        comorbidity=[{"index_date": "2023-01-01", "charlson_score": 2, "elixhauser_van_walraven": -7, "lace_points": 2}],
        observations=[{"observation_id": 1, "observation_concept_id": 43054909, "observation_date": "2022-01-01",
                       "value_as_string": "Smokes tobacco daily"}],
    )  # fmt: skip
    assert (row.charlson_score, row.elixhauser_score, row.lace_score) == (2.0, -7.0, 9.0)
    assert (row.cost_1y, row.cost_3y, row.payer) == (1000.25, 1000.25, "medicare")
    assert (row.smoking, row.current_smoker, row.wearable_steps_sd) == ("current", 1.0, None)
