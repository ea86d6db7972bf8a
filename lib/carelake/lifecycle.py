"""What is done with a model after its training: listed, promoted, rolled back, made again from its run, asked about one person."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyspark.sql.functions as F

from carelake import __version__, learning
from carelake.core.upkeep import file_sizes
from carelake.errors import CarelakeError, ConfigError, InputError, UsageError
from carelake.scores.risk_score import RISK_SCORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carelake.core.table import Table
    from carelake.ml.model import RiskModel
    from carelake.ml.registry import Listed
    from carelake.pipeline import Run

EQUAL = 1e-9  # absolute difference of a metric up to which two runs are the same
REASON_LENGTH = 300


@dataclass(frozen=True)
class Reproduced:
    """What came of making a run again: metrics compared and those that differ; whether rows and code are those of the run."""

    model: str
    compared: int
    differing: tuple[str, ...]
    same_rows_and_code: bool


def listed(models: Iterable[RiskModel], root: str) -> dict[str, list[Listed]]:
    """Versions of each model, newest first. Needs no Spark."""
    from carelake.ml.registry import listing

    if learning.never_trained(root):  # nothing is made by looking
        return {m.name: [] for m in models}
    where = learning.tracking(root)
    return {m.name: listing(where, m.registered) for m in models}


def lines(found: Mapping[str, list[Listed]]) -> list[str]:
    """The listing as text: a line per version."""
    out = []
    for name, versions in sorted(found.items()):
        if not versions:
            out.append(f"{name}: not trained yet")
        for v in versions:
            m = v.metrics
            interval = f" ({m['auroc_lower']:.3f} to {m['auroc_upper']:.3f})" if "auroc_lower" in m else ""
            figures = ", ".join(
                f"{k.replace('_', ' ')} {m[k]:.3f}" + (interval if k == "auroc" else "")
                for k in ("auroc", "auprc", "brier", "calibration_slope")
                if k in m
            )
            passed = "approved" if v.approved else f"NOT approved, failed {v.gates_failed or 'its gates'}"
            held = f"; held back: {v.held_back}" if v.held_back else ""
            since = f" since {v.since} ({v.reason})" if v.since else ""
            gone = f"; reproducible: {v.reproducible}" if v.reproducible else ""
            out.append(
                f"{name} {v.version}: {v.stage}{since}; {passed}{held}; {figures or 'no metrics'}; run {v.run_id}{gone}"
            )
    return out


def change(run: Run, *, rollback: str | None, promoted: str | None, reason: str) -> str:
    """Roll a model back, or promote a version given as MODEL=VERSION. Returns what was done; the lake keeps the new champion.

    Raises ConfigError when there is nothing to go back to, QualityGateError when the version failed a gate.
    """
    from carelake.ml import registry

    why = reason.strip()[:REASON_LENGTH] or "by hand"
    where = learning.tracking(run.lake.root)
    if rollback is not None:
        model = _one(run, rollback)
        before, now = registry.roll_back(where, model.registered, why)
        done = f"{model.name}: version {now} is champion again, version {before} is archived"
    else:
        name, equals, version = (promoted or "").partition("=")
        if not equals or not version.isdigit():
            raise UsageError("--promote takes MODEL=VERSION")
        model = _one(run, name)
        registry.promote(where, model.registered, version, why)
        done = f"{model.name}: version {version} is champion"
    found, _ = learning.versions(run, learning.chosen(run, "all"))
    learning.keep(run, found)
    return done


def _one(run: Run, name: str) -> RiskModel:
    if name == "all":
        raise UsageError("name one model")
    return learning.chosen(run, name)[0]


def reproduce(run: Run, run_id: str) -> Reproduced:
    """Train again on the table versions of a run, into a registry of its own, and compare the metrics.

    Raises ConfigError for an unknown run or model, InputError when a table version is gone: the version is then marked so.
    """
    from carelake.ml import registry
    from carelake.ml.tracking import Tracking
    from carelake.ml.train import train

    where = learning.tracking(run.lake.root)
    was = registry.made(where, run_id)
    model = next((m for m in learning.chosen(run, "all") if m.registered == was.registered), None)
    if model is None:
        raise ConfigError(f"{was.registered} is not declared any more: the run cannot be made again")
    needed = {t.name: t for t in model.tables}
    for name, table in needed.items():
        if not _there(run, table, was.tables.get(name)):
            registry.mark_reproducible(where, was, f"no: {name} at its version is gone")
            raise InputError(
                f"run {run_id} is not reproducible: {name} at version {was.tables.get(name, 'unknown')} is gone, removed by maintain or erased"
            )
    lake = run.lake.at({name: was.tables[name] for name in needed})
    as_of = learning.day(was.params["as_of"])
    same = was.tags.get("carelake.fingerprint") == learning.mark(lake, model, as_of)
    with tempfile.TemporaryDirectory() as scratch:
        again = train(
            model, model.examples(lake.read), covariate_names=model.covariate_names(lake.read), fingerprint="reproduced",
            tracking=Tracking(f"sqlite:///{scratch}/mlflow.db", f"{scratch}/artifacts"), as_of=as_of, tables=was.tables, release=__version__,
        )  # fmt: skip
    known = {k: v for k, v in again.metrics.items() if v == v and abs(v) != float("inf")}
    differing, compared = registry.compared(was.metrics, known, EQUAL)
    said = "yes" if not differing else f"no: {len(differing)} metrics differ"
    registry.mark_reproducible(where, was, said)
    return Reproduced(model.name, compared, tuple(differing), same)


def _there(run: Run, table: Table, version: int | None) -> bool:
    """Whether the lake still has every file of a version."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    if version is None or version < 0 or run.lake.head(table) < version:
        return False
    try:
        file_sizes(run.lake, table, version)
    except (CarelakeError, PySparkException, Py4JError):
        return False
    return True


