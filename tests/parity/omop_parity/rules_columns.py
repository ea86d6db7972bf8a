"""Causes of columns that differ in a row that both sides have. See rules.py."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .compare import RowRule
from .facts import day
from .rules import ER_TO_INPATIENT, days_between, differs, hospital_stay, lost, next_day, visit_of

if TYPE_CHECKING:
    from .facts import Facts, Text
    from .read import Row


def number(text: str | None) -> float | None:
    """The number that a text is, None when it is none."""
    try:
        return float(text or "")
    except ValueError:
        return None


# --- people and places ------------------------------------------------------------------------------------------------------


@differs(
    "location_of_the_town", ("location_id",),
    "ETL-Synthea's location is town, state and zip, without street and county; ours is the whole address (CDM location; OMOP_RULES 15).",
)  # fmt: skip
def person_location(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    p = facts.people.get(ours["person_source_value"], {})
    street, *place = (ours[column] or "").split("|")
    return bool(p) and street == p["ADDRESS"] and "|".join(("", *place)) == theirs[column]


@differs(
    "race_without_a_case", ("race_concept_id",),
    "insert_person.sql knows white, black and asian; native and hawaiian are 8657 and 8557 (OMOP_RULES 8; CDM race).",
)  # fmt: skip
def race(column: str, ours: Row, theirs: Row, _: Facts) -> bool:
    return theirs[column] == 0 and (ours["race_source_value"], ours[column]) in (
        ("native", 8657),
        ("hawaiian", 8557),
    )


def _certificate(person: str, facts: Facts) -> Text | None:
    """The encounter 'Death Certification' (SNOMED CT 308646001)."""
    return next((e for e in facts.encounters_of(person) if e["CODE"] == "308646001"), None)


@differs(
    "day_of_the_death_certificate", ("death_date", "death_datetime"),
    "ETL-Synthea takes the start of the encounter Death Certification, days after death, at midnight. Ours is DEATHDATE; it has "
    "no time of day, and then the CDM leaves death_datetime NULL.",
)  # fmt: skip
def death_day(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    certificate = _certificate(ours["person_id"], facts)
    died = day(facts.people.get(ours["person_id"], {}).get("DEATHDATE", ""))
    told = theirs[column].date() if isinstance(theirs[column], datetime) else theirs[column]
    if column == "death_datetime" and ours[column] is not None:
        return False
    return bool(certificate) and died == ours["death_date"] and told == day(certificate["START"])  # type: ignore[index]


@differs(
    "cause_on_the_death_certificate", ("cause_concept_id", "cause_source_value", "cause_source_concept_id"),
    "Theirs says more: the reason of the encounter Death Certification is the cause of death. The cause is optional (OMOP_RULES 9); "
    "no contract of ours carries it yet.",
)  # fmt: skip
def death_cause(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    certificate = _certificate(ours["person_id"], facts)
    return (
        ours[column] is None
        and bool(certificate)
        and theirs["cause_source_value"] == certificate["REASONCODE"]
    )  # type: ignore[index]


def _without_certificate(row: Row, facts: Facts) -> bool:
    certificate = _certificate(row["person_id"], facts)
    known = certificate and facts.vocabulary.standard("SNOMED", certificate["REASONCODE"])
    return not known and day(facts.people.get(row["person_id"], {}).get("DEATHDATE", "")) == row["death_date"]


no_certificate = RowRule(
    "death_without_a_mapped_certificate", _without_certificate,
    "ETL-Synthea knows a death by the encounter Death Certification and its reason, if that maps. Ours is DEATHDATE of the patient "
    "(OMOP_RULES 9: a date makes a row, the cause is optional).",
)  # fmt: skip


@differs(
    "specialty_for_everybody", ("specialty_concept_id", "specialty_source_concept_id"),
    "insert_provider.sql writes 38004446 'General Practice' for every provider, whatever the speciality. Ours looks codes up, and "
    "a word is no code: 0 (OMOP_RULES 5). Where the word is GENERAL PRACTICE theirs is right all the same.",
)  # fmt: skip
def specialty(column: str, ours: Row, theirs: Row, _: Facts) -> bool:
    return ours[column] == 0 and theirs[column] == 38004446


@differs(
    "gender_source_concept_is_the_standard_one", ("gender_source_concept_id",),
    "M and F are no concepts of a vocabulary: 0 (CDM). ETL-Synthea repeats the standard concept.",
)  # fmt: skip
def gender_source(column: str, ours: Row, theirs: Row, _: Facts) -> bool:
    return ours[column] == 0 and theirs[column] == theirs["gender_concept_id"]


def same_place(a: str | None, b: str, facts: Facts) -> bool:
    """Whether two organisations have one name and address, so that they are one care site of ours."""
    places = facts.places
    return a is not None and a in places and b in places and places[a] == places[b]


def _one_place(row: Row, facts: Facts) -> bool:
    mine = (r["care_site_source_value"] for r in facts.ours.get("care_site", ()))
    return any(
        same_place(m, row["care_site_source_value"], facts)
        for m in mine
        if m != row["care_site_source_value"]
    )


one_place = RowRule(
    "organisations_of_one_name_and_address",
    _one_place,
    "Two organisations of Synthea have one name and address: one place, one care site of ours (OMOP_RULES 15).",
)


def _organisation_address(row: Row, facts: Facts) -> bool:
    here = tuple(str(row[c]).upper() for c in ("address_1", "city", "state", "zip"))
    return here in {p[1:] for p in facts.places.values()}


organisation_address = RowRule(
    "address_of_an_organisation",
    _organisation_address,
    "ETL-Synthea's location has patients' towns alone; ours the organisations' addresses, too (CDM location, care_site).",
)


def _address_of_a_town(row: Row, facts: Facts) -> bool:
    town = (row["city"], row["state"], row["zip"])
    lives = any(
        (p["ADDRESS"], p["CITY"], p["ZIP"]) == (row["address_1"], row["city"], row["zip"])
        for p in facts.people.values()
    )
    return lives and any((t["city"], t["state"], t["zip"]) == town for t in facts.theirs.get("location", ()))


address_of_a_town = RowRule(
    "several_addresses_in_a_town",
    _address_of_a_town,
    "People of one town and zip share a location of theirs; each address of ours is one (CDM location: addresses are unique).",
)


@differs(
    "care_site_of_the_provider", ("care_site_id",),
    "Theirs is never filled. Ours is the provider's organisation (OMOP_RULES 15).",
)  # fmt: skip
def provider_site(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    where = [
        p["ORGANIZATION"]
        for p in facts.source.get("providers", ())
        if p["ID"] == ours["provider_source_value"]
    ]
    never = facts.always("provider", column, None)
    return never and any(same_place(ours[column], o, facts) for o in where)


@differs(
    "address_of_the_care_site", ("location_id",),
    "Theirs is never filled. Ours is the organisation's address (OMOP_RULES 15).",
)  # fmt: skip
def site_location(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    address = facts.places.get(ours["care_site_source_value"], ())
    return facts.always("care_site", column, None) and "|".join(address[1:]) == str(ours[column]).upper()


@differs(
    "what_the_town_alone_does_not_say",
    ("address_1", "county", "country_concept_id", "country_source_value", "latitude", "longitude"),
    "Theirs is never filled. Ours is as the patient's row has it; a country that is not mapped is 0.",
)  # fmt: skip
def location_words(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    if not facts.always("location", column, None):
        return False
    if column in ("country_concept_id", "country_source_value"):
        return ours[column] == {"country_concept_id": 0}.get(column, "US")
    name = {"address_1": "ADDRESS", "latitude": "LAT", "longitude": "LON"}.get(column, column.upper())
    values = {p[name] for p in facts.people.values() if p["CITY"] == ours["city"]}
    return str(ours[column]) in values or (
        name in ("LAT", "LON") and ours[column] in {float(v) for v in values if v}
    )


@differs(
    "zip_as_the_source_value", ("location_source_value",),
    "Theirs is the zip. Ours is the address in one string, cut to the CDM's 50 characters (CDM: the verbatim value for the location).",
)  # fmt: skip
def location_source(column: str, ours: Row, theirs: Row, _: Facts) -> bool:
    whole = "|".join(ours[c] or "" for c in ("address_1", "city", "state", "zip", "county"))
    return theirs[column] == theirs["zip"] and ours[column] == whole[:50]


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
    "number_written_anew", ("value_source_value",),
    "Theirs is right: 97.0 is what was sent, ours says 97, the number itself being the same. silver/link/event writes numbers "
    "anew because the contract keeps no text of them.",
)  # fmt: skip
def number_text(column: str, ours: Row, theirs: Row, _: Facts) -> bool:
    said = number(ours[column])
    return said is not None and said == number(theirs[column])


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


# --- spans ------------------------------------------------------------------------------------------------------------------


@differs(
    "condition_without_an_end", ("condition_era_end_date",),
    "The era's last occurrence has no end. ETL-Synthea lets it end the day after it starts; ours lasts the day (CDM: the era ends "
    "with its last occurrence, OMOP_RULES 12: no guessed end).",
)  # fmt: skip
def era_end(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
    last = [
        c
        for c in facts.our_rows("condition_occurrence", ours["person_id"])
        if c["condition_concept_id"] == ours["condition_concept_id"]
        and c["condition_start_date"] == ours[column]
        and c["condition_end_date"] is None
    ]
    return bool(last) and theirs[column] == next_day(ours[column])
