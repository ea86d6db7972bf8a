"""Synthea's CSV export, versions 3.0 to 3.3: eighteen files, columns by name, whatever their order.

Rows of conditions, medications and the like have no id of their own. Their key is person, encounter, code and start,
with a running number among the rows of one encounter that share these: two prescriptions of a drug at one moment are
two facts, while a later export that knows the end of the first is a new version of it. Columns: the Synthea wiki, "CSV
File Data Dictionary". Of one population, `fhir` gives the same persons, visits and facts; docs/synthea.md lists what the
formats make differ.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from carelake.bronze.parts import Divides
from carelake.bronze.source import FileProblem, Source, Unit
from carelake.core.delimited import fields, records
from carelake.silver.conformed import clock, us_state
from carelake.silver.conformed.claim import CLAIM
from carelake.silver.conformed.claim_line import CLAIM_LINE
from carelake.silver.conformed.coverage import COVERAGE
from carelake.silver.conformed.encounter import ENCOUNTER, elective
from carelake.silver.conformed.event import EPISODE, EVENT
from carelake.silver.conformed.facility import FACILITY
from carelake.silver.conformed.lineage import CODING, EHR, coding, type_concept
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.conformed.provider import PROVIDER
from carelake.sources import synthea_csv_claims as money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

_OWN_ID = ("ID",)
_OF_ENCOUNTER = ("PATIENT", "ENCOUNTER", "CODE", "START|DATE")
# Columns of the key by kind, alternatives by version; the last ones of _OF_ENCOUNTER get a running number.
_KEYS = {
    **dict.fromkeys(
        ("patients", "encounters", "careplans", "organizations", "providers", "payers", "claims", "claims_transactions"),
        _OWN_ID,
    ),
    "imaging_studies": ("ID", "INSTANCE_UID|DATE"),
    "payer_transitions": ("PATIENT", "START_DATE|START_YEAR"),
    **dict.fromkeys(
        ("conditions", "medications", "procedures", "immunizations", "allergies", "devices", "supplies", "observations"),
        _OF_ENCOUNTER,
    ),
}  # fmt: skip
_MAY_BE_BLANK = ("ENCOUNTER",)  # quality of life and the like belong to no encounter
_NAME = re.compile(rf"^({'|'.join(sorted(_KEYS, key=len, reverse=True))})(?:[-_][0-9]+)?\.csv(?:\.gz)?$")
_PRESCRIPTION, _ADMINISTRATION = 32838, 32818
_SNOMED, _RXNORM, _LOINC, _CVX, _UCUM = (
    "http://snomed.info/sct", "http://www.nlm.nih.gov/research/umls/rxnorm", "http://loinc.org", "http://hl7.org/fhir/sid/cvx",
    "http://unitsofmeasure.org",
)  # fmt: skip


def units(stream: BinaryIO, name: str) -> Iterator[Unit]:
    """Rows of a file; its name gives the kind (`conditions.csv`, of a split export `conditions_2.csv`)."""
    named = _NAME.match(name.lower().rsplit("/", 1)[-1])
    if named is None:
        raise FileProblem("F_WRONG_FORMAT", "file_name")
    kind = named[1]
    columns = _KEYS[kind]
    needed = [n for n, c in enumerate(columns) if c not in _MAY_BE_BLANK]
    block, seen = ["", ""], dict[str, int]()
    for raw, parts, offset, number, wrong, header in records(
        stream, sep=",", quoted=True, columns=columns, refuse=FileProblem
    ):
        whole = all(parts[n] for n in needed)
        key = "|".join(parts) if whole else None
        if key and columns is _OF_ENCOUNTER:
            if block != parts[:2]:  # an encounter's rows stand together: nothing more has to be remembered
                block, seen = parts[:2], {}
            seen[key] = seen.get(key, 0) + 1
            key = key if seen[key] == 1 else f"{key}|{seen[key]}"
        yield Unit(
            kind, key, None, raw, offset, number, wrong or (None if whole else "R_ID:key_missing"), header
        )


def divides(name: str) -> Divides | None:
    """Rows with an id of their own, which depend on no other row: the largest files among them."""
    named = _NAME.match(name.lower().rsplit("/", 1)[-1])
    return None if named is None or _KEYS[named[1]] is _OF_ENCOUNTER else Divides(head=1, quoted=True)


SOURCE = Source(
    format="synthea_csv",
    doc="Synthea's CSV export, 3.0 to 3.3: patients, encounters, what was found and done, organisations, payers.",
    files=tuple(pattern for kind in _KEYS for pattern in (f"{kind}.csv", f"{kind}[-_][0-9]*.csv")),
    units=units,
    kinds=frozenset(_KEYS),
    versions_kept=frozenset({"patients"}),
    divides=divides,
)

SOURCE.mapping(
    kind="claims", beside=("claims_transactions", "payers", "encounters"), into=CLAIM, refers=money.concerned
)(money.claims)
SOURCE.mapping(kind="claims_transactions", into=CLAIM_LINE)(money.claim_lines)


def _read(rows: DataFrame, *columns: str) -> DataFrame:
    return fields(rows, columns, sep=",", quoted=True)


def _codings(system: str, code: str = "CODE", display: str = "DESCRIPTION") -> str:
    """SQL of an array of one coding, empty without a code; `system` is SQL."""
    one = coding(system, code, display)
    return f"cast(CASE WHEN {code} IS NOT NULL THEN array({one}) ELSE array() END AS {CODING})"


def _problems(*texts: str, start: str | None = None) -> str:
    found = [clock.bad_date(name.lower(), name) for name in texts] + (
        [clock.future(f"to_date({clock.local(start)})")] if start else []
    )
    return f"array({', '.join(found)}) AS _problems"


def _events(
    rows: DataFrame,
    fact: str,
    hint: str,
    system: str,
    *columns: str,
    start: str,
    end: str,
    problem: str = "NULL",
    **more: str,
) -> DataFrame:
    """One fact a row. `hint`, `system`, `start`, `end`, `problem` and `more` are SQL over the file's columns."""
    known = ("PATIENT", "ENCOUNTER", "CODE", "DESCRIPTION")
    frame = _read(rows, *dict.fromkeys((*known, *columns))).selectExpr(
        "*", f"{start} AS _start", f"{end} AS _end"
    )
    future = clock.future(f"to_date({clock.local('_start')})")
    named = {"type_concept_id": type_concept(EHR), **clock.times("_start", "_end"), **more}
    return frame.selectExpr(
        "PATIENT AS source_person_id", "record_key AS source_event_id", "ENCOUNTER AS source_encounter_id",
        f"{hint} AS domain_hint", f"'{fact}' AS fact", f"{_codings(system)} AS codings",
        "CASE WHEN CODE IS NULL THEN DESCRIPTION END AS code_text", *[f"{sql} AS {name}" for name, sql in named.items()],
        f"array({clock.bad_date('start', '_start')}, {clock.bad_date('end', '_end')}, {future}, "
        "CASE WHEN CODE IS NULL AND DESCRIPTION IS NULL THEN 'R_SCHEMA:code_missing' END, "
        f"{problem}) AS _problems", "_at",
    )  # fmt: skip


