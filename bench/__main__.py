"""python -m bench [--patients 100] [--seed 1] [--runs 3] [--vocabulary FOLDER ...] [--no-sample] [--keep]: measure, and print Markdown tables.

Every figure is a process of its own, started cold; one run measures floors and product one after the other, so that
both see the same machine; the next run takes them in the other order where that is possible. Medians are printed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.beside import beside
from bench.changed import changed
from bench.events import Log, busy, read
from bench.machine import describe
from bench.population import need_disk, population, sources
from bench.process import ROOT, Measured, MeasureError, run

if TYPE_CHECKING:
    from collections.abc import Callable

# Bars of docs/architecture.md.
BRONZE, SILVER, NOTHING_NEW, SAMPLE = 2.0, 2.5, 30.0, 240.0
ONE_PERSON, ONE_PERCENT = (
    30.0,
    0.10,
)  # seconds; share of a full build that comes on top of an increment of one person
LOGGED = (
    "spark.eventLog.enabled=true",
    "spark.eventLog.compress=false",
    "spark.eventLog.rolling.enabled=false",
)


def one_run(given: dict[str, Path], scratch: Path, swap: bool, patients: int) -> dict[str, Measured]:
    """Each figure once, on a new lake."""
    lake, out = scratch / "lake", dict[str, Measured]()
    files = [f"{name}={path}" for name, path in given.items()]
    landing = [x for f in files for x in ("--source", f)]

    def floor(what: str, *rest: str) -> Callable[[], None]:
        def work() -> None:
            folder = scratch / f"floor-{what}"
            out[f"floor {what}"] = run(
                [sys.executable, "-m", "bench.floors", what, str(folder), *rest], scratch / "log"
            )
            shutil.rmtree(folder, ignore_errors=True)

        return work

    def job(name: str, *command: str) -> Callable[[], None]:
        def work() -> None:
            out[name] = run(
                [sys.executable, "-m", "carelake", *command, "--lake", str(lake)], scratch / "log"
            )
            print(f"  {name}: {out[name].seconds:.1f} s", file=sys.stderr, flush=True)

        return work

    first = [floor("start"), floor("bronze", *files), job("to_bronze", "to_bronze", *landing)]
    for work in reversed(first) if swap else first:
        work()
    job("to_silver", "to_silver")()
    floor("silver", str(lake))()
    job("gold", "pipeline", *landing, "--until", "gold")()
    job("nothing new", "pipeline", *landing, "--until", "gold")()
    for nth, (name, share) in enumerate((("one person", 1), ("one percent", max(1, round(patients / 100))))):
        more = changed(given["fhir"], scratch / f"more-{nth}", share, nth)
        job(name, "pipeline", "--source", f"fhir={more}", "--until", "gold")()
    out["lake bytes"] = Measured(0.0, 0.0, _size(lake))
    shutil.rmtree(lake)
    return out


def sample(scratch: Path) -> Measured:
    """The bundled sample, from files to report, in a new lake, as the README starts it."""
    lake = scratch / "sample-lake"
    done = run([str(ROOT / "spark-submit.sh"), "pipeline", "--lake", str(lake)], scratch / "log")
    shutil.rmtree(lake)
    return done


def work(given: dict[str, Path], scratch: Path) -> list[str]:
    """What a full build to silver makes Spark do, by its event log: a run of its own, for a log takes time as well."""
    lake, events = scratch / "logged", scratch / "events"
    events.mkdir()
    conf = [x for s in (*LOGGED, f"spark.eventLog.dir={events.as_uri()}") for x in ("--conf", s)]
    landing = [x for name, path in given.items() for x in ("--source", f"{name}={path}")]
    run(
        [str(ROOT / "spark-submit.sh"), *conf, "pipeline", "--lake", str(lake), *landing, "--until", "silver"], scratch / "log"
    )  # fmt: skip
    told, size = read(next(events.iterdir())), _size(lake)
    shutil.rmtree(events)  # it holds values of records
    shutil.rmtree(lake)
    return effort(told, size, sum(_size(f) for f in given.values()))


def effort(log: Log, lake: int, text: int) -> list[str]:
    """Markdown rows of an event log, the bytes of the lake and of the senders' files."""

    def mb(what: str) -> str:
        return f"{sum(getattr(t, what) for t in log.tasks) / 1e6:.0f}"

    wall = log.ended - log.begun
    return [
        "| landed to silver, with an event log | stages | tasks | task CPU s | GC s | shuffled MB | spilled MB | written MB, of the text | no task at work |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| {wall:.0f} s | {len({t.stage for t in log.tasks})} | {len(log.tasks)} | {sum(t.cpu for t in log.tasks):.0f} | "
        f"{sum(t.gc for t in log.tasks):.0f} | {mb('shuffle_written')} | {mb('spilled')} | {lake / 1e6:.0f}, {lake / text:.2f} | "
        f"{1 - busy(log.tasks, log.begun, log.ended) / wall:.0%} |",
    ]  # fmt: skip


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def table(figures: list[dict[str, Measured]]) -> list[str]:
    """Markdown rows. Ratios are of what comes on top of starting a session, which floor and product share; each is
    taken within a run, for there both see the same machine. Processor time suffers less from other work than wall time.
    """

    def seconds(name: str) -> str:
        return f"{median(f[name].seconds for f in figures):.1f}"

    def cpu(name: str) -> str:
        return f"{median(f[name].cpu for f in figures):.1f}"

    def memory(name: str) -> str:
        return f"{max(f[name].peak_rss for f in figures) / 2**30:.1f}"

    def ratio(ours: str, floor: str, what: str) -> float:
        return median(
            (getattr(f[ours], what) - getattr(f["floor start"], what))
            / max(getattr(f[floor], what) - getattr(f["floor start"], what), 0.1)
            for f in figures
        )

    lines = [
        "| what | floor s | ours s | ratio | bar | met | whole process, ratio | CPU s floor / ours | CPU ratio | peak RSS GiB floor / ours |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for what, floor, ours, bar in (
        ("bronze", "floor bronze", "to_bronze", BRONZE), ("bronze → silver", "floor silver", "to_silver", SILVER),
    ):  # fmt: skip
        net = ratio(ours, floor, "seconds")
        gross = median(f[ours].seconds / f[floor].seconds for f in figures)
        lines.append(
            f"| {what} | {seconds(floor)} | {seconds(ours)} | {net:.2f} | ≤ {bar} | {_met(net, bar)} | {gross:.2f} | "
            f"{cpu(floor)} / {cpu(ours)} | {ratio(ours, floor, 'cpu'):.2f} | {memory(floor)} / {memory(ours)} |"
        )
    for what, name, limit in (
        ("nothing new, `--until gold`", "nothing new", NOTHING_NEW), ("the bundled sample, cold", "sample", SAMPLE),
        ("new results of one person, to gold", "one person", ONE_PERSON), ("the same files again, then gold", "gold", None), ("session start alone", "floor start", None),
    ):  # fmt: skip
        if any(name not in f for f in figures):
            continue
        bar_text = "-" if limit is None else f"≤ {limit:.0f} s"
        met = "-" if limit is None else _met(median(f[name].seconds for f in figures), limit)
        lines.append(
            f"| {what} | - | {seconds(name)} | - | {bar_text} | {met} | - | - / {cpu(name)} | - | - / {memory(name)} |"
        )
    if all("one percent" in f for f in figures):
        share = median(
            (f["one percent"].seconds - f["one person"].seconds)
            / sum(f[n].seconds for n in ("to_bronze", "to_silver", "gold"))
            for f in figures
        )
        lines.append(
            f"| new results of 1 % of the people, to gold | - | {seconds('one percent')} | {share:.2f} of a full build beyond one person | "
            f"≤ {ONE_PERCENT:g} | {_met(share, ONE_PERCENT)} | - | - / {cpu('one percent')} | - | - / {memory('one percent')} |"
        )
    return lines


