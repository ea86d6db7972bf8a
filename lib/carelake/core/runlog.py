"""The run log: rows of the ops tables, gathered in the driver and written in few commits."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carelake import __version__
from carelake.core.ops import CHECK_RESULT, FILE, LEDGER, OPS, PROFILE, QUARANTINE, RUN, SNAPSHOT
from carelake.core.run import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table

KNOWN = ("landed", "quarantined")  # statuses of a file that is not read again


@dataclass(frozen=True)
class Published:
    """A table as the last publication left it."""

    version: int
    fingerprint: str | None
    inputs: dict[str, int]


@dataclass
class RunLog:
    """What one run notes. Rows are written at the end of each stage."""

    lake: DeltaLake
    run_id: str
    job: str
    started_at: datetime
    ledger: list[dict[str, Any]] = field(default_factory=list)
    _waiting: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _landed: list[dict[str, Any]] | None = None
    _earlier: list[dict[str, Any]] = field(default_factory=list)

    def open(self) -> None:
        """Make the ops tables, mark dead runs killed, note this one. Needs the lease."""
        empty = self.lake.spark.createDataFrame([], "x int").where("false")
        missing = [
            t for t in OPS if self.lake.whole_head(t) < 0
        ]  # made before anything appends: first appends may collide
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda t: self.lake.append(t, t.conform(empty), {"run": self.run_id}), missing))
        runs = [r.asDict() for r in self.lake.read(RUN).collect()]
        for r in runs:
            if r["status"] == "running":
                r["status"] = "killed"
        self._earlier = runs
        self._write_runs([*runs, self._row("running", None)])

    def _row(self, status: str, as_of: date | None) -> dict[str, Any]:
        ended = None if status == "running" else now()
        return {
            "run_id": self.run_id, "job": self.job, "started_at": self.started_at, "ended_at": ended, "status": status,
            "version": __version__, "as_of": as_of,
        }  # fmt: skip

    def _write_runs(self, rows: list[dict[str, Any]]) -> None:
        self.lake.replace(RUN, self._frame(RUN, rows), {"run": self.run_id})

    def _frame(self, table: Table, rows: Iterable[dict[str, Any]]) -> DataFrame:
        data = [tuple(r.get(c) for c in table.columns) for r in rows]
        return self.lake.spark.createDataFrame(data, table.schema).coalesce(1)

    def close(self, status: str, as_of: date | None) -> None:
        """Note how the run ended."""
        self._write_runs([*self._earlier, self._row(status, as_of)])  # who holds the lease alone writes here

    def landed(self) -> list[dict[str, Any]]:
        """Rows of ops/file that are landed or quarantined: one of each file ever seen. Read once a run."""
        with self._lock:
            if self._landed is None:
                rows = self.lake.read(FILE).where(f"status IN {KNOWN}").collect()
                self._landed = [r.asDict() for r in rows]
            return list(self._landed)

    def files(self, rows: list[dict[str, Any]]) -> None:
        """Note files seen; written by `flush`."""
        with self._lock:
            self._waiting.setdefault(FILE.name, []).extend(rows)

    def ledger_rows(self, rows: list[dict[str, Any]]) -> None:
        """Note a stage's ledger; written by `flush`. Raises AssertionError when a row does not balance: then records were lost."""
        for r in rows:
            outcome = sum(
                r[f"rows_{c}"] for c in ("written", "duplicate", "superseded", "excluded", "quarantined")
            )
            if outcome != r["rows_in"]:
                raise AssertionError(
                    f"ledger of {r['source']}/{r['kind']} at {r['stage']} does not balance: "
                    f"{r['rows_in']} in, {outcome} accounted for"
                )
        with self._lock:
            self.ledger += rows
            self._waiting.setdefault(LEDGER.name, []).extend(rows)

    def check_results(self, rows: list[dict[str, Any]]) -> None:
        """Note results of quality checks; written by `flush`."""
        with self._lock:
            self._waiting.setdefault(CHECK_RESULT.name, []).extend(rows)

    def profile(self, rows: list[dict[str, Any]]) -> None:
        """Note what the tables look like; written by `flush`."""
        with self._lock:
            self._waiting.setdefault(PROFILE.name, []).extend(rows)

    def flush(self) -> None:
        """Write the rows noted so far: the ledger first, files last, since they mark a landing as done."""
        with self._lock:
            for table in (LEDGER, CHECK_RESULT, PROFILE, FILE):
                rows = self._waiting.pop(table.name, [])
                if rows:
                    self.lake.append(table, self._frame(table, rows), {"run": self.run_id})
                if table is FILE and self._landed is not None:
                    self._landed += [r for r in rows if r["status"] in KNOWN]

    def quarantine(self, frame: DataFrame) -> None:
        """Note refused or excluded records; columns of ops/quarantine, `run_id` is filled in."""
        rows = QUARANTINE.conform(frame.selectExpr("*", f"'{self.run_id}' AS run_id"))
        with self._lock:
            self.lake.append(QUARANTINE, rows, {"run": self.run_id})

    def publish(self, tables: dict[str, Published]) -> None:
        """Publish these versions in one commit."""
        at = now()
        rows = [
            {
                "run_id": self.run_id, "table_name": name, "version": p.version, "published_at": at,
                "fingerprint": p.fingerprint, "inputs": json.dumps(p.inputs, sort_keys=True),
            }
            for name, p in sorted(tables.items())
        ]  # fmt: skip
        self.lake.append(SNAPSHOT, self._frame(SNAPSHOT, rows), {"run": self.run_id})


def last_run(lake: DeltaLake) -> str | None:
    """The run that wrote to ops/run last."""
    head = lake.head(RUN)
    note = lake.commit_info(RUN, head).get("userMetadata") if head >= 0 else None
    run_id: str | None = json.loads(note or "{}").get("run")
    return run_id


def published(lake: DeltaLake) -> dict[str, Published]:
    """What the newest publication holds, by table; empty for a lake that never published."""
    if lake.head(SNAPSHOT) < 0:
        return {}
    rows = lake.read(SNAPSHOT).collect()  # some fifty rows a publication
    newest = max((r["run_id"] for r in rows), default=None)
    latest = [r for r in rows if r["run_id"] == newest]
    return {
        r["table_name"]: Published(int(r["version"]), r["fingerprint"], json.loads(r["inputs"] or "{}"))
        for r in latest
    }


def as_published(lake: DeltaLake, before: Mapping[str, Published]) -> DeltaLake:
    """The lake as a publication left it; a table that it does not name is not there."""
    return lake.at({name: p.version for name, p in before.items()})
