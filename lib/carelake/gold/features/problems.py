"""Problems before an index date: how many, and which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.concept_sets import members
from carelake.gold.features.before import before, last_year
from carelake.gold.features.value_sets import CONDITIONS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def problem_counts(asked: DataFrame, problems: DataFrame) -> DataFrame:
    """Active: not ended before the index date. That a problem ends later is not looked at."""
    active = F.expr("CASE WHEN until IS NULL OR until >= index_date THEN concept_id END")
    return before(asked, problems.where("concept_id <> 0")).groupBy("person_id", "index_date").agg(
        F.count_distinct(active).alias("conditions_active"),
        F.count_distinct(last_year("concept_id")).alias("conditions_new_1y"),
    )  # fmt: skip


def flags(asked: DataFrame, problems: DataFrame, concepts: DataFrame, ancestors: DataFrame) -> DataFrame:
    """has_…: whether a problem of the value set was recorded; injuries and severe infections within three years."""
    sets = members(CONDITIONS, ("Condition", "Observation"), concepts, ancestors)
    known = problems.select("person_id", "concept_id", "date").join(
        F.broadcast(sets), "concept_id", how="inner"
    )
    acute = {"injury", "infection_severe"}
    three = "date >= add_months(index_date, -36)"
    return before(asked, known).groupBy("person_id", "index_date").agg(*[
        F.expr(f"max(cast(array_contains(sets, '{c.name}'){f' AND {three}' if c.name in acute else ''} AS int))").alias(f"has_{c.name}")
        for c in CONDITIONS
    ])  # fmt: skip
