"""A lake in memory: the Lake protocol over a dict of DataFrames, for tests of the engine without Delta."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carelake.core.lake import Commit

if TYPE_CHECKING:
    from collections.abc import Container

    from pyspark.sql import DataFrame, SparkSession

    from carelake.core.part import Part
    from carelake.core.table import Table


@dataclass
class DictLake:
    """Tables by name; `replace` and `append` count versions as Delta would."""

    spark: SparkSession
    frames: dict[str, DataFrame] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    metas: list[dict[str, Any]] = field(default_factory=list)

    def read(self, table: Table) -> DataFrame:
        """The table's rows, or none."""
        empty = f"{table.ddl}, `_run` string"
        return self.frames.get(table.name, self.spark.createDataFrame([], empty))

    def cancel(self) -> None:
        """Nothing runs here."""

    def version(self, table: Table) -> int:
        """-1 when the table was never written."""
        return self.versions.get(table.name, -1)

    def replace(self, table: Table, frame: DataFrame, meta: dict[str, Any]) -> Commit:
        """Materialise the rows, as a write does."""
        rows = frame.collect()
        self.frames[table.name] = self.spark.createDataFrame(rows, frame.schema)
        self.versions[table.name] = self.version(table) + 1
        self.metas.append(meta)
        return Commit(self.versions[table.name], len(rows))

    def lay(self, table: Table, frame: DataFrame, part: Part, meta: dict[str, Any]) -> Commit:
        """The rows and those that stay."""
        return self.replace(table, frame.unionByName(part.stay().select(*frame.columns)), meta)

    def append(
        self, table: Table, frame: DataFrame, meta: dict[str, Any], *, txn: str | None = None
    ) -> Commit:
        """Add rows."""
        before = self.read(table).count()
        commit = self.replace(table, self.read(table).unionByName(frame), meta)
        return Commit(commit.version, commit.rows - before)

    def size(self, table: Table, parts: Container[str] | None = None) -> int | None:
        """Not known."""
        return None
