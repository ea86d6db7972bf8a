"""Synthea's CSV: from rows as the versions 3.0 to 3.3 write them to the contracts."""

from __future__ import annotations

import gzip
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from carelake.sources.synthea_csv import SOURCE
from tests.helpers.bronze import bronze, mapped

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import Row, SparkSession


def rows(spark: SparkSession, mapping: str, **files: str) -> list[Row]:
    texts = {f"{kind}.csv": text.encode() for kind, text in files.items()}
    return mapped(SOURCE, mapping, bronze(spark, SOURCE, texts)).collect()


def one(spark: SparkSession, mapping: str, **files: str) -> Row:
    (row,) = rows(spark, mapping, **files)
    return row


def codes(row: Row, column: str = "codings") -> list[tuple[Any, Any]]:
    return [(c["system"], c["code"]) for c in row[column]]


def problems(row: Row) -> list[str]:
    return [p for p in row["_problems"] if p]


def test_patient_has_the_systems_of_the_fhir_export(spark: SparkSession) -> None:
    text = (
        "Id,BIRTHDATE,DEATHDATE,SSN,DRIVERS,PASSPORT,FIRST,LAST,RACE,ETHNICITY,GENDER,ADDRESS,CITY,STATE,ZIP,LAT,LON\n"
        'p1,1950-02-03,2020-05-06,999-10-1000,,X1,Ann,Doe,white,nonhispanic,F,"1 Elm Street, Unit 2",Boston,Massachusetts,02101,42.1,-71.5\n'
    )
    row = one(spark, "patients", patients=text)
    assert {(i["system"], i["value"]) for i in row["identifiers"]} == {
        ("https://github.com/synthetichealth/synthea", "p1"), ("http://hl7.org/fhir/sid/us-ssn", "999-10-1000"),
        ("http://hl7.org/fhir/sid/passport-USA", "X1"),
    }  # fmt: skip
    assert (row["birth_date"], row["death_date"], row["sex"]) == (
        date(1950, 2, 3),
        date(2020, 5, 6),
        "female",
    )
    assert (row["race"], row["ethnicity"], row["state"], row["zip"]) == (
        "2106-3",
        "not_hispanic",
        "MA",
        "02101",
    )
    assert row["address_line"] == "1 Elm Street, Unit 2"


def test_a_version_without_passport_column_and_an_impossible_birth_date(spark: SparkSession) -> None:
    row = one(spark, "patients", patients="Id,BIRTHDATE,RACE,GENDER,STATE\np1,1950-02-30,other,X,Ontario\n")
    assert (row["identifiers"][0]["value"], len(row["identifiers"]), row["race"], row["sex"]) == (
        "p1",
        1,
        None,
        "unknown",
    )
    assert row["state"] == "Ontario"
    assert problems(row) == ["R_DATE:birthdate"]


@pytest.mark.omop_rule(1)
def test_each_of_the_ten_classes_is_a_visit(spark: SparkSession) -> None:
    """CDM v5.4 VISIT_OCCURRENCE: all ten classes of Synthea (OHDSI's ETL-Synthea loses those that it does not know)."""
    expected = {
        "wellness": "outpatient", "ambulatory": "outpatient", "outpatient": "outpatient", "urgentcare": "urgent_care",
        "emergency": "emergency", "inpatient": "inpatient", "snf": "skilled_nursing", "hospice": "hospice", "home": "home",
        "virtual": "telehealth",
    }  # fmt: skip
    text = "Id,START,STOP,PATIENT,ENCOUNTERCLASS,CODE,DESCRIPTION,REASONCODE\n" + "".join(
        f"{c},2020-01-02T03:04:05Z,2020-01-02T04:04:05Z,p,{c},185345009,Encounter,\n" for c in expected
    )
    found = rows(spark, "encounters", encounters=text)
    assert {r["source_encounter_id"]: r["visit_class"] for r in found} == expected
    assert {r["start_datetime"] for r in found} == {datetime(2020, 1, 2, 3, 4, 5)}
    assert all(r["reasons"] == [] and r["has_time"] for r in found)


