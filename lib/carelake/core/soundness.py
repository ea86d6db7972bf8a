"""Faults of a lake's files and logs: every commit and checkpoint is parsed, every page of the head's data files is read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from carelake.core.commit import delta_log
from carelake.core.lake import literal
from carelake.core.storage import Storage
from carelake.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table

_LOG = "_delta_log"
_OF_LOG = re.compile(r"([0-9]{20})\.(json|crc|checkpoint\.parquet)")
# Parquet writes a checksum with every page and compares it when asked to.
_VERIFY = "parquet.page.verify-checksum.enabled"


def storage_faults(lake: DeltaLake, tables: Iterable[Table]) -> list[str]:
    """One line for each fault: a file of a log that is missing or cannot be read, a data file missing, cut short or damaged."""
    return [
        f"{t.name}: {fault}"
        for t in sorted(tables, key=lambda t: t.name)
        if lake.storage.exists(t.name)
        for fault in (*log_faults(lake, t), *data_faults(lake, t))
    ]


def log_faults(lake: DeltaLake, table: Table) -> list[str]:
    """Faults of a table's log; none when the table is not there."""
    if not lake.storage.exists(f"{table.name}/{_LOG}"):
        return []
    found: dict[str, set[int]] = {"json": set(), "crc": set(), "checkpoint.parquet": set()}
    faults = []
    for entry in Storage(f"{lake.path(table)}/{_LOG}", lake.spark).files():
        known = _OF_LOG.fullmatch(entry.name)
        if known:
            found[known[2]].add(int(known[1]))
        if (known or entry.name == "_last_checkpoint") and not _is_sound(
            lake, f"{table.name}/{_LOG}", entry.name
        ):
            faults.append(f"{entry.name} of the log cannot be read")
    first = max(found["checkpoint.parquet"], default=-1) + 1  # what a checkpoint holds needs no commit
    last = max((v for versions in found.values() for v in versions), default=-1)
    return faults + [
        f"commit {v} is missing in the log" for v in range(first, last + 1) if v not in found["json"]
    ]


def _is_sound(lake: DeltaLake, folder: str, name: str) -> bool:
    try:
        if name.endswith(".parquet"):
            _read(lake, [f"{lake.root.rstrip('/')}/{folder}/{name}"], "sum(length(to_json(struct(*))))")
        else:
            text = lake.storage.read_text(f"{folder}/{name}") or ""
            # A commit has an action a line, the other files are one object.
            return all(
                isinstance(json.loads(x), dict)
                for x in (text.splitlines() if name.endswith(".json") else [text])
            )
    except Exception:  # whatever reading says of damage, it may hold a value
        return False
    return True


def data_faults(lake: DeltaLake, table: Table) -> list[str]:
    """Faults of the data files of the head."""
    try:
        if lake.head(table) < 0:
            return []
        named = {unquote(r["path"]): int(r["size"]) for r in _named_files(lake, table)}
    except LakeError:
        return ["the log cannot be read"]
    except Exception:
        return ["the files of the head cannot be told from the log"]
    sizes = {e.name: e.size for e in Storage(lake.path(table), lake.spark).files()}
    faults = []
    whole = []
    for path, size in sorted(named.items()):
        if sizes.get(path) == size:
            whole.append(path)
        else:
            faults.append(f"a data file is {'missing' if path not in sizes else 'of another size'}")
    return faults + ["a data file is damaged" for _ in _damaged(lake, table, whole)]


def _damaged(lake: DeltaLake, table: Table, names: list[str]) -> Iterator[str]:
    """Those of the files of which a page cannot be read; all are read at once, one by one only if that fails."""
    if not names:
        return
    places = [f"{lake.path(table)}/{n}" for n in names]
    try:
        _read(lake, places, "bit_xor(xxhash64(struct(*)))")
    except Exception:
        if len(names) == 1:
            yield names[0]
            return
        for n in names:
            yield from _damaged(lake, table, [n])


def _read(lake: DeltaLake, places: list[str], expression: str) -> None:
    """Decode every page of some Parquet files."""
    paths = [literal(p) for p in places]
    lake.spark.read.option(_VERIFY, "true").parquet(*paths).selectExpr(expression).collect()


def _named_files(lake: DeltaLake, table: Table) -> list[Any]:
    from pyspark.sql import DataFrame

    log = delta_log(lake.spark, lake.path(table))
    files = DataFrame(log.unsafeVolatileSnapshot().allFiles().toDF(), lake.spark)
    return files.select("path", "size").collect()
