"""gold/covariate: everything that was on record before an index date, sparse: one row per covariate that is not zero."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.gold.care_episodes import within_periods
from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.features.analyses import ANALYSES, EVENTS, Analysis, Value
from carelake.gold.features.value_sets import NUMERICS
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.device_exposure import DEVICE_EXPOSURE
from carelake.silver.omop.drug_era import DRUG_ERA
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.omop.measurement import MEASUREMENT
from carelake.silver.omop.note import NOTE
from carelake.silver.omop.note_nlp import NOTE_NLP
from carelake.silver.omop.observation import OBSERVATION
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.procedure_occurrence import PROCEDURE_OCCURRENCE
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary.cdm_tables import CONCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

COVARIATE = Table(
    name="gold/covariate",
    doc="One row per person, index date and covariate that is not zero there (a last value, and a trend, may be 0). Only events "
    "that began before the index date and inside an observation period; concept 0 makes no covariate. What each id means is in "
    "gold/covariate_ref. Numbers of a test that carelake knows (value_sets.py) are in its canonical unit, and those in a unit without conversion are "
    "left out; of any other test they are as sent.",
    fields=(
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("index_date", "date", "Everything is from before this day", required=True),
        Field("covariate_id", "bigint", "concept_id * 1000 + analysis_id, as OHDSI's FeatureExtraction has it", required=True),
        Field("covariate_value", "double", "1, a number of days, or the value of a measurement", required=True),
    ),
    key=("person_id", "index_date", "covariate_id"),
    checks=(Check("concept_is_known", "covariate_id >= 1000", on_fail=OnFail.STOP),),
    cluster_by=("person_id",),
)  # fmt: skip

_VALUED = ("measurement", "observation")


@step(
    writes=COVARIATE, cohort=TASK_COHORT, periods=OBSERVATION_PERIOD, concepts=CONCEPT,
    condition_occurrence=CONDITION_OCCURRENCE, drug_exposure=DRUG_EXPOSURE, drug_era=DRUG_ERA,
    procedure_occurrence=PROCEDURE_OCCURRENCE, device_exposure=DEVICE_EXPOSURE, measurement=MEASUREMENT, observation=OBSERVATION,
    visit_occurrence=VISIT_OCCURRENCE, note=NOTE, note_nlp=NOTE_NLP,
)  # fmt: skip
def covariate(
    cohort: DataFrame,
    periods: DataFrame,
    concepts: DataFrame,
    condition_occurrence: DataFrame,
    drug_exposure: DataFrame,
    drug_era: DataFrame,
    procedure_occurrence: DataFrame,
    device_exposure: DataFrame,
    measurement: DataFrame,
    observation: DataFrame,
    visit_occurrence: DataFrame,
    note: DataFrame,
    note_nlp: DataFrame,
) -> DataFrame:
    """The declared analyses (analyses.py) of each person and index date: each table is read once, and moved once, to its person."""
    # a term is of the day on which its note was written, whenever it was read; what the note denies is not a finding
    found = note_nlp.where("coalesce(term_exists, 'Y') <> 'N'").join(
        note.select("note_id", "person_id", "note_date"), "note_id", how="inner"
    )
    tables = {
        "condition_occurrence": condition_occurrence, "drug_exposure": drug_exposure, "drug_era": drug_era,
        "procedure_occurrence": procedure_occurrence, "device_exposure": device_exposure,
        "measurement": in_canonical_unit(measurement, "measurement", concepts),
        "observation": in_canonical_unit(observation, "observation", concepts), "visit_occurrence": visit_occurrence, "note_nlp": found,
    }  # fmt: skip
    asked = cohort.select("person_id", "index_date").distinct()
    return covariates(asked, days(within_periods(stacked(tables), "day", periods)))


def stacked(tables: Mapping[str, DataFrame]) -> DataFrame:
    """All events, one row each: person_id, tbl, concept_id, day, until, at (order within the day), value, unit, abnormal."""
    parts = []
    for e in EVENTS:
        valued = e.name in _VALUED
        number, unit = ("value", "unit") if valued else ("cast(NULL AS double)", "cast(NULL AS string)")
        outside = (
            "value_as_number < range_low OR value_as_number > range_high"
            if e.name == "measurement"
            else "cast(NULL AS boolean)"
        )
        order = (
            f"struct({e.name}_datetime AS t, {e.name}_id AS id)"
            if valued
            else "cast(NULL AS struct<t: timestamp_ntz, id: bigint>)"
        )
        parts.append(tables[e.name].where(f"{e.concept} <> 0 AND {e.start} IS NOT NULL").selectExpr(
            "person_id", f"'{e.name}' AS tbl", f"{e.concept} AS concept_id", f"{e.start} AS day",
            f"greatest({e.end or e.start}, {e.start}) AS until", f"{order} AS at", f"{number} AS value", f"{unit} AS unit",
            f"{outside} AS abnormal",
        ))  # fmt: skip
    # to their person once: all that follows, but for the index dates, finds its rows there
    return reduce(lambda above, below: above.union(below), parts).repartition("person_id")


def in_canonical_unit(results: DataFrame, name: str, concepts: DataFrame) -> DataFrame:
    """Add value and unit to MEASUREMENT or OBSERVATION rows: canonical where the test is declared in value_sets.py, else as sent."""
    test = " ".join(f"WHEN '{code}' THEN '{m.name}'" for m in NUMERICS for code in m.loinc)
    tests = concepts.where("vocabulary_id = 'LOINC'").selectExpr(
        f"concept_id AS {name}_concept_id", f"CASE concept_code {test} END AS _test"
    )
    units = concepts.where("vocabulary_id = 'UCUM'").selectExpr(
        "concept_id AS unit_concept_id", "concept_code AS _ucum"
    )
    converted = " ".join(
        f"WHEN _test = '{m.name}' AND _unit = '{unit}' THEN value_as_number * {factor!r}D + {dict(m.offsets).get(unit, 0.0)!r}D"
        for m in NUMERICS
        for unit, factor in {m.unit: 1.0, **dict(m.factors)}.items()
    )
    canonical = " ".join(f"WHEN '{m.name}' THEN '{m.unit}'" for m in NUMERICS)
    plausible = " ".join(f"WHEN '{m.name}' THEN value BETWEEN {m.low} AND {m.high}" for m in NUMERICS)
    return (
        results.join(F.broadcast(tests.where("_test IS NOT NULL")), f"{name}_concept_id", how="left")
        .join(F.broadcast(units), "unit_concept_id", how="left")
        .withColumn("_unit", F.expr("coalesce(_ucum, unit_source_value)"))
        .withColumn("value", F.expr(f"CASE WHEN _test IS NULL THEN value_as_number {converted} END"))
        .withColumn("value", F.expr(f"CASE WHEN _test IS NULL OR CASE _test {plausible} END THEN value END"))
        .withColumn("unit", F.expr(f"CASE WHEN _test IS NULL THEN _unit ELSE CASE _test {canonical} END END"))
    )


def days(events: DataFrame) -> DataFrame:
    """One row per person, table, concept and day: the last number of the day, and `before` it that of the day before in the same unit.

    A day counts once, so what EHR and claims both know counts once. Made on the person's own partition before index dates multiply the rows.
    """
    day = events.groupBy("person_id", "tbl", "concept_id", "day").agg(
        F.max("until").alias("until"),
        F.expr("max_by(struct(value, unit), at) FILTER (WHERE value IS NOT NULL)").alias("last"),
        F.max("abnormal").alias("abnormal"),
    )
    series = "PARTITION BY person_id, tbl, concept_id, last.unit, numbered ORDER BY day"
    numbered = day.withColumn("numbered", F.expr("last.value IS NOT NULL"))
    return numbered.selectExpr(
        "person_id", "tbl", "concept_id", "day", "until", "abnormal", "last.value AS value",
        f"IF(numbered, lag(struct(day, last.value AS value)) OVER ({series}), NULL) AS before",
    )  # fmt: skip


def _value(analysis: Analysis) -> str:
    """SQL of the covariate's value over the days of one person, index date, table and concept; NULL or 0 where there is no covariate."""
    since = "true" if analysis.start_day is None else f"%s >= date_add(index_date, {analysis.start_day})"
    window = since if analysis.start_day is None else since % "day"
    reaches = since if analysis.start_day is None else since % "until"
    pair = f"{window} AND before IS NOT NULL" + (
        "" if analysis.start_day is None else f" AND {since % 'before.day'}"
    )
    last = f"max_by(struct(value, before), day) FILTER (WHERE {window} AND value IS NOT NULL)"
    return {
        Value.PRESENT: f"max(IF({reaches}, 1D, NULL))",
        Value.COUNT: f"cast(count_if({window}) AS double)",
        Value.LAST: f"({last}).value",
        Value.TREND: f"max_by(IF({pair}, value - before.value, NULL), day) FILTER (WHERE {window} AND value IS NOT NULL)",
        Value.ABNORMAL: f"max(IF({window} AND abnormal, 1D, NULL))",
    }[analysis.value]


