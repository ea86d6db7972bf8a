"""Two workers against one, and a worker that dies or hangs in mid-run: what it costs, on a cluster that this starts itself.

    python -m bench.scale_out CSV_FOLDER [VOCABULARY] [--people N] [--only one two ...]

Synthea's CSV is landed once; then `to_silver` runs on copies of that lake, on a standalone master with workers of one core.
What a disturbed run costs is told against the undisturbed one on two workers, and so are its rows and its ledger.
Everything that it made is deleted, the event logs too, since they hold values of records.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cluster import cluster
from bench.events import Log, busy, read, shuffled
from bench.machine import describe
from bench.population import some_people
from bench.process import ROOT, Measured, MeasureError, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.cluster import Cluster

SPEEDUP, COST = 1.5, 0.25  # goals of docs/architecture.md
STOPPED = 60  # seconds that a straggler stands still, half of what the driver waits for a sign of life
AGAIN = 10  # seconds until a cluster has another worker for one that died
DISK = 8  # times the bytes of the text that are needed free
# A lake of a thousand people has small tables: their logs are read by one task, not 50, and shuffles have few partitions.
SMALL = ("spark.databricks.delta.snapshotPartitions=1", "spark.databricks.delta.allFilesInCrc.thresholdNumFiles=500",
         "spark.sql.shuffle.partitions=8")  # fmt: skip
LOGGED = (
    "spark.eventLog.enabled=true",
    "spark.eventLog.compress=false",
    "spark.eventLog.rolling.enabled=false",
)


@dataclass(frozen=True)
class Scenario:
    """A run: how many workers, further settings, and what happens when half of the time of two workers is over."""

    what: str
    workers: int
    settings: tuple[str, ...] = ()
    disturb: Callable[[Cluster], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """A run's measures, its event log, its rows by table and its ledger."""

    measured: Measured
    log: Log
    digest: tuple[str, ...]
    ledger: tuple[str, ...]


def _killed(made: Cluster) -> None:
    made.workers[-1].kill()


def _replaced(made: Cluster) -> None:
    made.workers[-1].kill()
    time.sleep(AGAIN)
    made.add_worker()


def _stopped(made: Cluster) -> None:
    worker = made.workers[-1]
    executors = worker.executors()
    for number in (signal.SIGSTOP, signal.SIGCONT):
        worker.signal(number, executors)
        if number == signal.SIGSTOP:
            time.sleep(STOPPED)


# Speculation as in conf/spark/cluster.conf, but sooner: the tasks of a thousand people take seconds.
_SOON = (
    "spark.speculation=true",
    "spark.speculation.minTaskRuntime=2s",
    "spark.speculation.task.duration.threshold=20s",
)
SCENARIOS = {
    "one": Scenario("one worker", 1),
    "two": Scenario("two workers", 2),
    "killed": Scenario("one of two killed at half time", 2, (), _killed),
    "replaced": Scenario(f"the same, another worker {AGAIN} s later", 2, (), _replaced),
    "stopped": Scenario(f"one of two stands still for {STOPPED} s, no speculation", 2, ("spark.speculation=false",), _stopped),
    "speculative": Scenario("the same with speculation", 2, _SOON, _stopped),
}  # fmt: skip


def play(scenario: Scenario, landed: Path, scratch: Path, vocabulary: list[str], half: float) -> Outcome:
    """Run a scenario on a copy of a landed lake. Raises MeasureError when the run fails."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    lake, events, note, log = folder / "lake", folder / "events", folder / "note.json", folder / "log"
    events.mkdir()
    shutil.copytree(landed, lake)
    settings = (*SMALL, *LOGGED, f"spark.eventLog.dir={events.as_uri()}",
                f"spark.dynamicAllocation.minExecutors={scenario.workers}", *scenario.settings)  # fmt: skip
    try:
        with cluster(folder, scenario.workers, "3g") as made:
            done: list[str] = []

            def disturb() -> None:
                if scenario.disturb:
                    done.append(scenario.what)
                    with contextlib.suppress(ProcessLookupError):  # the run ended meanwhile
                        scenario.disturb(made)

            timer = threading.Timer(half, disturb)
            timer.daemon = True
            command = [str(ROOT / "spark-submit.sh"), "--master", made.url, "--executor-memory", "2800m", "--driver-memory", "3g",
                       *(x for s in settings for x in ("--conf", s)), "to_silver", "--lake", str(lake), "--json", str(note),
                       *vocabulary]  # fmt: skip
            timer.start()
            measured = run(command, log)
            timer.cancel()
            if scenario.disturb and not done:
                raise MeasureError(f"{scenario.what}: the run ended before it was disturbed")
        told = read(next(events.iterdir()))
        run([str(ROOT / "spark-submit.sh"), "quality", "--lake", str(lake), "--digest"], log)
        rows = (line.split() for line in log.read_text(encoding="utf-8").splitlines())
        digest = tuple(sorted(" ".join(r) for r in rows if len(r) == 3 and r[1].isdigit()))
        return Outcome(measured, told, digest, _ledger(note))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ledger(note: Path) -> tuple[str, ...]:
    """The ledger's rows of a run, without its name."""
    rows: list[dict[str, Any]] = json.loads(note.read_text())["sources"]
    return tuple(
        sorted(json.dumps({k: v for k, v in r.items() if k != "run_id"}, sort_keys=True) for r in rows)
    )


