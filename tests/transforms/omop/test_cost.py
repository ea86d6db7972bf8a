"""silver/omop/cost: OMOP_RULES 14."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.conformed.claim import CLAIM
from carelake.silver.link.tables import EVENT_LINK, PERSON_LINK, VISIT_LINK
from carelake.silver.omop.cost import COST, cost
from carelake.silver.omop.payer_plan_period import PAYER_PLAN_PERIOD
from carelake.silver.vocabulary.tables import CODE_MAP
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

CLAIMS = ("stay", "stay again", "pharmacy", "equipment", "bare", "stranger")


def claim(name: str, kind: str, paid: str, **more: Any) -> dict[str, Any]:
    return {
        "_source": "claims", "source_person_id": "p", "source_claim_id": name, "claim_type": kind, "start_date": "2020-03-01",
        "paid_by_payer": Decimal(paid), "payer": "Medicare", "type_concept_id": 32855,
    } | more  # fmt: skip


def event(claim: str, key: int, domain: str, **more: Any) -> dict[str, Any]:
    return {
        "_source": "claims",
        "source_claim_id": claim,
        "event_id": key,
        "domain_id": domain,
        "target_no": 0,
        "person_id": 1,
    } | more


def period(key: int, start: str, end: str, **more: Any) -> dict[str, Any]:
    return {
        "payer_plan_period_id": key, "person_id": 1, "payer_plan_period_start_date": start, "payer_plan_period_end_date": end,
        "payer_source_value": "Medicare",
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def costs(spark: SparkSession) -> dict[str, Row]:
    claims = frame(
        spark, CLAIM,
        claim("stay", "inpatient", "1000.10", source_encounter_id="e", charge=Decimal("5000.00"), paid_by_patient=Decimal("200.05"),
              patient_deductible=Decimal("200.05"), paid_by_primary=Decimal("3.00"), drg="39"),
        claim("stay again", "professional", "0.20", source_encounter_id="e", patient_copay=Decimal("1.00"), patient_coinsurance=Decimal("0.50"),
              type_concept_id=32873, start_date="2021-03-01", drg="999"),
        claim("pharmacy", "pharmacy", "12.34", paid_by_patient=Decimal("0.66"), type_concept_id=32869, start_date="2019-12-31"),
        claim("equipment", "equipment", "7.77", type_concept_id=32873, payer="Other"),
        claim("bare", "outpatient", "0.59", source_encounter_id="gone"),
        claim("stranger", "outpatient", "99.99", source_person_id="q"),
    )  # fmt: skip
    people = frame(spark, PERSON_LINK, {"source": "claims", "source_person_id": "p", "person_id": 1})
    visits = frame(spark, VISIT_LINK, {"source": "claims", "source_encounter_id": "e", "person_id": 1, "visit_occurrence_id": 10},
                   {"source": "ehr", "source_encounter_id": "gone", "person_id": 1, "visit_occurrence_id": 11})  # fmt: skip
    events = frame(
        spark, EVENT_LINK,
        event("stay", 1, "Condition"), event("pharmacy", 3, "Drug", target_no=1), event("pharmacy", 2, "Drug", excluded="x"),
        event("pharmacy", 4, "Drug"), event("equipment", 5, "Condition"), event("equipment", 7, "Device"), event("equipment", 6, "Procedure"),
        event("pharmacy", 8, "Drug", _source="other"),
    )  # fmt: skip
    periods = frame(
        spark, PAYER_PLAN_PERIOD,
        period(21, "2020-01-01", "2020-12-31"), period(22, "2020-02-01", "2020-12-31"), period(20, "2020-02-01", "2020-12-31"),
        period(23, "2020-02-15", "2020-12-31", person_id=2), period(24, "2020-02-20", "2020-12-31", payer_source_value="Aetna"),
        period(25, "2019-01-01", "2019-12-31"),
    )  # fmt: skip
    code_map = frame(
        spark, CODE_MAP, {"vocabulary_id": "DRG", "code": "039", "concept_id": 38000421, "target_no": 0}
    )
    found = COST.conform(cost(claims, people, visits, events, periods, code_map)).collect()
    assert len({r.cost_id for r in found}) == len(found) == 5
    return {CLAIMS[r._record - 1]: r for r in found}


@pytest.mark.omop_rule(14)
def test_rule_14_sum_of_cost_is_the_sum_paid_in_the_source(costs: dict[str, Row]) -> None:
    """CDM v5.4 COST: one row per payer response, nothing told twice."""
    assert set(costs) == set(CLAIMS) - {"stranger"}
    assert round(sum(r.paid_by_payer for r in costs.values()), 2) == 1021.00


@pytest.mark.omop_rule(14)
def test_rule_14_paid_is_payer_and_patient_parts(costs: dict[str, Row]) -> None:
    """CDM v5.4 COST.total_paid: what payers and patient paid together."""
    found = {k: (r.paid_by_payer, r.paid_by_patient, r.total_paid) for k, r in costs.items()}
    assert found == {
        "stay": (1000.10, 200.05, 1203.15), "stay again": (0.20, 1.50, 1.70), "pharmacy": (12.34, 0.66, 13.00), "equipment": (7.77, None, 7.77),
        "bare": (0.59, None, 0.59),
    }  # fmt: skip
    stay = costs["stay"]
    assert (stay.total_charge, stay.total_cost, stay.paid_patient_deductible, stay.paid_by_primary) == (
        5000.0,
        None,
        200.05,
        3.0,
    )


@pytest.mark.omop_rule(14, 19)
def test_rule_14_a_claim_is_for_its_visit_else_for_what_it_supplied_else_for_itself(
    costs: dict[str, Row],
) -> None:
    """CDM v5.4 COST.cost_event_id: the claim's relationship to its visit; no cost of an encounter on its lines."""
    found = {k: (r.cost_domain_id, r.cost_event_id) for k, r in costs.items() if k != "bare"}
    assert found == {
        "stay": ("Visit", 10),
        "stay again": ("Visit", 10),
        "pharmacy": ("Drug", 4),
        "equipment": ("Device", 7),
    }
    assert (costs["bare"].cost_domain_id, costs["bare"].cost_event_id) == ("Cost", costs["bare"].cost_id)