def person(run: Run, person_id: int, name: str) -> list[dict[str, Any]]:
    """One person's score by each model, with its rank among those published, as what was published last has it. Writes nothing.

    Raises InputError when no model asks about the person on that day: there are no features.
    """
    models = learning.chosen(run, name)
    found, live = learning.versions(run, models)
    one = run.lake.spark.createDataFrame(
        [(person_id,)], "person_id bigint"
    )  # joined: a plan shows the id of a filter
    published = (
        run.lake.read(RISK_SCORE)
        .groupBy("model", "index_date", "model_version")
        .agg(F.count("*").alias("of"))
    )
    ranks = run.lake.read(RISK_SCORE).join(F.broadcast(one), "person_id", how="left_semi").select(
        "model", "index_date", "model_version", "rank"
    ).join(published, ["model", "index_date", "model_version"], how="inner")  # fmt: skip
    out: list[dict[str, Any]] = []
    asked = False
    for m in models:
        rows = learning.asked(run, m).join(F.broadcast(one), "person_id", how="left_semi")
        if rows.isEmpty():
            continue
        asked = True
        version = found[m.name]
        if version is None:
            continue
        scored = learning.predicted(run, m, version, rows)[0]
        placed = scored.join(ranks, ["model", "index_date", "model_version"], how="left")
        out += [
            {
                "person_id": person_id, "model": m.name, "model_version": version.version, "approved": version.approved,
                "registry": "live" if live else "cached", "index_date": r["index_date"].isoformat(), "score": r["score"],
                "rank": r["rank"], "of": r["of"], "reasons": list(r["reasons"]),
            }
            for r in placed.collect()
        ]  # fmt: skip
    if not asked:
        raise InputError("this person has no features: no model asks about them on the published as-of day")
    if not out:
        raise ConfigError("no model has a version yet: run the job train first")
    return out


def noted(found: Mapping[str, list[Listed]]) -> list[dict[str, Any]]:
    """The listing for `--json`."""
    return [{"name": name, **asdict(v)} for name, versions in sorted(found.items()) for v in versions]
