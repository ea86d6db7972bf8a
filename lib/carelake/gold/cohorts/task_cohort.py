"""task_cohort: of every task, who is asked, on which day, whether the outcome followed, and the side of the split."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import AS_OF, Setting, step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.gold.cohorts.happened import derived, happened
from carelake.gold.cohorts.index_dates import index_dates
from carelake.gold.cohorts.task import COST, DISCHARGE, Task, by_task
from carelake.gold.cohorts.tasks import PLANNED_CARE, TASKS
from carelake.gold.measures.readmission_30d import hospital_stays
from carelake.gold.measures.utilisation import dated_costs
from carelake.silver.link.tables import EVENT_LINK, VISIT_LINK
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.cost import COST as COST_TABLE
from carelake.silver.omop.death import DEATH
from carelake.silver.omop.device_exposure import DEVICE_EXPOSURE
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.omop.measurement import MEASUREMENT
from carelake.silver.omop.observation import OBSERVATION
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.person import PERSON
from carelake.silver.omop.procedure_occurrence import PROCEDURE_OCCURRENCE
from carelake.silver.omop.visit_detail import VISIT_DETAIL
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_ANCESTOR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from pyspark.sql import DataFrame

TEST_LANDMARKS = 3
TEST_PERCENT = 40
SITE_TASKS = Setting("site_tasks", "tasks that the site declares beside carelake's own (tuple of Task)")
_KEY = ("task", "person_id", "index_date")

TASK_COHORT = Table(
    name="gold/task_cohort",
    doc="One row per task, person and index date; what each task asks is in gold/cohorts/tasks.py. The answer is observed when the time at risk "
    "ends by the as-of date; a record that is silent until then counts as no event, and so does death without the outcome (`died` says so). "
    "Index dates whose time at risk is not complete are left open even where the event is already known, since only events, never their "
    "absence, would be known there. Split by time and by person: a fixed hash puts 40 % of the persons on the test side; they are tested from the "
    "third last complete year on, the others train where the time at risk ends before that.",
    fields=(
        Field("task", "string", "Name of the task", required=True),
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("index_date", "date", "The day of the question; nothing on or after it is a feature", required=True),
        Field("split", "string", "train, test, unused (a person or date of neither side), score (asked now)", required=True),
        Field("label", "boolean", "Whether the outcome followed; NULL when not observed, or an amount"),
        Field("label_observed", "boolean", "Whether the time at risk ends by the as-of date", required=True),
        Field("followup_days", "int", "Days from the index date to the first of end of risk, death, as-of date", required=True),
        Field("days_to_event", "int", "Days from the index date to the first outcome; NULL without one or not observed"),
        Field("died", "boolean", "Whether the person died within the observed time at risk; NULL when not observed"),
        Field("amount", "double", "Of an outcome that is an amount: its sum over the time at risk; NULL when not observed"),
    ),
    key=_KEY,
    checks=(
        Check("label_only_when_observed", "label_observed OR (label IS NULL AND amount IS NULL)", on_fail=OnFail.STOP),
        Check("observed_has_an_answer", "NOT label_observed OR label IS NOT NULL OR amount IS NOT NULL", on_fail=OnFail.STOP),
        Check("split_known", "split IN ('train', 'test', 'unused', 'score')", on_fail=OnFail.STOP),
    ),
    cluster_by=("person_id",),
)  # fmt: skip


@step(
    writes=TASK_COHORT, people=PERSON, visits=VISIT_OCCURRENCE, details=VISIT_DETAIL, periods=OBSERVATION_PERIOD, deaths=DEATH,
    links=VISIT_LINK, events=EVENT_LINK, conditions=CONDITION_OCCURRENCE, drugs=DRUG_EXPOSURE, procedures=PROCEDURE_OCCURRENCE, measurements=MEASUREMENT,
    observations=OBSERVATION, devices=DEVICE_EXPOSURE, costs=COST_TABLE, concepts=CONCEPT, ancestors=CONCEPT_ANCESTOR,
    site_tasks=SITE_TASKS, as_of=AS_OF,
)  # fmt: skip
def task_cohort(
    people: DataFrame,
    visits: DataFrame,
    details: DataFrame,
    periods: DataFrame,
    deaths: DataFrame,
    links: DataFrame,
    events: DataFrame,
    conditions: DataFrame,
    drugs: DataFrame,
    procedures: DataFrame,
    measurements: DataFrame,
    observations: DataFrame,
    devices: DataFrame,
    costs: DataFrame,
    concepts: DataFrame,
    ancestors: DataFrame,
    site_tasks: tuple[Task, ...],
    as_of: date,
) -> DataFrame:
    """Every task in one pass over the tables that any of them asks: events and index dates are long, joined once by person."""
    tables = {
        "condition": conditions, "drug": drugs, "procedure": procedures, "measurement": measurements, "observation": observations,
        "device": devices, "person": people, "visit": visits, "visit_detail": details, "observation_period": periods, "death": deaths,
        "visit_link": links, "event_link": events, "cost": costs, "concept": concepts, "concept_ancestor": ancestors,
    }  # fmt: skip
    return cohorts((*TASKS, *site_tasks), tables, as_of)


def cohorts(tasks: Sequence[Task], tables: Mapping[str, DataFrame], as_of: date) -> DataFrame:
    """The rows of TASK_COHORT for these tasks; `tables` are those of the step, by what they hold."""
    visits, deaths, periods = tables["visit"], tables["death"], tables["observation_period"]
    stays = hospital_stays(tables["visit_detail"], tables["visit_link"], as_of)
    find = partial(
        happened,
        tables=tables,
        periods=periods,
        concepts=tables["concept"],
        ancestors=tables["concept_ancestor"],
    )
    made = derived(visits, tables["visit_link"], stays, find((PLANNED_CARE,), derived={}), deaths, periods)
    events = {e.name: e for t in tasks for e in t.events if e.name != COST}
    known = find(tuple(events.values()), derived=made)
    asked = index_dates(tasks, tables["person"], deaths, visits, periods, stays, known, as_of)
    if any(t.outcome.name == COST for t in tasks):
        known = known.unionByName(
            _spent(dated_costs(visits, tables["cost"], tables["event_link"])), allowMissingColumns=True
        )
    answered = _answered(tasks, asked, known).where(_eligible(tasks))
    return _labelled(tasks, answered, as_of)


def _answered(tasks: Sequence[Task], asked: DataFrame, known: DataFrame) -> DataFrame:
    """`asked` with `_event` (first outcome at risk), whether outcome, target and what excludes were there before, and `_amount` at risk.

    Whom a task asks is found by one plan and met once with what is known: joined to each answer by itself it would be made anew for each.
    """
    roles = ", ".join(
        f"struct('{t.name}' AS task, '{role}' AS _role, '{event.name}' AS what)"
        for t in tasks
        for role, event in (("outcome", t.outcome), ("target", t.target), ("excluded", t.excluded))
        if event is not None
    )
    wanted = asked.selectExpr(
        "*", f"inline(filter(array({roles}), r -> r.task = task)) AS (_task, _role, what)"
    )
    begins, ends = (by_task({t.name: getattr(t, edge) for t in tasks}) for edge in ("begins", "ends"))
    target = by_task({t.name: f"add_months(index_date, -{t.target_months})" for t in tasks})
    facts = (
        known if "amount" in known.columns else known.withColumn("amount", F.lit(None).cast("decimal(18,2)"))
    )
    return (
        wanted.join(facts, ["person_id", "what"], how="left")
        .groupBy(*_KEY)
        .agg(
            F.max("death_date").alias("death_date"),  # one for each person
            F.expr(f"min(date) FILTER (WHERE _role = 'outcome' AND what <> '{COST}' AND date >= {begins} AND date < {ends})").alias("_event"),
            F.expr("bool_or(_role = 'outcome' AND date < index_date)").alias("_before"),
            F.expr(f"bool_or(_role = 'target' AND date < index_date AND date >= {target})").alias("_target"),
            F.expr("bool_or(_role = 'excluded' AND date < index_date)").alias("_excluded"),
            F.expr(f"cast(sum(amount) FILTER (WHERE date >= {begins} AND date < {ends}) AS double)").alias("_amount"),
        )
    )  # fmt: skip


def _eligible(tasks: Sequence[Task]) -> str:
    needs = {
        t.name: " AND ".join(
            ["true"]
            + ["NOT coalesce(_before, false)"] * t.washout
            + ["coalesce(_target, false)"] * (t.target is not None)
            + ["NOT coalesce(_excluded, false)"] * (t.excluded is not None)
        )
        for t in tasks
    }
    return by_task(needs)


def _spent(costs: DataFrame) -> DataFrame:
    """Costs as events of their day of service: what was paid, else allowed, else charged."""
    paid = "try_cast(coalesce(total_paid, amount_allowed, total_charge) AS decimal(18,2))"
    return costs.selectExpr("person_id", f"'{COST}' AS what", "day AS date", f"{paid} AS amount")


def _labelled(tasks: Sequence[Task], answered: DataFrame, as_of: date) -> DataFrame:
    today = f"DATE'{as_of.isoformat()}'"
    ends = by_task({t.name: t.ends for t in tasks})
    # the third last year whose landmark is complete: its 1 January
    first_test = by_task({
        t.name: f"add_months(trunc(date_sub(add_months({today}, -{t.months}), {t.days}), 'year'), {-12 * (TEST_LANDMARKS - 1)})" for t in tasks
    })  # fmt: skip
    now = by_task({
        t.name: f"index_date > date_sub({today}, {t.days}) AND NOT label_observed" if t.index == DISCHARGE else f"index_date = {today}" for t in tasks
    })  # fmt: skip
    amounts = ", ".join(f"'{t.name}'" for t in tasks if t.outcome.name == COST) or "''"
    tested = f"pmod(xxhash64('carelake split', person_id), 100) < {TEST_PERCENT}"
    return (
        answered.selectExpr("*", f"{ends} AS _end", f"{first_test} AS _first_test")
        .selectExpr("*", f"_end <= {today} AS label_observed")
        .selectExpr(
            *_KEY, "label_observed",
            f"""CASE WHEN {now} THEN 'score' WHEN NOT label_observed THEN 'unused'
                WHEN {tested} AND index_date >= _first_test THEN 'test'
                WHEN NOT ({tested}) AND _end <= _first_test THEN 'train' ELSE 'unused' END AS split""",
            f"CASE WHEN label_observed AND task NOT IN ({amounts}) THEN _event IS NOT NULL END AS label",
            f"datediff(least(_end, {today}, death_date), index_date) AS followup_days",
            "CASE WHEN label_observed THEN datediff(_event, index_date) END AS days_to_event",
            "CASE WHEN label_observed THEN coalesce(death_date < _end, false) END AS died",
            f"CASE WHEN label_observed AND task IN ({amounts}) THEN coalesce(_amount, 0) END AS amount",
        )
    )  # fmt: skip