def test_an_elective_admission_says_so(spark: SparkSession) -> None:
    text = (
        "Id,START,STOP,PATIENT,ENCOUNTERCLASS,CODE,DESCRIPTION\na,2020-01-02,2020-01-03,p,inpatient,1,Elective admission\n"
        "b,2020-01-02,2020-01-03,p,inpatient,2,Emergency hospital admission\nc,2020-01-02,2020-01-03,p,inpatient,3,Admission\n"
    )
    found = {r["source_encounter_id"]: r["planned"] for r in rows(spark, "encounters", encounters=text)}
    assert found == {"a": True, "b": False, "c": None}


def test_a_condition_without_a_system_column_is_snomed(spark: SparkSession) -> None:
    older = one(
        spark,
        "conditions",
        conditions="START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION\n2020-01-01,,p,e,38341003,Hypertension\n",
    )
    assert codes(older) == [("http://snomed.info/sct", "38341003")]
    assert (older["clinical_status"], older["end_datetime"], older["has_time"]) == ("active", None, False)
    newer = one(
        spark, "conditions",
        conditions="START,STOP,PATIENT,ENCOUNTER,SYSTEM,CODE,DESCRIPTION\n2020-01-01,2020-02-01,p,e,SNOMED-CT,38341003,Hypertension\n",
    )  # fmt: skip
    assert codes(newer) == [("SNOMED-CT", "38341003")]
    assert newer["clinical_status"] == "resolved"


def test_a_medication_is_an_order_with_the_end_that_was_sent(spark: SparkSession) -> None:
    text = "START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,DISPENSES\n2020-01-01T10:00:00Z,2020-03-01T10:00:00Z,p,e,310798,HCTZ,3\n"
    row = one(spark, "medications", medications=text)
    assert codes(row) == [("http://www.nlm.nih.gov/research/umls/rxnorm", "310798")]
    assert (row["fact"], row["end_datetime"], row["type_concept_id"]) == (
        "order",
        datetime(2020, 3, 1, 10),
        32838,
    )


def test_observations_are_numbers_or_words(spark: SparkSession) -> None:
    text = (
        "DATE,PATIENT,ENCOUNTER,CATEGORY,CODE,DESCRIPTION,VALUE,UNITS,TYPE\n"
        "2020-01-01T10:00:00Z,p,e,vital-signs,8302-2,Body Height,187.0,cm,numeric\n"
        "2020-01-01T10:00:00Z,p,e,survey,93025-5,PRAPARE,Yes,{nominal},text\n"
        "2020-01-01T10:00:00Z,p,,,QALY,QALY,12.5,a,numeric\n"
        "2020-01-01T10:00:00Z,p,e,laboratory,2339-0,Glucose,high,mg/dL,numeric\n"
        "2020-01-01T10:00:00Z,p,e,survey,63586-2,Income,24198,/a,text\n"
    )
    height, survey, score, broken, income = rows(spark, "observations", observations=text)
    assert (height["domain_hint"], height["value_number"], height["unit_code"]) == (
        "Measurement",
        187.0,
        "cm",
    )
    assert (height["value_sent"], income["value_sent"], survey["value_sent"]) == ("187.0", "24198", None)
    assert codes(height) == [("http://loinc.org", "8302-2")]
    assert (survey["domain_hint"], survey["value_text"], survey["unit_code"]) == ("Observation", "Yes", None)
    assert codes(score) == [("https://github.com/synthetichealth/synthea", "QALY")]
    assert score["source_encounter_id"] is None
    assert problems(broken) == ["R_TYPE:value"]
    assert (income["value_number"], income["unit_code"], income["value_text"]) == (24198.0, "/a", None)
    assert income["domain_hint"] == "Observation"


def test_an_allergy_of_an_unknown_system_is_snomed_and_a_drug_allergy_rxnorm(spark: SparkSession) -> None:
    text = (
        "START,STOP,PATIENT,ENCOUNTER,CODE,SYSTEM,DESCRIPTION\n2020-01-01,,p,e,419199007,Unknown,Allergy\n"
        "2020-01-01,,p,e,7980,RxNorm,Penicillin\n"
    )
    found = rows(spark, "allergies", allergies=text)
    assert [codes(r) for r in found] == [[("http://snomed.info/sct", "419199007")], [("RxNorm", "7980")]]


