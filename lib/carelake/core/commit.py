"""Commits to a Delta table that stays as it is declared, by what the checksum file of its version says of it.

`DataFrameWriter` rebuilds the state of a table from its log and aggregates it before every write, to learn which files it
replaces and that there is no domain metadata: four of the five Spark queries of a small write. The checksum file, which Delta
itself writes with each version, says both. Everything else is Delta's own: its transaction writes the files and their statistics,
looks for conflicts and commits (docs/adr/0012). Whatever the checksum cannot answer is left to `DataFrameWriter`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from carelake.core.jvm import java

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pyspark.sql import DataFrame, SparkSession

DELTA = "org.apache.spark.sql.delta"


def delta_log(session: SparkSession, path: str) -> Any:
    """Delta's own view of the table in a folder, for the calling thread.

    What Delta does after a commit (its checkpoint, statistics) asks for the thread's session, which only Spark's own calls set.
    """
    java(session, "org.apache.spark.sql.SparkSession").setActiveSession(session._jsparkSession)
    return java(session, f"{DELTA}.DeltaLog").forTable(session._jsparkSession, path)


def commit(
    frame: DataFrame,
    path: str,
    user_metadata: str,
    *,
    replace: bool,
    keep: Collection[str] = (),
    txn: str | None = None,
    guard: Callable[[], None] = lambda: None,
) -> int | None:
    """Write the rows, ask `guard` and commit, unless `txn` was committed before (-1). Returns the version; None: `DataFrameWriter` has to.

    What is replaced are all files of the table but those to `keep`.
    """
    session = frame.sparkSession
    transaction = delta_log(session, path).startTransaction()
    checksum = transaction.snapshot().checksumOpt()
    if not checksum.isDefined():
        return None
    files = _known(checksum.get(), transaction, frame)
    if files is None:
        return None
    # Asked of the transaction, so that the same `txn` committed meanwhile by another is a conflict.
    if txn is not None and transaction.txnVersion(txn) >= 0:
        return -1
    if replace:
        transaction.readWholeTable()  # a commit in between is a conflict
    actions = transaction.writeFiles(frame._jdf)
    for file in files if replace else ():
        if unquote(file.path()) not in keep:
            actions = actions.appended(file.remove())
    if txn is not None:
        now = java(session, "scala.Option").apply(transaction.clock().getTimeMillis())
        actions = actions.appended(java(session, f"{DELTA}.actions.SetTransaction")(txn, 1, now))
    guard()
    no_tags = getattr(java(session, "scala.collection.immutable.Map$"), "MODULE$").empty()
    done = transaction.commitIfNeeded(actions, _write(session, user_metadata, replace=replace), no_tags)
    return int(done.get()) if done.isDefined() else -1


def _known(checksum: Any, transaction: Any, frame: DataFrame) -> list[Any] | None:
    """The files of the table; None when it is to change, or the checksum does not know."""
    domain, files, transactions = checksum.domainMetadata(), checksum.allFiles(), checksum.setTransactions()
    if not (domain.isDefined() and domain.get().isEmpty() and files.isDefined() and transactions.isDefined()):
        return None
    if not transaction.metadata().schema().equals(frame._jdf.schema().asNullable()):
        return None
    found = files.get()
    return [found.apply(i) for i in range(found.size())]


def _write(session: SparkSession, user_metadata: str, *, replace: bool) -> Any:
    """The operation as `DataFrameWriter` would name it in the table's history."""
    option, modes = java(session, "scala.Option"), java(session, "org.apache.spark.sql.SaveMode")
    none = option.empty()
    return java(session, f"{DELTA}.DeltaOperations$Write")(
        modes.Overwrite if replace else modes.Append,
        none, none, option.apply(user_metadata), none, none, none, none, none,
    )  # fmt: skip
