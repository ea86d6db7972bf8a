"""silver/omop/visit_detail: OMOP_RULES 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.conformed.encounter import ENCOUNTER
from carelake.silver.link.tables import FACILITY_LINK, PROVIDER_LINK, VISIT_LINK
from carelake.silver.omop.visit_detail import VISIT_DETAIL, visit_detail
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


def link(
    encounter: str, visit: int, detail: int, concept: int, start: str, end: str, **more: Any
) -> dict[str, Any]:
    return {
        "source": "ehr", "source_encounter_id": encounter, "visit_occurrence_id": visit, "visit_detail_id": detail, "rule": "self",
        "score": 1.0, "person_id": 1, "visit_concept_id": concept, "detail_concept_id": concept, "visit_start_datetime": start,
        "visit_end_datetime": end, "detail_start_datetime": start, "detail_end_datetime": end, "end_is_extract_date": False,
    } | more  # fmt: skip


def encounter(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "source_person_id": "p",
        "source_encounter_id": name,
        "visit_class": kind,
        "has_time": True,
        "type_concept_id": 32817,
    } | more


@pytest.fixture(scope="module")
def details(spark: SparkSession) -> dict[int, Row]:
    visits = frame(
        spark, VISIT_LINK,
        link("e", 10, 101, 262, "2020-01-01 08:00", "2020-01-01 11:00", parent_visit_detail_id=102),
        link("i", 10, 102, 262, "2020-01-01 10:00", "2020-01-05 09:00"),
        link("open", 11, 103, 9201, "2024-08-30 10:00", "2024-09-01 00:00", end_is_extract_date=True),
        link("o", 12, 104, 9202, "2021-01-01 10:00", "2021-01-01 10:30", person_id=2),
    )  # fmt: skip
    encounters = frame(
        spark, ENCOUNTER,
        encounter("e", "emergency", class_source_value="EMER|50849002", source_provider_id="dr", source_facility_id="gone"),
        encounter("i", "inpatient", class_source_value="IMP|1", source_provider_id="Practitioner?identifier=npi|9",
                  source_facility_id="hosp", admitted_from="emergency", discharged_to="03", type_concept_id=32855),
        encounter("open", "inpatient", discharged_to="01"),
        encounter("o", "outpatient", admitted_from="from the moon"),
    )  # fmt: skip
    providers = frame(spark, PROVIDER_LINK, {"source": "ehr", "reference": "Practitioner?identifier=npi|9", "provider_id": 7},
                      {"source": "claims", "reference": "dr", "provider_id": 8})  # fmt: skip
    facilities = frame(spark, FACILITY_LINK, {"source": "ehr", "reference": "hosp", "care_site_id": 70})
    found = VISIT_DETAIL.conform(visit_detail(visits, encounters, providers, facilities)).collect()
    assert len(found) == 4
    return {r.visit_detail_id: r for r in found}


@pytest.mark.omop_rule(2)
def test_rule_2_each_encounter_is_kept_with_its_visit_and_parent(details: dict[int, Row]) -> None:
    """CDM v5.4 VISIT_DETAIL: every encounter that was rolled up stays as a detail."""
    assert [(k, r.visit_occurrence_id, r.visit_detail_concept_id, r.parent_visit_detail_id) for k, r in sorted(details.items())] == [
        (101, 10, 262, 102), (102, 10, 262, None), (103, 11, 9201, None), (104, 12, 9202, None),
    ]  # fmt: skip


@pytest.mark.omop_rule(1, 5)
def test_rule_1_an_unknown_provider_or_care_site_never_loses_or_doubles_a_row(
    details: dict[int, Row],
) -> None:
    """CDM v5.4 VISIT_DETAIL: provider_id and care_site_id are optional."""
    assert [(k, r.provider_id, r.care_site_id) for k, r in sorted(details.items())] == [
        (101, None, None), (102, 7, 70), (103, None, None), (104, None, None),
    ]  # fmt: skip


@pytest.mark.omop_rule(1)
def test_rule_1_type_is_the_encounters_and_32220_when_still_open(details: dict[int, Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE.visit_end_date: type 32220 marks a visit still open."""
    assert [details[k].visit_detail_type_concept_id for k in (101, 102, 103)] == [32817, 32855, 32220]


@pytest.mark.omop_rule(5)
def test_rule_5_origin_and_destination_are_null_without_a_value_and_0_when_unmapped(
    details: dict[int, Row],
) -> None:
    """CDM v5.4 VISIT_DETAIL.admitted_from_concept_id: no value is NULL, an unmapped one is 0 (THEMIS)."""
    found = {k: (r.admitted_from_concept_id, r.discharged_to_concept_id) for k, r in details.items()}
    assert found == {101: (None, None), 102: (9203, 8863), 103: (None, 0), 104: (0, None)}
    assert details[104].admitted_from_source_value == "from the moon"


def test_source_value_is_the_class_verbatim_and_dates_are_of_the_local_clock(details: dict[int, Row]) -> None:
    r = details[102]
    assert (r.visit_detail_source_value, str(r.visit_detail_start_date), str(r.visit_detail_end_date)) == (
        "IMP|1",
        "2020-01-01",
        "2020-01-05",
    )
    assert details[103].visit_detail_source_value == "inpatient"


def test_preceding_detail_is_the_persons_detail_before(details: dict[int, Row]) -> None:
    assert {k: r.preceding_visit_detail_id for k, r in details.items()} == {
        101: None,
        102: 101,
        103: 102,
        104: None,
    }
