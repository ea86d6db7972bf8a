"""The comparison of two OMOP builds, and each rule, on rows written by hand: two people, one ETL-Synthea, no Spark."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.parity.omop_parity.__main__ import main
from tests.parity.omop_parity.compare import ColumnRule, Comparison, RowRule, compare
from tests.parity.omop_parity.facts import Facts, Vocabulary
from tests.parity.omop_parity.page import terminal
from tests.parity.omop_parity.read import DANGLING, named, tables
from tests.parity.omop_parity.tables import COMPARISONS

if TYPE_CHECKING:
    from pathlib import Path


def text(columns: str, *lines: str) -> list[dict[str, str]]:
    """Rows of text from comma-separated lines."""
    names = columns.split(",")
    return [dict(zip(names, line.split(","), strict=True)) for line in lines]


def d(iso: str) -> date:
    return date.fromisoformat(iso)


def t(iso: str) -> datetime:
    return datetime.fromisoformat(iso)


# Ann died on 2020-03-01 and has a certificate, Ben died on 2013-01-01 and has none.
SYNTHEA = {
    "patients": text(
        "ID,DEATHDATE,ADDRESS,CITY,STATE,COUNTY,ZIP,LAT,LON",
        "ann,2020-03-01,1 Mill St,Lowell,Massachusetts,Middlesex County,01850,42.5,-71.3",
        "ben,2013-01-01,2 Elm St,Lowell,Massachusetts,Middlesex County,01850,42.6,-71.4",
    ),
    "organizations": text(
        "ID,NAME,ADDRESS,CITY,STATE,ZIP",
        "o1,CLINIC,9 MAIN ST,AYER,MA,01432", "o2,CLINIC,9 MAIN ST,AYER,MA,01432", "o3,WARD,3 MAIN ST,AYER,MA,01432",
    ),
    "providers": text("ID,ORGANIZATION", "dr,o1"),
    "payers": text("ID,NAME", "pay1,Aetna", "none,NO_INSURANCE"),
    "payer_transitions": text(
        "PATIENT,START_DATE,END_DATE,PAYER",
        "ann,2018-01-01T08:00:00Z,2019-01-01T08:00:00Z,pay1", "ann,2019-01-01T08:00:00Z,2020-01-01T08:00:00Z,pay1",
        "ben,2010-01-01T08:00:00Z,2011-01-01T08:00:00Z,none",
    ),
    "encounters": text(
        "ID,START,STOP,PATIENT,ORGANIZATION,PROVIDER,PAYER,ENCOUNTERCLASS,CODE,REASONCODE,TOTAL_CLAIM_COST,PAYER_COVERAGE",
        "walk-in,2020-01-01T10:00:00Z,2020-01-01T11:00:00Z,ann,o1,dr,pay1,ambulatory,185345009,,100.00,80.00",
        "urgent,2020-01-05T10:00:00Z,2020-01-05T11:00:00Z,ann,o1,dr,pay1,urgentcare,702927004,,50.00,0.00",
        "first,2020-01-10T08:00:00Z,2020-01-10T09:00:00Z,ann,o1,dr,pay1,outpatient,185345009,,10.00,0.00",
        "second,2020-01-10T15:00:00Z,2020-01-10T16:00:00Z,ann,o1,dr,pay1,outpatient,185345009,,10.00,0.00",
        "er,2020-02-01T08:00:00Z,2020-02-01T12:00:00Z,ann,o1,dr,pay1,emergency,50849002,,10.00,0.00",
        "ward,2020-02-01T11:00:00Z,2020-02-03T09:00:00Z,ann,o1,dr,pay1,inpatient,32485007,,10.00,0.00",
        "certificate,2020-03-05T10:00:00Z,2020-03-05T10:15:00Z,ann,o1,dr,pay1,wellness,308646001,88805009,10.00,0.00",
        "early,2010-05-01T10:00:00Z,2010-05-01T11:00:00Z,ben,o1,dr,none,wellness,410620009,,10.00,0.00",
        "late,2012-05-01T10:00:00Z,2012-05-01T11:00:00Z,ben,o1,dr,none,wellness,410620009,,10.00,0.00",
    ),
    "conditions": text(
        "PATIENT,ENCOUNTER,CODE,START,STOP",
        "ann,walk-in,known,2020-01-01,", "ann,walk-in,unknown,2020-01-01,", "ann,urgent,known,2020-01-05,",
        "ann,er,known,2020-02-01,", "ann,walk-in,procedural,2020-01-01,",
    ),
    "medications": text(
        "PATIENT,ENCOUNTER,CODE,START,STOP,BASE_COST",
        "ann,walk-in,drug,2020-01-01T10:00:00Z,,5.50", "ann,walk-in,ended,2020-01-01T10:00:00Z,2020-01-08T10:00:00Z,1.00",
    ),
    "immunizations": text("PATIENT,ENCOUNTER,CODE,DATE,BASE_COST", "ann,walk-in,140,2020-01-01T10:00:00Z,136.00"),
    "supplies": text("PATIENT,ENCOUNTER,CODE,DATE", "ann,walk-in,gauze,2020-01-01"),
    "claims": text(
        "ID,PATIENTID,DIAGNOSIS1,APPOINTMENTID,PROVIDERID,PRIMARYPATIENTINSURANCEID,SERVICEDATE",
        "c1,ann,known,walk-in,dr,pay1,2020-01-01T10:00:00Z", "c2,ann,known,walk-in,pharmacy,pay1,2020-01-01T10:00:00Z",
    ),
    # c1: 90.00 to the first payer, who pays 60.00; the rest to the patient. c2: 7.00, 2.00 of it by the second payer.
    "claims_transactions": text(
        "CLAIMID,CHARGEID,TYPE,TRANSFERTYPE,AMOUNT,PAYMENTS",
        "c1,10,TRANSFERIN,p,30.00,", "c1,9,PAYMENT,,,60.00", "c1,1,CHARGE,1,90.00,0.00", "c1,11,PAYMENT,,,30.00",
        "c2,1,CHARGE,1,7.00,0.00", "c2,2,PAYMENT,,,5.00", "c2,3,TRANSFERIN,2,2.00,", "c2,4,PAYMENT,,,2.00",
    ),
}  # fmt: skip
VOCABULARY = Vocabulary(
    text(
        "CONCEPT_ID,CONCEPT_CODE,VOCABULARY_ID,DOMAIN_ID,STANDARD_CONCEPT,INVALID_REASON,CONCEPT_CLASS_ID",
        "1,known,SNOMED,Condition,S,,Clinical Finding", "2,unknown,SNOMED,Condition,,,Clinical Finding",
        "3,procedural,SNOMED,Procedure,S,,Procedure", "4,88805009,SNOMED,Condition,S,,Clinical Finding",
        "5,drug,RxNorm,Drug,S,,Clinical Drug", "6,ingredient,RxNorm,Drug,S,,Ingredient", "8,mg,UCUM,Unit,S,,Unit",
    ),
    text(
        "CONCEPT_ID_1,CONCEPT_ID_2,RELATIONSHIP_ID,INVALID_REASON",
        "1,1,Maps to,", "3,3,Maps to,", "4,4,Maps to,", "5,5,Maps to,", "2,1,Maps to,D", "8,8,Maps to,",
    ),
    text("ANCESTOR_CONCEPT_ID,DESCENDANT_CONCEPT_ID", "6,5"),
)  # fmt: skip
OURS: dict[str, list[dict[str, Any]]] = {
    "cdm_source": [{"source_release_date": d("2020-06-30")}],
    "concept_ancestor": [{"ancestor_concept_id": 60, "descendant_concept_id": 5}],
    "concept": [{"concept_id": 7, "domain_id": "Unit"}, {"concept_id": 8, "domain_id": "Unit"}],
    "care_site": [{"care_site_source_value": "o1"}],
    "condition_occurrence": [
        {"person_id": "ann", "condition_concept_id": 1, "condition_start_date": d("2020-01-01"), "condition_end_date": None},
    ],
    "drug_exposure": [
        {"person_id": "ann", "drug_concept_id": 5, "drug_exposure_start_date": d("2020-01-01"), "drug_type_concept_id": 32838,
         "drug_exposure_end_date": d("2020-01-30"), "verbatim_end_date": None},
    ],
}  # fmt: skip
# What ETL-Synthea writes into every row, NULL or a constant; specialties and towns differ.
THEIRS: dict[str, list[dict[str, Any]]] = {
    "provider": [{"care_site_id": None}],
    "care_site": [{"location_id": None, "place_of_service_concept_id": 0}],
    "location": [
        {"city": "Lowell", "state": "MA", "zip": "01850"}
        | dict.fromkeys(("address_1", "county", "country_concept_id", "country_source_value", "latitude", "longitude")),
    ],
    "visit_occurrence": [{"care_site_id": None, "admitted_from_concept_id": 0}],
    "visit_detail": [{"care_site_id": None, "admitted_from_concept_id": 0}],
    "payer_plan_period": [{"sponsor_concept_id": 0}],
    "condition_occurrence": [{"condition_status_concept_id": 0}],
    "drug_exposure": [{"refills": 0, "route_concept_id": 0}],
    "procedure_occurrence": [{"modifier_concept_id": 0}],
    "measurement": [{"unit_source_concept_id": None, "operator_concept_id": 0}],
    "observation": [{"value_as_number": None, "value_as_string": None, "unit_source_value": None, "unit_concept_id": 0,
                     "qualifier_concept_id": 0}],
}  # fmt: skip
FACTS = Facts(OURS, THEIRS, SYNTHEA, VOCABULARY)

CONDITION = {
    "person_id": "ann",
    "condition_source_value": "known",
    "condition_start_date": d("2020-01-01"),
    "condition_concept_id": 0,
}
SUPPLY = {
    "person_id": "ann",
    "device_source_value": "gauze",
    "device_exposure_start_date": d("2020-01-01"),
    "device_concept_id": 0,
}
VISIT = {"person_id": "ann", "visit_start_date": d("2020-01-05"), "visit_concept_id": 8782}
DETAIL = {"person_id": "ann", "visit_detail_start_date": d("2020-01-10"), "visit_detail_concept_id": 9202}
DEATH = {"person_id": "ben", "death_date": d("2013-01-01")}
PLACE = {"address_1": "9 MAIN ST", "city": "AYER", "state": "MA", "zip": "01432"}
HOME = {"address_1": "2 Elm St", "city": "Lowell", "state": "MA", "zip": "01850"}
PERIOD = {
    "person_id": "ben",
    "observation_period_start_date": d("2012-05-01"),
    "observation_period_end_date": d("2012-06-30"),
}
SPAN = {"person_id": "ann", "payer_source_value": "pay1", "payer_plan_period_start_date": d("2019-01-01")}
ERA = {"person_id": "ann", "drug_concept_id": 60, "drug_era_start_date": d("2020-01-01")}
COST = {"person": "ann", "cost_event_id": "drug|2020-01-01", "total_charge": 105.50, "paid_by_payer": 80.00}
CLAIM = {"person": "ann", "cost_event_id": "known|2020-01-01", "total_charge": 120.00, "paid_by_payer": 90.00}

# table, side, rule, a row of which it is the cause, and what to change so that it no longer is.
ROWS: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = [
    ("condition_occurrence", "ours", "code_without_standard_concept", CONDITION | {"condition_source_value": "unknown"},
     {"condition_source_value": "known"}),
    ("condition_occurrence", "ours", "code_that_only_our_vocabulary_maps",
     CONDITION | {"condition_source_value": "unknown", "condition_concept_id": 9}, {"condition_concept_id": 0}),
    ("condition_occurrence", "ours", "domain_that_etl_synthea_does_not_read", CONDITION | {"condition_source_value": "procedural"},
     {"condition_source_value": "known"}),
    ("device_exposure", "ours", "file_that_etl_synthea_does_not_read", SUPPLY, {"device_source_value": "known"}),
    ("visit_occurrence", "ours", "visit_of_a_class_that_etl_synthea_loses", VISIT, {"visit_start_date": d("2020-01-01")}),
    ("visit_occurrence", "ours", "emergency_that_leads_to_a_hospital_stay",
     VISIT | {"visit_start_date": d("2020-02-01"), "visit_concept_id": 262}, {"visit_start_date": d("2020-01-01")}),
    ("visit_occurrence", "theirs", "emergency_that_leads_to_a_hospital_stay",
     VISIT | {"visit_start_date": d("2020-02-01"), "visit_concept_id": 9203}, {"visit_concept_id": 9202}),
    ("visit_detail", "ours", "encounter_that_etl_synthea_rolls_up", DETAIL, {"visit_detail_start_date": d("2020-01-01")}),
    ("death", "ours", "death_without_a_mapped_certificate", DEATH, {"person_id": "ann"}),
    ("location", "ours", "address_of_an_organisation", PLACE, {"address_1": "1 Mill St"}),
    ("location", "ours", "several_addresses_in_a_town", HOME, {"city": "Boston"}),
    ("care_site", "theirs", "organisations_of_one_name_and_address", {"care_site_source_value": "o2"}, {"care_site_source_value": "o3"}),
    ("observation_period", "ours", "period_after_a_silence", PERIOD, {"observation_period_end_date": d("2012-07-01")}),
    ("payer_plan_period", "theirs", "span_that_continues_the_one_before", SPAN, {"payer_plan_period_start_date": d("2018-01-01")}),
    ("drug_era", "ours", "ingredient_that_their_ancestors_do_not_tell", ERA, {"drug_concept_id": 6}),
    ("cost", "theirs", "encounter_cost_on_each_line", COST, {"total_charge": 105.00}),
    ("cost", "theirs", "claim_cost_on_the_condition", CLAIM, {"total_charge": 97.00}),
    ("cost", "ours", "one_row_per_claim", COST | {"total_charge": 90.00, "paid_by_payer": 60.00}, {"paid_by_payer": 90.00}),
    ("cost", "ours", "one_row_per_claim", COST | {"total_charge": None, "paid_by_payer": 2.00}, {"paid_by_payer": 5.00}),
]  # fmt: skip

MORNING = t("2020-01-01T10:00:00")
DRUG = {
    "person_id": "ann",
    "drug_source_value": "drug",
    "drug_exposure_start_date": d("2020-01-01"),
    "verbatim_end_date": None,
}
VACCINE = DRUG | {"drug_source_value": "140"}
SEEN = {"person_id": "ann", "visit_start_date": d("2020-01-01")}
TEST = {
    "measurement_date": d("2020-01-01"),
    "measurement_datetime": MORNING,
    "value_as_number": 97.0,
    "unit_source_value": "mg",
}
WORDS = {"value_as_number": None, "unit_source_value": None, "unit_concept_id": None}
ANSWER = {"value_source_value": "97", "value_as_number": 97.0, "value_as_string": None}
COVER = {"person_id": "ann", "payer_source_value": "Aetna", "payer_plan_period_start_date": d("2018-01-01")}

# table, rule, column, what we add to a row, what they add to it, and what to change in ours so that the rule no longer holds.
COLUMNS: list[tuple[str, str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("person", "location_of_the_town", "location_id",
     {"person_source_value": "ann", "location_id": "1 Mill St|Lowell|MA|01850"}, {"location_id": "|Lowell|MA|01850"},
     {"location_id": "1 Mill St|Boston|MA|01850"}),
    ("person", "race_without_a_case", "race_concept_id", {"race_source_value": "native", "race_concept_id": 8657},
     {"race_concept_id": 0}, {"race_source_value": "white", "race_concept_id": 8527}),
    ("death", "day_of_the_death_certificate", "death_date", {"person_id": "ann", "death_date": d("2020-03-01")},
     {"death_date": d("2020-03-05")}, {"death_date": d("2020-03-02")}),
    ("death", "cause_on_the_death_certificate", "cause_concept_id", {"person_id": "ann", "cause_concept_id": None},
     {"cause_concept_id": 4, "cause_source_value": "88805009"}, {"person_id": "ben"}),
    ("location", "what_the_town_alone_does_not_say", "county", {"city": "Lowell", "county": "Middlesex County"}, {"county": None},
     {"county": "Essex County"}),
    ("location", "zip_as_the_source_value", "location_source_value",
     HOME | {"county": None, "location_source_value": "2 Elm St|Lowell|MA|01850|"}, HOME | {"location_source_value": "01850"},
     {"location_source_value": "2 Elm St"}),
    ("care_site", "address_of_the_care_site", "location_id",
     {"care_site_source_value": "o1", "location_id": "9 MAIN ST|Ayer|MA|01432"}, {"location_id": None}, {"care_site_source_value": "o3"}),
    ("care_site", "zero_where_the_source_is_silent", "place_of_service_concept_id", {"place_of_service_concept_id": None},
     {"place_of_service_concept_id": 0}, {"place_of_service_concept_id": 8717}),
    ("provider", "specialty_for_everybody", "specialty_concept_id", {"specialty_concept_id": 0},
     {"specialty_concept_id": 38004446}, {"specialty_concept_id": 38004456}),
    ("provider", "gender_source_concept_is_the_standard_one", "gender_source_concept_id", {"gender_source_concept_id": 0},
     {"gender_source_concept_id": 8532, "gender_concept_id": 8532}, {"gender_source_concept_id": None}),
    ("provider", "care_site_of_the_provider", "care_site_id", {"provider_source_value": "dr", "care_site_id": "o2"},
     {"care_site_id": None}, {"care_site_id": "o3"}),
    ("visit_occurrence", "datetimes_cut_to_dates", "visit_start_datetime", {"visit_start_datetime": MORNING},
     {"visit_start_datetime": t("2020-01-01T00:00:00")}, {"visit_start_datetime": t("2020-01-02T10:00:00")}),
    ("visit_occurrence", "another_type_concept", "visit_type_concept_id", {"visit_type_concept_id": 32817},
     {"visit_type_concept_id": 32827}, {"visit_type_concept_id": 32855}),
    ("visit_occurrence", "class_instead_of_id", "visit_source_value", SEEN | {"visit_source_value": "ambulatory:185345009"},
     {"visit_source_value": "walk-in"}, {"visit_source_value": "outpatient:185345009"}),
    ("visit_occurrence", "care_site_of_the_encounter", "care_site_id", SEEN | {"care_site_id": "o1"}, {"care_site_id": None},
     {"care_site_id": "o3"}),
    ("visit_occurrence", "visit_before_is_one_that_theirs_has_not", "preceding_visit_occurrence_id",
     SEEN | {"preceding_visit_occurrence_id": "2020-01-05|8782"}, {"preceding_visit_occurrence_id": "2020-01-01|9202"},
     {"preceding_visit_occurrence_id": "2020-01-01|9202"}),
    ("visit_occurrence", "order_within_a_day", "preceding_visit_occurrence_id",
     SEEN | {"preceding_visit_occurrence_id": "2020-01-10|9202"}, {"preceding_visit_occurrence_id": "2020-01-01|9202"},
     {"preceding_visit_occurrence_id": "2020-01-05|8782"}),
    ("observation_period", "period_ends_60_days_after_the_last_event", "observation_period_end_date",
     {"person_id": "ben", "observation_period_start_date": d("2010-05-01"), "observation_period_end_date": d("2010-06-30")},
     {"observation_period_end_date": d("2012-05-01")}, {"observation_period_end_date": d("2010-07-01")}),
    ("payer_plan_period", "last_day_covered", "payer_plan_period_end_date", COVER | {"payer_plan_period_end_date": d("2019-12-31")},
     {"payer_plan_period_end_date": d("2019-01-01")}, {"payer_plan_period_end_date": d("2018-12-31")}),
    ("payer_plan_period", "payer_by_name", "payer_source_value", COVER, {"payer_source_value": "pay1"}, {"payer_source_value": "Humana"}),
    ("payer_plan_period", "payer_as_plan", "plan_source_value", COVER | {"plan_source_value": None}, {"plan_source_value": "Aetna"},
     {"plan_source_value": "Gold"}),
    ("condition_occurrence", "visit_of_a_class_that_etl_synthea_loses", "visit_occurrence_id",
     CONDITION | {"condition_start_date": d("2020-01-05"), "visit_occurrence_id": "2020-01-05|8782"}, {"visit_occurrence_id": None},
     {"condition_start_date": d("2020-01-01")}),
    ("condition_occurrence", "emergency_that_leads_to_a_hospital_stay", "visit_occurrence_id",
     CONDITION | {"condition_start_date": d("2020-02-01"), "visit_occurrence_id": "2020-02-01|262"},
     {"visit_occurrence_id": "2020-02-01|9203"}, {"visit_occurrence_id": "2020-02-02|262"}),
    ("condition_occurrence", "provider_of_the_encounter", "provider_id", CONDITION | {"provider_id": None}, {"provider_id": "dr"},
     {"person_id": "ben"}),
    ("drug_exposure", "constant_where_the_source_is_silent", "refills", {"refills": None}, {"refills": 0}, {"refills": 2}),
    ("drug_exposure", "days_supply_computed", "days_supply", {"days_supply": None},
     {"days_supply": 7, "drug_exposure_start_date": d("2020-01-01"), "verbatim_end_date": d("2020-01-08")}, {"days_supply": 8}),
    ("drug_exposure", "end_of_a_vaccine_invented", "verbatim_end_date", VACCINE,
     VACCINE | {"verbatim_end_date": d("2020-01-01")}, {"drug_source_value": "drug"}),
    ("drug_exposure", "prescription_without_an_end", "drug_exposure_end_date", DRUG | {"drug_exposure_end_date": d("2020-01-30")},
     {"drug_exposure_end_date": d("2020-01-01")}, {"drug_source_value": "ended"}),
    ("measurement", "day_in_measurement_time", "measurement_time", TEST | {"measurement_time": "10:00:00"},
     TEST | {"measurement_time": "2020-01-01"}, {"measurement_time": "11:00:00"}),
    ("measurement", "unit_source_concept_never_filled", "unit_source_concept_id", TEST | {"unit_source_concept_id": 8},
     {"unit_source_concept_id": None}, {"unit_source_value": None}),
    ("measurement", "unit_without_a_mapping_of_theirs", "unit_concept_id", TEST | {"unit_source_value": "/a", "unit_concept_id": 7},
     {"unit_concept_id": 0}, {"unit_source_value": "mg"}),
    ("measurement", "unit_of_words", "unit_source_value", WORDS, {"unit_source_value": "{nominal}", "unit_concept_id": 0},
     {"value_as_number": 1.0}),
    ("observation", "value_cut_to_50_characters", "value_source_value", {"value_source_value": "x" * 51}, {"value_source_value": "x" * 50},
     {"value_source_value": "y" * 51}),
    ("observation", "value_of_an_observation_never_filled", "value_as_number", ANSWER, {"value_as_number": None, "value_source_value": "97.0"},
     {"value_as_number": 96.0}),
    ("condition_era", "condition_without_an_end", "condition_era_end_date",
     {"person_id": "ann", "condition_concept_id": 1, "condition_era_end_date": d("2020-01-01")},
     {"condition_era_end_date": d("2020-01-02")}, {"condition_concept_id": 3}),
    ("drug_era", "era_ends_with_an_open_prescription", "drug_era_end_date", ERA | {"drug_era_end_date": d("2020-01-30")},
     {"drug_era_end_date": d("2020-01-01")}, {"drug_era_end_date": d("2020-02-15")}),
    ("drug_era", "ingredient_that_their_ancestors_do_not_tell", "drug_exposure_count",
     ERA | {"drug_era_end_date": d("2020-01-30"), "drug_exposure_count": 2}, {"drug_exposure_count": 1}, {"drug_concept_id": 6}),
]  # fmt: skip


def comparison(table: str) -> Comparison:
    return next(c for c in COMPARISONS if c.table == table)


def row_rule(table: str, side: str, name: str) -> RowRule:
    rules = comparison(table).ours_only if side == "ours" else comparison(table).theirs_only
    return next(r for r in rules if r.name == name)


@pytest.mark.parametrize(
    ("table", "side", "name", "row", "change"), ROWS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_row_of_one_side_has_its_cause_in_the_data(
    table: str, side: str, name: str, row: dict[str, Any], change: dict[str, Any]
) -> None:
    holds = row_rule(table, side, name).holds
    assert holds(row, FACTS)
    assert not holds(row | change, FACTS)


@pytest.mark.parametrize(
    ("table", "name", "column", "ours", "theirs", "change"), COLUMNS, ids=lambda v: v if isinstance(v, str) else ""
)  # fmt: skip
def test_a_column_that_differs_has_its_cause_in_the_data(
    table: str, name: str, column: str, ours: dict[str, Any], theirs: dict[str, Any], change: dict[str, Any]
) -> None:
    rule = next(r for r in comparison(table).differs if r.name == name and column in r.columns)
    assert rule.holds(column, ours, ours | theirs, FACTS)
    assert not rule.holds(column, ours | change, ours | change | theirs, FACTS)


def test_each_rule_has_a_case_here() -> None:
    rows = {r.name for c in COMPARISONS for r in (*c.ours_only, *c.theirs_only)}
    assert rows == {name for _, _, name, _, _ in ROWS}
    assert {r.name for c in COMPARISONS for r in c.differs} == {case[1] for case in COLUMNS}


def test_a_rule_of_a_column_looks_at_all_rows_of_theirs() -> None:
    rule = next(
        r for r in comparison("drug_exposure").differs if r.name == "constant_where_the_source_is_silent"
    )
    filled = Facts(OURS, THEIRS | {"drug_exposure": [{"refills": 0}, {"refills": 3}]}, SYNTHEA, VOCABULARY)
    assert rule.holds("refills", {"refills": None}, {"refills": 0}, FACTS)
    assert not rule.holds("refills", {"refills": None}, {"refills": 0}, filled)


# --- the comparison itself ----------------------------------------------------------------------------------------------------

OLD = RowRule("old", lambda row, _: row["year"] < 2000, "")
ZERO = ColumnRule(
    "zero", ("b",), lambda column, mine, other, _: (mine[column], other[column]) == (None, 0), ""
)
HOW = Comparison("t", ("key",), ours_only=(OLD,), theirs_only=(OLD,), differs=(ZERO,))


def outcome(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Any:
    return compare(HOW, ours, theirs, Facts())


def test_rows_count_as_often_as_they_occur() -> None:
    row = {"key": 1, "year": 1990, "b": 1}
    out = outcome([row, row, row], [row])
    assert (out.same, dict(out.ours_only), dict(out.theirs_only), out.unexplained) == (1, {"old": 2}, {}, [])


def test_a_row_that_no_rule_explains_is_left_over() -> None:
    out = outcome([{"key": 1, "year": 2001, "b": 1}], [{"key": 2, "year": 1999, "b": 1}])
    assert [kind for kind, _ in out.unexplained] == ["ours only"]
    assert dict(out.theirs_only) == {"old": 1}


def test_rows_of_one_key_pair_so_that_least_stays_unexplained() -> None:
    ours = [{"key": 1, "year": 1, "b": None}, {"key": 1, "year": 2, "b": 5}]
    theirs = [{"key": 1, "year": 2, "b": 5}, {"key": 1, "year": 1, "b": 0}]
    out = outcome(ours, theirs)
    assert (out.same, out.differing, dict(out.columns), out.unexplained) == (1, 1, {("b", "zero"): 1}, [])


def test_a_column_that_no_rule_explains_is_left_over() -> None:
    out = outcome([{"key": 1, "year": 1, "b": 7}], [{"key": 1, "year": 1, "b": 0}])
    assert ([kind for kind, _ in out.unexplained], out.same, out.differing) == (["b"], 0, 1)
    assert "unexplained in t: b: 1" in terminal([out])


# --- reading and the command line ---------------------------------------------------------------------------------------------

PEOPLE = "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id,person_source_value\n{},8532,1950,0,0,ann\n"
DEATHS = "person_id,death_date,death_type_concept_id\n{},2020-03-01,32817\n"


def build(folder: Path, person: int, *, upper: bool, died: str = DEATHS) -> Path:
    folder.mkdir()
    for name, rows in (("person", PEOPLE), ("death", died)):
        (folder / f"{name.upper() if upper else name}.csv").write_text(rows.format(person))
    (folder / "readme.csv").write_text("a\n1\n")
    return folder


def test_ids_are_replaced_by_what_they_stand_for(tmp_path: Path) -> None:
    found = named(tables(build(tmp_path / "a", 7, upper=True)))
    assert set(found) == {"person", "death"}
    assert "person_id" not in found["person"][0]
    assert (found["death"][0]["person_id"], found["death"][0]["death_date"]) == ("ann", d("2020-03-01"))
    loose = named({"death": [{"person_id": 8}], "person": [{"person_id": 7, "person_source_value": "ann"}]})
    assert loose["death"][0]["person_id"] == DANGLING


def test_two_builds_with_other_ids_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    ours = build(tmp_path / "ours", 7, upper=False)
    theirs = build(tmp_path / "theirs", 4711, upper=True)
    (theirs / "DEATH.csv").unlink()
    died = {"person_id": [4711], "death_date": [d("2020-03-01")], "death_type_concept_id": [32817]}
    parquet.write_table(pyarrow.table(died), theirs / "Death.parquet")
    assert main([str(ours), str(theirs)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["death", "1", "1", "1", "0", "0", "0", "0"]


def test_a_difference_ends_with_1_and_no_value_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = build(tmp_path / "ours", 7, upper=False)
    theirs = build(tmp_path / "theirs", 7, upper=False, died=DEATHS.replace("03-01", "03-05"))
    assert main([str(ours), str(theirs)]) == 1
    said = capsys.readouterr().out
    assert "unexplained in death: death_date: 1" in said
    assert "2020" not in said
    assert main([str(ours), str(tmp_path / "nowhere")]) == 11
