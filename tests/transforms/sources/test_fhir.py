"""FHIR resources → contracts, from hand-written lines."""

from __future__ import annotations

import base64
import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from carelake.core.table import Field, Table
from carelake.sources import fhir_shapes
from carelake.sources.fhir import SOURCE
from tests.helpers.bronze import bronze, mapped

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SNOMED, LOINC, RXNORM = (
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
)
SHAPE = "struct<reference:string,type:string,identifier:struct<system:string,value:string>,display:string>"
P1, E1 = {"reference": "Patient/p1"}, {"reference": "Encounter/e1"}


def concept(code: str, system: str = SNOMED, text: str | None = None) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]} | ({"text": text} if text else {})


def conformed(made: DataFrame, name: str) -> DataFrame:
    """The mapping's rows in the contract's shape, with the lineage and the reasons as the engine adds them."""
    (table,) = [m.into for m in SOURCE.mappings if m.name == name]
    lineage = [f"_at.{c} AS _{c}" for c in ("source", "kind", "record", "file", "byte_offset", "record_no")]
    part = [] if "_part" in made.columns else ["0 AS _part"]
    extra = (Field("_problems", "array<string>", "Problems"), Field("_excluded", "string", "Rule"))
    whole = Table(table.name, table.doc, (*table.fields, *extra), table.key)
    reasons = f"array_distinct(concat(_problems, {table.reasons()})) AS _reasons"
    return whole.conform(made.selectExpr("*", *lineage, *part)).selectExpr("*", reasons)


def rows(spark: SparkSession, name: str, *resources: dict[str, Any], **sender: Any) -> list[dict[str, Any]]:
    """What a mapping makes of the resources, in their order."""
    text = b"\n".join(json.dumps({"id": f"r{n}"} | r).encode() for n, r in enumerate(resources, start=1))
    made = mapped(SOURCE, name, bronze(spark, SOURCE, {"all.ndjson": text}, **sender))
    return [r.asDict(recursive=True) for r in conformed(made, name).orderBy("_record", "_part").collect()]


