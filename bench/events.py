"""What Spark's event log tells of a run: tasks by step, bytes shuffled, spilled and written, and when no task was at work.

    python -m bench.events EVENT_LOG [--top N]

The log is the plain one: `--conf spark.eventLog.enabled=true --conf spark.eventLog.dir=FOLDER
--conf spark.eventLog.compress=false --conf spark.eventLog.rolling.enabled=false`. It holds values of records: delete it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OUTSIDE = "outside of steps"  # landing, versions, ledger, gate


@dataclass(frozen=True)
class Task:
    """One attempt that succeeded: the step it worked for, its stage, its span in epoch seconds, what it used."""

    step: str
    stage: int
    begun: float
    ended: float
    run: float  # seconds in the executor
    cpu: float  # of its own thread; Python workers count elsewhere
    gc: float
    shuffle_read: int
    shuffle_written: int
    spilled: int
    written: int


@dataclass(frozen=True)
class Log:
    """A run: its tasks, its span in epoch seconds, attempts that failed or were killed, executors that were lost."""

    tasks: tuple[Task, ...]
    begun: float
    ended: float
    killed: int
    lost: int


def _events(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:  # the last line of a run that was killed
                return


def _task(event: dict[str, Any], step: str) -> Task:
    info, used = event["Task Info"], event["Task Metrics"]
    read, written = used["Shuffle Read Metrics"], used["Shuffle Write Metrics"]
    return Task(
        step, event["Stage ID"], info["Launch Time"] / 1e3, info["Finish Time"] / 1e3, used["Executor Run Time"] / 1e3,
        used["Executor CPU Time"] / 1e9, used["JVM GC Time"] / 1e3, read["Remote Bytes Read"] + read["Local Bytes Read"],
        written["Shuffle Bytes Written"], used["Disk Bytes Spilled"], used["Output Metrics"]["Bytes Written"],
    )  # fmt: skip


def read(path: Path) -> Log:
    """The log of one application."""
    tasks: list[Task] = []
    step_of: dict[int, str] = {}
    begun = ended = 0.0
    killed = lost = 0
    for e in _events(path):
        kind = e["Event"]
        if kind == "SparkListenerApplicationStart":
            begun = e["Timestamp"] / 1e3
        elif kind == "SparkListenerApplicationEnd":
            ended = e["Timestamp"] / 1e3
        elif kind == "SparkListenerExecutorRemoved":
            lost += 1
        elif kind == "SparkListenerJobStart":
            step = (e.get("Properties") or {}).get("spark.scheduler.pool") or OUTSIDE
            for stage in e["Stage IDs"]:
                step_of.setdefault(stage, step)
        elif kind == "SparkListenerTaskEnd":
            if e["Task End Reason"]["Reason"] == "Success" and e.get("Task Metrics"):
                tasks.append(_task(e, step_of.get(e["Stage ID"], OUTSIDE)))
            else:
                killed += 1
    return Log(tuple(tasks), begun, ended or max((t.ended for t in tasks), default=begun), killed, lost)


def busy(tasks: Iterable[Task], begun: float, ended: float) -> float:
    """Seconds of a span in which at least one task was at work."""
    total, until = 0.0, begun
    for t in sorted(tasks, key=lambda t: t.begun):
        total += max(0.0, min(t.ended, ended) - max(t.begun, until))
        until = max(until, min(t.ended, ended))
    return total


def shuffled(log: Log) -> tuple[float, float]:
    """From the begin of the first task that wrote a shuffle to the end of the last that read one, in epoch seconds."""
    begun = min((t.begun for t in log.tasks if t.shuffle_written), default=log.begun)
    return begun, max((t.ended for t in log.tasks if t.shuffle_read), default=begun)


def by_step(log: Log) -> list[str]:
    """Markdown rows, the step with the most task seconds first."""
    steps: dict[str, list[Task]] = defaultdict(list)
    for t in log.tasks:
        steps[t.step].append(t)
    whole = sum(t.run for t in log.tasks) or 1.0

    def row(name: str, mine: list[Task]) -> str:
        total = {
            f.name: sum(getattr(t, f.name) for t in mine)
            for f in fields(Task)
            if f.name not in ("step", "stage")
        }
        return (
            f"| {name} | {len(mine)} | {total['run']:.1f} | {total['run'] / whole:.0%} | {total['cpu']:.1f} | {total['gc']:.1f} | "
            f"{total['shuffle_written'] / 1e6:.1f} | {total['spilled'] / 1e6:.1f} | {total['written'] / 1e6:.1f} |"
        )  # fmt: skip

    rows = sorted(steps.items(), key=lambda x: -sum(t.run for t in x[1]))
    return [
        "| step | tasks | task s | of all | CPU s | GC s | shuffled MB | spilled MB | written MB |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(n, m) for n, m in rows),
        row("all", list(log.tasks)),
    ]


def main(argv: list[str]) -> int:
    """Print the table."""
    p = argparse.ArgumentParser(prog="python -m bench.events", description=__doc__)
    p.add_argument("log", type=Path)
    p.add_argument(
        "--top", type=int, default=1000, metavar="N", help="the N steps with the most task seconds"
    )
    given = p.parse_args(argv)
    log = read(given.log)
    head, *rows = by_step(log)
    print("\n".join([head, *rows[: given.top + 1], rows[-1]] if given.top + 1 < len(rows) else [head, *rows]))
    wall = log.ended - log.begun
    print(f"\n{wall:.1f} s, of which {busy(log.tasks, log.begun, log.ended):.1f} s with a task at work")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
