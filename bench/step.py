"""What one step costs in processor seconds of its tasks, here and in another checkout, on the same rows: a lever's gain, and that it changes no row.

    python -m bench.step LAKE TABLE [--against CHECKOUT] [--runs 3] [--rounds 2]

LAKE has to be at silver; nothing is written into it. Each round starts a cold process for each checkout in turn, which makes the
rows once to warm up and then `--runs` times. The rows, reasons included, are summed up in a hash.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.process import ROOT, MeasureError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def _rows(session: SparkSession, root: str, name: str) -> DataFrame:
    """Rows and reasons of the step that writes the table, as `core.run` makes them."""
    from carelake.core import config, run
    from carelake.core.lake import DeltaLake
    from carelake.core.progress import Progress
    from carelake.core.runlog import RunLog
    from carelake.core.table import Table
    from carelake.pipeline import Run

    lake = DeltaLake(session, root)
    whole = Run(config.load("local"), lake, RunLog(lake, "", "bench", run.now()), Progress(), ())
    (step,) = (s for s in whole.plan() if s.name == name)
    settings = whole.settings()
    given = {p: lake.read(i) if isinstance(i, Table) else settings[i.name] for p, i in step.inputs.items()}
    made = step.transform(**given)
    extra: list[str] = [c for c in ("_problems", "_excluded") if c in made.columns]
    own = run._with_extra(step.writes, made, extra) if extra else step.writes.conform(made)
    return own.selectExpr("*", f"{run._reasons(step.writes, extra)} AS _reasons")


def _cpu(session: SparkSession) -> float:
    """Processor seconds of all tasks so far."""
    gateway: Any = session.sparkContext._gateway
    none = gateway.new_array(gateway.jvm.double, 0)
    stages = session.sparkContext._jsc.sc().statusStore().stageList(None, False, False, none, None)
    return float(sum(stages.apply(i).executorCpuTime() for i in range(stages.size()))) / 1e9


def measure(root: str, name: str, runs: int, compiled: bool) -> dict[str, Any]:
    """Processor seconds of each run after the first, rows and their hash. For a process of its own."""
    from carelake.core.session import COMPILED_FROM, pace, start

    with tempfile.TemporaryDirectory() as scratch:
        session = start("bench", scratch)
        pace(session, COMPILED_FROM if compiled else 0)
        seconds, found = [], set()
        for _ in range(runs + 1):
            rows = _rows(session, root, name)
            columns = ", ".join(f"`{c}`, `{c}` IS NULL" for c in rows.columns if c != "_run")
            before = _cpu(session)
            (one,) = rows.selectExpr(
                "count(*) AS n", f"sum(cast(xxhash64({columns}) AS decimal(38,0))) AS h", f"bit_xor(xxhash64({columns})) AS x"
            ).collect()  # fmt: skip
            seconds.append(_cpu(session) - before)
            found.add((one["n"], str(one["h"]), one["x"]))
        session.stop()
    if len(found) != 1:
        raise MeasureError(f"{name}: the same rows gave {len(found)} hashes")
    return {"seconds": seconds[1:], "found": list(found.pop())}


def _child(checkout: Path, given: argparse.Namespace) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "bench.step",
        str(given.lake),
        given.table,
        "--runs",
        str(given.runs),
        "--child",
    ]
    if given.interpreted:
        command.append("--interpreted")
    environ = _environ(checkout)
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasureError(f"{checkout}: {done.stderr[-1500:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _environ(checkout: Path) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "SPARK_HOME"} | {
        "PYTHONPATH": f"{checkout / 'lib'}:{ROOT}", "CARELAKE_HOME": str(ROOT),
    }  # fmt: skip


def main(argv: list[str]) -> int:
    """Measure and print a row of a table."""
    p = argparse.ArgumentParser(prog="python -m bench.step", description=__doc__)
    p.add_argument("lake", type=Path)
    p.add_argument("table")
    p.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="another checkout, such as a git worktree"
    )
    p.add_argument("--runs", type=int, default=3, metavar="N")
    p.add_argument("--rounds", type=int, default=2, metavar="N")
    p.add_argument("--interpreted", action="store_true", help="expressions as for few bytes (session.pace)")
    p.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = p.parse_args(argv)
    try:
        if given.child:
            print(json.dumps(measure(str(given.lake), given.table, given.runs, not given.interpreted)))
            return 0
        places = [p for p in (given.against, ROOT) if p]
        told: dict[Path, list[dict[str, Any]]] = {p: [] for p in places}
        for _ in range(given.rounds):
            for place in places:
                told[place].append(_child(place, given))
    except MeasureError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    cpu = {p: median(s for t in ts for s in t["seconds"]) for p, ts in told.items()}
    same = len({tuple(t["found"]) for ts in told.values() for t in ts}) == 1
    rows = told[ROOT][0]["found"][0]
    print("| step | rows | CPU s of its tasks before / after | ratio | same rows |\n|---|---|---|---|---|")
    if given.against:
        print(f"| {given.table} | {rows} | {cpu[given.against]:.2f} / {cpu[ROOT]:.2f} | {cpu[ROOT] / cpu[given.against]:.2f} | {'yes' if same else '**no**'} |")  # fmt: skip
    else:
        print(f"| {given.table} | {rows} | - / {cpu[ROOT]:.2f} | - | {'yes' if same else '**no**'} |")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