def test_a_patient_in_full(spark: SparkSession) -> None:
    core = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"

    def omb(which: str, *codes: str) -> dict[str, Any]:
        categories = [{"url": "ombCategory", "valueCoding": {"code": c, "display": c}} for c in codes]
        return {"url": core + which, "extension": [*categories, {"url": "text", "valueString": "in words"}]}

    full = {
        "resourceType": "Patient",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999"}, {"value": "7"}, {"system": "s"}],
        "name": [{"use": "maiden", "family": "Old"}, {"use": "official", "family": "Núñez", "given": ["Ana", "B"]}],
        "gender": "male", "birthDate": "1969-10-14", "deceasedDateTime": "2020-02-03T04:05:06-05:00",
        "extension": [
            omb("race", "2106-3"), omb("ethnicity", "2186-5"), {"url": core + "birthsex", "valueCode": "F"},
        ],
        "address": [{
            "line": ["1 A St", "Apt 2"], "city": "Lynn", "district": "Essex", "state": "MA", "postalCode": "01901",
            "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/geolocation", "extension": [
                {"url": "latitude", "valueDecimal": 42.5}, {"url": "longitude", "valueDecimal": -71.1}]}],
        }],
        "communication": [{"language": concept("en-US", "urn:ietf:bcp:47")}],
        "generalPractitioner": [{"reference": "Organization/o"}, {"reference": "Practitioner/d"}],
    }  # fmt: skip
    many = {"resourceType": "Patient", "extension": [omb("race", "2106-3", "2054-5")], "gender": "other"}
    (p, q) = rows(spark, "patient", full, many)
    assert p["_reasons"] == [] and p["_excluded"] is None
    wanted = {
        "source_person_id": "r1", "is_latest": True, "family_name": "Núñez", "given_name": "Ana",
        "birth_date": date(1969, 10, 14), "sex": "female", "sex_source_value": "F", "race": "2106-3",
        "race_source_value": "in words", "ethnicity": "not_hispanic", "death_date": date(2020, 2, 3),
        "death_type_concept_id": 32817, "address_line": "1 A St, Apt 2", "zip": "01901", "county": "Essex",
        "latitude": 42.5, "longitude": -71.1, "language": "en-US", "source_provider_id": "d",
    }  # fmt: skip
    assert {k: p[k] for k in wanted} == wanted
    assert p["death_datetime"].isoformat() == "2020-02-03T04:05:06"
    assert p["identifiers"] == [
        {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999"}, {"system": None, "value": "7"},
    ]  # fmt: skip
    assert (q["race"], q["race_source_value"], q["sex"]) == (None, "in words", "other")


def test_partial_and_impossible_dates_of_a_patient(spark: SparkSession) -> None:
    born = ["1961", "1961-07", "1985-02-30", "02/14/1960", "2091-01-01"]
    found = rows(
        spark,
        "patient",
        *[{"resourceType": "Patient", "birthDate": b} for b in born],
        extract=date(2024, 9, 1),
    )
    assert [(r["year_of_birth"], r["month_of_birth"], r["day_of_birth"]) for r in found[:2]] == [
        (1961, None, None), (1961, 7, None),
    ]  # fmt: skip
    assert [r["_reasons"] for r in found] == [
        [], [], ["R_DATE:birth_date"], ["R_DATE:birth_date"], ["R_TEMPORAL:birth_after_extract"],
    ]  # fmt: skip
    died = ["2020", "2020-02"]
    found = rows(spark, "patient", *[{"resourceType": "Patient", "deceasedDateTime": d} for d in died],
                 {"resourceType": "Patient", "deceasedBoolean": True})  # fmt: skip
    assert [r["death_date"] for r in found] == [date(2020, 12, 31), date(2020, 2, 29), None]


def test_every_form_of_reference_becomes_one_string(spark: SparkSession) -> None:
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"reference": "Practitioner/x-1"}, "x-1"),
        ({"reference": "Practitioner/x-1/_history/3"}, "x-1"),
        ({"reference": "https://fhir.example/r4/Practitioner/x-1"}, "x-1"),
        (
            {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
            "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
        ),
        (
            {"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|99"},
            "http://hl7.org/fhir/sid/us-npi|99",
        ),
        ({"reference": "Practitioner?identifier=http%3A%2F%2Fx%7C99&active=true"}, "http://x|99"),
        ({"identifier": {"system": "http://x", "value": "99"}}, "http://x|99"),
        ({"identifier": {"value": "99"}}, "99"),
        ({"reference": "#contained"}, None),
        ({"reference": "Organization/x-1"}, None),
        ({"type": "Organization", "identifier": {"value": "99"}}, None),
        ({"display": "Dr X"}, None),
    ]
    lines = [(n, json.dumps({"r": reference})) for n, (reference, _) in enumerate(cases)]
    parsed = spark.createDataFrame(lines, "n int, t string").selectExpr(
        "n", f"inline(array(from_json(t, 'r {SHAPE}')))"
    )
    found = parsed.selectExpr("n", fhir_shapes.clinician("r")).orderBy("n").collect()
    assert [r[1] for r in found] == [expected for _, expected in cases]


@pytest.mark.omop_rule(1)
def test_the_visit_class_is_read_from_type_and_class(spark: SparkSession) -> None:
    """CDM v5.4 VISIT_OCCURRENCE.visit_concept_id: class and type together; Synthea calls nursing homes IMP."""
    cases = [
        ("IMP", "32485007", "inpatient"), ("IMP", "449411000124106", "skilled_nursing"), ("HH", "305336008", "hospice"),
        ("HH", "439708006", "home"), ("AMB", "702927004", "urgent_care"), ("AMB", "448337001", "telehealth"),
        ("VR", "390906007", "telehealth"), ("EMER", "50849002", "emergency"), ("AMB", "32485007", "outpatient"),
        ("OBSENC", "1", "inpatient"), (None, "1", "unknown"),
    ]  # fmt: skip
    found = rows(spark, "encounter", *[
        {"resourceType": "Encounter", "status": "finished", "class": {"code": c}, "type": [concept(t)], "subject": P1,
         "period": {"start": "2024-01-05T10:00:00Z", "end": "2024-01-06"}} for c, t, _ in cases
    ])  # fmt: skip
    assert [r["visit_class"] for r in found] == [v for _, _, v in cases]
    assert found[0]["class_source_value"] == "IMP:32485007"


