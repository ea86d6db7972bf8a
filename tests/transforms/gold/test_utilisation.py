"""gold/utilisation: OMOP_RULES 4 and 22."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from carelake.gold.measures.utilisation import UTILISATION, utilisation
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cost import COST
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.payer_plan_period import PAYER_PLAN_PERIOD
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

EHR, CLAIMS = 32817, 32855


def visit(key: int, person: int, concept: int, start: str, end: str, kind: int = EHR) -> dict[str, Any]:
    return {"visit_occurrence_id": key, "person_id": person, "visit_concept_id": concept, "visit_start_date": start, "visit_end_date": end,
            "visit_type_concept_id": kind}  # fmt: skip


def cost(domain: str, event: int, payer: float, total: float) -> dict[str, Any]:
    return {"cost_domain_id": domain, "cost_event_id": event, "paid_by_payer": payer, "total_paid": total}


@pytest.fixture(scope="module")
def years(spark: SparkSession) -> dict[tuple[int, int], Row]:
    visits = frame(
        spark, VISIT_OCCURRENCE,
        # 1: a stay over new year known to both, the claim through the emergency room
        visit(1, 1, 9201, "2019-12-30", "2020-01-03"), visit(2, 1, 262, "2019-12-30", "2020-01-03", CLAIMS),
        visit(3, 1, 9203, "2019-12-30", "2019-12-30"), visit(4, 1, 9203, "2020-05-01", "2020-05-01"),
        visit(5, 1, 9203, "2020-05-01", "2020-05-01", CLAIMS), visit(6, 1, 9202, "2020-06-01", "2020-06-01"),
        visit(7, 1, 581477, "2020-06-01", "2020-06-01", CLAIMS), visit(8, 1, 9202, "2020-06-02", "2020-06-02"),
        visit(9, 1, 8863, "2020-07-01", "2020-07-11", CLAIMS), visit(10, 1, 9201, "2020-08-01", "2020-08-01"),
        visit(11, 1, 9201, "2020-09-05", "2020-09-20"),  # goes on after the as-of date
        visit(12, 1, 9202, "2020-09-10", "2020-09-10"),  # on the as-of date
        # 2: EHR visits a long time apart; one after the observation period
        visit(20, 2, 9202, "2015-01-01", "2015-01-01"), visit(21, 2, 9202, "2015-01-31", "2015-01-31"),
        visit(22, 2, 9202, "2018-03-01", "2018-03-01"), visit(23, 2, 9203, "2020-03-01", "2020-03-01"),
    )  # fmt: skip
    costs = frame(
        spark, COST, cost("Visit", 2, 1000.10, 1200.20), cost("Visit", 9, 10.01, 10.01), cost("Visit", 9, 0.02, 0.02), cost("Drug", 50, 5.5, 6.0),
        cost("Cost", 999, 77.0, 77.0),
    )  # fmt: skip
    events = frame(
        spark,
        EVENT_LINK,
        {
            "event_id": 50,
            "domain_id": "Drug",
            "person_id": 1,
            "source_claim_id": "c",
            "start_datetime": "2020-02-01",
        },
    )
    plan = {"person_id": 1, "payer_source_value": "Medicare"}
    plans = frame(
        spark, PAYER_PLAN_PERIOD,
        plan | {"payer_plan_period_id": 1, "payer_plan_period_start_date": "2019-12-01", "payer_plan_period_end_date": "2020-01-31"},
        plan | {"payer_plan_period_id": 2, "payer_plan_period_start_date": "2019-12-20", "payer_plan_period_end_date": "2020-01-10"},
        plan | {"payer_plan_period_id": 3, "payer_plan_period_start_date": "2020-09-01", "payer_plan_period_end_date": "2020-12-31"},
    )  # fmt: skip
    periods = frame(
        spark, OBSERVATION_PERIOD,
        {"person_id": 1, "observation_period_start_date": "2019-01-01", "observation_period_end_date": "2020-12-31"},
        {"person_id": 2, "observation_period_start_date": "2015-01-01", "observation_period_end_date": "2018-12-31"},
    )  # fmt: skip
    found = UTILISATION.conform(
        utilisation(visits, costs, events, plans, periods, date(2020, 9, 10))
    ).collect()
    assert len({(r.person_id, r.year) for r in found}) == len(found)
    return {(r.person_id, r.year): r for r in found}


@pytest.mark.omop_rule(22)
def test_rule_22_a_stay_known_to_ehr_and_claims_counts_once(years: dict[tuple[int, int], Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE: a visit is one, also where two sources record it."""
    assert (years[1, 2019].inpatient_stays, years[1, 2020].inpatient_stays) == (1, 2)


def test_inpatient_days_are_nights_of_the_year_before_as_of_and_one_for_a_stay_without(
    years: dict[tuple[int, int], Row],
) -> None:
    # 30 and 31 December; then 1 and 2 January, 1 August, 5 to 9 September
    assert (years[1, 2019].inpatient_days, years[1, 2020].inpatient_days) == (2, 8)


def test_rule_22_emergency_visits_count_once_and_those_that_became_a_stay_count_too(
    years: dict[tuple[int, int], Row],
) -> None:
    assert (years[1, 2019].emergency_visits, years[1, 2020].emergency_visits) == (1, 1)


def test_rule_22_a_contact_in_the_office_counts_once_and_none_on_the_as_of_date(
    years: dict[tuple[int, int], Row],
) -> None:
    assert years[1, 2020].outpatient_visits == 2


def test_skilled_nursing_is_counted_in_nights(years: dict[tuple[int, int], Row]) -> None:
    assert (years[1, 2020].skilled_nursing_days, years[1, 2019].skilled_nursing_days) == (10, 0)


@pytest.mark.omop_rule(22)
def test_rule_22_observed_days_are_told_per_kind_of_data(years: dict[tuple[int, int], Row]) -> None:
    # claims: December; January and 1 to 9 September. EHR: 30 and 31 December; 1 January to 9 September
    """CDM v5.4 OBSERVATION_PERIOD: what one source could have seen is not what the other could."""
    found = [(years[1, y].observed_days_claims, years[1, y].observed_days_ehr) for y in (2019, 2020)]
    assert found == [(31, 2), (31 + 9, 253)]


def test_a_gap_of_548_days_ends_the_span_of_the_ehr(years: dict[tuple[int, int], Row]) -> None:
    assert {y: years[2, y].observed_days_ehr for p, y in years if p == 2} == {2015: 31, 2018: 1, 2020: 1}


@pytest.mark.omop_rule(4)
def test_rule_4_a_visit_outside_the_observation_periods_does_not_count(
    years: dict[tuple[int, int], Row],
) -> None:
    """CDM v5.4 OBSERVATION_PERIOD: only inside a period is silence known to be absence."""
    assert years[2, 2020].emergency_visits == 0


@pytest.mark.omop_rule(14)
def test_rule_14_what_was_paid_is_counted_once_and_missing_without_claims(
    years: dict[tuple[int, int], Row],
) -> None:
    """CDM v5.4 COST: the sum of the rows is the sum paid."""
    assert (years[1, 2019].paid_by_payer, years[1, 2019].total_paid) == (
        Decimal("1000.10"),
        Decimal("1200.20"),
    )
    assert (years[1, 2020].paid_by_payer, years[1, 2020].total_paid) == (Decimal("15.53"), Decimal("16.03"))
    assert years[2, 2015].paid_by_payer is None
