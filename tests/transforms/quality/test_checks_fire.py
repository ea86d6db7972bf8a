"""Every check type of OHDSI's dashboard fires on a planted violation, with exact numbers, and is silent on clean rows."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from carelake.core.config import Exemption
from carelake.quality.dashboard import IMPLEMENTED, judge, measure
from carelake.quality.published import check_types
from carelake.quality.violators import examples
from tests.helpers.small_cdm import CONDITION, DRUG, MEASUREMENT, PERSON, asked, copy, frames

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from carelake.quality.dashboard import Result

TODAY = date(2021, 1, 1)
OPEN_VISIT = tuple(
    Exemption(check, "VISIT_OCCURRENCE", "VISIT_TYPE_CONCEPT_ID", 32220, "an open visit")
    for check in ("fkDomain", "isStandardValidConcept")
)

# What fails in the spoilt CDM, and all that does: rows that violate, rows that the check is about, ids of those that violate.
PLANTED: dict[str, tuple[int, int, tuple[int, ...]]] = {
    # the table note is gone; person lacks a column; a quantity of 1.5 in text
    "table_cdmtable_note": (1, 1, ()),
    "field_cdmfield_person_person_source_value": (1, 1, ()),
    "field_cdmdatatype_device_exposure_quantity": (1, 1, (1,)),
    # measurement 101 has no type
    "field_isrequired_measurement_measurement_type_concept_id": (1, 5, (101,)),
    "field_measurevaluecompleteness_measurement_measurement_type_concept_id": (1, 5, (101,)),
    # two drugs 102
    "field_isprimarykey_drug_exposure_drug_exposure_id": (2, 8, (102,)),
    # condition 103 names a provider and a concept that are not there
    "field_isforeignkey_condition_occurrence_provider_id": (1, 12, (103,)),
    "field_isforeignkey_condition_occurrence_condition_source_concept_id": (1, 12, (103,)),
    # condition 104 is a procedure, era 105 a clinical drug, condition 106 a concept that is not standard
    "field_fkdomain_condition_occurrence_condition_concept_id": (1, 12, (104,)),
    "field_fkclass_drug_era_drug_concept_id": (1, 2, (105,)),
    "field_isstandardvalidconcept_condition_occurrence_condition_concept_id": (1, 12, (106,)),
    # measurement 107 has a unit without a concept; one of five has neither
    "field_standardconceptrecordcompleteness_measurement_unit_concept_id": (1, 4, (107,)),
    # conditions 108 and 114 have a source concept of 0; one alone would be within the threshold of 10 %
    "field_sourceconceptrecordcompleteness_condition_occurrence_condition_source_concept_id": (2, 12, (108, 114)),
    # drug 109 has a source value that is not mapped: one value of two, one row of eight
    "field_sourcevaluecompleteness_drug_exposure_drug_source_value": (1, 2, (109,)),
    "field_standardconceptrecordcompleteness_drug_exposure_drug_concept_id": (1, 8, (109,)),
    # drugs 111 and 112 are for 0 and for 400 days
    "field_plausiblevaluelow_drug_exposure_days_supply": (1, 8, (111,)),
    "field_plausiblevaluehigh_drug_exposure_days_supply": (1, 8, (112,)),
    # procedure 113 is before birth
    "field_plausibleafterbirth_procedure_occurrence_procedure_date": (1, 2, (113,)),
    "field_plausibletemporalafter_procedure_occurrence_procedure_date": (1, 2, (113,)),
    # condition 114 ends before it starts
    "field_plausibletemporalafter_condition_occurrence_condition_end_date": (1, 12, (114,)),
    "field_plausiblestartbeforeend_condition_occurrence_condition_start_date": (1, 12, (114,)),
    # condition 115 is 92 days after death, and the only one of that person
    "field_plausiblebeforedeath_condition_occurrence_condition_start_date": (1, 1, (115,)),
    "field_plausiblebeforedeath_condition_occurrence_condition_end_date": (1, 1, (115,)),
    "field_plausibleduringlife_condition_occurrence_condition_start_date": (1, 1, (115,)),
    "field_plausibleduringlife_condition_occurrence_condition_end_date": (1, 1, (115,)),
    # ... who has no era: one of three with a condition
    "table_measureconditioneracompleteness_condition_era": (1, 3, (3,)),
    # drug 116 is 44 days after its visit
    "field_withinvisitdates_drug_exposure_drug_exposure_start_date": (1, 8, (116,)),
    # person 4 has no observation period; a period of person 2 begins on the day after another
    "table_measurepersoncompleteness_observation_period": (1, 4, (4,)),
    "table_measureobservationperiodoverlap_observation_period": (1, 3, (2,)),
    # conditions 118 and 119 are a man's, itself and by descent, and a woman has them: one of two each
    "concept_plausiblegender_condition_occurrence_condition_concept_id_26662": (1, 2, (118,)),
    "concept_plausiblegenderusedescendants_condition_occurrence_condition_concept_id_4090861,4025213": (1, 2, (119,)),
    # measurement 120 of haemoglobin is in mg/dL: one of five, the two without a unit concept among them
    "concept_plausibleunitconceptids_measurement_measurement_concept_id_3000963": (1, 5, (120,)),
}  # fmt: skip


def spoilt(spark: SparkSession) -> dict[str, DataFrame]:
    """The small CDM with every violation of PLANTED and no other."""
    rows = copy()
    del rows["note"]
    rows["measurement"] += [
        MEASUREMENT | {"measurement_id": 101, "measurement_type_concept_id": None},
        MEASUREMENT | {"measurement_id": 107, "unit_concept_id": None},
        MEASUREMENT | {"measurement_id": 120, "unit_concept_id": 8840},
    ]
    rows["drug_exposure"] += [
        DRUG | {"drug_exposure_id": 102}, DRUG | {"drug_exposure_id": 102},
        DRUG | {"drug_exposure_id": 109, "drug_concept_id": 0, "drug_source_value": "new"},
        DRUG | {"drug_exposure_id": 111, "days_supply": 0},
        DRUG | {"drug_exposure_id": 112, "days_supply": 400},
        DRUG | {"drug_exposure_id": 116, "drug_exposure_start_date": "2019-04-15", "drug_exposure_end_date": "2019-04-20"},
    ]  # fmt: skip
    late = {
        "condition_start_date": "2020-09-01",
        "condition_end_date": "2020-09-01",
        "visit_occurrence_id": None,
    }
    rows["condition_occurrence"] += [
        CONDITION | {"condition_occurrence_id": 103, "provider_id": 99, "condition_source_concept_id": 777},
        CONDITION | {"condition_occurrence_id": 104, "condition_concept_id": 4010253},
        CONDITION | {"condition_occurrence_id": 106, "condition_concept_id": 999001},
        CONDITION | {"condition_occurrence_id": 108, "condition_source_concept_id": 0},
        CONDITION | {"condition_occurrence_id": 114, "condition_end_date": "2019-02-27", "condition_source_concept_id": 0},
        CONDITION | {"condition_occurrence_id": 115, "person_id": 3, **late},
        CONDITION | {"condition_occurrence_id": 118, "person_id": 2, "visit_occurrence_id": 2, "condition_concept_id": 26662},
        CONDITION | {"condition_occurrence_id": 119, "person_id": 2, "visit_occurrence_id": 2, "condition_concept_id": 4000001},
    ]  # fmt: skip
    rows["drug_era"].append(rows["drug_era"][0] | {"drug_era_id": 105, "drug_concept_id": 40163924})
    before_birth = {"procedure_occurrence_id": 113, "person_id": 2, "procedure_date": "1959-06-01"}
    rows["procedure_occurrence"].append(rows["procedure_occurrence"][0] | before_birth)
    rows["person"].append(PERSON | {"person_id": 4})
    adjacent = {"observation_period_start_date": "2020-01-01", "observation_period_end_date": "2020-02-01"}
    rows["observation_period"].append(
        rows["observation_period"][2] | {"observation_period_id": 117, **adjacent}
    )
    tables = frames(spark, rows)
    tables["person"] = tables["person"].drop("person_source_value")
    tables["device_exposure"] = tables["device_exposure"].selectExpr(
        "* EXCEPT (quantity)", "'1.5' AS quantity"
    )
    return tables


def judged(tables: dict[str, DataFrame]) -> dict[str, Result]:
    rules = asked()
    found = measure(tables, rules, TODAY, OPEN_VISIT)
    return {r.rule.id: r for r in judge({name: f.columns for name, f in tables.items()}, rules, found)}


@pytest.fixture(scope="module")
def clean(spark: SparkSession) -> dict[str, Result]:
    return judged(frames(spark, copy()))


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> dict[str, DataFrame]:
    return spoilt(spark)


@pytest.fixture(scope="module")
def found(tables: dict[str, DataFrame]) -> dict[str, Result]:
    return judged(tables)


def test_every_published_check_type_is_implemented():
    assert set(check_types()) == IMPLEMENTED
    assert len(IMPLEMENTED) == 27


def test_clean_rows_fail_no_check(clean: dict[str, Result]):
    assert {i for i, r in clean.items() if r.status == "fail"} == set()


@pytest.mark.parametrize("check", sorted(IMPLEMENTED))
def test_a_check_type_passes_on_clean_rows_and_fails_where_a_violation_was_planted(
    check: str, clean: dict[str, Result], found: dict[str, Result]
):
    planted = [i for i in PLANTED if found[i].rule.name == check]
    assert planted, f"no violation of {check} is planted"
    assert {clean[i].status for i in planted} == {"pass"}
    for i in planted:
        assert (found[i].violating, found[i].about, found[i].status) == (*PLANTED[i][:2], "fail")


def test_nothing_else_fails(found: dict[str, Result]):
    assert {i for i, r in found.items() if r.status == "fail"} == set(PLANTED)


def test_the_examples_are_the_planted_records(tables: dict[str, DataFrame], found: dict[str, Result]):
    failed = [found[i].rule for i in PLANTED]
    told = examples(tables, failed, TODAY, OPEN_VISIT)
    assert {i: told.get(i, ()) for i in PLANTED} == {i: ids for i, (_, _, ids) in PLANTED.items()}


def test_what_cannot_be_judged_is_not_applicable_and_says_why(
    clean: dict[str, Result], found: dict[str, Result]
):
    reasons = {
        "field_isrequired_note_note_id": "Table NOTE does not exist.",
        "field_measurevaluecompleteness_person_person_source_value": "Field PERSON.PERSON_SOURCE_VALUE does not exist.",
        "field_plausiblevaluelow_condition_occurrence_condition_start_datetime":
            "Field CONDITION_OCCURRENCE.CONDITION_START_DATETIME is not populated.",
        "concept_plausiblegender_condition_occurrence_condition_concept_id_26935":
            "CONDITION_CONCEPT_ID=26935 is missing from the CONDITION_OCCURRENCE table.",
    }  # fmt: skip
    assert {i: (found[i].status, found[i].reason) for i in reasons} == {
        i: ("not_applicable", reason) for i, reason in reasons.items()
    }
    assert clean["field_isrequired_note_note_id"].status == "pass"


def test_without_the_exemption_an_open_visit_is_of_a_wrong_type(spark: SparkSession):
    tables = frames(spark, copy())
    rules = [r for r in asked() if r.table == "visit_occurrence"]
    found = {
        r.rule.id: r
        for r in judge({n: f.columns for n, f in tables.items()}, rules, measure(tables, rules, TODAY))
    }
    ids = (
        "field_fkdomain_visit_occurrence_visit_type_concept_id",
        "field_isstandardvalidconcept_visit_occurrence_visit_type_concept_id",
    )
    assert [(found[i].violating, found[i].about, found[i].status) for i in ids] == [(1, 3, "fail")] * 2


def test_an_empty_cdm_fails_only_what_has_to_be_there(spark: SparkSession):
    found = judged(frames(spark, {name: [] for name in copy()}))
    assert {r.status for r in found.values()} == {"pass", "not_applicable"}
    assert {r.rule.name for r in found.values() if r.status == "pass"} == {
        "cdmTable",
        "cdmField",
        "measurePersonCompleteness",
    }


def test_a_check_that_needs_a_table_that_is_not_there_is_an_error_and_no_pass(spark: SparkSession):
    some = {name: rows for name, rows in copy().items() if name in ("condition_era", "concept")}
    tables = frames(spark, some)
    rules = [r for r in asked() if r.table == "condition_era"]
    found = judge({n: f.columns for n, f in tables.items()}, rules, measure(tables, rules, TODAY))
    assert {(r.rule.name, r.rule.field) for r in found if r.status == "error"} == {
        ("measurePersonCompleteness", None), ("isForeignKey", "person_id"), ("plausibleAfterBirth", "condition_era_start_date"),
        ("plausibleAfterBirth", "condition_era_end_date"), ("plausibleBeforeDeath", "condition_era_start_date"),
        ("plausibleBeforeDeath", "condition_era_end_date"), ("plausibleDuringLife", "condition_era_start_date"),
        ("plausibleTemporalAfter", "condition_era_start_date"),
    }  # fmt: skip
