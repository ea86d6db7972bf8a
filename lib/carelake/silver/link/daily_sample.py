"""silver/link/daily_sample: what a person's device or app said of a day (OMOP_RULES 20)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import step
from carelake.core.table import Field, Table
from carelake.silver.conformed.sample import SAMPLE
from carelake.silver.link.tables import PERSON_LINK

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DAILY_SAMPLE = Table(
    name="silver/link/daily_sample",
    doc="One row per person, sender, day and metric: sum of the day (steps, distance, energy, active minutes, sleep, time "
    "in bed), else its mean. A day on which the device was not worn has no row of these sums, so that a missing day is "
    "no day of zero.",
    fields=(
        Field("person_id", "bigint", "The person", required=True),
        Field("day", "date", "The day, local clock; of a sleep the day on which it ended", required=True),
        Field("metric", "string", "What was measured (see silver/conformed/sample)", required=True),
        Field("value", "double", "Sum or mean of the day, in `unit`", required=True),
        Field("unit", "string", "UCUM unit", required=True),
        Field(
            "grain",
            "string",
            "Grain of the samples that were used: the coarsest that the sender gave",
            required=True,
        ),
        Field(
            "n_samples",
            "bigint",
            "Number of samples that were used, duplicates counted once in a sum",
            required=True,
        ),
        Field(
            "worn_minutes", "double", "Minutes of the day for which the device was worn; NULL when not known"
        ),
        Field("shift_days", "int", "Days by which the sender's configuration moved the times"),
        Field("_source", "string", "Sender", required=True),
        Field("_record", "bigint", "Smallest bronze record id of the samples that were used", required=True),
    ),
    key=("person_id", "_source", "day", "metric"),
    cluster_by=("person_id",),
)

_SUMMED = "metric IN ('steps', 'distance', 'energy', 'active_minutes', 'sleep_duration', 'time_in_bed')"
_ONLY_WHEN_WORN = "metric IN ('steps', 'distance', 'energy', 'active_minutes')"
_SLEEP = "metric IN ('sleep_duration', 'time_in_bed')"
# A sender's own daily total is better than the sum of its hours, which its app may have cut.
_GRAINS = "array('day', 'hour', 'minute', 'session', 'moment')"


@step(writes=DAILY_SAMPLE, samples=SAMPLE, persons=PERSON_LINK)
def daily_sample(samples: DataFrame, persons: DataFrame) -> DataFrame:
    """Samples of known persons by day. Of several grains the coarsest counts; the same interval twice counts once.

    Not worn: no minute worn, or no wear time known and no step taken, and no heart beat seen. Sums are made in
    decimals, so that they do not depend on the order of the rows.
    """
    known = samples.join(
        persons.selectExpr("source AS _source", "source_person_id", "person_id"),
        ["_source", "source_person_id"], how="inner",
    ).selectExpr(
        "person_id", "_source", "metric", "grain", "unit", "worn_minutes", "shift_days", "_record",
        f"to_date(CASE WHEN {_SLEEP} AND grain <> 'day' THEN coalesce(end_datetime, start_datetime) "
        "ELSE start_datetime END) AS day",
        # only a sum needs to know the intervals; for a mean they would keep every heart beat apart
        f"CASE WHEN {_SUMMED} THEN start_datetime END AS since", f"CASE WHEN {_SUMMED} THEN end_datetime END AS until",
        "try_cast(value AS decimal(24,6)) AS amount",
    )  # fmt: skip
    lane = ("person_id", "_source", "day", "metric")
    intervals = known.groupBy(*lane, "grain", "since", "until").agg(
        F.expr("sum(amount) AS total"), F.expr("max(amount) AS top"), F.expr("count(*) AS n"),
        F.expr("max(worn_minutes) AS worn"), F.expr("min(unit) AS unit"), F.expr("max(shift_days) AS shift_days"),
        F.expr("min(_record) AS _record"),
    )  # fmt: skip
    by_grain = intervals.groupBy(*lane, "grain").agg(
        F.expr(f"CASE WHEN {_SUMMED} THEN cast(sum(top) AS double) ELSE cast(sum(total) AS double) / sum(n) END AS value"),
        F.expr(f"CASE WHEN {_SUMMED} THEN count(*) ELSE sum(n) END AS n_samples"),
        F.expr("sum(worn) AS worn"), F.expr("min(unit) AS unit"), F.expr("max(shift_days) AS shift_days"),
        F.expr("min(_record) AS _record"),
    )  # fmt: skip
    one = by_grain.selectExpr(
        "*",
        f"row_number() OVER (PARTITION BY {', '.join(lane)} ORDER BY array_position({_GRAINS}, grain), grain) AS n",
    ).where("n = 1")
    of_day = "OVER (PARTITION BY person_id, _source, day)"
    seen = one.selectExpr(
        "*",
        f"max(worn) {of_day} AS worn_minutes",
        f"max(CASE WHEN metric = 'steps' THEN value END) {of_day} AS steps",
        f"bool_or(metric IN ('heart_rate', 'resting_heart_rate')) {of_day} AS beats",
    )
    idle = "coalesce(steps, CASE WHEN worn_minutes = 0 THEN 0 END) = 0 AND coalesce(worn_minutes, 0) = 0 AND NOT beats"
    return seen.where(f"NOT ({_ONLY_WHEN_WORN} AND coalesce({idle}, false))")