_NEVER = "cast(NULL AS string)"
_REASON = ("REASONCODE", "REASONDESCRIPTION")
_WHY = _codings(repr(_SNOMED), *_REASON)
_OPEN = "CASE WHEN STOP IS NULL THEN 'active' ELSE 'resolved' END"


@SOURCE.mapping(kind="patients", into=PATIENT)
def patients(rows: DataFrame) -> DataFrame:
    """Every version. Identifiers have the systems that Synthea's FHIR export gives them."""
    systems = {
        "ID": "https://github.com/synthetichealth/synthea", "SSN": "http://hl7.org/fhir/sid/us-ssn",
        "DRIVERS": "urn:oid:2.16.840.1.113883.4.3.25", "PASSPORT": "http://hl7.org/fhir/sid/passport-USA",
    }  # fmt: skip
    pairs = ", ".join(f"named_struct('system', '{system}', 'value', {c})" for c, system in systems.items())
    columns = (
        *systems, "BIRTHDATE", "DEATHDATE", "FIRST", "LAST", "RACE", "ETHNICITY", "GENDER", "ADDRESS", "CITY", "STATE", "COUNTY",
        "ZIP", "LAT", "LON",
    )  # fmt: skip
    races = {
        "white": "2106-3",
        "black": "2054-5",
        "asian": "2028-9",
        "native": "1002-5",
        "hawaiian": "2076-8",
    }
    birth, death = clock.day("BIRTHDATE"), clock.day("DEATHDATE")
    return _read(rows, *columns).selectExpr(
        "ID AS source_person_id", "is_latest", "version_at",
        f"filter(array({pairs}), x -> x.value IS NOT NULL) AS identifiers", "LAST AS family_name", "FIRST AS given_name",
        f"{birth} AS birth_date", f"year({birth}) AS year_of_birth", f"month({birth}) AS month_of_birth",
        f"day({birth}) AS day_of_birth",
        "CASE upper(GENDER) WHEN 'M' THEN 'male' WHEN 'F' THEN 'female' ELSE 'unknown' END AS sex", "GENDER AS sex_source_value",
        f"CASE lower(RACE) {' '.join(f'WHEN {k!r} THEN {v!r}' for k, v in races.items())} END AS race",
        "RACE AS race_source_value",
        "CASE lower(ETHNICITY) WHEN 'hispanic' THEN 'hispanic' WHEN 'nonhispanic' THEN 'not_hispanic' END AS ethnicity",
        "ETHNICITY AS ethnicity_source_value", f"{death} AS death_date",
        f"CASE WHEN {death} IS NOT NULL THEN {type_concept(EHR)} END AS death_type_concept_id",
        "ADDRESS AS address_line", "CITY AS city", f"{us_state.letters('STATE')} AS state", "ZIP AS zip", "COUNTY AS county", "'US' AS country",
        "try_cast(LAT AS double) AS latitude", "try_cast(LON AS double) AS longitude",
        _problems("BIRTHDATE", "DEATHDATE"), "_at",
    )  # fmt: skip


