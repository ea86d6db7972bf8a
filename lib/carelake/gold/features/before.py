"""Each record with the index dates that it precedes: where every feature is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def before(asked: DataFrame, records: DataFrame, months: int | None = None) -> DataFrame:
    """Each record with the index dates that it precedes (within `months`); `records` has person_id and date."""
    since = "" if months is None else f" AND date >= add_months(index_date, -{months})"
    return asked.join(records, "person_id", how="inner").where(f"date < index_date{since}")


def last_year(value: str = "1") -> Column:
    """`value` of a record within the year before the index date, else NULL."""
    return F.expr(f"CASE WHEN date >= add_months(index_date, -12) THEN {value} END")
