"""The ops tables: what ran, what was landed, what happened to every record, what was published."""

from __future__ import annotations

from carelake.core.table import Field, Table

RUN = Table(
    name="ops/run",
    doc="One row per run.",
    fields=(
        Field("run_id", "string", "Sorts by time", required=True),
        Field("job", "string", "pipeline, to_bronze ...", required=True),
        Field("started_at", "timestamp", "When it began"),
        Field("ended_at", "timestamp", "When it ended"),
        Field("status", "string", "running, succeeded, failed, killed", required=True),
        Field("version", "string", "Version of carelake"),
        Field("as_of", "date", "The day on which gold asked its questions"),
    ),
    key=("run_id",),
)
FILE = Table(
    name="ops/file",
    doc="One row per run and file seen.",
    fields=(
        Field("run_id", "string", "The run", required=True),
        Field("source", "string", "The sender", required=True),
        Field("file", "string", "Path below the path given", required=True),
        Field("bytes", "bigint", "Size as found"),
        Field("content_hash", "string", "SHA-256 of the bytes as found"),
        Field("units", "bigint", "Records found in it"),
        Field(
            "status",
            "string",
            "landed, duplicate, quarantined, ignored, growing (changed while it was read: the next run reads it)",
            required=True,
        ),
        Field("format", "string", "The sender's format"),
        Field("extract_date", "date", "The day that the file speaks of"),
        Field("units_by_kind", "string", "Records by kind, as JSON"),
    ),
    key=("run_id", "source", "file"),
)
LEDGER = Table(
    name="ops/ledger",
    doc="One row per run, sender, kind and stage; counts are input records and always balance.",
    fields=(
        Field("run_id", "string", "The run", required=True),
        Field("source", "string", "The sender", required=True),
        Field("kind", "string", "Kind of record", required=True),
        Field("stage", "string", "bronze, conformed, omop", required=True),
        Field("rows_in", "bigint", "Records examined", required=True),
        Field("rows_written", "bigint", "Records of which at least one row was written", required=True),
        Field("rows_duplicate", "bigint", "Records equal to the version before", required=True),
        Field("rows_superseded", "bigint", "Records of which a later version exists", required=True),
        Field("rows_excluded", "bigint", "Records left out by a rule", required=True),
        Field("rows_quarantined", "bigint", "Records refused with a reason", required=True),
    ),
    key=("run_id", "source", "kind", "stage"),
)
QUARANTINE = Table(
    name="ops/quarantine",
    doc="One row per record and reason; excluded records one row per file and rule. No value of a record.",
    fields=(
        Field("run_id", "string", "The run", required=True),
        Field("source", "string", "The sender", required=True),
        Field("kind", "string", "Kind of record", required=True),
        Field("stage", "string", "bronze, conformed, omop, gold", required=True),
        Field("file", "string", "Path below the path given"),
        Field("byte_offset", "bigint", "First byte in the decompressed file; NULL = the whole file"),
        Field("record_no", "bigint", "Number in the file, from 1"),
        Field("record_id", "bigint", "Bronze record id"),
        Field("reason", "string", "F_ or R_ class"),
        Field("rule", "string", "The rule that was broken"),
        Field("severity", "string", "quarantined, excluded, repaired, released", required=True),
        Field("n_records", "bigint", "Records that the row stands for", required=True),
    ),
    key=("run_id", "source", "kind", "stage", "file", "byte_offset", "rule", "severity"),
)
CHECK_RESULT = Table(
    name="ops/check_result",
    doc="One row per run and quality check.",
    fields=(
        Field("run_id", "string", "The run", required=True),
        Field("check_name", "string", "The check", required=True),
        Field("level", "string", "table, field, concept, lake", required=True),
        Field("table_name", "string", "The table"),
        Field("field_name", "string", "The field"),
        Field("concept_id", "int", "The concept"),
        Field("rows_checked", "bigint", "Rows looked at"),
        Field("rows_violating", "bigint", "Rows that break it"),
        Field("threshold", "double", "Share of violating rows that is still a pass"),
        Field("status", "string", "pass, warn, fail, not_applicable, error", required=True),
        Field("severity", "string", "fatal, convention, characterization (OHDSI's), drift"),
        Field("check_id", "string", "The check by one name; of the dashboard's checks its checkId"),
        Field("unit_concept_id", "int", "The unit, where a check is about a concept with a unit"),
        Field(
            "examples", "array<bigint>", "Ids of a few records that break it: the table's key, or the person"
        ),
        Field(
            "note", "string", "Why it is not applicable, why its threshold is the site's; of drift the figure"
        ),
    ),
    key=("run_id", "check_name", "table_name", "field_name", "check_id"),
)
SNAPSHOT = Table(
    name="ops/snapshot",
    doc="What a run published: one row per table, all written in one commit.",
    fields=(
        Field("run_id", "string", "The run", required=True),
        Field("table_name", "string", "The table", required=True),
        Field("version", "bigint", "Its Delta version", required=True),
        Field("published_at", "timestamp", "When", required=True),
        Field("fingerprint", "string", "Of the step that wrote it: code, checks, configuration"),
        Field("inputs", "string", "Versions of the tables that it was made from, as JSON"),
    ),
    key=("run_id", "table_name"),
)
PROFILE = Table(
    name="ops/profile",
    doc="What the OMOP tables of a run looked like, for drift: rows of a table, NULLs of a field, rows of its commonest concepts.",
    fields=(
        Field("run_id", "string", "The run", required=True),
        Field("table_name", "string", "The table", required=True),
        Field("field_name", "string", "The field; NULL = the table"),
        Field("measure", "string", "rows, nulls, concept", required=True),
        Field("bucket", "int", "The concept; NULL = all rows"),
        Field("value", "bigint", "Rows", required=True),
    ),
    key=("run_id", "table_name", "field_name", "measure", "bucket"),
)
OPS = (RUN, FILE, LEDGER, QUARANTINE, CHECK_RESULT, PROFILE, SNAPSHOT)
