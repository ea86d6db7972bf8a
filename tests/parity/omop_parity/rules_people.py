"""Causes of differences in people, deaths, places and who gives care. See rules.py."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .compare import RowRule
from .facts import day
from .rules import differs

if TYPE_CHECKING:
    from .facts import Facts, Text
    from .read import Row


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
