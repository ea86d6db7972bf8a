"""Landing: files of a sender → `bronze/<sender>`, each record once as sent, each file accounted for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from carelake.bronze.books import close, landed, quarantine_files
from carelake.bronze.parts import Cut, part
from carelake.bronze.source import FileProblem, Source, Unit
from carelake.bronze.stream import opened
from carelake.bronze.table import bronze_table
from carelake.core.ids import id_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from carelake.bronze.found import Found
    from carelake.bronze.look import Looked
    from carelake.core.config import Sender
    from carelake.core.lake import DeltaLake
    from carelake.core.runlog import RunLog

BATCH_BYTES = 8 << 20
BATCH_ROWS = 20_000
_DDL = (
    "kind string, record_key string, version string, content_hash binary, file string, byte_offset bigint, "
    "record_no bigint, header string, raw string, problem string, extract string"
)


class Piece(NamedTuple):
    """What one task reads of a file, from a cut to the next (None: to the end): nearly always all of it."""

    of: Found
    begin: Cut = Cut(0, 0)
    end: int | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return (self.of.bytes if self.end is None else self.end) - self.begin.offset


def pieces(found: Iterable[Found]) -> list[Piece]:
    """The files, large ones in parts."""
    return [
        Piece(f, begin, after.offset if after else None)
        for f in found
        for begin, after in zip_longest(f.cuts or (Cut(0, 0),), f.cuts[1:])
    ]


def read_units(piece: Piece, source: Source) -> Iterator[Unit]:
    """The units of a file or of a part of it; a file that is refused gives one unit that says why, with its first part."""
    found = piece.of
    name = source.file_name(found.file)
    kind = source.kind_of_file(name)
    how = source.divides(name) if found.cuts else None
    try:
        with opened(found.path, found.where, unpack=True) as stream:
            if how is None:
                for unit in source.units(stream, name):
                    kind = unit.kind
                    yield unit
                return
            own = part(stream, how, piece.begin, piece.end)
            for unit in source.units(own.stream, name):
                if unit.byte_offset >= own.begins:
                    kind = unit.kind
                    yield unit._replace(
                        byte_offset=unit.byte_offset + own.offset, record_no=unit.record_no + own.number
                    )
    except FileProblem as problem:
        if piece.begin.offset == 0:
            file_kind = problem.kind if problem.kind in source.kinds else kind
            yield Unit(file_kind, None, None, b"", -1, 0, f"{problem.reason}:{problem.rule}")


def _batches(found: Iterable[Piece], source: Source) -> Iterator[pa.RecordBatch]:
    waiting: list[Unit] = []
    size = 0
    for piece in found:
        for unit in read_units(piece, source):
            waiting.append(unit)
            size += len(unit.raw)
            if size >= BATCH_BYTES or len(waiting) >= BATCH_ROWS:
                yield _batch(waiting, piece.of)
                waiting, size = [], 0
        if piece.of.changed:  # what was read is not what was inspected: `_append` tries again without it
            raise OSError("a file changed while it was read")
        if waiting:
            yield _batch(waiting, piece.of)
            waiting, size = [], 0


def _batch(units: list[Unit], of: Found) -> pa.RecordBatch:
    """The bronze rows of some units of one file."""
    import pyarrow as pa

    kind, key, version, raw, offset, number, problem, header = zip(*units, strict=True)
    content = [hashlib.sha256(r).digest()[:16] for r in raw]
    arrays = [
        pa.array(kind, pa.string()), pa.array(key, pa.string()), pa.array(version, pa.string()),
        pa.array(content, pa.binary()), pa.repeat(pa.scalar(of.file), len(units)),
        pa.array([None if o < 0 else o for o in offset], pa.int64()), pa.array([n or None for n in number], pa.int64()),
        pa.array(header, pa.string()),
        pa.array(raw, pa.binary()).view(pa.string()),  # bytes as sent, valid UTF-8 or not
        pa.array(problem, pa.string()), pa.repeat(pa.scalar(of.extract_date, pa.string()), len(units)),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, names=[c.split()[0] for c in _DDL.split(", ")])


def _frame(
    lake: DeltaLake, sender: Sender, source: Source, found: list[Found], at: datetime, run_id: str
) -> DataFrame:
    """The bronze rows of the files, read in parallel, a large file by several tasks."""
    spark = lake.spark
    tasks = _balanced(pieces(found), 4 * spark.sparkContext.defaultParallelism)
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


def _balanced(found: list[Piece], most: int) -> list[list[Piece]]:
    """Pieces dealt to tasks, the largest first to the task with the least."""
    tasks: list[list[Piece]] = [[] for _ in range(min(most, len(found)))]
    load = [0] * len(tasks)
    for piece in sorted(found, key=lambda p: (-p.size, p.of.file, p.begin.offset)):
        least = load.index(min(load))
        tasks[least].append(piece)
        load[least] += piece.size + 4096
    return tasks


def land(lake: DeltaLake, log: RunLog, looked: Looked, at: datetime) -> int:
    """Land what is new of one sender. Returns the records added."""
    sender, source, inspected, left = looked.sender, looked.source, looked.files, looked.left
    growing, inspected = [f for f in inspected if f.growing], [f for f in inspected if not f.growing]
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
            refused.append((f, source.kind_of_file(source.file_name(f.file))))
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
