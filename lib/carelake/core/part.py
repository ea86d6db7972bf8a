"""A part of a table: what an increment makes anew, and which files of the table it leaves as they are.

A small table is written whole, what stays with what was made: that is soonest done. So is one most of whose files hold a row
in question. Of another the made rows are compared with the published rows in whose stead they stand, and most are what they
were. Only the files that hold a row which goes are written again, without it, and beside them what comes; every other file
stays (docs/adr/0013).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from carelake.core.session import paced

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table

COMPARED_FROM = 64 << 20  # bytes of a table; below, it is sooner written whole than compared
MOST = 0.5  # of its files; when more of them hold a row in question, comparing costs what it saves (bench/RESULTS.md)
_PATH = "_path"
# Two hashes, 96 bits: that a row which changed keeps both is not to be expected in a lake's life.
_SAME = ("_low", "_high")


class Part(Protocol):
    """What of a table is made anew, when that is not all of it."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings that are others for the part than for the whole."""

    @property
    def published(self) -> DeltaLake:
        """The lake as it was published: what stays is taken from there."""

    def only(self, table: Table) -> DataFrame:
        """Of a table that the step reads, the rows from which the part is made."""

    def gone(self, rows: DataFrame) -> DataFrame:
        """Of rows of the step's own table, as they were published, those in whose stead the part stands."""

    def stay(self) -> DataFrame:
        """The rows of the step's own table, as they were published, that stay."""


@dataclass(frozen=True)
class Laid:
    """How a part comes into its table: the rows to write, None for no row, and the files that stay beside them."""

    rows: DataFrame | None
    keep: frozenset[str]


def lay(lake: DeltaLake, table: Table, made: DataFrame, part: Part) -> Laid | None:
    """How to write no more than what is other than published; None when the table is sooner written whole.

    That is so when it is small, when most of its files hold a row in question, when a run that died wrote its head, and when its
    version does not name its files.
    """
    version = part.published.version(table)
    size, files = part.published.size(table), part.published.named_files(table, version)
    if size is None or size < COMPARED_FROM or files is None or lake.head(table) != version:
        return None
    # First by what says whose a row is alone: where records only come, no file has to be read with all its columns.
    theirs = _files(table, paced(part.gone(_with_path(lake, table, files)), [size]))
    if len(theirs) > MOST * len(files):
        return None
    made = lake.keep(made)  # asked for twice: what of it is other than published, and those rows
    was = part.gone(_with_path(lake, table, theirs))
    moved = lake.keep(_moved(paced(_marked(was, table), [size]), _marked(made, table)))
    touched = _files(table, moved.selectExpr(f"explode({_PATH}s) AS {_PATH}"))
    comes = _marked(made, table).join(moved, list(_SAME), how="left_semi")
    rows = comes
    if touched:
        again = _marked(paced(lake.read_files(table, sorted(touched)), [size]), table)
        rows = again.join(moved, list(_SAME), how="left_anti").unionByName(comes)
    elif comes.isEmpty():
        return Laid(None, frozenset(files))
    return Laid(rows.select(*table.columns, "_run"), frozenset(files) - touched)


def _with_path(lake: DeltaLake, table: Table, files: Collection[str]) -> DataFrame:
    path = "_metadata.file_path" if files else "cast(NULL AS string)"
    return lake.read_files(table, sorted(files)).selectExpr("*", f"{path} AS {_PATH}")


def _files(table: Table, rows: DataFrame) -> frozenset[str]:
    return file_names(table, (r[_PATH] for r in rows.select(_PATH).distinct().collect()))


def _marked(rows: DataFrame, table: Table) -> DataFrame:
    """The rows with two hashes of all that they say."""
    every = ", ".join(f"`{c}`" for c in table.columns)
    return rows.selectExpr("*", f"xxhash64({every}) AS {_SAME[0]}", f"hash({every}) AS {_SAME[1]}")


def _moved(was: DataFrame, made: DataFrame) -> DataFrame:
    """The hashes of rows that are more or less often in `was` than in `made`, and the files in which `was` has them."""
    both = was.selectExpr(*_SAME, _PATH, "1 AS one").unionByName(
        made.selectExpr(*_SAME, f"cast(NULL AS string) AS {_PATH}", "-1 AS one")
    )
    told = both.groupBy(*_SAME).agg(_sql("sum(one)", "n"), _sql(f"collect_set({_PATH})", f"{_PATH}s"))
    return told.where("n <> 0")


def _sql(text: str, name: str) -> Any:
    from pyspark.sql import functions as F

    return F.expr(text).alias(name)


def file_names(table: Table, paths: Iterable[str]) -> frozenset[str]:
    """Names of files below the table's folder from their URIs."""
    return frozenset(unquote(p).rsplit(f"/{table.name}/", 1)[1] for p in paths)
