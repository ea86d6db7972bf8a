"""silver/link/person_history: what changed between two states of the person links.

A step may not read the table that it writes, so the engine compares the links before and after a run with `changes`
and appends the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import DataFrame


def changes(before: DataFrame, after: DataFrame, at: datetime) -> DataFrame:
    """Rows of PERSON_HISTORY: records of either state (PERSON_LINK) whose person is new, another one, or gone.

    `at` is when the run began that saw the change; it tells a record's changes apart that lead back to a person.
    """
    key = ["source", "source_person_id"]
    old = before.select(*key, F.col("person_id").alias("person_id_before"))
    new = after.select(*key, "person_id", "rule")
    return (
        old.join(new, on=key, how="full_outer")
        .where(~F.col("person_id_before").eqNullSafe(F.col("person_id")))
        .select(*key, "person_id_before", "person_id", "rule")
        .withColumn("changed_at", F.lit(at))
    )
