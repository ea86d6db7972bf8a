"""silver/omop/visit_occurrence: OMOP_RULES 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.link.tables import VISIT_LINK
from carelake.silver.omop.visit_detail import VISIT_DETAIL
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE, visit_occurrence
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


def detail(key: int, visit: int, start: str, end: str, **more: Any) -> dict[str, Any]:
    return {
        "visit_detail_id": key, "visit_occurrence_id": visit, "person_id": 1, "visit_detail_concept_id": 262,
        "visit_detail_start_datetime": start, "visit_detail_end_datetime": end, "visit_detail_type_concept_id": 32817, "_record": key,
    } | more  # fmt: skip


def link(key: int, visit: int, concept: int, start: str, end: str) -> dict[str, Any]:
    return {"source": "ehr", "visit_detail_id": key, "visit_occurrence_id": visit, "visit_concept_id": concept,
            "visit_start_datetime": start, "visit_end_datetime": end}  # fmt: skip


@pytest.fixture(scope="module")
def visits(spark: SparkSession) -> dict[int, Row]:
    details = frame(
        spark, VISIT_DETAIL,
        detail(1, 10, "2020-01-01 08:00", "2020-01-01 11:00", parent_visit_detail_id=2, provider_id=5, care_site_id=50,
               visit_detail_source_value="EMER", discharged_to_source_value="er", admitted_from_source_value="street"),
        detail(2, 10, "2020-01-01 10:00", "2020-01-04 09:00", care_site_id=60, visit_detail_source_value="IMP", admitted_from_concept_id=0,
               admitted_from_source_value="x", discharged_to_concept_id=8717, discharged_to_source_value="02"),
        detail(3, 10, "2020-01-05 10:00", "2020-01-08 09:00", provider_id=6, visit_detail_source_value="IMP2", discharged_to_concept_id=0,
               discharged_to_source_value="01", admitted_from_source_value="4"),
        detail(4, 10, "2020-01-07 10:00", "2020-01-08 09:00", parent_visit_detail_id=3, discharged_to_source_value="op"),
        detail(5, 11, "2024-08-20 10:00", "2024-08-25 10:00"),
        detail(6, 11, "2024-08-25 10:00", "2024-09-01 00:00", visit_detail_type_concept_id=32220),
        detail(7, 12, "2021-01-01 10:00", "2021-01-01 11:00"),
    )  # fmt: skip
    span = ("2020-01-01 08:00", "2020-01-08 09:00")
    still = ("2024-08-20 10:00", "2024-09-01 00:00")
    links = frame(
        spark, VISIT_LINK, *[link(k, 10, 262, *span) for k in (1, 2, 3, 4)], link(5, 11, 9201, *still), link(6, 11, 9201, *still),
        link(7, 12, 9202, "2021-01-01 10:00", "2021-01-01 11:00"),
    )  # fmt: skip
    found = VISIT_OCCURRENCE.conform(visit_occurrence(details, links)).collect()
    assert len(found) == 3
    return {r.visit_occurrence_id: r for r in found}


@pytest.mark.omop_rule(1)
def test_rule_1_one_row_per_visit_with_its_span_and_concept(visits: dict[int, Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE: dates and datetimes of the whole visit."""
    r = visits[10]
    assert (r.person_id, r.visit_concept_id, str(r.visit_start_date), str(r.visit_end_date)) == (
        1,
        262,
        "2020-01-01",
        "2020-01-08",
    )
    assert (r.visit_start_datetime.isoformat(), r.visit_end_datetime.isoformat()) == (
        "2020-01-01T08:00:00",
        "2020-01-08T09:00:00",
    )


def test_provider_site_class_and_origin_come_from_the_first_inpatient_detail_alone(
    visits: dict[int, Row],
) -> None:
    r = visits[10]
    assert (r.provider_id, r.care_site_id, r.visit_source_value) == (None, 60, "IMP")
    assert (r.admitted_from_concept_id, r.admitted_from_source_value) == (0, "x")


def test_discharge_comes_from_the_last_inpatient_detail(visits: dict[int, Row]) -> None:
    assert (visits[10].discharged_to_concept_id, visits[10].discharged_to_source_value) == (0, "01")


@pytest.mark.omop_rule(1)
def test_rule_1_a_visit_still_open_at_the_extract_has_type_32220(visits: dict[int, Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE.visit_end_date: type 32220 marks a visit still open."""
    assert {k: r.visit_type_concept_id for k, r in visits.items()} == {10: 32817, 11: 32220, 12: 32817}


def test_preceding_visit_is_the_persons_visit_before(visits: dict[int, Row]) -> None:
    assert {k: r.preceding_visit_occurrence_id for k, r in visits.items()} == {10: None, 12: 10, 11: 12}
