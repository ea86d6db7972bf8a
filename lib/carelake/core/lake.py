"""Lake: how tables are read and written. DeltaLake is the one that production uses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from carelake.core.jvm import jvm
from carelake.core.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession

    from carelake.core.table import Table

Meta = dict[str, Any]


@dataclass(frozen=True)
class Commit:
    """What a write did: the table's version after it and the rows that it wrote."""

    version: int
    rows: int


class Lake(Protocol):
    """Tables by declaration. A table that is not there yet reads as empty."""

    def read(self, table: Table) -> DataFrame:
        """The table's rows with `_run`."""

    def cancel(self) -> None:
        """Stop what is being computed."""

    def version(self, table: Table) -> int:
        """The version that `read` gives; -1 when the table is not there."""

    def replace(self, table: Table, frame: DataFrame, meta: Meta) -> Commit:
        """Make these rows the table's, in one commit."""

    def append(self, table: Table, frame: DataFrame, meta: Meta, *, txn: str | None = None) -> Commit:
        """Add these rows in one commit; the same `txn` twice adds nothing the second time."""


@dataclass
class DeltaLake:
    """Delta tables below `root`; `pinned` holds the version at which a table is read (default: its head)."""

    spark: SparkSession
    root: str
    pinned: dict[str, int] = field(default_factory=dict)

    @property
    def storage(self) -> Storage:
        """Small files of the lake."""
        return Storage(self.root, self.spark)

    def path(self, table: Table) -> str:
        """The table's folder."""
        return f"{self.root.rstrip('/')}/{table.name}"

    def cancel(self) -> None:
        """Stop every Spark job of this session's context."""
        self.spark.sparkContext.cancelAllJobs()

    def head(self, table: Table) -> int:
        """Newest version of the table, -1 when it is not there."""
        gateway = jvm(self.spark)
        option = gateway.scala.Option.empty()
        log = gateway.org.apache.spark.sql.delta.DeltaLog.forTable(
            self.spark._jsparkSession, self.path(table)
        )
        return int(log.update(False, option, option).version())

    def version(self, table: Table) -> int:
        """The pinned version, else the head."""
        return self.pinned[table.name] if table.name in self.pinned else self.head(table)

    def read(self, table: Table) -> DataFrame:
        """The table at its pinned version, else its head; empty when it is not there."""
        version = self.version(table)
        if version < 0:
            return self.spark.createDataFrame([], f"{table.ddl}, `_run` string")
        reader = self.spark.read.format("delta")
        if table.name in self.pinned:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(table))

    def replace(self, table: Table, frame: DataFrame, meta: Meta) -> Commit:
        """Overwrite the table in one commit; schema changes are taken over."""
        return self._write(table, frame, meta, "overwrite", {"overwriteSchema": "true"})

    def append(self, table: Table, frame: DataFrame, meta: Meta, *, txn: str | None = None) -> Commit:
        """Append in one commit; columns that are new are added."""
        options = {"mergeSchema": "true"}
        if txn is not None:
            options |= {"txnAppId": txn, "txnVersion": "1"}
        return self._write(table, frame, meta, "append", options)

    def _write(
        self, table: Table, frame: DataFrame, meta: Meta, mode: str, options: Mapping[str, str]
    ) -> Commit:
        before = self.head(table)
        writer = frame.write.format("delta").mode(mode).options(**options)
        writer = writer.option("userMetadata", json.dumps(meta, sort_keys=True))
        if before < 0:  # table properties are given once, when the table is made
            # Statistics hold the least and greatest value of a column in _delta_log: keys and dates only, never names.
            writer = writer.option("delta.dataSkippingStatsColumns", ",".join(statistics_columns(table)))
        if table.partition_by:
            writer = writer.partitionBy(*table.partition_by)
        writer.save(self.path(table))
        after = self.head(table)
        self.pinned.pop(table.name, None)
        rows = (
            self.commit_info(table, after).get("operationMetrics", {}).get("numOutputRows", 0)
            if after > before
            else 0
        )
        return Commit(after, int(rows))

    def commit_info(self, table: Table, version: int) -> Meta:
        """The commitInfo of one version, {} when the log no longer has it."""
        text = self.storage.read_text(f"{table.name}/_delta_log/{version:020d}.json") or ""
        for line in text.splitlines():
            if line.startswith('{"commitInfo"'):
                info: Meta = json.loads(line)["commitInfo"]
                return info
        return {}


def statistics_columns(table: Table) -> list[str]:
    """Columns whose least and greatest value may stand in the log: ids that we made and dates, at most four."""
    made = [
        f.name
        for f in table.fields
        if f.type == "bigint" and f.phi is None and f.name not in table.partition_by
    ]
    dates = [
        f.name
        for f in table.fields
        if f.type == "date" and f.phi is None and f.name not in table.partition_by
    ]
    first = [n for n in ("person_id",) if n in made]
    return (first + [n for n in made if n not in first][:1] + dates[:1]) or ["_run"]