def table(outcomes: dict[str, Outcome]) -> list[str]:
    """Markdown: a row a run."""
    lines = [
        "| run | wall s | first to last shuffle, s | of it no task at work (driver, commits) | task s a core and second | driver CPU s | "
        "failed or killed tasks, executors gone | against two workers | goal | met | same rows, same ledger |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    two = outcomes.get("two")
    for name, o in outcomes.items():
        begun, ended = shuffled(o.log)
        span = ended - begun
        idle = 1 - busy(o.log.tasks, begun, ended) / span
        used = sum(max(0.0, min(t.ended, ended) - max(t.begun, begun)) for t in o.log.tasks)
        cells = [
            SCENARIOS[name].what, f"{o.measured.seconds:.0f}", f"{span:.0f}", f"{idle:.0%}",
            f"{used / span / SCENARIOS[name].workers:.2f}", f"{o.measured.cpu:.0f}", f"{o.log.killed}, {o.log.lost}",
            *_against(name, o, two, span), _same(o, two),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _against(name: str, own: Outcome, two: Outcome | None, span: float) -> tuple[str, str, str]:
    """Speed-up or cost, its goal, whether it was met."""
    if two is None or name == "two":
        return "-", "-", "-"
    if name == "one":
        begun, ended = shuffled(two.log)
        gain = span / (ended - begun)
        return (
            f"two are {gain:.2f} times as fast between the shuffles, {own.measured.seconds / two.measured.seconds:.2f} in all",
            f"≥ {SPEEDUP} times",
            "yes" if gain >= SPEEDUP else "**no**",
        )
    cost = own.measured.seconds / two.measured.seconds - 1
    if name not in ("killed", "replaced"):
        return f"{cost:+.0%}", "-", "-"
    return f"{cost:+.0%}", f"≤ {COST:.0%}", "yes" if cost <= COST else "**no**"


def _same(own: Outcome, two: Outcome | None) -> str:
    if two is None or own is two:
        return f"{len(own.digest)} tables"
    return ", ".join("yes" if a == b else "**no**" for a, b in ((own.digest, two.digest), (own.ledger, two.ledger)))  # fmt: skip


def main(argv: list[str]) -> int:
    """Measure and print."""
    p = argparse.ArgumentParser(prog="python -m bench.scale_out", description=__doc__)
    p.add_argument("synthea", type=Path, help="Synthea's CSV files")
    p.add_argument("vocabulary", nargs="?", help="an OMOP vocabulary folder; default: the bundled one")
    p.add_argument("--people", type=int, metavar="N", help="the first N patients alone")
    p.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="these runs")
    given = p.parse_args(argv)
    if {"killed", "replaced", "stopped", "speculative"} & {*given.only} and "two" not in given.only:
        p.error("a disturbed run is told against two workers: add two to --only")
    begun = describe()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            scratch = Path(name)
            text = (
                some_people(given.synthea, scratch / "csv", given.people) if given.people else given.synthea
            )
            size = sum(f.stat().st_size for f in text.iterdir())
            if shutil.disk_usage(scratch).free < DISK * size:
                raise MeasureError(f"{DISK * size >> 30} GiB are needed below {scratch}")
            landed = scratch / "landed"
            run([str(ROOT / "spark-submit.sh"), "to_bronze", "--lake", str(landed), "--source", f"synthea_csv={text}"], scratch / "log")  # fmt: skip
            chosen = ["--vocabulary", given.vocabulary] if given.vocabulary else []
            outcomes: dict[str, Outcome] = {}
            for scenario in [s for s in SCENARIOS if s in given.only]:
                half = outcomes["two"].measured.seconds / 2 if "two" in outcomes else 0.0
                outcomes[scenario] = play(SCENARIOS[scenario], landed, scratch, chosen, half)
                print(f"{scenario}: {outcomes[scenario].measured.seconds:.0f} s", file=sys.stderr, flush=True)
    except MeasureError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    print(
        f"{begun}\n\nAfter: {describe(short=True)}\n\n{given.people or 'all'} people, {size / 1e6:.0f} MB of CSV.\n"
    )
    print("\n".join(table(outcomes)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
