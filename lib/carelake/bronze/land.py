"""Landing: files of a sender → `bronze/<sender>`, each record once as sent, each file accounted for."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from carelake.bronze.books import close, landed, quarantine_files
from carelake.bronze.found import Found
from carelake.bronze.source import FileProblem, Source, Unit
from carelake.bronze.stream import opened, stamp, store
from carelake.bronze.table import bronze_table
from carelake.core.ids import id_sql
from carelake.core.storage import Entry, Storage, is_local
from carelake.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from carelake.core.config import Sender
    from carelake.core.lake import DeltaLake
    from carelake.core.runlog import RunLog

BATCH_BYTES = 8 << 20
BATCH_ROWS = 20_000
MAX_RATIO = 200  # a gzip that inflates more than this is a bomb; text of this kind reaches 30
_DDL = (
    "kind string, record_key string, version string, content_hash binary, file string, byte_offset bigint, "
    "record_no bigint, header string, raw string, problem string, extract string"
)


def find(
    sender: Sender, source: Source, storage: Callable[[str], Storage]
) -> tuple[list[Entry], list[Entry]]:
    """The sender's files: those that the format reads, and those that it leaves. Raises InputError."""
    path = sender.path or ""
    try:
        roots = storage(path).matches()
        entries = [e for r in roots for e in storage(r).files()]
    except OSError:
        raise InputError(
            f"source {sender.name}: the path {path} cannot be read: check its permissions"
        ) from None
    if not roots:
        raise InputError(
            f"source {sender.name}: the path {path} does not exist: give a file, folder or glob that does"
        )
    given_file = len(entries) == 1 and entries[0].path.rstrip("/").endswith(path.rstrip("/"))
    read = [
        e
        for e in entries
        if source.reads(_base(e.name)) or (given_file and not source.ignores(_base(e.name)))
    ]
    if not read:
        raise InputError(
            f"source {sender.name}: {path} holds no file of format {source.format} ({', '.join(source.files)})"
        )
    return read, [e for e in entries if e not in read]


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def inspect(entry: Entry, source: Source, extract_date: date | None, where: str = "") -> Found:
    """Hash a file and read its container to the end, so that a cut or damaged one is refused before anything is read."""
    digest = hashlib.sha256()
    problem: str | None = None
    head = b""
    before = stamp(entry.path, where)
    try:
        with opened(entry.path, where) as raw:
            packed = raw.read(2)
            digest.update(packed)
            inflate = zlib.decompressobj(wbits=31) if packed == b"\x1f\x8b" else None
            chunk, inflated, size = packed, 0, 0
            while chunk:
                size += len(chunk)
                if inflate is not None and problem is None:
                    problem, inflate, out = _inflate(inflate, chunk)
                    inflated += len(out)
                    head = head or out[:4096]
                    if inflated > (64 << 20) and inflated > MAX_RATIO * size:
                        problem = "F_BOMB:inflation_ratio"
                elif len(head) < 4096:
                    head += chunk[:4096]
                chunk = raw.read(1 << 20)
                digest.update(chunk)
            if inflate is not None and problem is None and not inflate.eof:
                problem = "F_TRUNCATED_CONTAINER:gzip_ends_early"
    except OSError:
        if not is_local(entry.path):  # the store's fault, not the file's
            raise
        problem = "F_BAD_CONTAINER:unreadable"
    if entry.size == 0:
        problem = "F_EMPTY:no_bytes"
    day = (
        extract_date.isoformat()
        if extract_date
        else source.extract_date(entry.name, head.decode("utf-8", "replace"))
    )
    found = Found(entry.path, entry.name, entry.size, digest.hexdigest(), problem, day, before, where=where)
    return replace(found, growing=found.changed or before is None or before[0] != entry.size)


def _inflate(inflate: Any, chunk: bytes) -> tuple[str | None, Any, bytes]:
    """Feed a chunk through gzip members that may follow one another."""
    out = b""
    try:
        while chunk:
            if inflate.eof:
                inflate = zlib.decompressobj(wbits=31)
            out += inflate.decompress(chunk)
            chunk = inflate.unused_data
    except zlib.error:
        return "F_BAD_CONTAINER:gzip_damaged", inflate, out
    return None, inflate, out


