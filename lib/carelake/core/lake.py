"""Lake: how tables are read and written. DeltaLake is the one that production uses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote
from uuid import uuid4

from carelake.core.commit import commit, delta_log
from carelake.core.failure import damaged, explained
from carelake.core.jvm import java
from carelake.core.part import lay
from carelake.core.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Mapping

    from pyspark.sql import DataFrame, SparkSession

    from carelake.core.part import Part
    from carelake.core.table import Table

Meta = dict[str, Any]
SCRATCH = "ops/_scratch"  # what a run keeps until it ends
_GLOB = re.compile(r"[*?\[\]{}\\]")  # Spark would take such a path for a pattern


@dataclass(frozen=True)
class Commit:
    """What a write did: the table's version after it, the rows that it appended or, replaced, that the table has, the files that it wrote."""

    version: int
    rows: int
    files: int = 0


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

    def lay(self, table: Table, frame: DataFrame, part: Part, meta: Meta) -> Commit:
        """Make these rows and those that stay beside the part the table's, in one commit or, when they are what was published, none."""

    def append(self, table: Table, frame: DataFrame, meta: Meta, *, txn: str | None = None) -> Commit:
        """Add these rows in one commit; the same `txn` twice adds nothing the second time."""

    def size(self, table: Table, parts: Container[str] | None = None) -> int | None:
        """Bytes of the files that `read` gives; of a divided table those of these parts. None when not known."""


