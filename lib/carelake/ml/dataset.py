"""The two sides of a model's examples: what is fit, what is tested, and the folds of the training side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F
from pyspark.sql import Window

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROWS_PER_PARTITION = 20_000


def side(examples: DataFrame, split: str) -> DataFrame:
    """The labelled rows of one side (train or test)."""
    return examples.where((F.col("split") == split) & F.col("label").isNotNull())


def with_folds(train: DataFrame, folds: int) -> DataFrame:
    """Add `fold` (int): every row of a person in one fold, persons with an event spread evenly over the folds."""
    order = Window.orderBy(F.col("_ever").desc(), F.expr("xxhash64('carelake fold', person_id)"), "person_id")
    persons = train.groupBy("person_id").agg(F.max("label").alias("_ever"))
    numbered = persons.select(
        "person_id", ((F.row_number().over(order) - 1) % folds).cast("int").alias("fold")
    )
    return train.join(numbered, "person_id", how="inner")


def with_weights(train: DataFrame, rows: int, events: int) -> DataFrame:
    """Add `weight`: both classes weigh the same in the sum, and the weights average one."""
    event, none = rows / (2.0 * events), rows / (2.0 * (rows - events))
    return train.withColumn("weight", F.when(F.col("label") == 1.0, event).otherwise(none))


def settled(frame: DataFrame, rows: int) -> DataFrame:
    """The same rows in a fixed order in few partitions, so that sums of doubles, and so the model, repeat exactly."""
    parts = max(1, -(-rows // ROWS_PER_PARTITION))
    return frame.repartition(parts, "person_id").sortWithinPartitions("person_id", "index_date")
