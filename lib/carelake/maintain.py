"""Upkeep of a lake: compact small files, cluster by person, write checkpoints, remove versions that nobody needs.

Rows stay as they are. Tables that get another version by it are published anew under it, as are the versions that they were
made from, so that the next run finds nothing new in them. Who dies in between leaves a lake whose next run does more, not other, work.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from carelake.core.upkeep import (
    Removed,
    checkpoint,
    compact_files,
    file_sizes,
    is_clustered,
    retained,
    vacuum,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from carelake.core.config import Upkeep
    from carelake.core.lake import DeltaLake
    from carelake.core.runlog import Published, RunLog
    from carelake.core.table import Table

T = TypeVar("T")


@dataclass(frozen=True)
class Compacted:
    """A table whose files were written anew: its version and its files, before and after."""

    table: str
    version_before: int
    version: int
    files_before: int
    files: int


def maintain(
    lake: DeltaLake,
    log: RunLog,
    before: Mapping[str, Published],
    tables: Sequence[Table],
    named: Mapping[str, set[int]],
    policy: Upkeep,
    threads: int,
) -> tuple[list[Compacted], Removed]:
    """Compact, publish the same rows under their new versions, and only then remove what is out of date.

    `named` are the versions of tables that have to stay readable whatever their age. Needs the lease.
    """
    compacted = compact(lake, tables, before, policy, threads)
    published = republished(before, {(c.table, c.version_before): c.version for c in compacted})
    if published != before:
        log.publish(published)
    keep = {name: {*named.get(name, ()), p.version} for name, p in published.items()}
    return compacted, remove(lake, tables, {**named, **keep}, policy, log.started_at, threads)


def compact(
    lake: DeltaLake, tables: Iterable[Table], published: Mapping[str, Published], policy: Upkeep, threads: int
) -> list[Compacted]:
    """Compact the small files of tables that have many, and cluster large tables by person. Removes nothing.

    Left alone is a table whose head is not what was published: a run that did not come to its end wrote it, or, of
    bronze, its landings still wait for silver, which knows them by their files.
    """
    size = policy.file_mb << 20

    def one(table: Table) -> Compacted | None:
        head = lake.head(table)
        if head < 0 or head not in _expected(table, published, head):
            return None
        sizes = file_sizes(lake, table, head)
        cluster = (
            sum(sizes.values()) > size and "person_id" in table.cluster_by and not is_clustered(lake, table)
        )
        if not cluster and not has_small_files(sizes, size, policy.many_files):
            return None
        version = compact_files(lake, table, size, ("person_id",) if cluster else ())
        checkpoint(lake, table)
        return Compacted(table.name, head, version, len(sizes), len(file_sizes(lake, table, version)))

    return [k for k in _side_by_side(one, tables, threads) if k and k.version != k.version_before]


def _expected(table: Table, published: Mapping[str, Published], head: int) -> set[int]:
    """The versions at which the table may be touched."""
    if table.name in published:
        return {published[table.name].version}
    seen = {p.inputs[table.name] for p in published.values() if table.name in p.inputs}
    return seen if len(seen) == 1 else {head} - seen  # what nothing was made from may be touched anyway


def has_small_files(sizes: Mapping[str, int], size: int, many: int) -> bool:
    """Whether a folder of the table holds more than `many` files of less than half of `size` bytes."""
    small = Counter(str(PurePosixPath(name).parent) for name, n in sizes.items() if n < size // 2)
    return any(n > many for n in small.values())


def republished(
    published: Mapping[str, Published], moved: Mapping[tuple[str, int], int]
) -> dict[str, Published]:
    """A publication after tables got other versions, `moved` by table and version, without any change of rows."""
    return {
        name: replace(
            p,
            version=moved.get((name, p.version), p.version),
            inputs={t: moved.get((t, v), v) for t, v in p.inputs.items()},
        )
        for name, p in published.items()
    }


def remove(
    lake: DeltaLake,
    tables: Iterable[Table],
    named: Mapping[str, set[int]],
    policy: Upkeep,
    now: datetime,
    threads: int,
) -> Removed:
    """Remove the files of versions that are out of date: neither the head, nor `named`, nor newer than the policy says."""
    since = now - timedelta(days=policy.retain_days)

    def one(table: Table) -> Removed:
        if lake.head(table) < 0:
            return Removed()
        return vacuum(lake, table, retained(lake, table, named.get(table.name, set()), since))

    return sum(_side_by_side(one, tables, threads), Removed())


def _side_by_side(work: Callable[[Table], T], tables: Iterable[Table], threads: int) -> list[T]:
    with ThreadPoolExecutor(threads, thread_name_prefix="maintain") as pool:
        return list(pool.map(work, tables))