def test_an_encounter_in_full(spark: SparkSession) -> None:
    def person(role: str, who: str) -> dict[str, Any]:
        return {"type": [concept(role, "x")], "individual": {"reference": who}}

    first = {
        "resourceType": "Encounter", "status": "finished", "class": {"code": "IMP"}, "subject": P1,
        "type": [concept("183495009", text="Non-urgent orthopedic admission")], "reasonCode": [concept("44054006")],
        "participant": [person("ADM", "Practitioner/a"), person("PPRF", "Patient/p1"), person("ATND", "Practitioner/b")],
        "period": {"start": "2024-01-05T23:30:00-05:00", "end": "2024-01-07T08:00:00-05:00"},
        "serviceProvider": {"identifier": {"system": "s", "value": "1"}}, "partOf": {"reference": "Encounter/e0"},
        "hospitalization": {"admitSource": concept("hosp-trans", "y"), "dischargeDisposition": concept("01", "z")},
    }  # fmt: skip
    brief = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": P1,
             "location": [{"location": {"reference": "Location/l"}}], "period": {"start": "2024-01-05T10:00:00"}}  # fmt: skip
    emergency = brief | {"class": {"code": "EMER"}, "status": "in-progress"}
    wrong = brief | {"period": {"start": "2024-01-05T10:00:00Z", "end": "2024-01-04T11:00:00Z"}}
    gone = brief | {"status": "entered-in-error"}
    cancelled = brief | {"status": "cancelled"}
    of_group = brief | {"subject": {"reference": "Group/g"}}
    a, b, c, d, e, f, g = rows(spark, "encounter", first, brief, emergency, wrong, gone, cancelled, of_group)
    assert (
        a["start_datetime"].isoformat() == "2024-01-05T23:30:00"
        and a["start_at"].isoformat() == "2024-01-06T04:30:00"
    )
    wanted = {"planned": True, "source_provider_id": "b", "source_facility_id": "s|1", "part_of": "e0",
              "admitted_from": "hosp-trans", "discharged_to": "01", "has_time": True, "zone_assumed": False}  # fmt: skip
    assert {k: a[k] for k in wanted} == wanted and a["reasons"][0]["code"] == "44054006"
    assert b["zone_assumed"] and b["start_at"].isoformat() == "2024-01-05T15:00:00" and b["planned"] is None
    assert (b["end_datetime"], b["source_facility_id"]) == (b["start_datetime"], "l")
    assert (c["end_datetime"], c["planned"]) == (None, False)
    assert [r["_reasons"] for r in (a, b, c, d, e, g)] == [
        [], [], [], ["R_TEMPORAL:end_not_before_start"], ["R_RETRACTED:entered_in_error"],
        ["R_REF:source_person_id_missing"],
    ]  # fmt: skip
    assert f["_excluded"] == "not_done"


@pytest.mark.omop_rule(12)
def test_a_condition_is_dated_by_onset_then_recording_and_a_rule_out_is_none(spark: SparkSession) -> None:
    """CDM v5.4 CONDITION_OCCURRENCE: what is ruled out, refuted or entered in error is no condition."""
    base = {"resourceType": "Condition", "subject": P1, "encounter": E1, "code": concept("44054006")}

    def verified(code: str) -> dict[str, Any]:
        return base | {"recordedDate": "2019-05-02", "verificationStatus": concept(code, "v")}

    found = rows(
        spark, "condition",
        base | {"onsetDateTime": "2019-05-02", "abatementDateTime": "2019-06", "recordedDate": "2020-01-01",
                "clinicalStatus": concept("resolved", "c"), "category": [concept("problem-list-item", "k")]},
        base | {"onsetString": "as a child", "recordedDate": "2020-01-01T10:00:00Z", "asserter": {"reference": "Patient/p1"},
                "recorder": {"reference": "PractitionerRole/d"}},
        base, base | {"onsetDateTime": "2019-02-30"}, base | {"onsetDateTime": "2019", "modifierExtension": [{"url": "u"}]},
        verified("refuted"), verified("entered-in-error"), verified("differential"), verified("confirmed"),
        {"resourceType": "Condition", "subject": P1, "recordedDate": "2019", "code": {"text": "sugar"}},
    )  # fmt: skip
    a, b = found[:2]
    assert (
        a["start_datetime"].isoformat() == "2019-05-02T00:00:00"
        and a["end_datetime"].isoformat() == "2019-06-01T00:00:00"
    )
    assert (a["has_time"], a["start_at"], a["role"], a["clinical_status"]) == (
        False,
        None,
        "problem_list",
        "resolved",
    )
    assert (a["type_concept_id"], b["type_concept_id"], b["source_provider_id"]) == (32840, 32817, "d")
    assert (a["source_person_id"], a["source_encounter_id"], a["fact"], a["domain_hint"]) == (
        "p1",
        "e1",
        "diagnosis",
        "Condition",
    )
    assert b["has_time"] and a["codings"] == [
        {"system": SNOMED, "code": "44054006", "display": None, "user_selected": None}
    ]
    assert [r["_reasons"] for r in found] == [
        [], [], ["R_DATE:start_datetime_missing"], ["R_DATE:start", "R_DATE:start_datetime_missing"],
        ["R_MODIFIER:modifier_extension"], ["R_RETRACTED:refuted"], ["R_RETRACTED:entered_in_error"], [], [], [],
    ]  # fmt: skip
    assert [r["_excluded"] for r in found] == [None] * 7 + ["not_a_condition", None, None]
    assert found[-1]["code_text"] == "sugar"


