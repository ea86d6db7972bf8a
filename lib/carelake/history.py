"""Tables that grow by what a run saw change: whose record is whose, and which events have another concept.

A step may not read the table that it writes, so the run compares what was published with what it made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.run import StepResult
from carelake.core.runlog import as_published
from carelake.core.soundness import data_faults, log_faults
from carelake.silver.link import concept_change, person_history
from carelake.silver.link.concept_change import CONCEPT_CHANGE
from carelake.silver.link.tables import EVENT_LINK, PERSON_HISTORY, PERSON_LINK
from carelake.silver.vocabulary.cdm_tables import VOCABULARY_TABLE

_COMPARED = (PERSON_LINK, EVENT_LINK, VOCABULARY_TABLE)  # of these the published rows are read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.runlog import Published, RunLog
    from carelake.core.table import Table


def without_damaged(
    lake: DeltaLake, before: Mapping[str, Published], tables: Iterable[Table]
) -> dict[str, Published]:
    """The publication for a run that makes `tables` anew: without those that cannot be read. Needs the lease.

    A table with a damaged log is removed with all its versions: what is written to it would have the same fault before it.
    """
    sound = dict(before)
    for table in tables:
        damaged_log = log_faults(lake, table)
        if damaged_log:
            lake.remove(table)
        if damaged_log or (table in _COMPARED and data_faults(lake, table)):
            sound.pop(table.name, None)
    return sound


def add_person_changes(lake: DeltaLake, log: RunLog, before: Mapping[str, Published]) -> StepResult:
    """Keep every change of a link since the last publication. Changes of a run that never published do not count."""
    old = as_published(lake, before)
    seen = person_history.changes(old.read(PERSON_LINK), lake.read(PERSON_LINK), log.started_at)
    return _add(lake, old, log, PERSON_HISTORY, seen)


def add_concept_changes(
    lake: DeltaLake, log: RunLog, before: Mapping[str, Published]
) -> tuple[StepResult, dict[str, int]]:
    """Keep which published events have another concept now; also how many rows per OMOP table. For codes mapped anew."""
    old = as_published(lake, before)
    seen = concept_change.changes(
        old.read(EVENT_LINK), lake.read(EVENT_LINK), old.read(VOCABULARY_TABLE), lake.read(VOCABULARY_TABLE), log.started_at
    )  # fmt: skip
    result = _add(lake, old, log, CONCEPT_CHANGE, seen)
    mine = lake.read(CONCEPT_CHANGE).where(f"_run = '{log.run_id}'")
    return result, {r["table"]: int(r["n_rows"]) for r in concept_change.per_table(mine).collect()}


def _add(lake: DeltaLake, old: DeltaLake, log: RunLog, table: Table, seen: DataFrame) -> StepResult:
    """Add rows to what was published of a table; what a run that never published has added is written over."""
    rows = table.conform(seen).selectExpr("*", f"'{log.run_id}' AS _run")
    meta = {"run": log.run_id}
    if lake.head(table) == old.version(table):
        commit = lake.append(table, rows, meta)
    else:
        commit = lake.replace(table, old.read(table).unionByName(rows), meta)
    return StepResult(table.name, commit.version, commit.rows, 0, 0.0, "", {}, files=commit.files)
