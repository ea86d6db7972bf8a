"""The last value of each test before an index date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.features.before import before, last_year
from carelake.gold.features.value_sets import NUMERICS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def numbers(
    asked: DataFrame, measurements: DataFrame, observations: DataFrame, concepts: DataFrame
) -> DataFrame:
    """Last value of each test in three years, in its canonical unit; a non-standard code counts by its source concept."""
    shared = "person_id, {d}_date AS date, {d}_datetime AS at, {d}_id AS id, value_as_number, unit_concept_id, unit_source_value"
    results = measurements.selectExpr(
        *shared.format(d="measurement").split(", "),
        "coalesce(nullif(measurement_concept_id, 0), measurement_source_concept_id) AS concept_id",
    ).unionByName(
        observations.selectExpr(
            *shared.format(d="observation").split(", "),
            "coalesce(nullif(observation_concept_id, 0), observation_source_concept_id) AS concept_id",
        )
    )
    units = concepts.where("vocabulary_id = 'UCUM'").selectExpr(
        "concept_id AS unit_concept_id", "concept_code AS ucum"
    )
    test = " ".join(f"WHEN '{code}' THEN '{m.name}'" for m in NUMERICS for code in m.loinc)
    tests = (
        concepts.where("vocabulary_id = 'LOINC'")
        .selectExpr("concept_id", f"CASE concept_code {test} END AS test")
        .where("test IS NOT NULL")
    )
    canonical, plausible = [], []
    for m in NUMERICS:
        for unit, factor in {m.unit: 1.0, **dict(m.factors)}.items():
            offset = dict(m.offsets).get(unit, 0.0)
            canonical.append(
                f"WHEN test = '{m.name}' AND unit = '{unit}' THEN value_as_number * {factor!r}D + {offset!r}D"
            )
        plausible.append(f"(test = '{m.name}' AND value BETWEEN {m.low} AND {m.high})")
    known = (
        results.join(F.broadcast(tests), "concept_id", how="inner")
        .join(F.broadcast(units), "unit_concept_id", how="left")
        .selectExpr("*", "coalesce(ucum, unit_source_value) AS unit")
        .selectExpr("person_id", "date", "at", "id", "test", f"CASE {' '.join(canonical)} END AS value")
        .where(" OR ".join(plausible))
    )
    return before(asked, known, 36).groupBy("person_id", "index_date").agg(
        F.count(last_year()).alias("results_1y"),
        *[F.expr(f"max_by(value, struct(date, at, id)) FILTER (WHERE test = '{m.name}')").alias(f"last_{m.name}") for m in NUMERICS],
    )  # fmt: skip
