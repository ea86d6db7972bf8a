"""Landing: files of a sender → `bronze/<sender>`, each record once as sent, each file accounted for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from carelake.bronze.look import Found, Looked, file_name
from carelake.bronze.source import FileProblem, Source, Unit
from carelake.bronze.stream import opened
from carelake.bronze.table import bronze_table
from carelake.core.ids import id_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from carelake.core.config import Sender
    from carelake.core.lake import DeltaLake
    from carelake.core.runlog import RunLog

BATCH_BYTES = 8 << 20
BATCH_ROWS = 20_000
_DDL = (
    "kind string, record_key string, version string, content_hash binary, file string, byte_offset bigint, "
    "record_no bigint, header string, raw string, problem string, extract string"
)


def read_units(found: Found, source: Source) -> Iterator[Unit]:
    """The units of one file; a file that is refused gives one unit that says why."""
    kind = source.kind_of_file(file_name(found.file))
    try:
        with opened(found.path, unpack=True) as stream:
            for unit in source.units(stream, file_name(found.file)):
                kind = unit.kind
                yield unit
    except FileProblem as problem:
        file_kind = problem.kind if problem.kind in source.kinds else kind
        yield Unit(file_kind, None, None, b"", -1, 0, f"{problem.reason}:{problem.rule}")


def _batches(found: Iterable[Found], source: Source) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    names = [c.split()[0] for c in _DDL.split(", ")]
    columns: list[list[Any]] = [[] for _ in names]
    size = 0

    def flush() -> pa.RecordBatch:
        kind, key, version, content, file, offset, number, header, raw, problem, extract = columns
        arrays = [
            pa.array(kind, pa.string()), pa.array(key, pa.string()), pa.array(version, pa.string()),
            pa.array(content, pa.binary()), pa.array(file, pa.string()), pa.array(offset, pa.int64()),
            pa.array(number, pa.int64()), pa.array(header, pa.string()),
            pa.array(raw, pa.binary()).view(pa.string()),  # bytes as sent, valid UTF-8 or not
            pa.array(problem, pa.string()), pa.array(extract, pa.string()),
        ]  # fmt: skip
        for c in columns:
            c.clear()
        return pa.RecordBatch.from_arrays(arrays, names=names)

    for f in found:
        for u in read_units(f, source):
            row = (
                u.kind, u.key, u.version_at, hashlib.sha256(u.raw).digest()[:16], f.file,
                None if u.byte_offset < 0 else u.byte_offset, u.record_no or None, u.header, u.raw, u.problem,
                f.extract_date,
            )  # fmt: skip
            for column, value in zip(columns, row, strict=True):
                column.append(value)
            size += len(u.raw)
            if size >= BATCH_BYTES or len(columns[0]) >= BATCH_ROWS:
                yield flush()
                size = 0
    if columns[0]:
        yield flush()


def _frame(
    lake: DeltaLake, sender: Sender, source: Source, found: list[Found], at: datetime, run_id: str
) -> DataFrame:
    """The bronze rows of the files, read in parallel, a large file a task."""
    spark = lake.spark
    tasks = _balanced(found, 4 * spark.sparkContext.defaultParallelism)
    jobs = spark.sparkContext.parallelize([(i,) for i in range(len(tasks))], len(tasks)).toDF("task int")

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for task in batch.column(0).to_pylist():
                yield from _batches(tasks[task], source)

    rows = jobs.mapInArrow(read, _DDL)
    key = "coalesce(record_key, hex(content_hash))"
    return bronze_table(sender.name).conform(
        rows.selectExpr(
            f"{id_sql('bronze', repr(sender.name), 'kind', key, 'coalesce(version, extract)', 'hex(content_hash)')} AS record_id",
            "record_key", "try_cast(version AS timestamp) AS version_at", "cast(extract AS date) AS extract_date",
            "content_hash", "file", "byte_offset", "record_no", "header", "raw", "problem",
            f"timestamp'{at.isoformat()}' AS ingested_at", "kind",
        )
    ).selectExpr("*", f"'{run_id}' AS _run")  # fmt: skip


def _balanced(found: list[Found], most: int) -> list[list[Found]]:
    """Files dealt to tasks, the largest first to the task with the least."""
    tasks: list[list[Found]] = [[] for _ in range(min(most, len(found)))]
    load = [0] * len(tasks)
    for f in sorted(found, key=lambda f: (-f.bytes, f.file)):
        least = load.index(min(load))
        tasks[least].append(f)
        load[least] += f.bytes + 4096
    return tasks


def land(lake: DeltaLake, log: RunLog, looked: Looked, at: datetime) -> int:
    """Land what is new of one sender. Returns the records added."""
    sender, source, inspected, left = looked.sender, looked.source, looked.files, looked.left
    known: dict[str, Any] = {r["content_hash"]: r for r in log.landed() if r["source"] == sender.name}
    latest = max((f.extract_date for f in inspected if f.extract_date), default=None)
    new: list[Found] = []
    rows: list[dict[str, Any]] = [
        {"run_id": log.run_id, "source": sender.name, "file": e.name, "bytes": e.size, "units": 0, "status": "ignored",
         "format": source.format} for e in left
    ]  # fmt: skip
    ledger: Counter[tuple[str, str]] = Counter()
    refused = []
    for f in inspected:
        f = replace(f, extract_date=f.extract_date or latest)
        before = known.get(f.content_hash)
        base = {
            "run_id": log.run_id, "source": sender.name, "file": f.file, "bytes": f.bytes, "content_hash": f.content_hash,
            "format": source.format, "extract_date": date.fromisoformat(f.extract_date) if f.extract_date else None,
        }  # fmt: skip
        if before is not None:
            by_kind = json.loads(before["units_by_kind"] or "{}")
            rows.append({**base, "units": sum(by_kind.values()), "status": "duplicate", "units_by_kind": json.dumps(by_kind)})  # fmt: skip
            for kind, n in by_kind.items():
                ledger[kind, "in"] += n
                ledger[kind, "duplicate"] += n
            continue
        if f.problem:
            refused.append((f, source.kind_of_file(file_name(f.file))))
            ledger[refused[-1][1], "in"] += 1
            ledger[refused[-1][1], "quarantined"] += 1
            rows.append({**base, "units": 1, "status": "quarantined", "units_by_kind": json.dumps({refused[-1][1]: 1})})  # fmt: skip
            known[f.content_hash] = {"units_by_kind": json.dumps({refused[-1][1]: 1})}
            continue
        new.append(f)
        known[f.content_hash] = {"units_by_kind": "{}"}
    added = 0
    if new:
        batch = hashlib.sha256("".join(sorted(f.content_hash for f in new)).encode()).hexdigest()[:32]
        meta = {"run": log.run_id, "landed": [[f.file, f.bytes, f.content_hash, f.extract_date] for f in new]}
        frame = _frame(lake, sender, source, new, at, log.run_id)
        added = lake.append(bronze_table(sender.name), frame, meta, txn=f"land:{sender.name}:{batch}").rows
        more, counts = _landed(lake, log.run_id, sender.name, source.format, new)
        rows += more
        ledger.update(counts)
    if refused:
        _quarantine_files(lake, log, sender.name, refused)
    _close(lake, log, sender.name, rows, ledger)
    return added


def _landed(
    lake: DeltaLake, run_id: str, sender: str, format_name: str, new: list[Found]
) -> tuple[list[dict[str, Any]], Counter[tuple[str, str]]]:
    """Rows of ops/file and ledger counts of files just landed, counted in the bronze table itself."""
    counted = (
        lake.read(bronze_table(sender))
        .where(f"_run = '{run_id}'")
        .groupBy("file", "kind")
        .agg({"*": "count", "problem": "count"})
        .collect()
    )
    by_file: dict[str, dict[str, int]] = {}
    ledger: Counter[tuple[str, str]] = Counter()
    whole: set[str] = set()
    for r in counted:
        n, bad = int(r["count(1)"]), int(r["count(problem)"])
        by_file.setdefault(r["file"], {})[r["kind"]] = n
        ledger[r["kind"], "in"] += n
        ledger[r["kind"], "written"] += n - bad
        ledger[r["kind"], "quarantined"] += bad
        if n == bad:
            whole.add(r["file"])
    rows = [
        {
            "run_id": run_id, "source": sender, "file": f.file, "bytes": f.bytes, "content_hash": f.content_hash,
            "units": sum(by_file.get(f.file, {}).values()), "format": format_name,
            "status": "quarantined" if f.file in whole and len(by_file[f.file]) == 1 else "landed",
            "extract_date": date.fromisoformat(f.extract_date) if f.extract_date else None,
            "units_by_kind": json.dumps(by_file.get(f.file, {}), sort_keys=True),
        }
        for f in new
    ]  # fmt: skip
    return rows, ledger


def _close(
    lake: DeltaLake, log: RunLog, sender: str, files: list[dict[str, Any]], counts: Counter[tuple[str, str]]
) -> None:
    """Write quarantine, file and ledger rows of a landing; ops/file last, since it marks the landing as done."""
    if sum(n for (_, what), n in counts.items() if what == "quarantined"):
        bad = (
            lake.read(bronze_table(sender))
            .where(f"_run = '{log.run_id}' AND problem IS NOT NULL")
            .selectExpr(
                f"'{sender}' AS source", "kind", "'bronze' AS stage", "file", "byte_offset", "record_no", "record_id",
                "split(problem, ':')[0] AS reason", "split(problem, ':')[1] AS rule", "'quarantined' AS severity",
                "1 AS n_records",
            )
        )  # fmt: skip
        log.quarantine(bad)
    kinds = sorted({kind for kind, _ in counts})
    log.ledger_rows([
        {
            "run_id": log.run_id, "source": sender, "kind": k, "stage": "bronze", "rows_in": counts[k, "in"],
            "rows_written": counts[k, "written"], "rows_duplicate": counts[k, "duplicate"], "rows_superseded": 0,
            "rows_excluded": 0, "rows_quarantined": counts[k, "quarantined"],
        }
        for k in kinds
    ])  # fmt: skip
    log.files(files)


def _quarantine_files(lake: DeltaLake, log: RunLog, sender: str, refused: list[tuple[Found, str]]) -> None:
    rows = [
        (sender, kind, "bronze", f.file, (f.problem or "").split(":")[0], (f.problem or ":").split(":")[1], "quarantined", 1)
        for f, kind in refused
    ]  # fmt: skip
    ddl = "source string, kind string, stage string, file string, reason string, rule string, severity string, n_records bigint"
    log.quarantine(lake.spark.createDataFrame(rows, ddl))


def recover(lake: DeltaLake, log: RunLog, sender: str, format_name: str) -> None:
    """Finish the books of a landing whose run died between its commit and them: the commit says what it landed."""
    table = bronze_table(sender)
    head = lake.head(table)
    if head < 0:
        return
    info = json.loads(lake.commit_info(table, head).get("userMetadata") or "{}")
    dead = info.get("run")
    told = {(r["source"], r["run_id"]) for r in log.landed() if r["status"] == "landed"}
    if not dead or (sender, dead) in told:
        return
    new = [Found("", f, size, content, None, day) for f, size, content, day in info.get("landed", [])]
    rows, counts = _landed(lake, dead, sender, format_name, new)
    own, log.run_id = log.run_id, dead
    try:
        _close(lake, log, sender, rows, counts)
    finally:
        log.run_id = own
