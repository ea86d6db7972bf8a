"""Upkeep of a Delta table: compact small files, cluster, write a checkpoint, remove what no version that is kept needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from carelake.core.commit import delta_log
from carelake.core.storage import Storage
from carelake.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table


@dataclass(frozen=True)
class Removed:
    """Files that were removed, and their bytes."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Removed) -> Removed:
        """Both together."""
        return Removed(self.files + other.files, self.bytes + other.bytes)


def file_names(lake: DeltaLake, table: Table, version: int) -> frozenset[str]:
    """Names below the table's folder of the files of a version. Raises Spark's error when the log no longer has it."""
    known = lake.named_files(table, version)
    if known is not None:
        return frozenset(known)
    frame = lake.spark.read.format("delta").option("versionAsOf", version).load(lake.path(table))
    return frozenset(unquote(urlparse(f).path).rsplit(f"/{table.name}/", 1)[1] for f in frame.inputFiles())


def file_sizes(lake: DeltaLake, table: Table, version: int) -> dict[str, int]:
    """Bytes of each file of a version. Raises LakeError when one is missing."""
    names = file_names(lake, table, version)
    sizes = {f.name: f.size for f in Storage(lake.path(table), lake.spark).files() if f.name in names}
    if len(sizes) < len(names):
        raise LakeError(
            f"{table.name}: {len(names) - len(sizes)} of its files are missing: see quality --storage"
        )
    return sizes


def compact_files(lake: DeltaLake, table: Table, size: int, cluster: tuple[str, ...] = ()) -> int:
    """Write small files anew as few of up to `size` bytes, or with `cluster` all files, ordered by these columns.

    Returns the version then. The rows stay, and Delta marks the commit as no change of data.
    """
    from delta.tables import DeltaTable

    lake.guard()
    session = lake.spark.newSession()  # for settings that no other step is to see
    session.conf.set("spark.databricks.delta.optimize.maxFileSize", size)
    session.conf.set("spark.databricks.delta.optimize.minFileSize", size)
    files = DeltaTable.forPath(session, lake.path(table)).optimize()
    if cluster:
        files.executeZOrderBy(*cluster)
    else:
        files.executeCompaction()
    return lake.head(table)


def is_clustered(lake: DeltaLake, table: Table) -> bool:
    """Whether the last that was done to the table was to cluster it."""
    told = lake.commit_info(table, lake.head(table)).get("operationParameters", {})
    return bool(told.get("zOrderBy", "[]") != "[]")


def checkpoint(lake: DeltaLake, table: Table) -> None:
    """Write the table's state beside its log, so that nobody has to read the commits one by one."""
    delta_log(lake.spark, lake.path(table)).checkpoint()


def retained(lake: DeltaLake, table: Table, named: Iterable[int], since: datetime) -> frozenset[str]:
    """Names of the files that have to stay: of the head, of versions named, of those that were the head at `since` or after.

    Versions that the log no longer has cannot be read anyway.
    """
    head = first = lake.head(table)
    while first > 0 and lake.commit_info(table, first).get("timestamp", 0) > since.timestamp() * 1000:
        first -= 1
    if not lake.actions(table, first):
        first += 1
    names = set(file_names(lake, table, head)) | set(file_names(lake, table, first))
    for version in range(first + 1, head):
        names |= {unquote(a["add"]["path"]) for a in lake.actions(table, version) if "add" in a}
    for version in set(named) - set(range(first, head + 1)):
        if lake.actions(table, version):
            names |= file_names(lake, table, version)
    return frozenset(names)


def vacuum(lake: DeltaLake, table: Table, stay: frozenset[str]) -> Removed:
    """Remove the table's files that are not among those that stay. Needs the lease: what another writes now would go too.

    Raises LakeError, and removes nothing, when a file that has to stay is not there.
    """
    folder = Storage(lake.path(table), lake.spark)
    found = [f for f in folder.files() if not f.name.startswith("_")]
    missing = len(stay - {f.name for f in found})
    if missing:
        raise LakeError(
            f"{table.name}: {missing} of its files are missing: see quality --storage; nothing was removed"
        )
    gone = [f for f in found if f.name not in stay]
    lake.guard()
    for f in gone:
        folder.delete(f.name)
        if folder.local:  # Hadoop's checksum of it
            name = PurePosixPath(f.name)
            folder.delete(str(name.with_name(f".{name.name}.crc")))
    return Removed(len(gone), sum(f.size for f in gone))
