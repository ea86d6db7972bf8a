"""Where a person was cared for before an index date: the site of most visits, for the audit and for validation by site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.features.before import before

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def care_site(asked: DataFrame, visits: DataFrame) -> DataFrame:
    """`care_site`: the care_site_id (as text) of most visits that began in the three years before the index date.

    Of several with as many visits the lowest id. No row where no visit of these years names a site.
    """
    named = visits.where("care_site_id IS NOT NULL").selectExpr(
        "person_id", "care_site_id", "visit_start_date AS date"
    )
    counts = before(asked, named, 36).groupBy("person_id", "index_date", "care_site_id").agg(
        F.count("*").alias("_visits")
    )  # fmt: skip
    return counts.groupBy("person_id", "index_date").agg(
        F.expr("cast(min_by(care_site_id, struct(-_visits, care_site_id)) AS string)").alias("care_site")
    )