@SOURCE.mapping(kind="encounters", into=ENCOUNTER)
def encounters(rows: DataFrame) -> DataFrame:
    """One row per encounter; all ten classes have a visit."""
    columns = (
        "ID", "START", "STOP", "PATIENT", "ORGANIZATION", "PROVIDER", "ENCOUNTERCLASS", "CODE", "DESCRIPTION", "REASONCODE",
        "REASONDESCRIPTION",
    )  # fmt: skip
    classes = {
        "emergency": "emergency", "inpatient": "inpatient", "urgentcare": "urgent_care", "virtual": "telehealth", "home": "home",
        "hospice": "hospice", "snf": "skilled_nursing", "wellness": "outpatient", "ambulatory": "outpatient",
        "outpatient": "outpatient",
    }  # fmt: skip
    visit = f"CASE lower(ENCOUNTERCLASS) {' '.join(f'WHEN {k!r} THEN {v!r}' for k, v in classes.items())} ELSE 'unknown' END"
    frame = _read(rows, *columns).selectExpr("*", f"{visit} AS _class", "lower(DESCRIPTION) AS _said")
    return frame.selectExpr(
        "PATIENT AS source_person_id", "ID AS source_encounter_id", "_class AS visit_class",
        "concat_ws(':', ENCOUNTERCLASS, CODE) AS class_source_value",
        f"CASE WHEN _class = 'emergency' THEN false ELSE {elective('_said')} END AS planned", *[f"{sql} AS {name}" for name, sql in clock.times("START", "STOP").items()],
        f"coalesce({clock.zone_assumed('START')}, false) AS zone_assumed", f"{_codings(repr(_SNOMED))} AS types",
        f"{_codings(repr(_SNOMED), 'REASONCODE', 'REASONDESCRIPTION')} AS reasons", "ORGANIZATION AS source_facility_id",
        "PROVIDER AS source_provider_id", f"{type_concept(EHR)} AS type_concept_id", _problems("START", "STOP", start="START"), "_at",
    )  # fmt: skip


@SOURCE.mapping(kind="conditions", into=EVENT)
def conditions(rows: DataFrame) -> DataFrame:
    """Diagnoses, in days."""
    return _events(
        rows, "diagnosis", "'Condition'", f"coalesce(SYSTEM, {_SNOMED!r})", "SYSTEM", "START", "STOP",
        start="START", end="STOP", clinical_status=_OPEN,
    )  # fmt: skip