def _met(value: float, bar: float) -> str:
    return "yes" if value <= bar else "**no**"


def main(argv: list[str]) -> int:
    """Measure and print."""
    p = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    p.add_argument("--patients", type=int, default=100, metavar="N", help="people, about (default 100)")
    p.add_argument("--no-sample", action="store_true", help="leave out the bundled sample")
    p.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the population")
    p.add_argument("--runs", type=int, default=3, metavar="N", help="interleaved runs (default 3)")
    p.add_argument(
        "--vocabulary",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="for OHDSI's logic on DuckDB beside ours: CONCEPT and its relations",
    )
    p.add_argument("--keep", action="store_true", help="keep the population in .venv/cache")
    options = p.parse_args(argv)
    folder: Path | None = None
    try:
        need_disk(options.patients)
        folder = population(options.patients, options.seed)
        given = sources(folder)
        begun = describe()
        figures = []
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="bench-") as scratch:
            for i in range(options.runs):
                print(f"run {i + 1} of {options.runs}", file=sys.stderr, flush=True)
                figures.append(one_run(given, Path(scratch), bool(i % 2), options.patients))
                if not options.no_sample:
                    figures[-1]["sample"] = sample(Path(scratch))
            done = work(given, Path(scratch))
            peer = beside(folder / "csv", options.vocabulary) if options.vocabulary else ""
        size = sum(_size(f) for f in given.values())
        people = sum(1 for _ in (folder / "fhir" / "Patient.ndjson").open("rb"))
    except MeasureError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    finally:
        if folder is not None and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{begun}\n\nAfter: {describe(short=True)}\n")
    print(
        f"Input: {people} people ({options.patients} asked for, seed {options.seed}), FHIR and RIF, {size / 1e6:.0f} MB; "
        f"lake {figures[-1]['lake bytes'].peak_rss / 1e6:.0f} MB; medians of {len(figures)} run(s).\n"
    )
    print("\n".join([*table(figures), "", *done]))
    if peer:
        print(
            f"\nSynthea's CSV to OMOP, beside OHDSI's logic on DuckDB in memory (bar: ≤ 9 at 1,000 people, ≤ 5 at 10,000):\n\n{peer}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
