"""Run steps: read, transform, conform, check, write, log. The only place that reads the clock."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from carelake.core.jvm import java
from carelake.core.session import paced
from carelake.core.step import EXTRACT_DATE, MOVING, Setting, Step
from carelake.core.table import Field, OnFail, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyspark.sql import DataFrame, Observation

    from carelake.core.lake import Lake
    from carelake.core.part import Part
    from carelake.core.progress import Progress


@dataclass(frozen=True)
class StepResult:
    """What a step did; `skipped` when its inputs and fingerprint are those of the last publication."""

    table: str
    version: int
    rows: int
    rejected: int
    seconds: float
    fingerprint: str
    inputs: dict[str, int]
    skipped: bool = False
    excluded: int = 0  # of the rejected rows those that a rule leaves out
    made: int | None = None  # of a table of which a part was made anew: the rows of that part
    files: int = 0  # files written


@dataclass
class Context:
    """One run's values: its id, the settings that steps may ask for, and what to do with rejected rows."""

    run_id: str
    settings: Mapping[str, Any]
    quarantine: Callable[[Step, DataFrame], None]
    progress: Progress | None = None
    fault: Callable[[str], None] = field(default=lambda point: None)
    # Bytes of what a step reads; None: not known.
    sizes: Callable[[Step], Iterable[int | None]] = field(default=lambda step: [None])


_TIME_OF_RUN = "%Y%m%dT%H%M%S.%fZ"


def new_run_id(last: str | None = None) -> str:
    """A run id that sorts by time: UTC to the microsecond and the process's number.

    What is newest in a lake is told by run ids, so it comes after the `last` one even when the clock was set back since.
    """
    import os

    at = now()
    with contextlib.suppress(ValueError):
        before = datetime.strptime((last or "").split("-")[0], _TIME_OF_RUN).replace(tzinfo=timezone.utc)
        at = max(at, before + timedelta(microseconds=1))
    return f"{at:{_TIME_OF_RUN}}-{os.getpid()}"


def now() -> datetime:
    """The clock, for started_at, ended_at, scored_at and ingest time alone."""
    return datetime.now(timezone.utc)


def _sources(module_name: str, seen: dict[str, str]) -> None:
    """The source text of a module of ours and of those of ours that it imports."""
    module = sys.modules.get(module_name)
    if module is None or module_name in seen or not module_name.startswith("carelake"):
        return
    import inspect

    try:
        seen[module_name] = inspect.getsource(module)
    except (OSError, TypeError):
        seen[module_name] = ""
    for value in list(vars(module).values()):
        name = getattr(value, "__name__", "") if inspect.ismodule(value) else getattr(value, "__module__", "")
        if isinstance(name, str) and name.startswith("carelake."):
            _sources(name, seen)


def module_text(*modules: str) -> str:
    """The source text of modules of ours and of those of ours that they import, for fingerprints."""
    seen: dict[str, str] = {}
    for module in modules:
        _sources(module, seen)
    return json.dumps(sorted(seen.items()))