def covariates(asked: DataFrame, known: DataFrame) -> DataFrame:
    """person_id, index_date, covariate_id, covariate_value of `known` (days) before each index date."""
    of_table: dict[str, list[Analysis]] = {}
    for a in ANALYSES:
        of_table.setdefault(a.table, []).append(a)
    # one aggregate for each value and window, whatever the tables that ask for it
    kinds = list(dict.fromkeys((a.value, a.start_day) for a in ANALYSES))
    columns = {kind: f"_{n}" for n, kind in enumerate(kinds)}
    example = {(a.value, a.start_day): a for a in ANALYSES}
    grouped = (
        asked.join(known, "person_id", how="inner")
        .where("day < index_date")
        .groupBy("person_id", "index_date", "tbl", "concept_id")
        .agg(*[F.expr(_value(example[kind])).alias(column) for kind, column in columns.items()])
    )
    of_kind = " ".join(
        f"WHEN '{table}' THEN array({', '.join(f'struct({a.analysis_id} AS analysis, {columns[a.value, a.start_day]} AS value)' for a in some)})"
        for table, some in of_table.items()
    )
    counts = ", ".join(str(a.analysis_id) for a in ANALYSES if a.value is Value.COUNT)
    return (
        grouped.selectExpr("person_id", "index_date", "concept_id", f"inline(CASE tbl {of_kind} END)")
        .where(f"value IS NOT NULL AND NOT (value = 0 AND analysis IN ({counts}))")
        .selectExpr(
            "person_id", "index_date", "cast(concept_id AS bigint) * 1000 + analysis AS covariate_id", "value AS covariate_value"
        )
    )  # fmt: skip
