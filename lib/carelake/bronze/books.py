"""The books of a landing: what ops/file, ops/ledger and ops/quarantine say of the files of a sender."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

from carelake.bronze.found import Found
from carelake.bronze.table import bronze_table
from carelake.core.ops import LEDGER, QUARANTINE

if TYPE_CHECKING:
    from carelake.core.lake import DeltaLake
    from carelake.core.runlog import RunLog
    from carelake.core.table import Table


def landed(
    lake: DeltaLake, run_id: str, sender: str, format_name: str, new: list[Found]
) -> tuple[list[dict[str, Any]], Counter[tuple[str, str]]]:
    """Rows of ops/file and ledger counts of files just landed, counted in the bronze table itself."""
    counted = (
        lake.read(bronze_table(sender))
        .where(f"_run = '{run_id}'")
        .groupBy("file", "kind")
        .agg({"*": "count", "problem": "count"})
        .collect()
    )
    by_file: dict[str, dict[str, int]] = {}
    ledger: Counter[tuple[str, str]] = Counter()
    whole: set[str] = set()
    for r in counted:
        n, bad = int(r["count(1)"]), int(r["count(problem)"])
        by_file.setdefault(r["file"], {})[r["kind"]] = n
        ledger[r["kind"], "in"] += n
        ledger[r["kind"], "written"] += n - bad
        ledger[r["kind"], "quarantined"] += bad
        if n == bad:
            whole.add(r["file"])
    rows = [
        {
            "run_id": run_id, "source": sender, "file": f.file, "bytes": f.bytes, "content_hash": f.content_hash,
            "units": sum(by_file.get(f.file, {}).values()), "format": format_name,
            "status": "quarantined" if f.file in whole and len(by_file[f.file]) == 1 else "landed",
            "extract_date": date.fromisoformat(f.extract_date) if f.extract_date else None,
            "units_by_kind": json.dumps(by_file.get(f.file, {}), sort_keys=True),
        }
        for f in new
    ]  # fmt: skip
    return rows, ledger


def close(
    lake: DeltaLake,
    log: RunLog,
    sender: str,
    files: list[dict[str, Any]],
    counts: Counter[tuple[str, str]],
    written: tuple[Table, ...] = (),
) -> None:
    """Write quarantine, file and ledger rows of a landing, but for those `written`; ops/file last, since it marks it as done."""
    refused = any(n > 0 for (_, what), n in counts.items() if what == "quarantined")
    if refused and QUARANTINE not in written:
        bad = (
            lake.read(bronze_table(sender))
            .where(f"_run = '{log.run_id}' AND problem IS NOT NULL")
            .selectExpr(
                f"'{sender}' AS source", "kind", "'bronze' AS stage", "file", "byte_offset", "record_no", "record_id",
                "split(problem, ':')[0] AS reason", "split(problem, ':')[1] AS rule", "'quarantined' AS severity",
                "1 AS n_records",
            )
        )  # fmt: skip
        log.quarantine(bad)
    kinds = sorted({kind for kind, _ in counts}) if LEDGER not in written else []
    log.ledger_rows([
        {
            "run_id": log.run_id, "source": sender, "kind": k, "stage": "bronze", "rows_in": counts[k, "in"],
            "rows_written": counts[k, "written"], "rows_duplicate": counts[k, "duplicate"], "rows_superseded": 0,
            "rows_excluded": 0, "rows_quarantined": counts[k, "quarantined"],
        }
        for k in kinds
    ])  # fmt: skip
    log.files(files)


def quarantine_files(lake: DeltaLake, log: RunLog, sender: str, refused: list[tuple[Found, str]]) -> None:
    """Quarantine files that are refused whole, each with its kind."""
    rows = [
        (sender, kind, "bronze", f.file, (f.problem or "").split(":")[0], (f.problem or ":").split(":")[1], "quarantined", 1)
        for f, kind in refused
    ]  # fmt: skip
    ddl = "source string, kind string, stage string, file string, reason string, rule string, severity string, n_records bigint"
    log.quarantine(lake.spark.createDataFrame(rows, ddl))


def recover(lake: DeltaLake, log: RunLog, sender: str, format_name: str) -> None:
    """Finish the books of a landing whose run died between its commit and them: the commit says what it landed."""
    table = bronze_table(sender)
    head = lake.head(table)
    if head < 0:
        return
    info = json.loads(lake.commit_info(table, head).get("userMetadata") or "{}")
    dead = info.get("run")
    told = {(r["source"], r["run_id"]) for r in log.landed() if r["status"] == "landed"}
    if not dead or (sender, dead) in told:
        return
    new = [Found("", f, size, content, None, day) for f, size, content, day in info.get("landed", [])]
    rows, counts = landed(lake, dead, sender, format_name, new)
    of_it = f"run_id = '{dead}' AND source = '{sender}' AND stage = 'bronze'"
    written = tuple(t for t in (QUARANTINE, LEDGER) if not lake.read(t).where(of_it).isEmpty())
    own, log.run_id = log.run_id, dead
    try:
        close(lake, log, sender, rows, counts, written)
    finally:
        log.run_id = own
