"""silver/link/event: whose event, in which visit, what it means, which table.

The events of all tests are linked together, in one Spark job; each test looks at those whose id it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.conformed.event import EVENT
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.event import event
from carelake.silver.link.tables import EVENT_LINK, PERSON_LINK, PROVIDER_LINK, VISIT_LINK
from carelake.silver.vocabulary.tables import CODE_MAP
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

    Look = Callable[..., list[tuple[Any, ...]]]

SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
LOINC = "http://loinc.org"
LOCAL = "urn:oid:1.2.3.99"

# vocabulary, code, source concept, its domain, standard concept, its domain, value, target_no
MAP: tuple[tuple[Any, ...], ...] = (
    ("SNOMED", "44054006", 201826, "Condition", 201826, "Condition", None, 0),
    ("SNOMED", "111", 900111, "Condition", 0, None, None, 0),
    ("SNOMED", "333", 900333, "Spec Anatomic Site", 900333, "Spec Anatomic Site", None, 0),
    ("SNOMED", "444", 900444, "Specimen", 900444, "Specimen", None, 0),
    ("ICD10CM", "E11.9", 35206882, "Condition", 201826, "Condition", None, 0),
    ("ICD10CM", "Z80.0", 35225361, "Observation", 4167217, "Observation", 4111921, 0),
    ("ICD10CM", "T50.1", 35209001, "Condition/Meas", 0, None, None, 0),
    ("ICD10CM", "E11.22", 1567956, "Condition", 192279, "Condition", None, 0),
    ("ICD10CM", "E11.22", 1567956, "Condition", 443731, "Measurement", None, 1),
    ("RxNorm", "1191", 1112807, "Drug", 1112807, "Drug", None, 0),
    ("LOINC", "718-7", 3000963, "Measurement", 3000963, "Measurement", None, 0),
    ("LOINC", "LA4720-4", 45883458, "Meas Value", 45883458, "Meas Value", None, 0),
    ("SNOMED", "26643006", 4132161, "Route", 4132161, "Route", None, 0),
    ("UCUM", "g/dL", 8713, "Unit", 8713, "Unit", None, 0),
    ("UCUM", "mm", 8588, "Unit", 8588, "Unit", None, 0),
    ("UCUM", "mm[Hg]", 8876, "Unit", 8876, "Unit", None, 0),
)  # fmt: skip


def coding(
    system: str | None, code: str | None, display: str | None = None, chosen: bool | None = None
) -> tuple[Any, ...]:
    return (system, code, display, chosen)


DIABETES = [coding(SNOMED, "44054006", "diabetes")]
HB = {"codings": [coding(LOINC, "718-7")], "domain_hint": "Measurement", "fact": "result"}


def drug(fact: str, code: str, **more: Any) -> dict[str, Any]:
    return {
        "fact": fact, "domain_hint": "Drug", "codings": [coding(RXNORM, code)], "source_encounter_id": "v1", "_kind": fact
    } | more  # fmt: skip


EVENTS: dict[str, dict[str, Any]] = {
    "visit": {"codings": DIABETES, "source_encounter_id": "v1", "source_provider_id": "npi|1"},
    "others_visit": {"codings": DIABETES, "source_encounter_id": "v2", "source_provider_id": "npi|2"},
    "stranger": {"source_person_id": "nobody"},
    "visit_of_another": {"codings": DIABETES, "source_person_id": "p2", "source_encounter_id": "v1"},
    "others_person": {"_source": "claims"},
    "second_person": {"source_person_id": "p2"},
    "maps_first": {"codings": [coding(LOCAL, "x"), coding(SNOMED, "111"), coding("ICD-10-CM", "E119")]},
    "concept_first": {"codings": [coding(LOCAL, "x"), coding(SNOMED, "111")]},
    "first": {"codings": [coding(LOCAL, "x", "local thing"), coding(LOCAL, "y")]},
    "chosen": {"codings": [*DIABETES, coding(LOCAL, "x", None, True)]},
    "in_order": {
        "codings": [coding(SNOMED, "44054006", None, False), coding("ICD10CM", "E11.9", None, False)]
    },
    "no_code": {"codings": [coding(SNOMED, None), coding(SNOMED, "  "), coding(None, "44054006")]},
    "nulls_differ": {"codings": [coding(SNOMED, "44054006"), coding(SNOMED, None)]},
    "nulls_differ_too": {"codings": [coding(SNOMED, None), coding(LOCAL, "44054006")]},
    "words": {"code_text": "sore knee"},
    "display": {"codings": [coding(None, None, "sore hip")]},
    "nothing": {"codings": []},
    "two_targets": {"codings": [coding("ICD10CM", "E1122")]},
    "maps_to_value": {"codings": [coding("ICD10CM", "Z80.0")]},
    "standard_domain": {"codings": DIABETES, "domain_hint": "Procedure"},
    "source_domain": {"codings": [coding(SNOMED, "111")], "domain_hint": "Procedure"},
    "hint": {"codings": [coding(LOCAL, "x")], "domain_hint": "Procedure"},
    "no_table": {"codings": [coding(SNOMED, "333")], "domain_hint": "Procedure"},
    "sample": {"codings": [coding(SNOMED, "444")], "domain_hint": "Procedure"},
    "century_off": {"source_person_id": "p2", "start_datetime": "1920-05-01 00:00:00"},
    "before_birth": {"source_person_id": "p2", "start_datetime": "1973-01-01 00:00:00"},
    "birth_unknown": {"start_datetime": "1920-05-01 00:00:00"},
    "plan": {"codings": DIABETES, "domain_hint": "Episode", "fact": "care_plan"},
    "second_half": {"codings": [coding("ICD10CM", "T501")], "domain_hint": "Measurement"},
    "first_half": {"codings": [coding("ICD10CM", "T501")], "domain_hint": "Procedure"},
    "number": HB | {"value_number": 13.0, "unit_code": "g/dL", "value_operator": "<"},
    "number_as_sent": HB | {"value_number": 13.0, "value_sent": "13.00", "value_operator": "<"},
    "answer": HB | {"value_codings": [coding(LOINC, "LA4720-4")]},
    "unmapped_answer": HB | {"value_codings": [coding(LOCAL, "pos", "Positive")]},
    "text_answer": HB | {"value_text": "see note", "unit_text": "mmHg"},
    "answer_in_words": HB | {"value_codings": [coding(None, None, "Positive")]},
    "unknown_unit": HB | {"value_number": 1.5, "unit_code": "MM"},
    "route": {"route": [coding(SNOMED, "26643006", "Oral route")]},
    "modifiers": {
        "route": [coding(None, None, "by mouth")],
        "modifiers": [coding("HCPCS", "25"), coding("HCPCS", "LT")],
    },
    "order": drug("order", "1191"),
    "given": drug("administration", "1191"),
    "order_later": drug("order", "1191", start_datetime="2020-01-02 03:04:06"),
    "order_elsewhere": drug("order", "1191", source_encounter_id="v9"),
    "order_of_another": drug("order", "1191", source_person_id="p2"),
    "order_of_other_drug": drug("order", "999"),
    "dispensed": drug("dispense", "1191"),
    "order_named": drug("order", "55", start_datetime="2020-01-01 00:00:00"),
    "given_for_order": drug("administration", "55", based_on="order_named"),
    "order_in_no_words": drug("order", "7", codings=None),
    "given_in_no_words": drug("administration", "7", codings=None),
    "allergy": {"fact": "allergy", "domain_hint": "Observation", "codings": [coding(RXNORM, "1191")]},
    "allergic_rhinitis": {"fact": "allergy", "domain_hint": "Observation", "codings": DIABETES},
}


def linked(spark: SparkSession, events: list[dict[str, Any]], *more: tuple[Any, ...]) -> DataFrame:
    base = {
        "source_person_id": "p1", "domain_hint": "Condition", "fact": "diagnosis", "has_time": True,
        "start_datetime": "2020-01-02 03:04:05", "type_concept_id": 32817,
    }  # fmt: skip
    names = (
        "vocabulary_id", "code", "source_concept_id", "source_domain_id", "concept_id", "domain_id",
        "value_as_concept_id", "target_no",
    )  # fmt: skip
    made = event(
        frame(spark, EVENT, *[base | e for e in events]),
        frame(spark, PERSON_LINK, {"source": "ehr", "source_person_id": "p1", "person_id": 10},
              {"source": "ehr", "source_person_id": "p2", "person_id": 20}),
        frame(spark, PATIENT,
              {"source_person_id": "p2", "is_latest": True, "year_of_birth": 1974, "month_of_birth": 5},
              {"source_person_id": "p2", "is_latest": False, "year_of_birth": 1990}),
        frame(spark, VISIT_LINK, {"source": "ehr", "source_encounter_id": "v1", "person_id": 10, "visit_occurrence_id": 70, "visit_detail_id": 71},
              {"source": "claims", "source_encounter_id": "v2", "person_id": 10, "visit_occurrence_id": 80, "visit_detail_id": 81}),
        frame(spark, PROVIDER_LINK, {"source": "ehr", "reference": "npi|1", "provider_id": 5}),
        frame(spark, CODE_MAP, *[dict(zip(names, r, strict=True)) for r in (*MAP, *more)]),
    )  # fmt: skip
    return EVENT_LINK.conform(made)


@pytest.fixture(scope="module")
def look(spark: SparkSession) -> Look:
    """A function that gives the named columns of the rows of one event, by target number."""
    made = linked(spark, [{"source_event_id": name} | e for name, e in EVENTS.items()]).collect()

    def of(name: str, *columns: str) -> list[tuple[Any, ...]]:
        found = sorted((r for r in made if r.source_event_id == name), key=lambda r: r.target_no)
        return [tuple(r[c] for c in columns) for r in found]

    return of


@pytest.mark.omop_rule(5)
def test_an_event_gets_person_visit_and_provider_of_its_own_sender(look: Look) -> None:
    """CDM v5.4: visit and provider are optional, an event without them stays."""
    columns = ("person_id", "visit_occurrence_id", "visit_detail_id", "provider_id")
    assert look("visit", *columns) == [(10, 70, 71, 5)]
    assert look("others_visit", *columns) == [(10, None, None, None)]


def test_an_event_of_an_unknown_person_waits_elsewhere(look: Look) -> None:
    assert look("visit_of_another", "person_id", "visit_occurrence_id") == [(20, None)]
    assert look("stranger", "person_id") == []
    assert look("others_person", "person_id") == []
    assert look("second_person", "person_id") == [(20,)]


@pytest.mark.omop_rule(6)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("maps_first", (201826, 35206882, "E119", "ICD10CM")),
        ("concept_first", (0, 900111, "111", "SNOMED")),
        ("first", (0, 0, "x", LOCAL)),
        ("chosen", (0, 0, "x", LOCAL)),
        ("in_order", (201826, 201826, "44054006", "SNOMED")),
        ("no_code", (0, 0, "44054006", "None")),
        ("nulls_differ", (201826, 201826, "44054006", "SNOMED")),
        ("nulls_differ_too", (0, 0, "44054006", LOCAL)),
    ],
)
def test_the_coding_that_counts(look: Look, name: str, expected: tuple[Any, ...]) -> None:
    """CDM v5.4 source fields: verbatim code, its own concept, and the standard concept by Maps to (THEMIS)."""
    assert look(name, "concept_id", "source_concept_id", "source_value", "source_vocabulary_id") == [expected]


@pytest.mark.omop_rule(5, 6)
def test_an_event_in_words_alone_keeps_them_with_concept_0(look: Look) -> None:
    """CDM v5.4: what cannot be mapped is concept 0 and stays."""
    columns = ("concept_id", "source_concept_id", "source_value", "source_vocabulary_id", "domain_id")
    assert look("words", *columns) == [(0, 0, "sore knee", None, "Condition")]
    assert look("display", *columns) == [(0, 0, "sore hip", None, "Condition")]
    assert look("nothing", *columns) == [(0, 0, None, None, "Condition")]


@pytest.mark.omop_rule(6, 7)
def test_a_one_to_many_map_gives_that_many_rows_in_the_tables_of_their_domains(look: Look) -> None:
    """CDM v5.4, mapping conventions: a source code with several standard concepts is that many records."""
    assert look(
        "two_targets", "target_no", "concept_id", "source_concept_id", "domain_id", "source_value"
    ) == [
        (0, 192279, 1567956, "Condition", "E1122"),
        (1, 443731, 1567956, "Measurement", "E1122"),
    ]
    assert len(set(look("two_targets", "event_id"))) == 2


@pytest.mark.omop_rule(6)
def test_maps_to_value_fills_the_value(look: Look) -> None:
    """OHDSI vocabularies: Maps to value gives value_as_concept_id."""
    assert look("maps_to_value", "concept_id", "value_as_concept_id", "domain_id") == [
        (4167217, 4111921, "Observation")
    ]


@pytest.mark.omop_rule(7)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("standard_domain", "Condition"),
        ("source_domain", "Condition"),
        ("hint", "Procedure"),
        ("no_table", "Observation"),
        ("sample", "Specimen"),
        ("plan", "Episode"),
        ("second_half", "Measurement"),
        ("first_half", "Condition"),
    ],
)
def test_the_domain_is_the_standard_concepts_then_the_source_concepts_then_the_hint(
    look: Look, name: str, expected: str
) -> None:
    """CDM v5.4: the domain of the concept decides the table, never the file from which it came."""
    assert look(name, "domain_id") == [(expected,)]


@pytest.mark.omop_rule(5, 11)
def test_values_are_null_when_not_sent_and_0_when_unmapped(look: Look) -> None:
    """CDM v5.4 MEASUREMENT.value_as_concept_id: NULL without a value, 0 when unmapped (THEMIS)."""
    columns = ("value_as_concept_id", "value_source_value")
    assert look("number", *columns) == [(None, "<13")]
    assert look("number_as_sent", *columns) == [(None, "<13.00")]
    assert look("answer", *columns) == [(45883458, "LA4720-4")]
    assert look("unmapped_answer", *columns) == [(0, "pos")]
    assert look("text_answer", *columns) == [(None, "see note")]
    assert look("answer_in_words", *columns) == [(0, "Positive")]
    assert look("visit", *columns) == [(None, None)]


@pytest.mark.omop_rule(11)
def test_units_are_looked_up_with_their_case(look: Look) -> None:
    """CDM v5.4 MEASUREMENT.unit_concept_id: UCUM codes are case-sensitive."""
    columns = ("unit_concept_id", "unit_source_concept_id", "unit_source_value")
    assert look("number", *columns) == [(8713, 8713, "g/dL")]
    assert look("text_answer", *columns) == [(8876, 8876, "mmHg")]
    assert look("unknown_unit", *columns) == [
        (0, 0, "MM")
    ]  # a megametre; mm would be a length of another size
    assert look("answer", *columns) == [(None, None, None)]


def test_route_and_modifiers(look: Look) -> None:
    columns = ("route_concept_id", "route_source_value", "modifier_source_value")
    assert look("route", *columns) == [(4132161, "26643006", None)]
    assert look("modifiers", *columns) == [(0, "by mouth", "25,LT")]
    assert look("visit", *columns) == [(None, None, None)]


@pytest.mark.omop_rule(10)
@pytest.mark.parametrize("name", ["order", "order_named"])
def test_an_order_that_an_administration_fulfils_is_excluded_and_kept(look: Look, name: str) -> None:
    """CDM v5.4 DRUG_EXPOSURE: an exposure is one row, however many records tell of it."""
    assert look(name, "excluded") == [("fulfilled_by_administration",)]


@pytest.mark.parametrize(
    "name",
    ["given", "order_later", "order_elsewhere", "order_of_another", "order_of_other_drug", "dispensed",
     "given_for_order", "order_in_no_words", "given_in_no_words"],
)  # fmt: skip
def test_nothing_else_is_excluded(look: Look, name: str) -> None:
    assert look(name, "excluded") == [(None,)]


def test_an_event_a_century_before_its_persons_birth_is_excluded_and_kept(look: Look) -> None:
    """DQD plausibleAfterBirth. A year is left for care before birth; without a birth nothing is before it."""
    assert look("century_off", "excluded") == [("before_birth",)]
    assert look("before_birth", "excluded") == [(None,)]
    assert look("birth_unknown", "excluded") == [(None,)]


def test_an_allergy_to_a_drug_is_no_exposure_to_it(look: Look) -> None:
    columns = ("domain_id", "concept_id", "value_as_concept_id")
    assert look("allergy", *columns) == [("Observation", 1112807, None)]
    assert look("allergic_rhinitis", *columns) == [("Condition", 201826, None)]


def test_the_words_of_a_code_are_kept_where_it_has_no_standard_concept(look: Look) -> None:
    assert look("first", "source_display") == [("local thing",)]
    assert look("visit", "source_display") == [(None,)]


@pytest.mark.omop_rule(18)
def test_the_id_depends_on_the_record_and_not_on_file_or_run_and_an_allergy_has_the_drug_as_value(
    spark: SparkSession,
) -> None:
    """CDM v5.4 primary keys: the same after a re-run (OHDSI's ETL-Synthea and dbt-synthea number anew)."""
    one = EVENTS["allergy"] | {"source_event_id": "a"}
    known = ("SNOMED", "416098002", 439224, "Observation", 439224, "Observation", None, 0)
    made = linked(
        spark,
        [
            one | {"_file": "a", "_byte_offset": 1, "_record": 7},
            one | {"_file": "b", "_byte_offset": 9, "_record": 8, "code_text": "x"},
            one | {"_kind": "Other"},
        ],
        known,
    ).collect()
    by_record = {r._record: r for r in made}
    ids = [by_record[n].event_id for n in (7, 8, 3)]
    assert ids[0] == ids[1] != ids[2]
    assert min(ids) >= 0
    assert {(r.domain_id, r.concept_id, r.value_as_concept_id) for r in made} == {
        ("Observation", 439224, 1112807)
    }