def fingerprint(step: Step, settings: Mapping[str, Any], also: tuple[str, ...] = ()) -> str:
    """Of what decides a step's result besides its inputs' rows: code, table, checks, settings, further modules.

    Not the settings that move with every landing; the extract date is one of the inputs (see `inputs_of`).
    """
    values = {
        p: str(settings.get(i.name))
        for p, i in step.inputs.items()
        if isinstance(i, Setting) and i not in MOVING
    }
    code = module_text(step.transform.__module__, *also)
    text = json.dumps([code, repr(step.writes), sorted(values.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def inputs_of(step: Step, lake: Lake, settings: Mapping[str, Any]) -> dict[str, int]:
    """Versions of the tables that a step reads; the extract date, where it asks for it, as a number (20240901)."""
    inputs = {t.name: lake.version(t) for t in step.reads}
    if EXTRACT_DATE in step.inputs.values():
        inputs[EXTRACT_DATE.name] = int(f"{settings[EXTRACT_DATE.name]:%Y%m%d}")
    return inputs


def run_step(
    step: Step, lake: Lake, context: Context, also: tuple[str, ...] = (), part: Part | None = None
) -> StepResult:
    """Make the step's table anew, or a part of it. Rows that fail a check go to `context.quarantine`, the others are written."""
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    started = time.monotonic()
    table = step.writes
    inputs = inputs_of(step, lake, context.settings)
    read = part.only if part else lake.read
    settings = {**context.settings, **(part.settings if part else {})}
    given = {p: read(i) if isinstance(i, Table) else settings[i.name] for p, i in step.inputs.items()}
    made = paced(step.transform(**given), context.sizes(step))
    extra: list[str] = [c for c in ("_problems", "_excluded") if c in made.columns]
    own = table.conform(made) if not extra else _with_extra(table, made, extra)
    judged = own.withColumn("_reasons", F.expr(_reasons(table, extra))).withColumn(
        "_run", F.lit(context.run_id)
    )
    observation = Observation()
    bad = "size(_reasons) > 0" + (" OR _excluded IS NOT NULL" if "_excluded" in extra else "")
    observed = judged.observe(
        observation,
        F.expr(f"count_if({bad})").alias("rejected"),
        F.expr("count(*)").alias("made"),
        F.expr("count(_excluded)" if "_excluded" in extra else "0L * count(*)").alias("excluded"),
        F.expr(
            f"collect_set(CASE WHEN {bad} THEN {'_kind' if '_kind' in table.columns else 'NULL'} END)"
        ).alias("kinds"),
        *[
            F.expr(f"count_if(NOT ({c.holds}))").alias(f"stop_{c.name}")
            for c in table.checks
            if c.on_fail is OnFail.STOP
        ],
    )
    good = observed.where(f"NOT ({bad})").select(*table.columns, "_run")
    context.fault(f"{table.name}:before")
    meta = {"run": context.run_id, "table": table.name}
    commit = lake.lay(table, good, part, meta) if part else lake.replace(table, good, meta)
    context.fault(f"{table.name}:after")
    metrics = _metrics(observation)
    rejected = int(metrics.get("rejected") or 0)
    if rejected:
        kinds = [str(k) for k in metrics.get("kinds") or []]
        again = (
            judged.where(F.col("_kind").isin(kinds)) if kinds else judged
        )  # only these kinds are read once more
        # The metrics node keeps the filter from being pushed into every mapping, which would make a plan without end.
        apart = again.observe(Observation(), F.expr("count(*)").alias("rows"))
        context.quarantine(step, apart.where(bad))
    seconds = time.monotonic() - started
    if context.progress:
        context.progress.step(table.name.split("/")[0], table.name, commit.rows, seconds)
    mark = fingerprint(step, context.settings, also)
    excluded = int(metrics.get("excluded") or 0)
    made_rows = int(metrics.get("made") or 0) - rejected if part else None
    return StepResult(
        table.name, commit.version, commit.rows, rejected, seconds, mark, inputs, excluded=excluded, made=made_rows,
        files=commit.files,
    )  # fmt: skip


def _metrics(observation: Observation) -> dict[str, Any]:
    return observation.get or {}


def _with_extra(table: Table, made: DataFrame, extra: list[str]) -> DataFrame:
    whole = Table(
        table.name, table.doc,
        (*table.fields, *(_EXTRA[c] for c in extra)), table.key, table.checks,
    )  # fmt: skip
    return whole.conform(made)


def _reasons(table: Table, extra: list[str]) -> str:
    if "_problems" not in extra:
        return table.reasons()
    return f"array_distinct(concat(array_compact(coalesce(_problems, array())), {table.reasons()}))"


_EXTRA = {
    "_problems": Field("_problems", "array<string>", "What a mapping found wrong, as REASON:rule"),
    "_excluded": Field("_excluded", "string", "Rule under which the record is left out"),
}


def run_plan(
    steps: list[Step],
    lake: Lake,
    context: Context,
    *,
    threads: int,
    skip: Callable[[Step], StepResult | None] = lambda step: None,
    also: Callable[[Step], tuple[str, ...]] = lambda step: (),
    part: Callable[[Step], Part | None] = lambda step: None,
) -> list[StepResult]:
    """Run the steps as soon as what they read is there, `threads` at a time, those first for which most others wait. The first
    error ends the plan.

    `skip` gives the result of a step that need not run, `part` what of its table is made anew when that is not all.
    """
    waiting = {s.name: s for s in steps}
    done: dict[str, StepResult] = {}
    running: dict[Future[StepResult], str] = {}
    behind = _behind(steps)

    def work(step: Step) -> StepResult:
        return skip(step) or run_step(step, lake, context, also(step), part(step))

    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="step")
    try:
        while waiting or running:
            ready = [
                s
                for s in waiting.values()
                if not any(t.name in waiting or t.name in running.values() for t in s.reads)
            ]
            for s in sorted(ready, key=lambda s: -behind[s.name])[: threads - len(running)]:
                del waiting[s.name]
                running[pool.submit(_in_thread, work, s)] = s.name
            if not running:
                raise AssertionError("the plan has a cycle")
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for f in finished:
                name = running.pop(f)
                if f.exception() is not None:
                    for other in running:
                        other.cancel()
                    raise f.exception() or AssertionError(name)
                done[name] = f.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        lake.cancel()  # what still runs is of no use: an end asked for is an end soon
        raise
    pool.shutdown()
    return [done[s.name] for s in steps]


def _behind(steps: list[Step]) -> dict[str, int]:
    """For each step how many others wait for it, those that wait for these among them."""
    readers: dict[str, list[str]] = {s.name: [o.name for o in steps if s.writes in o.reads] for s in steps}

    def waiting(name: str, seen: set[str]) -> set[str]:
        for reader in readers[name]:
            if reader not in seen:
                seen.add(reader)
                waiting(reader, seen)
        return seen

    return {name: len(waiting(name, set())) for name in readers}


def _in_thread(work: Callable[[Step], StepResult], step: Step) -> StepResult:
    """Run in a pool thread with the session active there, in a scheduler pool of its own."""
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()
    java(session, "org.apache.spark.sql.SparkSession").setActiveSession(session._jsparkSession)
    session.sparkContext.setLocalProperty("spark.scheduler.pool", step.name)
    return work(step)
