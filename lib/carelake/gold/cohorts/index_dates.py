"""Who is asked on which day: the index dates of every task, of those who are alive, of the age and were seen."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.care_episodes import within_periods
from carelake.gold.cohorts.task import DISCHARGE, WEEKLY, YEARLY, Task, by_task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from pyspark.sql import DataFrame

LANDMARK_YEARS = 10
_BORN = "coalesce(cast(birth_datetime AS date), make_date(year_of_birth, coalesce(month_of_birth, 7), coalesce(day_of_birth, 1)))"
_UNTOLD = ("cast(NULL AS string) AS _of", "cast(NULL AS bigint) AS _days")


def index_dates(
    tasks: Sequence[Task],
    people: DataFrame,
    deaths: DataFrame,
    visits: DataFrame,
    periods: DataFrame,
    stays: DataFrame,
    known: DataFrame,
    as_of: date,
) -> DataFrame:
    """One row per task, person and index date, with the person's death_date; what each index means says Task.

    `stays` are hospital_stays, `known` the rows of `happened`.
    """
    today = f"DATE'{as_of.isoformat()}'"
    first = f"make_date(year({today}) - {LANDMARK_YEARS - 1}, 1, 1)"
    who = people.join(deaths.select("person_id", "death_date"), "person_id", how="left").selectExpr(
        "person_id", "death_date", f"{_BORN} AS _born"
    )
    days = {
        YEARLY: lambda: _landmarks(who, first, today),
        DISCHARGE: lambda: _discharges(stays),
        WEEKLY: lambda: _mondays(known, today),
    }
    parts = []
    for index in sorted({t.index for t in tasks}):
        named = ", ".join(
            f"struct('{t.name}' AS task, {_target(t)} AS _target, {t.target_days} AS _least)"
            for t in tasks
            if t.index == index
        )
        put = (
            days[index]()
            .selectExpr("*", f"inline(array({named}))")
            .where(
                f"(_target IS NULL OR (_of = _target AND _days >= _least)) AND index_date BETWEEN {first} AND {today}"
            )
        )
        parts.append(put.select("task", "person_id", "index_date").distinct())
    rows = reduce(lambda a, b: a.unionByName(b), parts).join(who, "person_id", how="inner")
    living = rows.where(f"{_alive(tasks)} AND {_of_age(tasks)}").drop("_born")
    return _seen(tasks, living, within_periods(visits, "visit_start_date", periods), periods)


def _landmarks(who: DataFrame, first: str, today: str) -> DataFrame:
    years = (
        f"array_distinct(concat(sequence({first}, trunc({today}, 'year'), interval 1 year), array({today})))"
    )
    return who.selectExpr("person_id", f"explode({years}) AS index_date", *_UNTOLD)


def _discharges(stays: DataFrame) -> DataFrame:
    return stays.where("NOT still_open AND NOT died").selectExpr(
        "person_id", "discharge_date AS index_date", *_UNTOLD
    )


def _mondays(known: DataFrame, today: str) -> DataFrame:
    """Mondays after each week with an event, and the as-of date after such a week; `_of` the event, `_days` on how many days it was."""
    week = f"array_compact(array(next_day(date, 'MON'), CASE WHEN date >= date_sub({today}, 7) THEN {today} END))"
    return (
        known.selectExpr("person_id", f"explode({week}) AS index_date", "what AS _of", "date")
        .groupBy("person_id", "index_date", "_of")
        .agg(F.count_distinct("date").alias("_days"))
    )


def _target(t: Task) -> str:
    return f"'{t.target.name}'" if t.index == WEEKLY and t.target else "cast(NULL AS string)"


def _alive(tasks: Sequence[Task]) -> str:
    """Who dies on a landmark is asked on it; who dies on the day of discharge was not discharged alive."""
    on_the_day = by_task({t.name: str(t.index == YEARLY).lower() for t in tasks})
    return f"(death_date IS NULL OR death_date > index_date OR (death_date = index_date AND {on_the_day}))"


def _of_age(tasks: Sequence[Task]) -> str:
    return by_task(
        {
            t.name: f"floor(months_between(index_date, _born) / 12) BETWEEN {t.ages[0]} AND {t.ages[1]}"
            for t in tasks
        }
    )


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
            seen, same & F.expr(f"_visit < index_date AND _visit >= {by_task(by_visit)}"), how="left_semi"
        ))  # fmt: skip
    if by_period:
        met = met.unionByName(rows.where(f"task IN ({of['period']})").join(
            spans, same & F.expr("_from < index_date AND _to >= add_months(index_date, -12)"), how="left_semi"
        ))  # fmt: skip
    return met