@pytest.mark.omop_rule(14)
def test_rule_14_currency_is_us_dollars_and_the_type_is_the_claims(costs: dict[str, Row]) -> None:
    """CDM v5.4 COST.currency_concept_id: 44818668, US dollar."""
    assert {r.currency_concept_id for r in costs.values()} == {44818668}
    assert {k: r.cost_type_concept_id for k, r in costs.items()} == {
        "stay": 32855, "stay again": 32873, "pharmacy": 32869, "equipment": 32873, "bare": 32855,
    }  # fmt: skip


@pytest.mark.omop_rule(14)
def test_rule_14_plan_periods_may_overlap_and_never_double_a_cost(costs: dict[str, Row]) -> None:
    """CDM v5.4 PAYER_PLAN_PERIOD: periods may overlap."""
    assert {k: r.payer_plan_period_id for k, r in costs.items()} == {
        "stay": 20, "stay again": None, "pharmacy": 25, "equipment": None, "bare": 20,
    }  # fmt: skip


@pytest.mark.omop_rule(5)
def test_rule_5_drg_concept_is_null_without_a_drg_and_0_when_unmapped(costs: dict[str, Row]) -> None:
    """CDM v5.4 COST.drg_concept_id: optional, NULL without a value (THEMIS)."""
    found = {
        k: (r.drg_source_value, r.drg_concept_id)
        for k, r in costs.items()
        if k in ("stay", "stay again", "bare")
    }
    assert found == {"stay": ("39", 38000421), "stay again": ("999", 0), "bare": (None, None)}