OBSERVATION = {"resourceType": "Observation", "status": "final", "subject": P1, "encounter": E1,
               "code": concept("8867-4", LOINC), "effectiveDateTime": "2024-02-01T08:30:00+00:00"}  # fmt: skip


def test_each_type_of_value_finds_its_column(spark: SparkSession) -> None:
    x = OBSERVATION | {"code": concept("1-1", LOINC)}
    values = [
        {"valueQuantity": {"value": 7.2, "comparator": "<", "unit": "mmol", "system": "http://unitsofmeasure.org", "code": "mmol/L"}},
        {"valueQuantity": {"value": "72.0"}}, {"valueInteger": 3}, {"valueString": "clear"}, {"valueBoolean": True},
        {"valueCodeableConcept": concept("LA33-6", LOINC, "Yes")}, {"valueDateTime": "2024-01-02"},
        {"valuePeriod": {"start": "2024-01-01", "end": "2024-01-02"}},
        {"valueRange": {"low": {"value": 5}, "high": {"value": 10}}},
        {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}},
        {"dataAbsentReason": concept("not-performed", "d")},
    ]  # fmt: skip
    found = rows(spark, "observation", *[x | v for v in values])
    assert [r["value_number"] for r in found] == [7.2, 72.0, 3.0] + [None] * 8
    assert [r["value_sent"] for r in found] == ["7.2", "72.0", "3"] + [None] * 8
    assert [r["value_text"] for r in found] == [
        None, None, None, "clear", "true", "Yes", "2024-01-02", "2024-01-01/2024-01-02", "5 - 10", "1:128", "not-performed",
    ]  # fmt: skip
    a = found[0]
    assert (a["value_operator"], a["unit_code"], a["unit_text"]) == ("<", "mmol/L", "mmol")
    assert found[5]["value_codings"][0]["code"] == "LA33-6" and found[10]["value_codings"] is None
    assert all(r["_reasons"] == [] and r["_part"] == 0 for r in found)
    assert [r["domain_hint"] for r in (found[0], found[3])] == ["Measurement", "Observation"]


@pytest.mark.omop_rule(11)
def test_a_panel_gives_its_components_and_its_own_value_when_it_has_one(spark: SparkSession) -> None:
    """CDM v5.4 MEASUREMENT: a blood pressure is two rows, and any component likewise."""
    parts = [
        {"code": concept(c, LOINC), "valueQuantity": {"value": v}}
        for c, v in (("8480-6", 120), ("8462-4", 80))
    ]
    panel = OBSERVATION | {
        "code": concept("85354-9", LOINC),
        "component": parts,
        "category": [concept("vital-signs", "c")],
    }
    found = rows(spark, "observation", panel, panel | {"valueString": "normal"}, OBSERVATION)
    assert [(r["source_event_id"], r["_part"], r["codings"][0]["code"], r["value_number"]) for r in found] == [
        ("r1", 0, "8480-6", 120.0), ("r1", 1, "8462-4", 80.0),
        ("r2", 0, "85354-9", None), ("r2", 1, "8480-6", 120.0), ("r2", 2, "8462-4", 80.0),
        ("r3", 0, "8867-4", None),
    ]  # fmt: skip
    assert {r["start_datetime"].isoformat() for r in found} == {"2024-02-01T08:30:00"}
    assert found[0]["domain_hint"] == "Measurement"


