"""What each job of the command line does with a session and a lake."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carelake import learning, lifecycle, quality
from carelake.bronze.books import recover
from carelake.bronze.table import bronze_table
from carelake.catalog import catalog
from carelake.core import lease
from carelake.core.jvm import java
from carelake.core.lake import DeltaLake
from carelake.core.mark import check_mark
from carelake.core.ops import OPS
from carelake.core.progress import Progress
from carelake.core.run import new_run_id, now
from carelake.core.runlog import RunLog, last_run, published
from carelake.core.soundness import storage_faults
from carelake.core.storage import Storage
from carelake.errors import InputError, QualityGateError
from carelake.maintain import maintain
from carelake.pipeline import Run
from carelake.report.write import PLACE, write

if TYPE_CHECKING:
    import argparse

    from pyspark.sql import SparkSession

    from carelake.core.config import Config, Sender


def perform(
    job: str,
    options: argparse.Namespace,
    config: Config,
    given: tuple[Sender, ...],
    root: str,
    session: SparkSession,
    note: dict[str, Any],
) -> int:
    """Run the job; `note` is filled for `--json`. Returns the exit code; raises CarelakeError."""
    note["jvm"] = int(java(session, "java.lang.ProcessHandle").current().pid())
    lake = DeltaLake(session, root)
    note |= {"run_id": None, "lake": root}
    check_mark(lake)
    if getattr(options, "plan", False):
        _print_plan(Run(config, lake, RunLog(lake, "", job, now()), Progress(), given))
        note["status"] = "succeeded"
        return 0
    if job == "quality" and (options.digest or options.storage):
        return _inspect(config, lake, options, note)
    if getattr(options, "person", None) is not None or getattr(options, "reproduce", None):
        return _ask(config, lake, options, note)
    note["run_id"] = new_run_id(last_run(lake))
    with lease.held(lake.storage, note["run_id"], lake.cancel) as held:
        lake.guard = held.renew
        lake.clear()  # of a run that died
        log = RunLog(lake, note["run_id"], job, now())
        with ThreadPoolExecutor(2) as pool:  # three small tables, read side by side
            before = pool.submit(published, lake)
            files = pool.submit(log.landed)
            log.open()
            files.result()
        run = Run(
            config, lake, log, Progress(), given, full=getattr(options, "full", False),
            as_of=getattr(options, "as_of", None), vocabulary=getattr(options, "vocabulary", None), before=before.result(),
        )  # fmt: skip
        status = "failed"
        try:
            _stages(job, options, run, note)
            status = "succeeded"
        except (KeyboardInterrupt, GeneratorExit):
            status = "killed"
            raise
        except BaseException as e:
            status = "killed" if not isinstance(e, Exception) else "failed"
            raise
        finally:
            _fill(note, run, status)
            with contextlib.suppress(Exception):
                log.flush()
            with contextlib.suppress(Exception):
                log.close(status, note["as_of"])
            with contextlib.suppress(Exception):
                lake.clear()
    for line in note.pop("last_lines", [f"lake: {root}"]):
        print(line, flush=True)
    return 0


def _stages(job: str, options: argparse.Namespace, run: Run, note: dict[str, Any]) -> None:
    """The stages of a job, in order."""
    until = {
        "to_bronze": "bronze",
        "to_silver": "silver",
        "to_gold": "gold",
        "train": "train",
        "score": "score",
    }.get(job, getattr(options, "until", None) or "report")
    run.pace()
    if job == "quality":
        _check(options, run)
        return
    if job == "maintain":
        _maintain(run, note)
        return
    if job == "models":
        print(
            f"models: {lifecycle.change(run, rollback=options.rollback, promoted=options.promote, reason=options.reason)}",
            flush=True,
        )
        return
    if job == "train" or (job == "pipeline" and until in ("train", "score", "report")):
        learning.reach(run.lake.root)  # before anything is landed
    if job in ("pipeline", "to_silver") and until != "bronze":
        for name in (
            run.lacking_vocabulary()
        ):  # refused here, before anything is written, when it cannot serve at all
            print(f"vocabulary: there is no {name}; its table stays empty", flush=True)
    if job in ("pipeline", "to_bronze"):
        run.bronze()
    if job in ("pipeline", "to_silver") and until != "bronze":
        run.silver()
        for table, n in (run.concepts_changed or {}).items():
            print(f"vocabulary: {n} rows of {table} changed concept", flush=True)
        run.gate()
    if job in ("to_gold", "train", "score", "report"):
        run.lake.pinned |= {
            name: p.version for name, p in run.before.items()
        }  # what was published, not a run in progress
    if job in ("pipeline", "to_gold") and until not in ("bronze", "silver"):
        run.gold()
        run.gate()
    if job == "train" or (job == "pipeline" and until in ("train", "score", "report")):
        learning.train(run, options.model)
    if job == "train":
        learning.keep(run, learning.versions(run, learning.chosen(run, "all"))[0])
    if job == "score" or (job == "pipeline" and until in ("score", "report")):
        live = learning.score(run, options.model)
        note["registry"] = "live" if live else "cached"
        if not live:
            print("registry: cannot be reached; scored with the versions that the lake keeps", flush=True)
        run.after_scores()
        run.gate()
    run.publish()
    if job == "report" or (job == "pipeline" and until == "report"):
        _report(run, note, asked=job == "report")


def _report(run: Run, note: dict[str, Any], *, asked: bool) -> None:
    """Write the page when it is asked for, something new was published or there is none, and say where things are."""
    if asked or run.published_new or not run.lake.storage.exists(PLACE):
        omop = [t for n, t in sorted(run.catalog.declared.items()) if n.startswith("silver/omop/")]
        write(
            run.lake, omop, learning.chosen(run, "all"), learning.tracking(run.lake.root),
            as_of=str(run.settings()["as_of"]), synthetic=run.is_sample,
        )  # fmt: skip
    note["last_lines"] = [f"{name}: {uri}" for name, uri in learning.links(run.lake.root).items()]


def _check(options: argparse.Namespace, run: Run) -> None:
    """Check what was published last and print what came out. Raises QualityGateError."""
    run.lake.pinned |= {name: p.version for name, p in run.before.items()}
    tables = [t for t in _tables(run) if t.name in run.before]
    cdm = [t for t in tables if t.name.startswith("silver/omop/")]
    checked = quality.check(
        run.lake, run.log, tables, cdm, run.config.quality, publishes=False, claims=not run.brings_cdm
    )
    run.log.flush()
    for line in quality.report(checked):
        print(line, flush=True)
    if options.dqd:
        text = run.lake.storage.read_text(quality.PLACE) if cdm else None
        if text is None:
            raise InputError("--dqd: the lake has published no OMOP table: run the pipeline first")
        Path(options.dqd).write_text(text, encoding="utf-8")
    stopping = checked.stopping(run.stops)
    if stopping:
        raise QualityGateError(f"{len(stopping)} quality checks failed: see ops/check_result")


def _maintain(run: Run, note: dict[str, Any]) -> None:
    """Compact and remove what is out of date; print what was done."""
    for m in run.members:  # a landing whose run died is known by its commit, which must be the last for that
        recover(run.lake, run.log, m.sender, m.source.format)
    run.log.flush()
    tables = [*_tables(run), *(bronze_table(m.sender) for m in run.members), *OPS]
    compacted, removed = maintain(
        run.lake, run.log, run.before, tables, learning.named_versions(run), run.config.maintain, run.config.write_threads
    )  # fmt: skip
    for c in compacted:
        print(f"maintain: {c.table}: {c.files_before} files became {c.files}", flush=True)
    print(f"maintain: {removed.files} files of old versions removed, {removed.bytes >> 20} MiB", flush=True)
    note |= {"maintained": [asdict(c) for c in compacted], "removed": asdict(removed)}


def _tables(run: Run) -> list[Any]:
    return [t for t in run.catalog.declared.values() if t.name.startswith(("silver/", "gold/"))]


def _inspect(config: Config, lake: DeltaLake, options: argparse.Namespace, note: dict[str, Any]) -> int:
    run = Run(config, lake, RunLog(lake, "", "quality", now()), Progress(), ())
    if options.digest:
        tables = _tables(run) + [bronze_table(m.sender) for m in run.members]
        for name, rows, digest in quality.digest(lake, tables):
            print(f"{digest}  {rows:>10}  {name}", flush=True)
    if options.storage:
        faults = storage_faults(lake, [*_tables(run), *OPS, *_bronze_there(lake)])
        for line in faults:
            print(line, flush=True)
        if faults:
            raise QualityGateError(f"{len(faults)} faults of storage")
    note["status"] = "succeeded"
    return 0


def _ask(config: Config, lake: DeltaLake, options: argparse.Namespace, note: dict[str, Any]) -> int:
    """Questions about what was published: a person's score, a run made again. Nothing is written to the lake."""
    before = published(lake)
    lake.pinned |= {name: p.version for name, p in before.items()}
    job = "train" if getattr(options, "reproduce", None) else "score"
    run = Run(config, lake, RunLog(lake, "", job, now()), Progress(), (), before=before)
    if job == "score":
        print(json.dumps(lifecycle.person(run, options.person, options.model), indent=1), flush=True)
    else:
        made = lifecycle.reproduce(run, options.reproduce)
        note["reproduced"] = asdict(made)
        if made.differing:
            other = "" if made.same_rows_and_code else "; rows or code are not those of the run"
            raise QualityGateError(
                f"run {options.reproduce} of {made.model} was not reproduced: {len(made.differing)} of {made.compared} metrics "
                f"differ ({', '.join(made.differing)}){other}"
            )
        print(
            f"reproduced: {made.model}: {made.compared} metrics are equal to {lifecycle.EQUAL:g}", flush=True
        )
    note["status"] = "succeeded"
    return 0


