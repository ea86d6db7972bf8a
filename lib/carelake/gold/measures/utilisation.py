"""gold/utilisation: care used by a person in a calendar year, each contact once (OMOP_RULES 4 and 22)."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from carelake.core.step import AS_OF, step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.gold.care_episodes import care_episodes, within_periods
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cost import COST
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.payer_plan_period import PAYER_PLAN_PERIOD
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

UTILISATION = Table(
    name="gold/utilisation",
    doc="One row per person and calendar year with an observed day, a contact or a cost before as_of. A contact that several "
    "senders recorded counts once, and those outside an observation period do not count. Compare counts only over the "
    "observed days of their kind of data: claims may cover ten years where the EHR covers forty.",
    fields=(
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("year", "int", "Calendar year", required=True),
        Field("inpatient_stays", "int", "Hospital stays that began in the year (9201, 262)", required=True),
        Field("inpatient_days", "int", "Nights of hospital stays in the year; a stay without a night is one day", required=True),
        Field("emergency_visits", "int", "Days with an emergency visit (9203, and 262 on its first day)", required=True),
        Field("outpatient_visits", "int", "Days with an outpatient, office or telehealth contact", required=True),
        Field("skilled_nursing_days", "int", "The same of skilled nursing", required=True),
        Field("observed_days_ehr", "int", "Days of the year in a span of EHR visits (a gap of 548 days splits)", required=True),
        Field("observed_days_claims", "int", "Days of the year with a payer's coverage", required=True),
        Field("paid_by_payer", "decimal(18,2)", "Paid by payers for visits that began and things supplied in the year, US dollars; "
              "NULL where no claims were observed"),
        Field("total_paid", "decimal(18,2)", "The same with the patient's parts and primary payers"),
    ),
    key=("person_id", "year"),
    checks=(
        Check("days_fit_a_year", "greatest(inpatient_days, skilled_nursing_days, observed_days_ehr, observed_days_claims) <= 366",
              on_fail=OnFail.STOP),
        Check("emergency_days_fit_a_year", "emergency_visits <= 366", on_fail=OnFail.STOP),
    ),
    cluster_by=("person_id",),
)  # fmt: skip

EHR_GAP_DAYS = 548  # the gap that splits an observation period too (OMOP_RULES 3)
CLAIM_TYPES = (
    C.TYPE_CLAIM, C.TYPE_FACILITY_CLAIM, C.TYPE_FACILITY_CLAIM_DETAIL, C.TYPE_FACILITY_CLAIM_HEADER, C.TYPE_INPATIENT_CLAIM,
    C.TYPE_INPATIENT_CLAIM_DETAIL, C.TYPE_INPATIENT_CLAIM_HEADER, C.TYPE_OUTPATIENT_CLAIM, C.TYPE_OUTPATIENT_CLAIM_DETAIL,
    C.TYPE_OUTPATIENT_CLAIM_HEADER, C.TYPE_PHARMACY_CLAIM, C.TYPE_PROFESSIONAL_CLAIM, C.TYPE_PROFESSIONAL_CLAIM_DETAIL,
    C.TYPE_PROFESSIONAL_CLAIM_HEADER,
)  # fmt: skip
_COUNTS = tuple(f.name for f in UTILISATION.fields if f.type == "int" and f.name != "year")


@step(
    writes=UTILISATION, visits=VISIT_OCCURRENCE, costs=COST, events=EVENT_LINK, plans=PAYER_PLAN_PERIOD,
    periods=OBSERVATION_PERIOD, as_of=AS_OF,
)  # fmt: skip
def utilisation(
    visits: DataFrame, costs: DataFrame, events: DataFrame, plans: DataFrame, periods: DataFrame, as_of: date
) -> DataFrame:
    """Count before `as_of`: stays in the year that they began in, days in the year that they fell in.

    Visits still open (type 32220) count as EHR: a claim is written when the stay is over. A cost that stands for itself
    (domain 'Cost') tells no person and is in no row.
    """
    seen = within_periods(visits.where(F.col("visit_start_date") < F.lit(as_of)), "visit_start_date", periods)
    episodes = care_episodes(seen)
    stays = episodes.where("care = 'inpatient'")
    nursing = care_episodes(seen.where(f"visit_concept_id = {C.VISIT_SKILLED_NURSING}"))
    ehr = visits.where(f"visit_type_concept_id NOT IN {CLAIM_TYPES}").selectExpr(
        "person_id", "visit_start_date AS start_date", "visit_end_date AS end_date"
    )
    covered = plans.selectExpr(
        "person_id", "payer_plan_period_start_date AS start_date", "payer_plan_period_end_date AS end_date"
    )
    parts = (
        _begun(stays, "inpatient_stays"),
        _begun(episodes.where("care = 'emergency'"), "emergency_visits"),
        _begun(episodes.where("care = 'outpatient'"), "outpatient_visits"),
        _days(_nights(stays), as_of, "inpatient_days"),
        _days(_nights(nursing), as_of, "skilled_nursing_days"),
        _days(_merged(ehr, EHR_GAP_DAYS), as_of, "observed_days_ehr"),
        _days(_merged(covered, 1), as_of, "observed_days_claims"),
        _paid(visits, costs, events, as_of),
    )
    together = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), parts)
    sums = together.groupBy("person_id", "year").agg(
        *[F.coalesce(F.sum(c), F.lit(0)).alias(c) for c in _COUNTS],
        *[F.sum(c).alias(c) for c in ("paid_by_payer", "total_paid")],
    )
    paid = [
        f"IF(observed_days_claims > 0, coalesce({c}, 0), {c}) AS {c}" for c in ("paid_by_payer", "total_paid")
    ]
    return sums.selectExpr("person_id", "year", *_COUNTS, *paid)


def _begun(episodes: DataFrame, name: str) -> DataFrame:
    """person_id, year, `name`: episodes by the year that they began in."""
    return episodes.groupBy("person_id", F.year("start_date").alias("year")).agg(F.count("*").alias(name))


def _nights(stays: DataFrame) -> DataFrame:
    """The days of a stay without the day of discharge, but at least the first."""
    return stays.selectExpr(
        "person_id", "start_date", "greatest(start_date, date_sub(end_date, 1)) AS end_date"
    )


def _merged(spans: DataFrame, gap: int) -> DataFrame:
    """person_id, start_date, end_date of spans joined where less than `gap` days (at least adjoining) lie between."""
    ordered = Window.partitionBy("person_id").orderBy("start_date", "end_date")
    latest = F.max("end_date").over(ordered.rowsBetween(Window.unboundedPreceding, -1))
    until_here = ordered.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    apart = F.when(F.datediff("start_date", latest) < max(gap, 2), 0).otherwise(1)
    return (
        spans.withColumn("_apart", apart)
        .withColumn("_span", F.sum("_apart").over(until_here))
        .groupBy("person_id", "_span")
        .agg(F.min("start_date").alias("start_date"), F.max("end_date").alias("end_date"))
        .drop("_span")
    )


def _days(spans: DataFrame, as_of: date, name: str) -> DataFrame:
    """person_id, year, `name`: days of spans (both ends included) before `as_of`, by calendar year."""
    until = f"least(end_date, date_sub(DATE'{as_of:%Y-%m-%d}', 1))"
    years = (
        spans.selectExpr("person_id", "start_date", f"{until} AS end_date")
        .where("start_date <= end_date")
        .selectExpr("*", "explode(sequence(year(start_date), year(end_date))) AS year")
    )
    days = (
        "datediff(least(end_date, make_date(year, 12, 31)), greatest(start_date, make_date(year, 1, 1))) + 1"
    )
    return years.groupBy("person_id", "year").agg(F.sum(F.expr(days)).alias(name))


def dated_costs(visits: DataFrame, costs: DataFrame, events: DataFrame) -> DataFrame:
    """Each cost with the person and the day on which the visit or event that it is for began; a cost of neither is left out.

    `events` are EVENT_LINK rows. In a CDM that was brought as it is, without them, the costs of visits alone are dated.
    """
    of_visits = visits.selectExpr(
        "'Visit' AS cost_domain_id",
        "visit_occurrence_id AS cost_event_id",
        "person_id",
        "visit_start_date AS day",
    )
    of_events = events.where("source_claim_id IS NOT NULL AND excluded IS NULL").selectExpr(
        "domain_id AS cost_domain_id",
        "event_id AS cost_event_id",
        "person_id",
        "to_date(start_datetime) AS day",
    )
    return costs.join(of_visits.unionByName(of_events), on=["cost_domain_id", "cost_event_id"], how="inner")


def _paid(visits: DataFrame, costs: DataFrame, events: DataFrame, as_of: date) -> DataFrame:
    """person_id, year, paid_by_payer, total_paid: by the start of the visit or event that the cost is for."""
    dated = dated_costs(visits, costs, events)
    cents = [F.sum(F.col(c).cast("decimal(18,2)")).alias(c) for c in ("paid_by_payer", "total_paid")]
    return (
        dated.where(F.col("day") < F.lit(as_of)).groupBy("person_id", F.year("day").alias("year")).agg(*cents)
    )
