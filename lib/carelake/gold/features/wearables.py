"""What a worn device said before an index date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.features.before import before

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TREND_DAYS = 28


def _deviation_sql(which: str) -> str:
    """SQL of the sample's standard deviation of `value` where `which` holds: of exact sums, so that it is the same in any order of the rows."""
    exact = "try_cast(value AS decimal(12,3))"
    n, total, squares = (
        f"{f} FILTER (WHERE {which})" for f in ("count(value)", f"sum({exact})", f"sum({exact} * {exact})")
    )
    return (
        f"sqrt(greatest(0D, cast({squares} AS double) - cast({total} AS double) * cast({total} AS double) / nullif({n}, 0)) "
        f"/ nullif({n} - 1, 0))"
    )


def wearables(asked: DataFrame, samples: DataFrame) -> DataFrame:
    """Means and standard deviations over worn days of the last year, and how steps changed of late.

    A day without wear is missing, never a zero. A deviation (of the sample) needs two worn days; the change is the mean of
    the last 28 days less that of the 28 before, and needs a worn day in both.
    """
    worn = "metric = 'steps' AND value > 0 AND coalesce(worn_minutes, 1) > 0"
    resting = "metric = 'resting_heart_rate' AND value > 0"
    late = f"date >= date_sub(index_date, {TREND_DAYS})"
    earlier = f"date < date_sub(index_date, {TREND_DAYS}) AND date >= date_sub(index_date, {2 * TREND_DAYS})"
    known = samples.withColumnRenamed("day", "date")
    return before(asked, known, 12).groupBy("person_id", "index_date").agg(
        F.expr(f"count(DISTINCT date) FILTER (WHERE {worn})").alias("wearable_days_1y"),
        F.expr(f"avg(value) FILTER (WHERE {worn})").alias("wearable_steps"),
        F.expr(_deviation_sql(worn)).alias("wearable_steps_sd"),
        F.expr(f"avg(value) FILTER (WHERE {worn} AND {late}) - avg(value) FILTER (WHERE {worn} AND {earlier})").alias("wearable_steps_trend"),
        F.expr("avg(value) FILTER (WHERE metric = 'sleep_duration' AND value > 0)").alias("wearable_sleep"),
        F.expr(f"avg(value) FILTER (WHERE {resting})").alias("wearable_resting_heart_rate"),
        F.expr(_deviation_sql(resting)).alias("wearable_resting_heart_rate_sd"),
    )  # fmt: skip