def list_models(name: str, config: Config, root: str, note: dict[str, Any]) -> int:
    """Print the versions of the models. Needs no Spark session. Raises ConfigError for an unknown name."""
    found = lifecycle.listed(learning.named(learning.declared(catalog(), config), name), root)
    for line in lifecycle.lines(found):
        print(line, flush=True)
    note |= {"status": "succeeded", "lake": root, "models": lifecycle.noted(found)}
    return 0


def _bronze_there(lake: DeltaLake) -> list[Any]:
    """Bronze tables by their folders: ops/file, which knows the senders, may be what is damaged."""
    if not lake.storage.exists("bronze"):
        return []
    files = Storage(lake.storage.path("bronze"), lake.spark).files()
    return [bronze_table(s) for s in sorted({f.name.split("/")[0] for f in files})]


def _print_plan(run: Run) -> None:
    for line in run.catalog.lineage(run.plan()):
        print(line, flush=True)


def _fill(note: dict[str, Any], run: Run, status: str) -> None:
    as_of = run.as_of or run.extract_date
    note |= {
        "status": status,
        "as_of": as_of,
        "steps": [
            {
                "stage": r.table.split("/")[0], "table": r.table, "rows_in": r.rows + r.rejected, "rows_written": r.rows,
                "rows_quarantined": r.rejected - r.excluded, "rows_excluded": r.excluded, "seconds": round(r.seconds, 3),
                "version": r.version, "skipped": r.skipped, "rows_made": r.made, "files": r.files,
            }
            for r in run.results
        ],
        "sources": run.log.ledger,
        "models": run.models,
        "persons_affected": run.persons_affected,
        "concepts_changed": run.concepts_changed,
    }  # fmt: skip