@dataclass
class DeltaLake:
    """Delta tables below `root`; `pinned` holds the version at which a table is read (default: its head)."""

    spark: SparkSession
    root: str
    pinned: dict[str, int] = field(default_factory=dict)
    pinned_only: bool = False  # a table that is not pinned is not there
    # asked before each commit; raises when nothing may be written any more
    guard: Callable[[], None] = lambda: None
    # By table and version: see `_checksum`.
    _checksums: dict[tuple[str, int], Meta] = field(default_factory=dict)

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
        """Newest version of the table, -1 when it is not there. Raises LakeError when its log cannot be read."""
        option = java(self.spark, "scala.Option").empty()
        try:
            return int(delta_log(self.spark, self.path(table)).update(False, option, option).version())
        except Exception as e:
            # Delta's message need not say of which table it speaks.
            raise explained(e, self.root) or damaged(table.name, "its log cannot be read") from None

    def whole_head(self, table: Table) -> int:
        """The head. Raises LakeError when a newer commit is lost: rows would be missing, and a new commit would get its checksum."""
        head = self.head(table)
        # Delta writes the checksum file of a version after its commit, and not over another.
        if self.storage.exists(f"{table.name}/_delta_log/{head + 1:020d}.crc"):
            raise damaged(table.name, f"commit {head + 1} of its log is missing")
        return head

    def version(self, table: Table) -> int:
        """The pinned version, else the head."""
        if table.name in self.pinned or self.pinned_only:
            return self.pinned.get(table.name, -1)
        return self.head(table)

    def read(self, table: Table) -> DataFrame:
        """The table at its pinned version, else its head; empty when it is not there."""
        version = self.version(table)
        if version < 0:
            return self._empty(table)
        files = self.named_files(table, version)
        if files is not None:
            return self.read_files(table, list(files))
        reader = self.spark.read.format("delta")
        if table.name in self.pinned:
            reader = reader.option("versionAsOf", version)
        return _as_declared(reader.load(self.path(table)), table)

    def at(self, versions: Mapping[str, int]) -> DeltaLake:
        """This lake as it was at some versions; a table without one is not there."""
        return DeltaLake(self.spark, self.root, dict(versions), pinned_only=True, guard=self.guard)

    def added(self, table: Table, since: int) -> list[str]:
        """Files that appends put into the table after a version: for a table that is only ever appended to."""
        names = []
        for version in range(since + 1, self.version(table) + 1):
            for action in self.actions(table, version):
                if action.get("add", {}).get("dataChange"):
                    names.append(unquote(action["add"]["path"]))
        return names

    def read_files(self, table: Table, names: list[str]) -> DataFrame:
        """The rows of some of the table's files, by their names below its folder."""
        if not names:
            return self._empty(table)
        paths = [literal(f"{self.path(table)}/{n}") for n in names]
        reader = self.spark.read.schema(f"{table.ddl}, `_run` string").option("basePath", self.path(table))
        frame = reader.parquet(*paths)
        return frame.select(*table.columns, "_run") if table.partition_by else frame

    def keep(self, frame: DataFrame) -> DataFrame:
        """The rows written down for the rest of the run: what is made of them has a short plan, and survives a lost executor."""
        place = f"{self.root.rstrip('/')}/{SCRATCH}/{uuid4().hex}"
        frame.write.parquet(place)
        return self.spark.read.schema(frame.schema).parquet(place)

    def remove(self, table: Table) -> None:
        """Remove the table with all its versions. Needs the lease."""
        self.guard()
        self.storage.delete_folder(table.name)
        java(self.spark, "org.apache.spark.sql.delta.DeltaLog").clearCache()
        self._checksums.clear()

    def clear(self) -> None:
        """Remove what runs kept. Needs the lease."""
        self.guard()
        self.storage.delete_folder(SCRATCH)

    def _empty(self, table: Table) -> DataFrame:
        return self.spark.createDataFrame([], f"{table.ddl}, `_run` string")

    def replace(self, table: Table, frame: DataFrame, meta: Meta) -> Commit:
        """Overwrite the table in one commit; schema changes are taken over."""
        return self._write(table, frame, meta, "overwrite", {"overwriteSchema": "true"})

    def lay(self, table: Table, frame: DataFrame, part: Part, meta: Meta) -> Commit:
        """Overwrite the table, or those of its files that hold a row which goes, with these rows and those that stay."""
        laid = lay(self, table, frame, part)
        if laid is None:
            return self.replace(table, frame.unionByName(part.stay().select(*frame.columns)), meta)
        if laid.rows is None:
            return Commit(self.version(table), self._count(table))
        done = self._write(table, laid.rows, meta, "overwrite", {"overwriteSchema": "true"}, keep=laid.keep)
        return replace(done, rows=self._count(table))

    def append(self, table: Table, frame: DataFrame, meta: Meta, *, txn: str | None = None) -> Commit:
        """Append in one commit; columns that are new are added."""
        return self._write(table, frame, meta, "append", {"mergeSchema": "true"}, txn)

    def _write(
        self,
        table: Table,
        frame: DataFrame,
        meta: Meta,
        mode: str,
        options: Mapping[str, str],
        txn: str | None = None,
        keep: Collection[str] = (),
    ) -> Commit:
        before, note = self.whole_head(table), json.dumps(meta, sort_keys=True)
        overwrite, done = mode == "overwrite", None
        if before >= 0:
            done = commit(
                frame, self.path(table), note, replace=overwrite, keep=keep, txn=txn, guard=self.guard
            )
        if done is None:
            if keep:
                frame = frame.unionByName(self.read_files(table, sorted(keep)))
            self._save(table, frame, note, mode, options, txn, new=before < 0)
            after = self._own(table, before, note)
        else:
            after = done if done >= 0 else self.head(table)
        self.pinned.pop(table.name, None)
        if after <= before or done == -1:
            return Commit(after, 0)
        metrics = self.commit_info(table, after).get("operationMetrics", {})
        return Commit(after, int(metrics.get("numOutputRows", 0)), int(metrics.get("numFiles", 0)))

    def _own(self, table: Table, before: int, note: str) -> int:
        """The newest version after `before` with this note; `before` when there is none. The head may be somebody else's by now."""
        newer = range(self.head(table), before, -1)
        return next((v for v in newer if self.commit_info(table, v).get("userMetadata") == note), before)

    def _save(
        self,
        table: Table,
        frame: DataFrame,
        note: str,
        mode: str,
        options: Mapping[str, str],
        txn: str | None,
        *,
        new: bool,
    ) -> None:
        writer = frame.write.format("delta").mode(mode).options(**options).option("userMetadata", note)
        if txn is not None:
            writer = writer.options(txnAppId=txn, txnVersion="1")
        if new:  # table properties are given once, when the table is made
            # Statistics hold the least and greatest value of a column in _delta_log: keys and dates only, never names.
            writer = writer.option("delta.dataSkippingStatsColumns", ",".join(statistics_columns(table)))
        if table.partition_by:
            writer = writer.partitionBy(*table.partition_by)
        self.guard()
        writer.save(self.path(table))

    def named_files(self, table: Table, version: int) -> tuple[str, ...] | None:
        """Names of all files of a version; None when its checksum does not name them, or the table was declared otherwise.

        Delta would rebuild the table's state from its log and search it for files on every scan: three small jobs for a
        list that it wrote down itself with the version, if there are few.
        """
        from pyspark.sql.types import StringType, StructType

        checksum = self._checksum(table, version)
        try:
            written = StructType.fromJson(json.loads(checksum["metadata"]["schemaString"]))
            files = checksum["allFiles"]
        except (ValueError, KeyError, TypeError):
            return None
        declared = [(f.name, f.dataType) for f in table.schema.fields] + [("_run", StringType())]
        if files is None or [(f.name, f.dataType) for f in written.fields] != declared:
            return None
        if any(f.get("deletionVector") for f in files):
            return None
        return tuple(unquote(f["path"]) for f in files)

    def size(self, table: Table, parts: Container[str] | None = None) -> int | None:
        """Bytes of the table's files, by the checksum of its version; of a divided table those of these parts. None when not known."""
        version = self.version(table)
        if version < 0:
            return 0
        checksum = self._checksum(table, version)
        if parts is None or not table.partition_by or not checksum.get("allFiles"):
            return checksum.get("tableSizeBytes")
        (column,) = table.partition_by
        return sum(int(f["size"]) for f in checksum["allFiles"] if f["partitionValues"].get(column) in parts)

    def _count(self, table: Table) -> int:
        """Rows of the table, by the statistics of its files where its checksum has them."""
        files = self._checksum(table, self.version(table)).get("allFiles") or [{}]
        counts = [json.loads(f.get("stats") or "{}").get("numRecords") for f in files]
        return self.read(table).count() if None in counts else sum(counts)

    def _checksum(self, table: Table, version: int) -> Meta:
        """What Delta wrote down beside a version: its size and, when they are few, its files. {} when there is none, or it is damaged."""
        key = (table.name, version)
        if key not in self._checksums:
            try:
                found = json.loads(
                    self.storage.read_text(f"{table.name}/_delta_log/{version:020d}.crc") or "{}"
                )
            except ValueError:
                found = {}
            self._checksums[key] = found if isinstance(found, dict) else {}
        return self._checksums[key]

    def actions(self, table: Table, version: int) -> list[Meta]:
        """What one commit did, as Delta's log has it; nothing when the log no longer has it. Raises LakeError when damaged."""
        try:
            text = self.storage.read_text(f"{table.name}/_delta_log/{version:020d}.json") or ""
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise damaged(table.name, f"commit {version} of its log is damaged") from None

    def commit_info(self, table: Table, version: int) -> Meta:
        """The commitInfo of one version, {} when the log no longer has it."""
        info: Meta = next((a["commitInfo"] for a in self.actions(table, version) if "commitInfo" in a), {})
        return info


def literal(path: str) -> str:
    """The path for a reader that would take some of its characters for a pattern."""
    return _GLOB.sub(lambda m: "\\" + m[0], path)


def _as_declared(frame: DataFrame, table: Table) -> DataFrame:
    """The columns that are declared today; one that was declared after the rows were written is NULL."""
    there = {c.lower() for c in frame.columns}
    columns = [
        f"`{f.name}`" if f.name.lower() in there else f"cast(NULL AS {f.type}) AS `{f.name}`"
        for f in table.fields
    ]
    return frame.selectExpr(*columns, *(c for c in ("_run",) if c in there))  # ops tables have none


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
