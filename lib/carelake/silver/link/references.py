"""Which of a sender's references name the same thing: records that share an id or an alias are one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ROUNDS = 2
NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
_PLACEHOLDER = r"^(.*\|)?(.)\2*$"  # 0000000000 or system|9999999999 names nobody


def same_thing(records: DataFrame, key: str, aliases: Column) -> DataFrame:
    """One row per (source, reference) with `first`, the smallest id among the records that share references.

    `records` has `_source` and the id column `key`; `aliases` is an array of further references. Within a sender a
    practitioner, its role and the NPI of its claims meet in a hop or two (ROUNDS); a longer chain is cut, by a rule
    that does not depend on the order of arrival.
    """
    named = records.where(F.col(key).isNotNull()).select(
        F.col("_source").alias("source"),
        F.col(key).alias("id"),
        F.explode(
            F.concat(
                F.array(F.col(key)),
                F.filter(
                    F.coalesce(aliases, F.array().cast("array<string>")),
                    lambda a: (F.trim(a) != "") & ~a.rlike(_PLACEHOLDER) & a.isNotNull(),
                ),
            )
        ).alias("reference"),
    )
    by_reference, by_id = Window.partitionBy("source", "reference"), Window.partitionBy("source", "id")
    pairs = named.groupBy("source", "id", "reference").agg(F.min("id").alias("first"))
    for _ in range(ROUNDS):
        pairs = pairs.withColumn("first", F.min("first").over(by_reference)).withColumn(
            "first", F.min("first").over(by_id)
        )
    return pairs.groupBy("source", "reference").agg(F.min("first").alias("first"))