@pytest.mark.omop_rule(11)
def test_a_reference_range_counts_in_the_unit_of_the_value(spark: SparkSession) -> None:
    """CDM v5.4 MEASUREMENT.range_low: in the unit of the value, else NULL."""

    def ranged(code: str) -> dict[str, Any]:
        limits = {"low": {"value": 3.5, "code": code}, "high": {"value": 5.1, "code": code}}
        treated = {"low": {"value": 1}, "type": concept("treatment", "t")}
        return OBSERVATION | {
            "valueQuantity": {"value": 4, "code": "mmol/L"},
            "referenceRange": [treated, limits],
        }

    a, b = rows(spark, "observation", ranged("mmol/L"), ranged("mg/dL"))
    assert [(r["range_low"], r["range_high"]) for r in (a, b)] == [(3.5, 5.1), (None, None)]


def test_a_bad_observation_says_why(spark: SparkSession) -> None:
    quantity = {"valueQuantity": {"value": 71, "code": "/min"}}
    bad = [
        OBSERVATION | {"valueQuantity": {"value": "high"}},
        OBSERVATION | quantity | {"valueString": "71"},
        {k: v for k, v in (OBSERVATION | quantity).items() if k != "code"},
        {k: v for k, v in (OBSERVATION | quantity).items() if k != "status"},
        {k: v for k, v in (OBSERVATION | quantity).items() if k != "subject"},
        OBSERVATION | {"valueQuantity": {"value": 9999}}, OBSERVATION | {"valueQuantity": {"value": -5}},
        OBSERVATION | quantity | {"status": "entered-in-error"}, OBSERVATION | quantity,
    ]  # fmt: skip
    assert [r["_reasons"] for r in rows(spark, "observation", *bad)] == [
        ["R_TYPE:value"], ["R_SCHEMA:two_values"], ["R_SCHEMA:code_missing"], ["R_SCHEMA:status_missing"],
        ["R_REF:source_person_id_missing"], ["R_RANGE:vital_sign"], ["R_RANGE:vital_sign"],
        ["R_RETRACTED:entered_in_error"], [],
    ]  # fmt: skip


def test_a_number_that_no_double_holds_is_a_wrong_type(spark: SparkSession) -> None:
    line = (
        json.dumps(OBSERVATION | {"id": "a", "valueQuantity": {"value": 77}}).replace("77", "1e400").encode()
    )
    made = mapped(SOURCE, "observation", bronze(spark, SOURCE, {"Observation.ndjson": line}))
    assert [r["_reasons"] for r in conformed(made, "observation").collect()] == [["R_TYPE:value"]]


def test_a_procedure_has_a_period_a_performer_and_is_left_out_when_not_done(spark: SparkSession) -> None:
    base = {"resourceType": "Procedure", "status": "completed", "subject": P1, "encounter": E1, "code": concept("80146002"),
            "performer": [{"actor": {"reference": "Organization/o"}}, {"actor": {"reference": "Practitioner/d"}}],
            "performedPeriod": {"start": "2024-01-05T10:00:00Z", "end": "2024-01-05T11:00:00Z"}}  # fmt: skip
    a, b = rows(spark, "procedure", base, base | {"status": "not-done"})
    assert (a["fact"], a["source_provider_id"], a["end_datetime"].isoformat()) == (
        "procedure",
        "d",
        "2024-01-05T11:00:00",
    )
    assert (a["_excluded"], b["_excluded"]) == (None, "not_done")


