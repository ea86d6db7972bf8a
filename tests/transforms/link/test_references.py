"""Providers and facilities: every way to name one leads to the same id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.silver.conformed.facility import FACILITY as FACILITIES
from carelake.silver.conformed.provider import PROVIDER as RECORDS
from carelake.silver.link.facility import facility
from carelake.silver.link.provider import provider
from carelake.silver.link.tables import FACILITY_LINK, PROVIDER_LINK
from carelake.silver.omop.care_site import CARE_SITE, care_site
from carelake.silver.omop.provider import PROVIDER
from carelake.silver.omop.provider import provider as omop_provider
from carelake.silver.vocabulary.tables import CODE_MAP
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NPI = "http://hl7.org/fhir/sid/us-npi"


@pytest.mark.omop_rule(15)
def test_practitioner_role_and_claims_of_one_provider_are_one_within_a_sender(spark: SparkSession) -> None:
    """CDM v5.4 PROVIDER: a person; an NPI names one and is no key."""
    nucc = [
        {
            "system": "http://nucc.org/provider-taxonomy",
            "code": "208D00000X",
            "display": None,
            "user_selected": None,
        }
    ]
    records = frame(
        spark, RECORDS,
        {"source_provider_id": "p1", "aliases": [f"{NPI}|1234567893"], "npi": "1234567893", "name": "Ted Reilly", "sex": "male"},
        {"source_provider_id": f"{NPI}|1234567893", "aliases": ["role-9"], "specialty": nucc, "source_facility_id": "org"},
        {"source_provider_id": "p2", "aliases": [f"{NPI}|0000000000"], "npi": "0000000000"},
        {"source_provider_id": "p3", "npi": "0000000000"},
        {"_source": "claims", "source_provider_id": "1234567893", "npi": "1234567893"},
    )  # fmt: skip
    links = PROVIDER_LINK.conform(provider(records))
    ids = {(s, r): i for s, r, i in rows(links)}
    one = {ids["ehr", r] for r in ("p1", f"{NPI}|1234567893", "1234567893", "role-9")}
    assert len(one) == 1
    assert len({*one, ids["ehr", "p2"], ids["ehr", "p3"], ids["claims", "1234567893"]}) == 4
    assert ("ehr", "0000000000") not in ids
    sites = frame(spark, FACILITY_LINK, {"source": "ehr", "reference": "org", "care_site_id": 7})
    codes = frame(
        spark, CODE_MAP,
        {"vocabulary_id": "NUCC", "code": "208D00000X", "source_concept_id": 38004446, "concept_id": 38004446,
         "target_no": 0, "provenance": "vocabulary"},
    )  # fmt: skip
    table = PROVIDER.conform(omop_provider(records, links, sites, codes))
    columns = (
        "provider_source_value",
        "provider_name",
        "npi",
        "specialty_concept_id",
        "care_site_id",
        "gender_concept_id",
    )
    assert rows(table.where("_source = 'ehr'"), *columns) == [
        (f"{NPI}|1234567893", "Ted Reilly", "1234567893", 38004446, 7, 8507),
        ("p2", None, "0000000000", None, None, None),
        ("p3", None, "0000000000", None, None, None),
    ]
    assert {r[0] for r in rows(table, "provider_id")} == set(ids.values())


@pytest.mark.omop_rule(15)
def test_a_care_site_is_a_place_its_kind_and_name_and_an_organisation_and_its_location_are_one(
    spark: SparkSession,
) -> None:
    """CDM v5.4 CARE_SITE: unique by place and kind."""
    here = {
        "name": "Mill Clinic",
        "address_line": "1 Mill St",
        "city": "Lowell",
        "state": "MA",
        "zip": "01850",
    }
    records = frame(
        spark, FACILITIES,
        {"source_facility_id": "org", "aliases": ["sys|org"], "facility_kind": "organization", "place_of_service": "11"} | here,
        {"source_facility_id": "loc", "facility_kind": "location", "part_of": "sys|org"} | here
        | {"address_line": "1  MILL st ", "latitude": 42.5, "longitude": -71.5},
        {"source_facility_id": "ward", "facility_kind": "location", "part_of": "org", "name": "Ward 3"},
        {"source_facility_id": "other", "facility_kind": "organization", "place_of_service": "23"} | here,
        {"source_facility_id": "nowhere", "facility_kind": "location"},
    )  # fmt: skip
    links = FACILITY_LINK.conform(facility(records))
    found = {r: (site, place) for _, r, site, place in rows(links)}
    assert found["org"] == found["sys|org"] == found["loc"]
    assert len({site for site, _ in found.values()}) == 4
    assert {found[r][1] for r in ("org", "ward", "other")} == {found["loc"][1]}
    assert found["nowhere"][1] is None
    codes = frame(
        spark, CODE_MAP,
        {"vocabulary_id": "CMS Place of Service", "code": "11", "source_concept_id": 8940, "concept_id": 581477,
         "target_no": 0, "provenance": "vocabulary"},
    )  # fmt: skip
    sites = CARE_SITE.conform(care_site(records, links, codes))
    assert rows(
        sites,
        "care_site_name",
        "place_of_service_concept_id",
        "place_of_service_source_value",
        "care_site_source_value",
    ) == [
        (None, None, None, "nowhere"),
        ("Mill Clinic", 0, "23", "other"),
        ("Mill Clinic", 581477, "11", "loc"),
        ("Ward 3", 581477, "11", "ward"),
    ]
