"""comorbidity: Quan's codes in both ICDs, SNOMED by concept, graver over milder, nothing from the index date on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.comorbidity.charlson import CHARLSON
from carelake.gold.comorbidity.comorbidity import COMORBIDITY, comorbidity
from carelake.gold.comorbidity.hospital_frailty import WEIGHTS
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_ANCESTOR
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

CONCEPTS = [
    (201826, "Type 2 diabetes mellitus", "SNOMED", "44054006"),
    (376065, "Neuropathy due to type 2 diabetes mellitus", "SNOMED", "368581000119106"),
    (316139, "Heart failure", "SNOMED", "84114007"),
    (444031, "Chronic heart failure", "SNOMED", "48447003"),
    (4311499, "Primary malignant neoplasm of respiratory tract", "SNOMED", "372110008"),
    (320128, "Essential hypertension", "SNOMED", "59621000"),
    (45576876, "Type 2 diabetes mellitus without complications", "ICD10CM", "E11.9"),
]


def known(spark: SparkSession, *conditions: dict[str, Any], index_date: str = "2023-01-01") -> Row:
    """The comorbidities of person 1."""
    concepts = [
        {"concept_id": i, "concept_name": n, "vocabulary_id": v, "concept_code": c, "domain_id": "Condition"} for i, n, v, c in CONCEPTS
    ]  # fmt: skip
    out = comorbidity(
        cohort=frame(spark, TASK_COHORT, {"person_id": 1, "index_date": index_date}),
        conditions=frame(spark, CONDITION_OCCURRENCE, *({
            "person_id": 1, "condition_start_date": "2020-05-05", "condition_concept_id": 0, "condition_source_concept_id": 0,
        } | c for c in conditions)),
        visits=frame(
            spark, VISIT_OCCURRENCE,
            {"person_id": 1, "visit_occurrence_id": 1, "visit_concept_id": 9201}, {"person_id": 1, "visit_occurrence_id": 2, "visit_concept_id": 9202},
        ),
        periods=frame(spark, OBSERVATION_PERIOD, {
            "person_id": 1, "observation_period_start_date": "2010-01-01", "observation_period_end_date": "2024-01-01",
        }),
        concepts=frame(spark, CONCEPT, *concepts),
        ancestors=frame(spark, CONCEPT_ANCESTOR, {"ancestor_concept_id": 316139, "descendant_concept_id": 444031}),
    )  # fmt: skip
    (row,) = COMORBIDITY.conform(out).collect()
    return row


def icd(code: str, **more: Any) -> dict[str, Any]:
    return {"condition_source_value": code} | more


def snomed(concept: int, code: str = "123456789") -> dict[str, Any]:
    return {"condition_concept_id": concept, "condition_source_value": code}


def test_nothing_on_record_is_a_score_of_zero(spark: SparkSession) -> None:
    row = known(spark)
    assert (row.charlson_groups, row.elixhauser_groups, row.charlson_score, row.elixhauser_van_walraven) == (
        [],
        [],
        0,
        0,
    )
    assert row.coded_in_icd is None


def test_codes_count_with_and_without_dot_and_by_the_concept_of_the_code(spark: SparkSession) -> None:
    """Charlson 1987: myocardial infarction 1, heart failure 1, diabetes 1, kidney disease 2."""
    row = known(
        spark, icd("I21.4"), icd("i5022"), icd("N183"),
        icd("a word", condition_source_concept_id=45576876, condition_concept_id=201826),
    )  # fmt: skip
    assert row.charlson_groups == ["diabetes", "heart_failure", "myocardial_infarction", "renal"]
    assert (row.charlson_score, row.charlson_quan_2011, row.lace_points) == (5, 3, 5)
    # van Walraven: heart failure 7, renal failure 5, diabetes 0; an infarction is not among Elixhauser's
    assert (row.elixhauser_groups, row.elixhauser_van_walraven) == (
        ["diabetes", "heart_failure", "renal_failure"],
        12,
    )
    assert row.coded_in_icd is True


def test_icd_9_is_told_from_icd_10_and_from_snomed_by_its_shape(spark: SparkSession) -> None:
    row = known(spark, icd("428.0"), icd("25000"), icd("V420"), icd("4280000"), icd("410111000"))
    assert row.charlson_groups == ["diabetes", "heart_failure", "renal"]


def test_the_graver_form_hides_the_milder(spark: SparkSession) -> None:
    row = known(
        spark,
        icd("E11.9"),
        icd("E11.4"),
        icd("C50.9"),
        icd("C78.7"),
        icd("K70.3"),
        icd("K76.6"),
        icd("I10"),
        icd("I11.9"),
    )
    assert row.charlson_groups == ["diabetes_complicated", "liver_severe", "metastatic"]
    assert (row.charlson_score, row.charlson_quan_2011) == (2 + 3 + 6, 1 + 4 + 6)
    assert row.elixhauser_groups == [
        "alcohol",
        "diabetes_complicated",
        "hypertension_complicated",
        "liver",
        "metastatic",
    ]


def test_an_ehr_in_snomed_is_placed_by_names_and_ancestors(spark: SparkSession) -> None:
    row = known(spark, snomed(201826), snomed(376065), snomed(444031), snomed(4311499), snomed(320128))
    assert row.charlson_groups == ["cancer", "diabetes_complicated", "heart_failure"]
    assert (row.charlson_score, row.coded_in_icd) == (2 + 2 + 1, False)
    assert row.elixhauser_groups == ["diabetes_complicated", "heart_failure", "hypertension", "solid_tumour"]


def test_a_row_with_an_icd_code_is_not_placed_by_its_concept_too(spark: SparkSession) -> None:
    """Z13.1 is a screening; that it was mapped to diabetes makes no diabetes of it."""
    assert known(spark, icd("Z13.1", condition_concept_id=201826)).charlson_groups == []


@pytest.mark.omop_rule(4)
def test_only_what_was_diagnosed_before_the_index_date_inside_a_period_counts(spark: SparkSession) -> None:
    """CDM v5.4 OBSERVATION_PERIOD; and the cut: the day before counts, the day itself does not."""
    outside = icd("I50.9", condition_start_date="2009-12-31")
    on_the_day = icd("C78.7", condition_start_date="2023-01-01")
    after = icd("B20", condition_start_date="2023-06-01")
    the_day_before = icd("I21.9", condition_start_date="2022-12-31")
    assert known(spark, outside, on_the_day, after, the_day_before).charlson_groups == [
        "myocardial_infarction"
    ]
    assert known(spark, on_the_day, the_day_before, index_date="2023-01-02").charlson_groups == [
        "metastatic",
        "myocardial_infarction",
    ]


def test_frailty_adds_each_code_of_a_hospital_stay_of_two_years_once(spark: SparkSession) -> None:
    """Gilbert 2018: dementia in Alzheimer's disease 7.1, urinary infection 3.2, volume depletion 2.3; heart failure has no weight."""

    def of_stay(code: str, day: str = "2022-05-05", stay: int = 1) -> dict[str, Any]:
        return icd(code, condition_start_date=day, visit_occurrence_id=stay)

    rows = (of_stay("F00.1"), of_stay("F00.9"), of_stay("N390"), of_stay("I50.9"), of_stay("E86.0", "2020-12-31"), of_stay("G81.9", stay=2),
            of_stay("R54", "2023-01-01"), icd("R26.2"))  # fmt: skip
    assert known(spark, *rows).hospital_frailty == 10.3
    assert known(spark, *rows[1:5], index_date="2022-06-01").hospital_frailty == 12.6
    assert known(spark, of_stay("I50.9")).hospital_frailty == 0.0
    assert known(spark, icd("F00.1")).hospital_frailty is None


def test_frailty_has_109_codes_as_its_paper_says() -> None:
    assert len(WEIGHTS) == 109
    assert (WEIGHTS["F00"], WEIGHTS["S06"], WEIGHTS["R50"]) == ("7.1", "2.4", "0.1")


def test_there_are_seventeen_groups_and_a_weighting_names_only_groups() -> None:
    assert len(CHARLSON.groups) == 17
    assert CHARLSON.weights("quan_2011") == {
        "heart_failure": 2, "dementia": 2, "chronic_pulmonary": 1, "rheumatic": 1, "liver_mild": 2, "diabetes_complicated": 1,
        "plegia": 2, "renal": 1, "cancer": 2, "liver_severe": 4, "metastatic": 6, "aids": 4,
    }  # Quan 2011, table 2  # fmt: skip
