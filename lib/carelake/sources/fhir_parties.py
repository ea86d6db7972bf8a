"""FHIR R4: the mappings of patients, places and practitioners. `fhir` declares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.silver.conformed import clock
from carelake.silver.conformed.lineage import EHR, type_concept
from carelake.sources import fhir_shapes as f

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def patient(records: DataFrame) -> DataFrame:
    """Every version. Sex is the birth sex of US Core, else gender; a partial birth date gives year and month."""
    core = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"

    def part(which: str, url: str) -> str:
        inner = f"get(filter(extension, x -> x.url = '{core}{which}'), 0).extension"
        return f"filter({inner}, x -> x.url = '{url}')"

    name = "coalesce({}, get(name, 0))".format(
        ", ".join(f"get(filter(name, x -> x.use = '{use}'), 0)" for use in ("official", "usual"))
    )
    born_at = (
        "get(filter(_birthDate.extension, x -> x.url = 'http://hl7.org/fhir/StructureDefinition/patient-birthTime'), 0)"
        ".valueDateTime"
    )
    geo = "get(filter(_address.extension, x -> x.url LIKE '%/geolocation'), 0).extension"
    frame = f.parsed(
        records, "Patient",
        _name=name, _born_at=born_at,
        _address="coalesce(get(filter(address, x -> x.use = 'home'), 0), get(address, 0))",
        _sex=f"coalesce(get(filter(extension, x -> x.url = '{core}birthsex'), 0).valueCode, gender)",
        _race=part("race", "ombCategory"), _ethnicity=part("ethnicity", "ombCategory"),
        _race_text=f"get({part('race', 'text')}, 0).valueString",
        _ethnicity_text=f"get({part('ethnicity', 'text')}, 0).valueString",
        _language="coalesce(get(filter(communication, x -> x.preferred), 0), get(communication, 0)).language",
    )  # fmt: skip
    known = "coalesce(extract_date, to_date(version_at))"
    # CDM v5.4, DEATH: with day or month unknown, the last day of the month or of the year.
    died = (
        f"CASE length(deceasedDateTime) WHEN 7 THEN last_day({clock.local('deceasedDateTime')}) "
        f"WHEN 4 THEN make_date(year({clock.local('deceasedDateTime')}), 12, 31) "
        f"ELSE {clock.day('deceasedDateTime')} END"
    )
    return f.rows(frame, {
        "source_person_id": "id", "is_latest": "is_latest", "version_at": "version_at",
        "identifiers": "transform(filter(identifier, x -> x.value IS NOT NULL), x -> struct(x.system, x.value))",
        "family_name": "_name.family", "given_name": "get(_name.given, 0)",
        "birth_date": clock.day("birthDate"), "birth_datetime": clock.local("_born_at"),
        "year_of_birth": f"year({clock.local('birthDate')})",
        "month_of_birth": f"CASE WHEN length(birthDate) >= 7 THEN month({clock.local('birthDate')}) END",
        "day_of_birth": f"day({clock.day('birthDate')})",
        "sex": "CASE lower(_sex) WHEN 'm' THEN 'male' WHEN 'f' THEN 'female' WHEN 'male' THEN 'male' "
               "WHEN 'female' THEN 'female' WHEN 'other' THEN 'other' WHEN 'oth' THEN 'other' "
               "WHEN 'unknown' THEN 'unknown' WHEN 'unk' THEN 'unknown' END",
        "sex_source_value": "_sex",
        "race": "CASE WHEN size(_race) = 1 AND _race[0].valueCoding.code RLIKE '^[0-9]{4}-[0-9]$' "
                "THEN _race[0].valueCoding.code END",
        "race_source_value": "coalesce(_race_text, array_join(_race.valueCoding.display, ', '))",
        "ethnicity": "CASE get(_ethnicity, 0).valueCoding.code WHEN '2135-2' THEN 'hispanic' "
                     "WHEN '2186-5' THEN 'not_hispanic' END",
        "ethnicity_source_value": "coalesce(_ethnicity_text, get(_ethnicity, 0).valueCoding.display)",
        "death_date": died,
        "death_datetime": f"CASE WHEN {clock.has_time('deceasedDateTime')} THEN {clock.local('deceasedDateTime')} END",
        "death_type_concept_id": f"CASE WHEN deceasedDateTime IS NOT NULL THEN {type_concept(EHR)} END",
        "address_line": "array_join(_address.line, ', ')", "city": "_address.city", "state": "_address.state",
        "zip": "_address.postalCode", "county": "_address.district", "country": "_address.country",
        "latitude": f"get(filter({geo}, x -> x.url = 'latitude'), 0).valueDecimal",
        "longitude": f"get(filter({geo}, x -> x.url = 'longitude'), 0).valueDecimal",
        "language": f.first_code("_language"),
        "source_provider_id": f.first_clinician("generalPractitioner"),
        "source_facility_id": f.reference("managingOrganization"),
    },
        clock.bad_date("birth_date", "birthDate"), clock.bad_date("death_date", "deceasedDateTime"),
        f.when(f"to_date({clock.local('birthDate')}) > {known}", "R_TEMPORAL:birth_after_extract"),
        f.when(f"exists(link, x -> {f.person('x.other')} = id)", "R_REF:itself"),
    )  # fmt: skip


def _address(address: str) -> dict[str, str]:
    return {
        "address_line": f"array_join({address}.line, ', ')", "city": f"{address}.city", "state": f"{address}.state",
        "zip": f"{address}.postalCode", "country": f"{address}.country",
    }  # fmt: skip


def organization(records: DataFrame) -> DataFrame:
    """An organisation that provides care or a part of one."""
    return f.rows(f.parsed(records, "Organization"), {
        "source_facility_id": "id", "aliases": f.aliases("identifier"), "name": "name",
        "facility_kind": "'organization'", "part_of": f.reference("partOf"),
        "place_of_service": f.first_code("get(type, 0)"), **_address("get(address, 0)"),
    })  # fmt: skip


def location(records: DataFrame) -> DataFrame:
    """A place of care."""
    return f.rows(f.parsed(records, "Location"), {
        "source_facility_id": "id", "aliases": f.aliases("identifier"), "name": "coalesce(name, description)",
        "facility_kind": "'location'", "part_of": f"coalesce({f.reference('managingOrganization')}, {f.reference('partOf')})",
        "place_of_service": f"coalesce({f.first_code('get(type, 0)')}, {f.first_code('physicalType')})",
        **_address("address"), "latitude": "position.latitude", "longitude": "position.longitude",
    })  # fmt: skip


def practitioner(records: DataFrame) -> DataFrame:
    """A person who gives care."""
    name = "get(name, 0)"
    return f.rows(f.parsed(records, "Practitioner"), {
        "source_provider_id": "id", "aliases": f.aliases("identifier"), "npi": f.identifier("identifier", f.NPI),
        "name": f"coalesce({name}.text, nullif(concat_ws(' ', array_join({name}.given, ' '), {name}.family), ''))",
        "sex": "CASE WHEN gender IN ('male', 'female', 'other', 'unknown') THEN gender END",
        "year_of_birth": f"year({clock.local('birthDate')})", "specialty": f.all_codings("qualification.code"),
    }, clock.bad_date("year_of_birth", "birthDate"))  # fmt: skip


def practitioner_role(records: DataFrame) -> DataFrame:
    """What a practitioner does for an organisation; the role's own id is one more name of the practitioner."""
    who = f.clinician("practitioner")
    npi = f.NPI.replace(".", "[.]")
    return f.rows(f.parsed(records, "PractitionerRole", _who=who), {
        "source_provider_id": "coalesce(_who, id)",
        "aliases": f"concat(array(id), coalesce({f.aliases('identifier')}, array()))",
        "npi": f"coalesce(nullif(regexp_extract(_who, '^{npi}[|](.+)$', 1), ''), {f.identifier('identifier', f.NPI)})",
        "specialty": f"CASE WHEN size(specialty) > 0 THEN {f.all_codings('specialty')} ELSE {f.all_codings('code')} END",
        "source_facility_id": f.reference("organization"),
    })  # fmt: skip