def test_orders_and_administrations_find_their_drug(spark: SparkSession) -> None:
    drug = {"resourceType": "Medication", "id": "m1", "code": concept("197361", RXNORM)}
    order = {
        "resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": P1, "encounter": E1,
        "authoredOn": "2024-01-05T10:00:00Z", "requester": {"reference": "Practitioner/d"},
        "medicationReference": {"reference": "Medication/m1"}, "statusReason": {"text": "no effect"},
        "dosageInstruction": [{
            "text": "two tablets every eight hours", "route": concept("26643006"),
            "doseAndRate": [{"doseQuantity": {"value": 2}}],
            "timing": {"repeat": {"frequency": 1, "period": 8, "periodUnit": "h"}},
        }],
        "dispenseRequest": {"numberOfRepeatsAllowed": 3, "quantity": {"value": 180, "unit": "tablet"},
                            "expectedSupplyDuration": {"value": 30, "code": "d"}},
    }  # fmt: skip
    contained = order | {"medicationReference": {"reference": "#m"}, "contained": [
        {"resourceType": "Practitioner", "id": "x"}, {"resourceType": "Medication", "id": "m", "code": concept("5", RXNORM)}]}  # fmt: skip
    named = order | {"medicationReference": {"reference": "Medication/none", "display": "aspirin"}}
    lost = order | {"medicationReference": {"reference": "Medication/none"}}
    given = {"resourceType": "MedicationAdministration", "status": "completed", "subject": P1, "context": E1,
             "effectivePeriod": {"start": "2024-01-05T12:00:00Z", "end": "2024-01-05T13:00:00Z"},
             "medicationCodeableConcept": concept("197361", RXNORM), "request": {"reference": "MedicationRequest/r2"},
             "dosage": {"dose": {"value": 4, "unit": "mg"}}}  # fmt: skip
    found = rows(spark, "medication", drug, order, contained, named, lost, order | {"intent": "plan"},
                 order | {"doNotPerform": True}, given, given | {"status": "not-done"})  # fmt: skip
    a, b, c, d, e, f, g, h = found
    assert [r["codings"][0]["code"] for r in (a, b, g)] == ["197361", "5", "197361"]
    assert (c["code_text"], d["_reasons"]) == ("aspirin", ["R_REF:medication"])
    wanted = {"fact": "order", "source_provider_id": "d", "quantity": 180.0, "days_supply": 30, "refills": 3,
              "dose_per_day": 6.0, "sig": "two tablets every eight hours", "stop_reason": "no effect",
              "type_concept_id": 32838, "end_datetime": None, "_excluded": None, "_reasons": []}  # fmt: skip
    assert {k: a[k] for k in wanted} == wanted and a["route"][0]["code"] == "26643006"
    assert (e["_excluded"], f["_excluded"], h["_excluded"]) == ("not_an_order", "not_done", "not_done")
    wanted = {"fact": "administration", "based_on": "r2", "source_encounter_id": "e1", "quantity": 4.0,
              "unit_text": "mg", "type_concept_id": 32818}  # fmt: skip
    assert {k: g[k] for k in wanted} == wanted and g["end_datetime"].isoformat() == "2024-01-05T13:00:00"


def test_immunization_allergy_device_and_report_are_events(spark: SparkSession) -> None:
    (shot,) = rows(spark, "immunization", {
        "resourceType": "Immunization", "status": "completed", "vaccineCode": concept("140", "http://hl7.org/fhir/sid/cvx"),
        "patient": P1, "encounter": E1, "occurrenceDateTime": "2015-04-18T04:25:13-04:00", "lotNumber": "L1"})  # fmt: skip
    assert (shot["fact"], shot["domain_hint"], shot["lot_number"]) == ("immunization", "Drug", "L1")
    assert shot["start_datetime"].isoformat() == "2015-04-18T04:25:13"
    allergy = {
        "resourceType": "AllergyIntolerance",
        "code": concept("419199007"),
        "patient": P1,
        "recordedDate": "1972-11-02",
    }
    a, b = rows(spark, "allergy", allergy, allergy | {"verificationStatus": concept("refuted", "v")})
    assert (a["fact"], a["_reasons"], b["_reasons"]) == ("allergy", [], ["R_RETRACTED:refuted"])
    thing = {"resourceType": "Device", "status": "active", "patient": P1, "serialNumber": "S9", "lotNumber": "L9",
             "udiCarrier": [{"deviceIdentifier": "45", "carrierHRF": "(01)45"}], "deviceName": [{"name": "Nebulizer"}]}  # fmt: skip
    made = thing | {"manufactureDate": "2013-12-23T21:53:25+00:00"}
    found = rows(
        spark,
        "device",
        made,
        thing,
        {k: v for k, v in made.items() if k != "patient"},
        extract=date(2024, 9, 1),
    )
    assert [r["start_datetime"].isoformat() for r in found[:2]] == [
        "2013-12-23T00:00:00",
        "2024-09-01T00:00:00",
    ]
    d = found[0]
    assert (d["unique_device_id"], d["production_id"], d["code_text"], d["has_time"]) == (
        "(01)45",
        "S9",
        "Nebulizer",
        False,
    )
    assert found[2]["_excluded"] == "of_no_person"
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": concept("58410-2", LOINC), "subject": P1,
              "issued": "2024-01-05T10:00:00Z", "category": [concept("LAB", "x")]}  # fmt: skip
    r, s = rows(spark, "report", report, report | {"category": [concept("RAD", "x")]})
    assert [(x["fact"], x["domain_hint"]) for x in (r, s)] == [
        ("report", "Measurement"),
        ("report", "Procedure"),
    ]


