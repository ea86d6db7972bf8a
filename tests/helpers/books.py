"""Auditing a lake from outside: its tables by delta-rs, its files by Python, and whether its books balance."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    import pyarrow as pa

OUTCOMES = ("rows_written", "rows_duplicate", "rows_superseded", "rows_excluded", "rows_quarantined")


@dataclass(frozen=True)
class Made:
    """A lake, what `--json` said of the run that made it, how that run ended, and the empty folder it was started in."""

    lake: Path
    note: dict[str, Any]
    done: subprocess.CompletedProcess[str]
    started_in: Path

    def rows(self, name: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """The head of a table, as dicts."""
        found: list[dict[str, Any]] = read(self.lake, name, columns).to_pylist()
        return found


def read(lake: Path, name: str, columns: list[str] | None = None) -> pa.Table:
    """The head of a table by delta-rs, which is not the library that wrote it."""
    from deltalake import DeltaTable

    return DeltaTable(str(lake / name)).to_pyarrow_table(columns=columns)


def tables(lake: Path, *layers: str) -> list[str]:
    """The tables of some layers, found by their folders."""
    return sorted(
        p.parent.relative_to(lake).as_posix() for layer in layers for p in (lake / layer).rglob("_delta_log")
    )


def versions(lake: Path, *layers: str) -> dict[str, int]:
    """The newest version of each table."""
    from deltalake import DeltaTable

    return {name: DeltaTable(str(lake / name)).version() for name in tables(lake, *layers)}


def lines(path: Path) -> list[str]:
    """The non-blank lines of a file, inside its gzip when it is one."""
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    found = text.decode("utf-8-sig").split("\n")  # splitlines() would break at U+2028 inside a record
    return [line.removesuffix("\r") for line in found if line.strip()]


def counted(folder: Path) -> dict[str, Counter[str]]:
    """Records by file and kind, counted without a line of the code under test: NDJSON by resourceType, CSV by its name."""
    found: dict[str, Counter[str]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if ".ndjson" in path.name:
            found[name] = Counter(json.loads(line)["resourceType"] for line in lines(path))
        else:
            bare = path.name.removesuffix(".gz").removesuffix(".csv").removesuffix("_merged")
            kind = "beneficiary" if bare.startswith("beneficiary") else bare
            found[name] = Counter({kind: len(list(csv.reader(lines(path)))) - 1})
    return found


def unbalanced(lake: Path) -> list[str]:
    """What is wrong with the books: nothing when every record has one outcome and every refusal its row."""
    wrong = []
    by_key = defaultdict(set)
    left_out: Counter[tuple[str, ...]] = Counter()
    key = ("run_id", "source", "kind", "stage")
    for q in read(lake, "ops/quarantine").to_pylist():
        at = tuple(q[k] for k in key)
        if q["severity"] == "quarantined":
            by_key[at].add((q["file"], q["byte_offset"]))
        elif q["severity"] == "excluded":
            left_out[at] += q["n_records"]
    seen = set()
    stages: dict[tuple[str, ...], dict[str, dict[str, int]]] = defaultdict(dict)
    for r in read(lake, "ops/ledger").to_pylist():
        at = tuple(r[k] for k in key)
        if at in seen:
            wrong.append(f"{at} is in the ledger twice")
        seen.add(at)
        stages[at[:3]][at[3]] = r
        if r["rows_in"] != sum(r[o] for o in OUTCOMES) or min(r[o] for o in OUTCOMES) < 0:
            wrong.append(f"{at}: {r['rows_in']} in, {[r[o] for o in OUTCOMES]}")
        if len(by_key[at]) != r["rows_quarantined"]:
            wrong.append(f"{at}: {len(by_key[at])} in quarantine, {r['rows_quarantined']} in the ledger")
        if left_out[at] != r["rows_excluded"]:
            wrong.append(f"{at}: {left_out[at]} left out by rule, {r['rows_excluded']} in the ledger")
    orphans = {at for at in (*by_key, *left_out) if (by_key[at] or left_out[at]) and at not in seen}
    return wrong + [f"{at} has quarantine rows and no ledger" for at in sorted(orphans)]


def handed_on(lake: Path, run_id: str) -> list[str]:
    """Where a stage did not examine what the stage before it wrote, in a run that made the lake."""
    rows = {
        (r["source"], r["kind"], r["stage"]): r
        for r in read(lake, "ops/ledger").to_pylist()
        if r["run_id"] == run_id
    }
    wrong = []
    for (source, kind, stage), r in sorted(rows.items()):
        after = {"bronze": "conformed", "conformed": "omop"}.get(stage)
        if after is None:
            continue
        entered = rows.get((source, kind, after), {"rows_in": 0})["rows_in"]
        if entered != r["rows_written"]:
            wrong.append(
                f"{source} {kind}: {r['rows_written']} written by {stage}, {entered} examined by {after}"
            )
    return wrong
