"""silver/omop/cost: what each claim cost, once (OMOP_RULES 14; CDM v5.4 cost)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import step
from carelake.core.table import Check, OnFail
from carelake.silver.conformed.claim import CLAIM
from carelake.silver.link.tables import EVENT_LINK, PERSON_LINK, VISIT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.payer_plan_period import PAYER_PLAN_PERIOD
from carelake.silver.vocabulary import structural as C
from carelake.silver.vocabulary.codes import code_sql
from carelake.silver.vocabulary.tables import CODE_MAP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COST = cdm_table(
    "cost",
    of_person=True,
    checks=(
        Check("domain_is_known", "cost_domain_id IN ('Visit', 'Drug', 'Device', 'Procedure', 'Measurement', 'Observation', "
              "'Condition', 'Cost')", on_fail=OnFail.STOP),
    ),
)  # fmt: skip

# The event that stands for a claim without a visit: what was supplied, before what was done, before why.
_DOMAINS = ("Drug", "Device", "Procedure", "Measurement", "Observation", "Condition")


@step(
    writes=COST, claims=CLAIM, persons=PERSON_LINK, visits=VISIT_LINK, events=EVENT_LINK, periods=PAYER_PLAN_PERIOD,
    code_map=CODE_MAP,
)  # fmt: skip
def cost(
    claims: DataFrame,
    persons: DataFrame,
    visits: DataFrame,
    events: DataFrame,
    periods: DataFrame,
    code_map: DataFrame,
) -> DataFrame:
    """One row per claim whose person is known, which is one payer's response. Amounts in US dollars.

    cost_event_id is the id in the table of cost_domain_id: 'Visit' → visit_occurrence_id (several claims of one visit are
    several rows); a claim without a visit goes to what it supplied: 'Drug' → drug_exposure_id (pharmacy), 'Device' or
    'Procedure' (equipment), else its first other event in an OMOP table; one with neither keeps its money as 'Cost', the
    event being the row itself. Lines are not repeated, so the sum of paid_by_payer is the sum of the claims'.

    total_paid = payer + patient (its total, else copay + coinsurance + deductible) + primary payer. total_cost is the
    provider's own cost, which no claim tells: NULL. payer_plan_period_id: the person's period of that payer on the first
    day of service; of several (parts of a plan) the one begun last, then the smaller id.
    """
    rows = (
        claims.join(
            persons.selectExpr("source AS _source", "source_person_id", "person_id"),
            on=["_source", "source_person_id"], how="inner",
        )
        .join(
            visits.selectExpr("source AS _source", "source_encounter_id", "person_id", "visit_occurrence_id"),
            on=["_source", "source_encounter_id", "person_id"], how="left",
        )
        .join(_supplied(events), on=["_source", "source_claim_id"], how="left")
        .join(_periods(claims, persons, periods), on=["_source", "source_claim_id"], how="left")
        .withColumn("_drg", F.expr(code_sql("'DRG'", "drg")))
        .join(
            code_map.where("vocabulary_id = 'DRG' AND target_no = 0").selectExpr("code AS _drg", "concept_id AS _drg_concept_id"),
            on="_drg", how="left",
        )
        .withColumn("cost_id", F.expr(id_sql(COST.name, "_source", "source_claim_id")))
        .withColumn("_patient", F.expr(
            "coalesce(paid_by_patient, CASE WHEN coalesce(patient_copay, patient_coinsurance, patient_deductible) IS NOT NULL "
            "THEN coalesce(patient_copay, 0) + coalesce(patient_coinsurance, 0) + coalesce(patient_deductible, 0) END)"
        ))
    )  # fmt: skip
    return rows.selectExpr(
        "cost_id", "coalesce(visit_occurrence_id, event.event_id, cost_id) AS cost_event_id",
        "CASE WHEN visit_occurrence_id IS NOT NULL THEN 'Visit' ELSE coalesce(event.domain_id, 'Cost') END AS cost_domain_id",
        "type_concept_id AS cost_type_concept_id", f"{C.CURRENCY_USD} AS currency_concept_id", "charge AS total_charge",
        "paid_by_payer + coalesce(_patient, 0) + coalesce(paid_by_primary, 0) AS total_paid", "paid_by_payer",
        "_patient AS paid_by_patient", "patient_copay AS paid_patient_copay", "patient_coinsurance AS paid_patient_coinsurance",
        "patient_deductible AS paid_patient_deductible", "paid_by_primary", "payer_plan_period_id", "allowed AS amount_allowed",
        f"CASE WHEN drg IS NOT NULL THEN coalesce(_drg_concept_id, {C.NO_CONCEPT}) END AS drg_concept_id",
        "drg AS drg_source_value", "_source", "_record", "person_id AS _person_id",
    )  # fmt: skip


def _supplied(events: DataFrame) -> DataFrame:
    """One row per claim with an event in an OMOP table: the one that stands for it."""
    rank = "array_position(array(" + ", ".join(f"'{d}'" for d in _DOMAINS) + "), domain_id)"
    said = (
        events.where("source_claim_id IS NOT NULL AND excluded IS NULL")
        .withColumn("_rank", F.expr(rank))
        .where("_rank > 0")
    )
    first = F.min_by(F.struct("domain_id", "event_id"), F.struct("_rank", "target_no", "event_id"))
    return said.groupBy("_source", "source_claim_id").agg(first.alias("event"))


def _periods(claims: DataFrame, persons: DataFrame, periods: DataFrame) -> DataFrame:
    """One row per claim that falls in a plan period of its person and payer."""
    who = persons.selectExpr("source AS _source", "source_person_id", "person_id")
    spans = periods.select(
        "person_id", F.col("payer_source_value").alias("payer"), "payer_plan_period_id", "payer_plan_period_start_date",
        "payer_plan_period_end_date",
    )  # fmt: skip
    begun = F.struct("payer_plan_period_start_date", -F.col("payer_plan_period_id"))
    within = F.expr("start_date BETWEEN payer_plan_period_start_date AND payer_plan_period_end_date")
    return (
        claims.join(who, on=["_source", "source_person_id"], how="inner")
        .join(spans, on=["person_id", "payer"], how="inner")
        .where(within)
        .groupBy("_source", "source_claim_id")
        .agg(F.max_by("payer_plan_period_id", begun).alias("payer_plan_period_id"))
    )