def test_a_note_is_decoded_by_its_character_set(spark: SparkSession) -> None:
    def document(content: bytes, kind: str, **more: Any) -> dict[str, Any]:
        first = {"attachment": {"contentType": "application/pdf", "url": "http://x"}}
        second = {"attachment": {"contentType": kind, "data": base64.b64encode(content).decode()}}
        return {"resourceType": "DocumentReference", "status": "current", "type": concept("34117-2", LOINC, "H&P"),
                "subject": P1, "date": "2024-01-05T10:00:00.5Z", "context": {"encounter": [E1]},
                "author": [{"reference": "Practitioner/d"}], "content": [first, second]} | more  # fmt: skip

    found = rows(
        spark, "note", document("Café".encode(), "text/plain; charset=utf-8"),
        document("Café".encode("latin-1"), "text/plain;charset=ISO-8859-1"),
        document("Café".encode("latin-1"), "text/plain"), document(b"x", "text/plain", docStatus="entered-in-error"),
    )  # fmt: skip
    assert [r["text"] for r in found] == ["Café", "Café", None, "x"]
    assert [r["_reasons"] for r in found] == [
        [],
        [],
        ["R_ENCODING:attachment"],
        ["R_RETRACTED:entered_in_error"],
    ]
    n = found[0]
    assert (n["source_encounter_id"], n["source_provider_id"], n["title"], n["encoding"]) == (
        "e1",
        "d",
        "H&P",
        "utf-8",
    )
    assert n["type_concept_id"] == 32831 and n["note_datetime"].isoformat() == "2024-01-05T10:00:00.500000"


def test_facilities_and_providers_carry_every_name_that_references_use(spark: SparkSession) -> None:
    npi = "http://hl7.org/fhir/sid/us-npi"
    home = {"line": ["881 Main Street"], "city": "Fitchburg", "state": "MA", "postalCode": "01420"}
    (o,) = rows(spark, "organization", {"resourceType": "Organization", "name": "Clinic", "address": [home],
                                        "identifier": [{"system": "s", "value": "1"}, {"value": "2"}]})  # fmt: skip
    assert (o["aliases"], o["facility_kind"], o["zip"]) == (["s|1", "2"], "organization", "01420")
    (loc,) = rows(spark, "location", {"resourceType": "Location", "description": "Home", "address": home,
                                      "managingOrganization": {"identifier": {"system": "s", "value": "1"}},
                                      "position": {"latitude": 42.5, "longitude": -71.8}})  # fmt: skip
    assert (loc["part_of"], loc["name"], loc["latitude"], loc["facility_kind"]) == (
        "s|1",
        "Home",
        42.5,
        "location",
    )
    (d,) = rows(spark, "practitioner", {"resourceType": "Practitioner", "name": [{"family": "Reilly", "given": ["Ted", "J"]}],
                                        "identifier": [{"system": npi, "value": "99"}], "gender": "male"})  # fmt: skip
    assert (d["npi"], d["aliases"], d["name"], d["sex"]) == ("99", [f"{npi}|99"], "Ted J Reilly", "male")
    (r,) = rows(spark, "practitioner_role", {
        "resourceType": "PractitionerRole", "practitioner": {"identifier": {"system": npi, "value": "99"}},
        "organization": {"reference": "Organization/o1"}, "code": [concept("208D00000X", "n")]})  # fmt: skip
    assert (r["source_provider_id"], r["npi"], r["aliases"]) == (f"{npi}|99", "99", ["r1"])
    assert (r["source_facility_id"], r["specialty"][0]["code"]) == ("o1", "208D00000X")


