"""task_cohort: of every task, who is asked, on which day, whether the outcome followed, and the side of the split."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import AS_OF, Setting, step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.gold.care_episodes import within_periods
from carelake.gold.cohorts.happened import derived, happened
from carelake.gold.cohorts.task import COST, DISCHARGE, WEEKLY, YEARLY, Task
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

LANDMARK_YEARS = 10
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
    asked = _asked(
        tasks,
        tables["person"],
        deaths,
        within_periods(visits, "visit_start_date", periods),
        periods,
        stays,
        known,
        as_of,
    )
    answered = asked.join(_found(tasks, asked, known), list(_KEY), how="left").where(_eligible(tasks))
    if any(t.outcome.name == COST for t in tasks):
        spent = dated_costs(visits, tables["cost"], tables["event_link"])
        answered = answered.join(_spent(tasks, asked, spent), list(_KEY), how="left")
    else:
        answered = answered.withColumn("_amount", F.lit(None).cast("double"))
    return _labelled(tasks, answered, as_of)


def _case(value: dict[str, str]) -> str:
    """SQL of a value by task, NULL for those that `value` does not name."""
    named = " ".join(f"WHEN '{name}' THEN {sql}" for name, sql in value.items())
    return f"CASE task {named} END" if named else "NULL"


def _asked(
    tasks: Sequence[Task],
    people: DataFrame,
    deaths: DataFrame,
    visits: DataFrame,
    periods: DataFrame,
    stays: DataFrame,
    known: DataFrame,
    as_of: date,
) -> DataFrame:
    """task, person_id, index_date, death_date of those who are alive, of the age and were seen."""
    today = f"DATE'{as_of.isoformat()}'"
    born = "coalesce(cast(birth_datetime AS date), make_date(year_of_birth, coalesce(month_of_birth, 7), coalesce(day_of_birth, 1)))"
    who = people.join(deaths.select("person_id", "death_date"), "person_id", how="left").selectExpr(
        "person_id", "death_date", f"{born} AS _born"
    )
    by_index: dict[str, list[Task]] = {}
    for t in tasks:
        by_index.setdefault(t.index, []).append(t)
    parts = []
    first = f"make_date(year({today}) - {LANDMARK_YEARS - 1}, 1, 1)"
    untold = ("cast(NULL AS string) AS _of", "cast(NULL AS bigint) AS _days")
    for index, asking in sorted(by_index.items()):
        if index == YEARLY:
            days = who.selectExpr(
                "person_id",
                f"explode(array_distinct(concat(sequence({first}, trunc({today}, 'year'), interval 1 year), array({today})))) AS index_date",
                *untold,
            )
        elif index == DISCHARGE:
            days = stays.where(f"NOT still_open AND NOT died AND discharge_date <= {today}").selectExpr(
                "person_id", "discharge_date AS index_date", *untold
            )
        else:
            week = f"array_compact(array(next_day(date, 'MON'), CASE WHEN date >= date_sub({today}, 7) THEN {today} END))"
            days = (
                known.selectExpr("person_id", f"explode({week}) AS index_date", "what AS _of", "date")
                .groupBy("person_id", "index_date", "_of")
                .agg(F.count_distinct("date").alias("_days"))
            )
        named = ", ".join(
            f"struct('{t.name}' AS task, {_target(t)} AS _target, {t.target_days} AS _least)" for t in asking
        )
        put = days.selectExpr("*", f"inline(array({named}))").where(
            f"(_target IS NULL OR (_of = _target AND _days >= _least)) AND index_date BETWEEN {first} AND {today}"
        )
        parts.append(put.select("task", "person_id", "index_date").distinct())
    asked = parts[0]
    for p in parts[1:]:
        asked = asked.unionByName(p)
    ages = _case(
        {
            t.name: f"floor(months_between(index_date, _born) / 12) BETWEEN {t.ages[0]} AND {t.ages[1]}"
            for t in tasks
        },
    )
    # who dies on a landmark is asked on it; who dies on the day of discharge was not discharged alive
    on_the_day = _case({t.name: str(t.index == YEARLY).lower() for t in tasks})
    alive = f"(death_date IS NULL OR death_date > index_date OR (death_date = index_date AND {on_the_day}))"
    rows = asked.join(who, "person_id", how="inner").where(f"{alive} AND {ages}").drop("_born")
    return _seen(tasks, rows, visits, periods)


def _seen(tasks: Sequence[Task], rows: DataFrame, visits: DataFrame, periods: DataFrame) -> DataFrame:
    """Those who had a visit in the months that their task asks for; of a yearly task that asks for none, who was observed in the year before."""
    by_visit = {t.name: f"add_months(index_date, -{t.seen_months})" for t in tasks if t.seen_months}
    by_period = [t.name for t in tasks if not t.seen_months and t.index == YEARLY]
    same = F.col("person_id") == F.col("_person")
    of = {
        name: ", ".join(f"'{t}'" for t in listed) or "''"
        for name, listed in (("visit", by_visit), ("period", by_period))
    }
    seen = visits.select(
        F.col("person_id").alias("_person"), F.col("visit_start_date").alias("_visit")
    ).distinct()
    spans = periods.selectExpr(
        "person_id AS _person", "observation_period_start_date AS _from", "observation_period_end_date AS _to"
    )
    met = rows.where(f"task NOT IN ({of['visit']}, {of['period']})")
    if by_visit:
        met = met.unionByName(rows.where(f"task IN ({of['visit']})").join(
            seen, same & F.expr(f"_visit < index_date AND _visit >= {_case(by_visit)}"), how="left_semi"
        ))  # fmt: skip
    if by_period:
        met = met.unionByName(rows.where(f"task IN ({of['period']})").join(
            spans, same & F.expr("_from < index_date AND _to >= add_months(index_date, -12)"), how="left_semi"
        ))  # fmt: skip
    return met


def _target(t: Task) -> str:
    return f"'{t.target.name}'" if t.index == WEEKLY and t.target else "cast(NULL AS string)"


def _found(tasks: Sequence[Task], asked: DataFrame, known: DataFrame) -> DataFrame:
    """By key: `_event` (first outcome at risk), whether the outcome, the target and what excludes were there before."""
    roles = ", ".join(
        f"struct('{t.name}' AS task, '{role}' AS _role, '{event.name}' AS what)"
        for t in tasks
        for role, event in (("outcome", t.outcome), ("target", t.target), ("excluded", t.excluded))
        if event is not None
    )
    wanted = asked.select(*_KEY).selectExpr(
        "*", f"inline(filter(array({roles}), r -> r.task = task)) AS (_task, _role, what)"
    )
    begins, ends = (_case({t.name: getattr(t, edge) for t in tasks}) for edge in ("begins", "ends"))
    target = _case({t.name: f"add_months(index_date, -{t.target_months})" for t in tasks})
    return (
        wanted.join(known, ["person_id", "what"], how="inner")
        .groupBy(*_KEY)
        .agg(
            F.expr(f"min(date) FILTER (WHERE _role = 'outcome' AND date >= {begins} AND date < {ends})").alias("_event"),
            F.expr("bool_or(_role = 'outcome' AND date < index_date)").alias("_before"),
            F.expr(f"bool_or(_role = 'target' AND date < index_date AND date >= {target})").alias("_target"),
            F.expr("bool_or(_role = 'excluded' AND date < index_date)").alias("_excluded"),
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
    return _case(needs)


def _spent(tasks: Sequence[Task], asked: DataFrame, spent: DataFrame) -> DataFrame:
    """By key `_amount`: what was paid, else allowed, else charged, by the day of service at risk."""
    names = ", ".join(f"'{t.name}'" for t in tasks if t.outcome.name == COST)
    begins, ends = (_case({t.name: getattr(t, edge) for t in tasks}) for edge in ("begins", "ends"))
    paid = spent.selectExpr(
        "person_id",
        "day",
        "try_cast(coalesce(total_paid, amount_allowed, total_charge) AS decimal(18,2)) AS _paid",
    )
    return (
        asked.select(*_KEY)
        .where(f"task IN ({names})")
        .join(paid, "person_id", how="inner")
        .groupBy(*_KEY)
        .agg(
            F.expr(f"cast(sum(_paid) FILTER (WHERE day >= {begins} AND day < {ends}) AS double)").alias(
                "_amount"
            )
        )
    )


def _labelled(tasks: Sequence[Task], answered: DataFrame, as_of: date) -> DataFrame:
    today = f"DATE'{as_of.isoformat()}'"
    ends = _case({t.name: t.ends for t in tasks})
    # the third last year whose landmark is complete: its 1 January
    first_test = _case({
        t.name: f"add_months(trunc(date_sub(add_months({today}, -{t.months}), {t.days}), 'year'), {-12 * (TEST_LANDMARKS - 1)})" for t in tasks
    })  # fmt: skip
    now = _case({
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