def read_units(found: Found, source: Source) -> Iterator[Unit]:
    """The units of one file; a file that is refused gives one unit that says why."""
    kind = source.kind_of_file(_base(found.file))
    try:
        with opened(found.path, found.where, unpack=True) as stream:
            for unit in source.units(stream, _base(found.file)):
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
        if f.changed:  # what was read is not what was inspected: `_append` tries again without it
            raise OSError("a file changed while it was read")
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


def land(lake: DeltaLake, log: RunLog, sender: Sender, source: Source, at: datetime) -> int:
    """Land what is new of one sender. Returns the records added. Raises InputError before anything is written."""

    def storage(path: str) -> Storage:
        return Storage(path, lake.spark)

    to_read, left = find(sender, source, storage)
    found = _inspected(lake, source, sender, to_read)
    growing, inspected = [f for f in found if f.growing], [f for f in found if not f.growing]
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
            refused.append((f, source.kind_of_file(_base(f.file))))
            ledger[refused[-1][1], "in"] += 1
            ledger[refused[-1][1], "quarantined"] += 1
            rows.append({**base, "units": 1, "status": "quarantined", "units_by_kind": json.dumps({refused[-1][1]: 1})})  # fmt: skip
            known[f.content_hash] = {"units_by_kind": json.dumps({refused[-1][1]: 1})}
            continue
        new.append(f)
        known[f.content_hash] = {"units_by_kind": "{}"}
    added, stayed = _append(lake, sender, source, new, at, log.run_id)
    growing += [f for f in new if f not in stayed]
    rows += [
        {"run_id": log.run_id, "source": sender.name, "file": f.file, "bytes": f.bytes, "units": 0, "status": "growing",
         "format": source.format} for f in growing
    ]  # fmt: skip
    if stayed:
        more, counts = landed(lake, log.run_id, sender.name, source.format, stayed)
        rows += more
        ledger.update(counts)
    if refused:
        quarantine_files(lake, log, sender.name, refused)
    close(lake, log, sender.name, rows, ledger)
    return added


def _append(
    lake: DeltaLake, sender: Sender, source: Source, new: list[Found], at: datetime, run_id: str
) -> tuple[int, list[Found]]:
    """Append the records of the files in one commit. Returns their number, and the files that did not change meanwhile."""
    while new:
        batch = hashlib.sha256("".join(sorted(f.content_hash for f in new)).encode()).hexdigest()[:32]
        meta = {"run": run_id, "landed": [[f.file, f.bytes, f.content_hash, f.extract_date] for f in new]}
        frame = _frame(lake, sender, source, new, at, run_id)
        try:
            done = lake.append(bronze_table(sender.name), frame, meta, txn=f"land:{sender.name}:{batch}")
        except Exception:
            sound = [f for f in new if not f.changed]
            if len(sound) == len(new):
                raise
            new = sound
        else:
            return done.rows, new
    return 0, []


def _inspected(lake: DeltaLake, source: Source, sender: Sender, entries: list[Entry]) -> list[Found]:
    """Inspect the files on the executors, a task a few files."""
    context = lake.spark.sparkContext
    slices = min(len(entries), 4 * context.defaultParallelism)
    by_size = sorted(entries, key=lambda e: -e.size)
    dealt = [by_size[i::slices] for i in range(slices)]
    day, where = sender.extract_date, store(sender.path or "", lake.spark)
    if not is_local(entries[0].path):  # one sentence here instead of an error from every executor
        try:
            with opened(entries[0].path, where) as first:
                first.read(1)
        except OSError:
            raise InputError(
                f"source {sender.name}: Python cannot read {sender.path}, though Spark can list it: see docs/object_stores.md"
            ) from None
    found = (
        context.parallelize(dealt, slices)
        .flatMap(lambda some: [inspect(e, source, day, where) for e in some])
        .collect()
    )
    return sorted(found, key=lambda f: f.file)