def test_insurance_ends_the_day_before_the_next_begins(spark: SparkSession) -> None:
    payers = "Id,NAME,OWNERSHIP\nm,Medicare,GOVERNMENT\nh,Humana,PRIVATE\nn,NO_INSURANCE,NO_INSURANCE\n"
    spans = (
        "PATIENT,MEMBERID,START_DATE,END_DATE,PAYER,PLAN_OWNERSHIP\np,1,2019-03-01T08:00:00Z,2020-03-01T08:00:00Z,h,Self\n"
        "p,1,2020-03-01T08:00:00Z,2021-03-01T08:00:00Z,m,Self\np,1,2021-03-01T08:00:00Z,2022-03-01T08:00:00Z,n,\n"
    )
    found = rows(spark, "coverage", payers=payers, payer_transitions=spans)
    assert all("plan" not in r.asDict() for r in found), "whose policy it is, is no plan"
    assert sorted((r["payer"], r["payer_type"], r["start_date"], r["end_date"]) for r in found) == [
        ("Humana", "commercial", date(2019, 3, 1), date(2020, 2, 29)),
        ("Medicare", "medicare", date(2020, 3, 1), date(2021, 2, 28)),
        ("NO_INSURANCE", "self_pay", date(2021, 3, 1), date(2022, 2, 28)),
    ]


def test_insurance_of_3_0_is_in_whole_years(spark: SparkSession) -> None:
    spans = "PATIENT,MEMBERID,START_YEAR,END_YEAR,PAYER,SECONDARY_PAYER,OWNERSHIP,OWNERNAME\np,1,2014,2015,m,,Self,\n"
    row = one(spark, "coverage", payers="Id,NAME\nm,Medicare\n", payer_transitions=spans)
    assert (row["start_date"], row["end_date"]) == (date(2014, 1, 1), date(2015, 12, 31))


def test_a_device_keeps_its_udi_and_a_supply_its_quantity(spark: SparkSession) -> None:
    device = one(
        spark, "devices",
        devices="START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,UDI\n2020-01-01T00:00:00Z,,p,e,170615005,Nebulizer,(01)1\n",
    )  # fmt: skip
    assert (device["unique_device_id"], device["fact"]) == ("(01)1", "device")
    supply = one(
        spark,
        "supplies",
        supplies="DATE,PATIENT,ENCOUNTER,CODE,DESCRIPTION,QUANTITY\n2020-01-01,p,e,1,Gauze,3\n",
    )
    assert (supply["quantity"], supply["domain_hint"]) == (3.0, "Device")


def test_organisations_and_providers(spark: SparkSession) -> None:
    place = one(
        spark, "organizations", organizations="Id,NAME,ADDRESS,CITY,STATE,ZIP,LAT,LON\no,Clinic,1 Main,Fitchburg,MA,01420,42.5,-71.8\n"
    )  # fmt: skip
    assert (place["name"], place["zip"], place["facility_kind"]) == ("Clinic", "01420", "organization")
    who = one(
        spark,
        "providers",
        providers="Id,ORGANIZATION,NAME,GENDER,SPECIALITY\nd,o,Ada Roe,F,GENERAL PRACTICE\n",
    )
    assert (who["sex"], who["sex_source_value"], who["source_facility_id"], codes(who, "specialty")) == (
        "female",
        "F",
        "o",
        [(None, "GENERAL PRACTICE")],
    )


def test_a_care_plan_is_an_episode_for_a_coded_reason(spark: SparkSession) -> None:
    text = (
        "Id,START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,REASONCODE,REASONDESCRIPTION\n"
        "c1,2011-05-23,,p1,e1,443402002,Lifestyle education,59621000,Essential hypertension\n"
        "c2,2017-06-04,2017-06-23,p1,e2,53950000,Respiratory therapy,,\n"
    )
    active, done = rows(spark, "careplans", careplans=text)
    assert (active["domain_hint"], active["fact"], active["clinical_status"]) == (
        "Episode",
        "care_plan",
        "active",
    )
    assert codes(active, "reasons") == [("http://snomed.info/sct", "59621000")]
    assert (done["reasons"], done["end_datetime"], done["clinical_status"]) == (
        [],
        datetime(2017, 6, 23),
        "completed",
    )


