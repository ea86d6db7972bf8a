"""Causes of columns that differ in visits and clinical events. See rules.py."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .facts import day
from .rules import ER_TO_INPATIENT, days_between, differs, hospital_stay, lost, visit_of
from .rules_people import same_place

if TYPE_CHECKING:
    from .facts import Facts
    from .read import Row


def number(text: str | None) -> float | None:
    """The number that a text is, None when it is none."""
    try:
        return float(text or "")
    except ValueError:
        return None


# --- visits -----------------------------------------------------------------------------------------------------------------


@differs(
    "class_instead_of_id", ("visit_source_value", "visit_detail_source_value"),
    "Theirs is the encounter's id. Ours is its class and type: the CDM asks for the kind of visit.",
)  # fmt: skip
def visit_source(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    e = facts.encounters.get(theirs[column], {})
    return bool(e) and any(
        ours[column] == f"{o['ENCOUNTERCLASS']}:{o['CODE']}"
        for o in facts.encounters_on(e["PATIENT"], day(e["START"]))
    )


@differs(
    "care_site_of_the_encounter", ("care_site_id",),
    "Theirs is never filled. Ours is the encounter's organisation (OMOP_RULES 15).",
)  # fmt: skip
def visit_site(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    table = "visit_occurrence" if "visit_start_date" in ours else "visit_detail"
    start = ours.get("visit_start_date") or ours.get("visit_detail_start_date")
    where = [e["ORGANIZATION"] for e in facts.encounters_on(ours["person_id"], start)]
    return facts.always(table, column, None) and any(same_place(ours[column], o, facts) for o in where)


@differs(
    "visit_before_is_one_that_theirs_has_not", ("preceding_visit_occurrence_id", "preceding_visit_detail_id"),
    "The visit before ours is of a class that ETL-Synthea loses, part of a stay that it splits, or an encounter that it rolled up.",
)  # fmt: skip
def preceding_missing(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    before = str(ours[column])
    start = day(before)
    in_a_stay = {f"{start}|{concept}" for concept in (ER_TO_INPATIENT, 9201)}
    return any(
        (lost(e) and visit_of(e) == before) or (hospital_stay(e, facts) != [] and before in in_a_stay)
        for e in facts.encounters_on(ours["person_id"], start)
    )


@differs(
    "order_within_a_day", ("preceding_visit_occurrence_id", "preceding_visit_detail_id"),
    "Several visits start on the day: theirs, cut to dates, come in any order, ours by the clock.",
)  # fmt: skip
def preceding_order(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    start = ours.get("visit_start_date") or ours.get("visit_detail_start_date")
    names = {str(ours[column]), str(theirs[column])} - {"None"}
    days = {day(str(start)), *(day(name) for name in names)}
    real = {visit_of(e) for d in days for e in facts.encounters_on(ours["person_id"], d)}
    return names <= real and any(len(facts.encounters_on(ours["person_id"], d)) > 1 for d in days)


# --- events -----------------------------------------------------------------------------------------------------------------


@differs(
    "days_supply_computed", ("days_supply",),
    "Theirs is STOP - START, or 0. The CDM: not to be calculated from other fields, and Synthea says none (OMOP_RULES 10).",
)  # fmt: skip
def days_supply(column: str, ours: Row, theirs: Row, _: Facts) -> bool:
    spent = days_between(theirs["drug_exposure_start_date"], theirs["verbatim_end_date"])
    return ours[column] is None and theirs[column] == (spent or 0)


def _vaccine(row: Row, facts: Facts) -> bool:
    found = facts.records(row["person_id"], row["drug_source_value"], row["drug_exposure_start_date"])
    return any(file == "immunizations" for file, _ in found)


@differs(
    "end_of_a_vaccine_invented", ("verbatim_end_date", "drug_exposure_end_datetime"),
    "`immunizations.csv` has one date and no end: verbatim_end_date is only what was sent (OMOP_RULES 10; CDM).",
)  # fmt: skip
def vaccine_end(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    told = theirs[column].date() if isinstance(theirs[column], datetime) else theirs[column]
    return ours[column] is None and told == theirs["drug_exposure_start_date"] and _vaccine(ours, facts)


@differs(
    "prescription_without_an_end", ("drug_exposure_end_date", "drug_exposure_end_datetime"),
    "An order without STOP ends after 30 days (THEMIS 57: a written prescription is start + 29; OMOP_RULES 10), and nobody sent "
    "a moment. ETL-Synthea ends it when it starts.",
)  # fmt: skip
def open_prescription(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    start = ours["drug_exposure_start_date"]
    found = facts.records(ours["person_id"], ours["drug_source_value"], start)
    still_open = any(file == "medications" and not row["STOP"] for file, row in found)
    if column == "drug_exposure_end_date":
        return still_open and theirs[column] == start and ours[column] == start + timedelta(days=29)
    return still_open and ours[column] is None and theirs[column].date() == start


@differs(
    "day_in_measurement_time", ("measurement_time",),
    "Theirs is the date. The column is the time of day (CDM, for backwards compatibility).",
)  # fmt: skip
def measurement_time(column: str, ours: Row, theirs: Row, _: Facts) -> bool:
    clock = ours["measurement_datetime"]
    return theirs[column] == str(theirs["measurement_date"]) and ours[column] == clock.strftime("%H:%M:%S")


@differs(
    "unit_source_concept_never_filled", ("unit_source_concept_id",),
    "Theirs is never filled. Ours is the concept of the unit, 0 where it has none (OMOP_RULES 6).",
)  # fmt: skip
def unit_source(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    never = facts.always("measurement", column, None)
    return never and ours["unit_source_value"] is not None and ours[column] in facts.our_units


@differs(
    "unit_without_a_mapping_of_theirs", ("unit_concept_id",),
    "Their vocabulary has no valid standard 'Maps to' for the UCUM code, ours has a concept (bundled maps, each with its provenance).",
)  # fmt: skip
def unit_unmapped(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    unit = ours["unit_source_value"]
    mine = bool(ours[column]) and ours[column] in facts.our_units
    return bool(unit) and mine and theirs[column] == 0 and not facts.vocabulary.standard("UCUM", unit)


@differs(
    "unit_of_words", ("unit_source_value", "unit_concept_id"),
    "Synthea's CSV writes {nominal} and the like beside answers in words, or nothing; theirs gives that a unit 0. A unit belongs to a "
    "number, so ours has none (OMOP_RULES 5).",
)  # fmt: skip
def unit_of_words(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    unit = theirs["unit_source_value"]
    without = theirs["unit_concept_id"] == 0 and not (unit and facts.vocabulary.standard("UCUM", unit))
    return ours[column] is None and ours["value_as_number"] is None and without


@differs(
    "value_cut_to_50_characters", ("value_source_value",),
    "Theirs is right by the letter: value_source_value is varchar(50) in the CDM. Ours keeps the words whole (OMOP_RULES 6: verbatim).",
)  # fmt: skip
def value_cut(column: str, ours: Row, theirs: Row, _: Facts) -> bool:
    return (
        theirs[column] is not None
        and len(theirs[column]) == 50
        and str(ours[column]).startswith(theirs[column])
    )


@differs(
    "value_of_an_observation_never_filled",
    ("value_as_number", "value_as_string", "unit_concept_id", "unit_source_value"),
    "insert_observation.sql writes the answer into value_source_value alone. Ours has it as a number with its unit, or as words "
    "(CDM observation).",
)  # fmt: skip
def observation_value(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    said = str(theirs["value_source_value"])
    if not facts.always("observation", column, 0 if column == "unit_concept_id" else None):
        return False
    if column == "value_as_string":
        return str(ours[column])[:50] == said[:50]
    if column == "unit_concept_id" and ours[column] not in facts.our_units:
        return False
    if column == "unit_source_value":
        found = facts.records(ours["person_id"], ours["observation_source_value"], ours["observation_date"])
        if ours[column] not in {row.get("UNITS") for _, row in found}:
            return False
    return ours["value_as_number"] is not None and number(said) == ours["value_as_number"]
