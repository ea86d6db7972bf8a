"""silver/link/concept_change: what another vocabulary, or another local map, made of the events that were there before.

A step may not read the table that it writes, so the engine compares the events before and after a run with `changes`,
when the run has made the map of codes anew, and appends the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.table import Field, Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pyspark.sql import DataFrame

CONCEPT_CHANGE = Table(
    name="silver/link/concept_change",
    doc="One row per run that mapped with another vocabulary or local map, and per OMOP table, column and pair of concepts "
    "before and after: how many rows of events that were there before changed. Rows of records that are new are not here.",
    fields=(
        Field("changed_at", "timestamp", "When the run began that mapped anew", required=True),
        Field("vocabulary_before", "string", "Version of the vocabulary before; NULL unknown"),
        Field("vocabulary_after", "string", "Version of the vocabulary after; NULL unknown"),
        Field(
            "table_before", "string", "OMOP table of the rows before; NULL: the code had not as many targets"
        ),
        Field(
            "table_after",
            "string",
            "OMOP table of the rows after; NULL: the code has no longer as many targets",
        ),
        Field(
            "column",
            "string",
            "concept_id (the row's standard concept), source_concept_id, value_as_concept_id, unit_concept_id or "
            "route_concept_id",
            required=True,
        ),
        Field("from_concept_id", "int", "Concept before; NULL none"),
        Field("to_concept_id", "int", "Concept after; NULL none"),
        Field("n_rows", "bigint", "Number of rows", required=True),
        Field("n_persons", "bigint", "Number of persons", required=True),
    ),
    key=("changed_at", "table_before", "table_after", "column", "from_concept_id", "to_concept_id"),
)
COLUMNS = ("concept_id", "source_concept_id", "value_as_concept_id", "unit_concept_id", "route_concept_id")
TABLES: Mapping[str, str] = {
    "Condition": "condition_occurrence", "Device": "device_exposure", "Drug": "drug_exposure",
    "Measurement": "measurement", "Observation": "observation", "Procedure": "procedure_occurrence",
    "Specimen": "specimen", "Episode": "episode",
}  # fmt: skip
_RECORD = ("_source", "source_event_id", "_part")


def changes(
    before: DataFrame,
    after: DataFrame,
    vocabularies_before: DataFrame,
    vocabularies_after: DataFrame,
    at: datetime,
) -> DataFrame:
    """Rows of CONCEPT_CHANGE from two states of EVENT_LINK and of the CDM's table `vocabulary`.

    Rows are those of the OMOP tables (events that no rule excludes), matched by record, part and number of the target. A
    record that is in one state alone is no change of concept. A row that moves to another table counts even when its
    concept stays. `at` is when the run began.
    """
    same = ", ".join(_RECORD)
    both = (
        _state(before, "old")
        .join(_state(after, "new"), [*_RECORD, "target_no"], how="full_outer")
        .selectExpr(
            "*",
            f"count(old) OVER (PARTITION BY {same}) > 0 AND count(new) OVER (PARTITION BY {same}) > 0 AS in_both",
        )
        .where("in_both")
    )
    columns = ", ".join(f"struct('{c}' AS column, old.{c} AS a, new.{c} AS b)" for c in COLUMNS)
    counted = (
        both.selectExpr("old", "new", f"inline(array({columns}))")
        .where("NOT (a <=> b) OR column = 'concept_id' AND NOT (old.place <=> new.place)")
        .selectExpr(
            "old.place AS table_before", "new.place AS table_after", "column", "a AS from_concept_id",
            "b AS to_concept_id", "coalesce(new.person_id, old.person_id) AS person_id",
        )
        .groupBy("table_before", "table_after", "column", "from_concept_id", "to_concept_id")
        .agg(F.expr("count(*) AS n_rows"), F.expr("count(DISTINCT person_id) AS n_persons"))
    )  # fmt: skip
    return (
        counted.crossJoin(F.broadcast(_version(vocabularies_before, "vocabulary_before")))
        .crossJoin(F.broadcast(_version(vocabularies_after, "vocabulary_after")))
        .withColumn("changed_at", F.lit(at))
    )


def per_table(changed: DataFrame) -> DataFrame:
    """table, n_rows: how many rows of each OMOP table have another standard concept, are gone by the map, or moved there."""
    return (
        changed.where("column = 'concept_id'")
        .groupBy(F.expr("coalesce(table_after, table_before) AS table"))
        .agg(F.expr("sum(n_rows) AS n_rows"))
        .orderBy("table")
    )


def _version(vocabularies: DataFrame, name: str) -> DataFrame:
    return vocabularies.selectExpr(
        f"max(CASE WHEN vocabulary_id = 'None' THEN vocabulary_version END) AS {name}"
    )


def _state(events: DataFrame, name: str) -> DataFrame:
    place = " ".join(f"WHEN '{domain}' THEN '{table}'" for domain, table in TABLES.items())
    return events.where("excluded IS NULL").selectExpr(
        *_RECORD,
        "target_no",
        f"struct(person_id, CASE domain_id {place} END AS place, {', '.join(COLUMNS)}) AS {name}",
    )