def test_drugs_and_procedures_keep_the_reason(spark: SparkSession) -> None:
    drugs = "START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,REASONCODE\n2014-06-09T12:06:29Z,,p1,e1,310798,HCTZ,59621000\n"
    assert codes(one(spark, "medications", medications=drugs), "reasons") == [
        ("http://snomed.info/sct", "59621000")
    ]
    done = "START,PATIENT,ENCOUNTER,CODE,DESCRIPTION\n2014-06-09T12:06:29Z,p1,e1,171207006,Depression screening\n"
    assert one(spark, "procedures", procedures=done)["reasons"] == []


CLAIMS = (
    "Id,PATIENTID,PROVIDERID,PRIMARYPATIENTINSURANCEID,SECONDARYPATIENTINSURANCEID,APPOINTMENTID,SERVICEDATE,"
    "LASTBILLEDDATE1,LASTBILLEDDATE2,HEALTHCARECLAIMTYPEID1\n"
    "c1,p1,d1,i1,i2,e1,1974-11-22T05:06:29Z,1974-11-24T01:56:34Z,1974-11-25T00:00:00Z,2\n"
    "c2,p1,d1,i1,,e2,2014-06-23T12:00:00Z,2014-06-23T12:15:00Z,,1\n"
    "c3,p1,d1,,,e2,2015-06-23T12:00:00Z,,,1\n"
    "c4,p1,d1,i1,,e1,2016-06-23T12:00:00Z,,,2\n"
)
TRANSACTIONS = (
    "ID,CLAIMID,CHARGEID,PATIENTID,TYPE,AMOUNT,FROMDATE,TODATE,PROCEDURECODE,UNITS,NOTES,TRANSFERTYPE,PAYMENTS,PROVIDERID\n"
    # in another order than they happened: CHARGEID tells it, as a number
    "t8,c1,18,p1,PAYMENT,,1974-11-22T05:06:29Z,1974-11-24T01:56:34Z,185347001,1,,,86.82,d1\n"
    "t1,c1,9,p1,CHARGE,87.71,1974-11-22T05:06:29Z,1974-11-24T01:56:34Z,185347001,1,Encounter for problem,1,0.00,d1\n"
    "t2,c1,12,p1,PAYMENT,,1974-11-22T05:06:29Z,1974-11-24T01:56:34Z,185347001,1,,,0.71,d1\n"
    "t3,c1,13,p1,TRANSFEROUT,,1974-11-22T05:06:29Z,1974-11-24T01:56:34Z,185347001,1,,,0.00,d1\n"
    "t4,c1,14,p1,TRANSFERIN,87.00,1974-11-22T05:06:29Z,1974-11-24T01:56:34Z,185347001,1,,2,0.00,d1\n"
    "t5,c1,15,p1,PAYMENT,,1974-11-22T05:06:29Z,1974-11-24T01:56:34Z,185347001,1,,,0.18,d1\n"
    "t6,c1,16,p1,TRANSFERIN,86.82,1974-11-22T05:06:29Z,1974-11-24T01:56:34Z,185347001,1,,p,0.00,d1\n"
    "t9,c2,19,p1,CHARGE,10.00,2014-06-23T12:00:00Z,2014-06-23T12:15:00Z,314076,1,lisinopril,p,0.00,d1\n"
    "t10,c2,20,p1,PAYMENT,,2014-06-23T12:00:00Z,2014-06-23T12:15:00Z,314076,1,,,9.00,d1\n"
    "t11,c4,21,p1,CHARGE,1.00,2016-06-23T12:00:00Z,2016-06-23T12:15:00Z,314076,1,,1,0.00,d1\n"
    "t12,c4,22,p1,PAYMENT,,2016-06-23T12:00:00Z,2016-06-23T12:15:00Z,314076,1,,,2.00,d1\n"
)
AROUND = {
    "payers": "Id,NAME\ni1,Aetna\ni2,Blue Cross\n",
    "encounters": "Id,START,PATIENT,ENCOUNTERCLASS\ne1,1974-11-22T05:06:29Z,p1,inpatient\ne2,2014-06-23T12:00:00Z,p1,wellness\n",
}