@SOURCE.mapping(kind="medications", into=EVENT)
def medications(rows: DataFrame) -> DataFrame:
    """Orders. DISPENSES counts past and expected fills and is no quantity; an administration is not told apart."""
    return _events(
        rows, "order", "'Drug'", repr(_RXNORM), "START", "STOP", *_REASON, start="START", end="STOP", reasons=_WHY,
        clinical_status="CASE WHEN STOP IS NULL THEN 'active' ELSE 'stopped' END", type_concept_id=type_concept(_PRESCRIPTION),
    )  # fmt: skip


@SOURCE.mapping(kind="procedures", into=EVENT)
def procedures(rows: DataFrame) -> DataFrame:
    """What was done, from START (DATE before 3.0) to STOP."""
    return _events(
        rows, "procedure", "'Procedure'", f"coalesce(SYSTEM, {_SNOMED!r})", "SYSTEM", "START", "STOP", "DATE", *_REASON,
        start="coalesce(START, `DATE`)", end="STOP", clinical_status="'completed'", reasons=_WHY,
    )  # fmt: skip


@SOURCE.mapping(kind="careplans", into=EVENT)
def careplans(rows: DataFrame) -> DataFrame:
    """Plans of care, in days. What a plan is for is a code, of a condition that the person has."""
    return _events(
        rows, "care_plan", f"'{EPISODE}'", repr(_SNOMED), "START", "STOP", *_REASON, start="START", end="STOP",
        clinical_status="CASE WHEN STOP IS NULL THEN 'active' ELSE 'completed' END", reasons=_WHY,
    )  # fmt: skip


@SOURCE.mapping(kind="observations", into=EVENT)
def observations(rows: DataFrame) -> DataFrame:
    """Results, numbers to one decimal as exported; components of a panel are rows of their own.

    A text that is a number with a unit is a number (Synthea: income in /a). Scores of Synthea's own (QALY ...) are no LOINC.
    """
    numeric = "(TYPE = 'numeric' OR (UNITS <> '{nominal}' AND try_cast(VALUE AS double) IS NOT NULL))"
    number = f"CASE WHEN {numeric} THEN try_cast(VALUE AS double) END"
    return _events(
        rows, "result",
        "CASE WHEN CATEGORY IN ('laboratory', 'vital-signs') THEN 'Measurement' WHEN CATEGORY IN ('survey', 'social-history', 'sdoh') "
        f"OR NOT coalesce({numeric}, false) THEN 'Observation' ELSE 'Measurement' END",
        f"CASE WHEN CODE RLIKE '^[A-Z]*[0-9]+-[0-9]$' THEN '{_LOINC}' ELSE 'https://github.com/synthetichealth/synthea' END",
        "DATE", "CATEGORY", "VALUE", "UNITS", "TYPE", start="`DATE`", end=_NEVER,
        value_number=number, value_sent=f"CASE WHEN {numeric} THEN VALUE END", value_text=f"CASE WHEN NOT coalesce({numeric}, false) THEN VALUE END",
        unit_system=f"CASE WHEN {numeric} AND UNITS IS NOT NULL THEN '{_UCUM}' END",
        unit_code=f"CASE WHEN {numeric} THEN UNITS END", unit_text=f"CASE WHEN {numeric} THEN UNITS END", clinical_status="'final'",
        problem=f"CASE WHEN TYPE = 'numeric' AND VALUE IS NOT NULL AND {number} IS NULL THEN 'R_TYPE:value' END",
    )  # fmt: skip


@SOURCE.mapping(kind="immunizations", into=EVENT)
def immunizations(rows: DataFrame) -> DataFrame:
    """Vaccines given."""
    return _events(
        rows, "immunization", "'Drug'", repr(_CVX), "DATE", start="`DATE`", end=_NEVER, clinical_status="'completed'",
        type_concept_id=type_concept(_ADMINISTRATION),
    )  # fmt: skip


@SOURCE.mapping(kind="allergies", into=EVENT)
def allergies(rows: DataFrame) -> DataFrame:
    """What the person does not tolerate."""
    system = f"CASE WHEN SYSTEM IS NULL OR lower(SYSTEM) = 'unknown' THEN {_SNOMED!r} ELSE SYSTEM END"
    return _events(
        rows, "allergy", "'Observation'", system, "SYSTEM", "START", "STOP", start="START", end=_NEVER, clinical_status=_OPEN,
    )  # fmt: skip


