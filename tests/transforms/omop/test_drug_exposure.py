"""silver/omop/drug_exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE, drug_exposure
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

# name: the event, its end, its verbatim end, its type
CASES: dict[str, tuple[dict[str, Any], str, str | None, int]] = {
    "an end that was sent": ({"fact": "order", "end_datetime": "2020-01-20 05:00:00", "days_supply": 5}, "2020-01-20", "2020-01-20", 32838),
    "days of supply": ({"fact": "dispense", "days_supply": 30, "quantity": 10.0, "dose_per_day": 1.0}, "2020-01-31", None, 32825),
    "a reversal": ({"fact": "dispense", "days_supply": -30, "type_concept_id": 32869}, "2020-01-02", None, 32869),
    "zero days of supply": ({"fact": "dispense", "days_supply": 0, "type_concept_id": 32869}, "2020-01-31", None, 32869),
    "quantity by daily dose": ({"fact": "order", "quantity": 21.0, "dose_per_day": 2.0}, "2020-01-12", None, 32838),
    "less than a day's dose": ({"fact": "order", "quantity": 1.0, "dose_per_day": 4.0}, "2020-01-02", None, 32838),
    "an administration": ({"fact": "administration"}, "2020-01-02", None, 32818),
    "an infusion": ({"fact": "administration", "end_datetime": "2020-01-03 01:00:00"}, "2020-01-03", "2020-01-03", 32818),
    "a vaccine": ({"fact": "immunization"}, "2020-01-02", None, 32818),
    "a written prescription": ({"fact": "order"}, "2020-01-31", None, 32838),
    "mail order": ({"fact": "dispense", "type_concept_id": 32857}, "2020-03-31", None, 32857),
    "a procedure code of a drug": ({"fact": "procedure", "type_concept_id": 32872}, "2020-01-02", None, 32872),
}  # fmt: skip


@pytest.fixture(scope="module")
def exposures(spark: SparkSession) -> dict[str, Row]:
    """The rows by the name of their case."""
    base = {
        "person_id": 10, "domain_id": "Drug", "concept_id": 1112807, "source_concept_id": 0, "target_no": 0,
        "start_datetime": "2020-01-02 03:04:05", "has_time": True, "type_concept_id": 32817,
    }  # fmt: skip
    more: dict[str, dict[str, Any]] = {
        "whole": {"fact": "order", "sig": "1 a day", "refills": 3, "route_concept_id": 4132161, "route_source_value": "PO",
                  "lot_number": "L1", "stop_reason": "rash", "unit_source_value": "mg", "days_supply": 7, "quantity": 7.5},
        "day only": {"fact": "order", "has_time": False, "start_datetime": "2020-01-02 00:00:00",
                     "end_datetime": "2020-01-04 00:00:00"},
        "excluded": {"fact": "order", "excluded": "fulfilled_by_administration"},
        "other domain": {"fact": "order", "domain_id": "Device"},
    }  # fmt: skip
    events = {name: case[0] for name, case in CASES.items()} | more
    given = frame(spark, EVENT_LINK, *[base | {"event_id": n} | e for n, e in enumerate(events.values())])
    names = list(events)
    return {names[r.drug_exposure_id]: r for r in DRUG_EXPOSURE.conform(drug_exposure(given)).collect()}


@pytest.mark.omop_rule(10)
@pytest.mark.parametrize("name", CASES)
def test_end_and_type_of(exposures: dict[str, Row], name: str) -> None:
    """CDM v5.4 DRUG_EXPOSURE.drug_exposure_end_date, in its order; the type says what the record is."""
    row = exposures[name]
    verbatim = row.verbatim_end_date and row.verbatim_end_date.isoformat()
    assert (row.drug_exposure_end_date.isoformat(), verbatim, row.drug_type_concept_id) == CASES[name][1:]


@pytest.mark.omop_rule(10)
def test_days_of_supply_are_verbatim_and_never_computed(exposures: dict[str, Row]) -> None:
    """CDM v5.4 DRUG_EXPOSURE.days_supply: verbatim; a negative one is a reversal."""
    assert exposures["a reversal"].days_supply == -30
    assert exposures["quantity by daily dose"].days_supply is None


def test_what_was_sent_is_kept(exposures: dict[str, Row]) -> None:
    row = exposures["whole"]
    assert (row.sig, row.refills, row.route_concept_id, row.route_source_value) == (
        "1 a day",
        3,
        4132161,
        "PO",
    )
    assert (row.lot_number, row.stop_reason, row.dose_unit_source_value, row.quantity) == (
        "L1",
        "rash",
        "mg",
        7.5,
    )


def test_a_datetime_without_a_time_of_day_is_midnight(exposures: dict[str, Row]) -> None:
    assert exposures["whole"].drug_exposure_start_datetime.isoformat() == "2020-01-02T03:04:05"
    assert exposures["whole"].drug_exposure_end_datetime is None
    assert exposures["day only"].drug_exposure_start_datetime.isoformat() == "2020-01-02T00:00:00"
    assert exposures["day only"].drug_exposure_end_datetime.isoformat() == "2020-01-04T00:00:00"


@pytest.mark.omop_rule(10, 7)
def test_fulfilled_orders_and_other_domains_are_not_here(exposures: dict[str, Row]) -> None:
    """CDM v5.4 DRUG_EXPOSURE: the administration is the exposure, not the order it fulfils."""
    assert {"excluded", "other domain"}.isdisjoint(exposures)