@pytest.mark.omop_rule(14, 21)
def test_rule_14_each_payer_that_answers_a_claim_is_a_row_and_nothing_is_told_twice(
    spark: SparkSession,
) -> None:
    """CDM v5.4 COST: one row per payer response; charge once, the patient's part once, both as the transactions say."""
    found = rows(spark, "claims", claims=CLAIMS, claims_transactions=TRANSACTIONS, **AROUND)
    said = {
        r["source_claim_id"]: tuple(
            None if r[c] is None else float(r[c]) for c in ("charge", "paid_by_payer", "paid_by_patient")
        )
        for r in found
        if r["_excluded"] is None
    }
    assert said == {
        "c1": (87.71, 0.71, None),
        "c1|2": (None, 0.18, 86.82),
        "c2": (10.0, 0.0, 9.0),  # a dollar is still owed
        "c4": (1.0, 2.0, 0.0),
    }
    by_id = {r["source_claim_id"]: r for r in found}
    assert [(by_id[k]["payer"], by_id[k]["claim_type"], by_id[k]["type_concept_id"]) for k in ("c1", "c1|2", "c2")] == [
        ("Aetna", "inpatient", 32855), ("Blue Cross", "inpatient", 32855), ("Aetna", "professional", 32873),
    ]  # fmt: skip
    assert (by_id["c1"]["start_date"], by_id["c1"]["end_date"], by_id["c1|2"]["paid_date"]) == (
        date(1974, 11, 22),
        date(1974, 11, 24),
        date(1974, 11, 25),
    )
    assert by_id["c3"]["_excluded"] == "no_transactions"
    assert problems(by_id["c4"]) == ["R_BALANCE:paid_more_than_charged"]


def test_lines_are_what_was_charged(spark: SparkSession) -> None:
    lines = {r["line_no"]: r for r in rows(spark, "claim_lines", claims_transactions=TRANSACTIONS)}
    assert sorted(n for n, r in lines.items() if r["_excluded"] is None) == [9, 19, 21]
    assert lines[12]["_excluded"] == "summed_into_claim"
    assert (lines[9]["source_claim_id"], float(lines[9]["charge"]), codes(lines[9])) == (
        "c1",
        87.71,
        [(None, "185347001")],
    )


def test_money_of_the_population_ties_out_to_the_cent(spark: SparkSession, data: Path) -> None:
    """Sums of the raw file, made with Python's csv module alone: charged 2,920,986.40, of which the first payers paid
    1,793,654.37, the second 154,002.68 and the patients 973,329.35."""
    folder = data / "synthea_ma20" / "csv"
    files = {
        f"{kind}.csv": gzip.decompress((folder / f"{kind}.csv.gz").read_bytes())
        for kind in ("claims", "claims_transactions", "payers", "encounters")
    }
    out = mapped(SOURCE, "claims", bronze(spark, SOURCE, files))
    sums = out.groupBy("_part").agg(
        *[F.sum(c).alias(c) for c in ("charge", "paid_by_payer", "paid_by_patient")], F.count("*").alias("n"),
        F.count_if(F.size(F.array_compact("_problems")) > 0).alias("bad"),
    )  # fmt: skip
    found = {r["_part"]: tuple(str(v) for v in r[1:]) for r in sums.collect()}
    assert found[0][:2] == ("2920986.40", "1793654.37")
    assert found[1][:2] == ("None", "154002.68")
    assert sum(Decimal(f[2]) for f in found.values()) == Decimal("973329.35")
    assert (found[0][3], found[0][4], found[1][4]) == ("2544", "0", "0")