def test_a_care_plan_is_an_episode_for_what_it_addresses(spark: SparkSession) -> None:
    us_core = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
    plan = {
        "resourceType": "CarePlan", "status": "active", "intent": "order", "subject": P1, "encounter": E1,
        "category": [concept("assess-plan", us_core), concept("443402002", text="lifestyle education")],
        "period": {"start": "2024-01-05T10:00:00Z", "end": "2024-03-01"}, "author": {"reference": "Practitioner/d"},
        "addresses": [{"reference": "Condition/c1"}, {"reference": "urn:uuid:c2"}, {"reference": "#inside"}],
    }  # fmt: skip
    titled = {k: v for k, v in plan.items() if k not in ("category", "addresses", "period")} | {
        "title": "a plan", "created": "2024-01-05", "category": [concept("assess-plan", us_core)],
    }  # fmt: skip
    a, b, c, d, e = rows(
        spark, "care_plan", plan, titled, plan | {"status": "draft"}, plan | {"intent": "proposal"},
        plan | {"status": "entered-in-error"},
    )  # fmt: skip
    assert (a["domain_hint"], a["fact"], [x["code"] for x in a["codings"]]) == (
        "Episode", "care_plan", ["443402002"],
    )  # fmt: skip
    assert (a["reason_ids"], a["source_provider_id"], a["source_encounter_id"]) == (["c1", "c2"], "d", "e1")
    assert (a["start_datetime"].isoformat(), a["end_datetime"].isoformat()) == (
        "2024-01-05T10:00:00", "2024-03-01T00:00:00",
    )  # fmt: skip
    assert (b["code_text"], b["reason_ids"], b["has_time"], b["_reasons"]) == ("a plan", None, False, [])
    assert [r["_excluded"] for r in (a, b, c, d, e)] == [None, None, "not_an_order", "not_an_order", None]
    assert e["_reasons"] == ["R_RETRACTED:entered_in_error"]


def test_reasons_and_members_are_kept_as_the_sender_names_them(spark: SparkSession) -> None:
    procedure = {"resourceType": "Procedure", "status": "completed", "subject": P1, "code": concept("80146002"),
                 "performedDateTime": "2024-01-05", "reasonReference": [{"reference": "Condition/c1"}],
                 "reasonCode": [concept("74400008")]}  # fmt: skip
    report = {"resourceType": "DiagnosticReport", "status": "final", "subject": P1, "code": concept("57698-3", LOINC),
              "effectiveDateTime": "2024-01-05", "result": [{"reference": "Observation/o1"}, {"reference": "Observation/o2"}]}  # fmt: skip
    panel = {"resourceType": "Observation", "status": "final", "subject": P1, "code": concept("85353-1", LOINC),
             "effectiveDateTime": "2024-01-05", "hasMember": [{"reference": "Observation/o3"}]}  # fmt: skip
    parted = panel | {"component": [{"code": concept("8480-6", LOINC), "valueQuantity": {"value": 120}}]}
    (p,) = rows(spark, "procedure", procedure)
    assert (p["reason_ids"], [c["code"] for c in p["reasons"]], p["member_ids"]) == (
        ["c1"],
        ["74400008"],
        None,
    )
    (r,) = rows(spark, "report", report)
    assert (r["member_ids"], r["reason_ids"]) == (["o1", "o2"], None)
    whole, component = rows(spark, "observation", panel, parted)
    assert (whole["member_ids"], component["member_ids"]) == (["o3"], None)


def test_what_refers_to_itself_and_what_is_a_century_ahead_says_so(spark: SparkSession) -> None:
    def linked(*others: str) -> dict[str, Any]:
        return {
            "resourceType": "Patient",
            "link": [{"other": {"reference": o}, "type": "seealso"} for o in others],
        }

    a, b, c = rows(
        spark, "patient", linked("Patient/r2"), linked("Patient/r1", "Patient/r2"), linked("RelatedPerson/r3")
    )
    assert [r["_reasons"] for r in (a, b, c)] == [[], ["R_REF:itself"], []]
    visit = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": P1,
             "period": {"start": "2024-01-05T10:00:00Z", "end": "2024-01-05T11:00:00Z"}}  # fmt: skip
    d, e = rows(
        spark,
        "encounter",
        visit | {"partOf": {"reference": "Encounter/r2"}},
        visit | {"partOf": {"reference": "Encounter/r2"}},
    )
    assert (d["_reasons"], e["_reasons"]) == ([], ["R_REF:itself"])

    def onset(day: str, **sender: Any) -> list[str]:
        said = {"resourceType": "Condition", "subject": P1, "code": concept("44054006"), "onsetDateTime": day}
        (row,) = rows(spark, "condition", said, **sender)
        reasons: list[str] = row["_reasons"]
        return reasons

    assert onset("2025-09-01", extract=date(2024, 9, 1)) == []
    assert onset("2025-09-02", extract=date(2024, 9, 1)) == ["R_TEMPORAL:future"]
    assert onset("2049-12-31") == []
    assert onset("2119-01-05") == ["R_TEMPORAL:future"]