@SOURCE.mapping(kind="devices", into=EVENT)
def devices(rows: DataFrame) -> DataFrame:
    """Devices implanted or in use."""
    return _events(
        rows, "device", "'Device'", repr(_SNOMED), "START", "STOP", "UDI", start="START", end="STOP",
        clinical_status=_OPEN, unique_device_id="UDI",
    )  # fmt: skip


@SOURCE.mapping(kind="supplies", into=EVENT)
def supplies(rows: DataFrame) -> DataFrame:
    """Supplies used up."""
    return _events(
        rows, "device", "'Device'", repr(_SNOMED), "DATE", "QUANTITY", start="`DATE`", end=_NEVER,
        quantity="try_cast(QUANTITY AS double)",
    )  # fmt: skip


@SOURCE.mapping(kind="organizations", into=FACILITY)
def organizations(rows: DataFrame) -> DataFrame:
    """Organisations that provide care."""
    columns = ("ID", "NAME", "ADDRESS", "CITY", "STATE", "ZIP", "LAT", "LON")
    return _read(rows, *columns).selectExpr(
        "ID AS source_facility_id", "NAME AS name", "'organization' AS facility_kind", "ADDRESS AS address_line", "CITY AS city",
        "STATE AS state", "ZIP AS zip", "'US' AS country", "try_cast(LAT AS double) AS latitude",
        "try_cast(LON AS double) AS longitude", "_at",
    )  # fmt: skip


@SOURCE.mapping(kind="providers", into=PROVIDER)
def providers(rows: DataFrame) -> DataFrame:
    """Persons who give care; the speciality is a word, no code of a system."""
    return _read(rows, "ID", "ORGANIZATION", "NAME", "GENDER", "SPECIALITY").selectExpr(
        "ID AS source_provider_id", "NAME AS name",
        "CASE upper(GENDER) WHEN 'M' THEN 'male' WHEN 'F' THEN 'female' END AS sex", "GENDER AS sex_source_value",
        f"{_codings('cast(NULL AS string)', 'SPECIALITY', 'SPECIALITY')} AS specialty", "ORGANIZATION AS source_facility_id", "_at",
    )  # fmt: skip


@SOURCE.mapping(kind="payer_transitions", beside=("payers",), into=COVERAGE, refers=money.of_payers)
def coverage(rows: DataFrame) -> DataFrame:
    """Spans of insurance until the day before the next begins; before 3.1 whole years.

    PLAN_OWNERSHIP (OWNERSHIP before 3.1) says whose policy it is and is no plan: no file of Synthea names one.
    """
    known = _read(rows.where("kind = 'payers'"), "ID", "NAME", "OWNERSHIP").selectExpr(
        "sender.name AS _sender", "ID AS PAYER", "NAME AS _payer", "upper(OWNERSHIP) AS _owner"
    )
    spans = _read(
        rows.where("kind = 'payer_transitions'"),
        "PATIENT", "PAYER", "START_DATE", "END_DATE", "START_YEAR", "END_YEAR",
    ).selectExpr(
        "*", "sender.name AS _sender", "coalesce(START_DATE, concat(START_YEAR, '-01-01')) AS _start",
        "coalesce(END_DATE, concat(END_YEAR, '-12-31')) AS _end",
    )  # fmt: skip
    kind = (
        "CASE WHEN _name = 'no_insurance' THEN 'self_pay' WHEN _name LIKE '%medicare%' OR _name LIKE 'dual%' THEN 'medicare' "
        "WHEN _name LIKE '%medicaid%' THEN 'medicaid' WHEN _owner = 'GOVERNMENT' THEN 'other' ELSE 'commercial' END"
    )
    until = f"CASE WHEN {clock.has_time('_end')} THEN date_sub({clock.day('_end')}, 1) ELSE {clock.day('_end')} END"
    return (
        spans.join(known, on=["_sender", "PAYER"], how="left")
        .selectExpr("*", "coalesce(_payer, PAYER) AS _named", "lower(coalesce(_payer, '')) AS _name")
        .selectExpr(
            "PATIENT AS source_person_id", "record_key AS source_coverage_id", "_named AS payer",
            f"{kind} AS payer_type", f"{clock.day('_start')} AS start_date",
            f"greatest({clock.day('_start')}, {until}) AS end_date",
            f"array({clock.bad_date('start', '_start')}, {clock.bad_date('end', '_end')}) AS _problems", "_at",
        )
    )  # fmt: skip
