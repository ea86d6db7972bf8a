"""What features cost: the gold steps that make them, each alone on a lake at gold, and whether it reads each table once.

    python -m bench.features LAKE [--steps gold/task_cohort ...] [--runs 2] [--interpreted]

Nothing is written into the lake. Each step's rows are made `--runs` times in one session, and the last is told (the first warms up).
Scans are those of the plan as it was executed: a shuffle or broadcast that Spark uses again is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.machine import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyspark.sql import DataFrame, SparkSession

STEPS = ("gold/comorbidity", "gold/task_cohort", "gold/person_features", "gold/covariate")


@dataclass(frozen=True)
class Scan:
    """One reading of files: the first path that was read, and the rows that came of it."""

    path: str
    rows: int


@dataclass(frozen=True)
class Told:
    """One step: seconds to plan and to make its rows, Spark jobs, scans, rows written."""

    step: str
    planned: float
    made: float
    jobs: int
    scans: tuple[Scan, ...]
    written: int


def scans(rows: DataFrame) -> list[Scan]:
    """The scans of files in the plan of a frame that was executed (`_executed`)."""
    return list(_scans(rows._jdf.queryExecution().executedPlan()))


def _scans(node: Any) -> Iterable[Scan]:
    kind = node.getClass().getSimpleName()
    if kind == "AdaptiveSparkPlanExec":
        yield from _scans(node.executedPlan())
    elif kind.endswith("QueryStageExec"):
        yield from _scans(node.plan())
    elif kind == "FileSourceScanExec":
        paths = node.relation().location().rootPaths()
        yield Scan(
            paths.head().toUri().getPath() if paths.nonEmpty() else "", int(node.metrics().apply("numOutputRows").value())
        )  # fmt: skip
    elif kind not in ("ReusedExchangeExec", "ReusedSubqueryExec"):
        for below in (node.children(), node.subqueries()):
            for i in range(below.size()):
                yield from _scans(below.apply(i))


def _executed(rows: DataFrame) -> int:
    """Make all rows with all their columns, by the frame's own plan, and count them."""
    return int(rows._jdf.queryExecution().toRdd().count())


def _jobs(session: SparkSession) -> int:
    context: Any = session.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()
    return int(context.statusStore().jobsList(None).size())


def tell(session: SparkSession, root: str, step: str) -> Told:
    """Make the rows of one step."""
    from bench.step import _rows

    before, begun = _jobs(session), time.monotonic()
    rows = _rows(session, root, step)
    planned = time.monotonic()
    written = _executed(rows)
    ended = time.monotonic()
    return Told(
        step, planned - begun, ended - planned, _jobs(session) - before, tuple(scans(rows)), written
    )  # fmt: skip


def by_table(found: Sequence[Scan], root: str) -> dict[str, tuple[int, int]]:
    """Scans and rows of each table, by its name below the lake (area/table, or area/schema/table)."""
    times: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for scan in found:
        parts = Path(scan.path).relative_to(root).parts if scan.path.startswith(root) else ("elsewhere",)
        name = "/".join(parts[: 2 if parts[0] in ("gold", "ops", "bronze") else 3])
        times[name] += 1
        rows[name] += scan.rows
    return {name: (times[name], rows[name]) for name in sorted(times)}


def row(told: Told) -> str:
    """A Markdown row."""
    read = sum(s.rows for s in told.scans)
    rate = read / max(told.planned + told.made, 1e-9)
    return (
        f"| {told.step} | {told.planned:.1f} | {told.made:.1f} | {told.jobs} | {len(told.scans)} | {read:,} | {told.written:,} | {rate:,.0f} |"
    )  # fmt: skip


HEAD = "| step | plan s | rows s | jobs | scans | rows read | rows written | rows read / s |\n|---|---|---|---|---|---|---|---|"


def once(told: Told, root: str) -> str:
    """One sentence: whether the step reads each table once, else which ones more often."""
    found = by_table(told.scans, root)
    more = [f"{name} {times} times" for name, (times, _) in found.items() if times > 1]
    return f"{told.step} reads {len(found)} tables, " + (
        f"**not each once**: {', '.join(more)}." if more else "each once."
    )


def main(argv: list[str]) -> int:
    """Measure and print."""
    p = argparse.ArgumentParser(prog="python -m bench.features", description=__doc__)
    p.add_argument("lake", type=Path)
    p.add_argument("--steps", nargs="+", default=list(STEPS), metavar="TABLE")
    p.add_argument("--runs", type=int, default=2, metavar="N")
    p.add_argument("--interpreted", action="store_true", help="expressions as for few bytes (session.pace)")
    given = p.parse_args(argv)
    root = str(given.lake.absolute())
    if not (given.lake / "ops").is_dir():
        p.error(f"{given.lake} is no lake")
    from carelake.core.session import COMPILED_FROM, pace, start

    begun = describe()
    with tempfile.TemporaryDirectory() as scratch:
        session = start("bench", scratch)
        pace(session, 0 if given.interpreted else COMPILED_FROM)
        told = [[tell(session, root, step) for _ in range(given.runs)][-1] for step in given.steps]
        session.stop()
    print(f"{begun}\n\nAfter: {describe(short=True)}\n\n{HEAD}")
    print("\n".join(row(t) for t in told) + "\n")
    print("\n".join(once(t, root) for t in told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
