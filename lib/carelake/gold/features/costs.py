"""What a person's care cost before an index date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.features.before import before

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def cost_of_care(asked: DataFrame, dated: DataFrame) -> DataFrame:
    """cost_1y and cost_3y: total paid in US dollars, by the day of service. `dated` has person_id, day and total_paid.

    A claim is settled weeks after its service: on the index date itself the last of them may not have been known.
    """
    known = dated.selectExpr("person_id", "day AS date", "try_cast(total_paid AS decimal(18,2)) AS paid")
    return before(asked, known, 36).groupBy("person_id", "index_date").agg(
        F.expr("sum(paid) FILTER (WHERE date >= add_months(index_date, -12))").alias("cost_1y"),
        F.sum("paid").alias("cost_3y"),
    )  # fmt: skip
