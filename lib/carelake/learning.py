"""The train and score stages: models of the catalog on the gold tables of a run."""

from __future__ import annotations

import hashlib
import os
import time
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyspark.sql.functions as F

from carelake import __version__
from carelake.core.run import StepResult, module_text, now
from carelake.core.runlog import as_published
from carelake.core.storage import is_local, local_path
from carelake.errors import ConfigError, RegistryError
from carelake.models.site import site_models
from carelake.quality import digest
from carelake.scores.model_monitor import MODEL_MONITOR, known_outcomes, model_monitor, watched
from carelake.scores.risk_score import RISK_SCORE, risk_score
from carelake.scores.score_history import SCORE_HISTORY, score_history

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from pyspark.sql import DataFrame

    from carelake.catalog import Catalog
    from carelake.core.config import Config
    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table
    from carelake.ml.model import RiskModel
    from carelake.ml.tracking import Tracking, Version
    from carelake.pipeline import Run

WRITTEN = (RISK_SCORE, SCORE_HISTORY, MODEL_MONITOR)


def tracking(root: str) -> Tracking:
    """Where MLflow keeps the runs of a lake: MLFLOW_TRACKING_URI, else the lake's own folder. Raises ConfigError."""
    from carelake.ml.tracking import Tracking

    given = os.environ.get("MLFLOW_TRACKING_URI")
    if not is_local(root):
        if not given:
            raise ConfigError(
                "a lake that is not local needs MLFLOW_TRACKING_URI for train and score, or --until gold"
            )
        return Tracking(given, f"{root.rstrip('/')}/mlflow/artifacts")
    folder = f"{root.rstrip('/')}/mlflow"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return Tracking(given or f"sqlite:///{folder}/mlflow.db", f"{folder}/artifacts")


def never_trained(root: str) -> bool:
    """Whether the lake keeps its runs itself and has none."""
    own = is_local(root) and "MLFLOW_TRACKING_URI" not in os.environ
    return own and not local_path(f"{root.rstrip('/')}/mlflow/mlflow.db").exists()


def reach(root: str) -> None:
    """Raise RegistryError when the server that MLFLOW_TRACKING_URI names cannot be reached; a lake's own folder always can."""
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http"):
        from carelake.ml.tracking import reach as ask

        ask(tracking(root))


def named_versions(run: Run) -> dict[str, set[int]]:
    """Versions of tables that a registered model was made from, by table. Raises ConfigError when it is not known where models are."""
    from carelake.ml.tracking import table_versions

    if RISK_SCORE.name not in run.before and not (
        is_local(run.lake.root) and run.lake.storage.exists("mlflow")
    ):
        return {}  # no model was ever trained here
    found: dict[str, set[int]] = {}
    for table, version in table_versions(tracking(run.lake.root), "carelake."):
        found.setdefault(table, set()).add(version)
    return found


def chosen(run: Run, name: str) -> list[RiskModel]:
    """The models asked for. Raises ConfigError for an unknown name."""
    return named(declared(run.catalog, run.config), name)


def declared(catalog: Catalog, config: Config) -> dict[str, RiskModel]:
    """Every model by name: carelake's own and those of the site's tasks. Raises ConfigError for a task that cannot be one."""
    return {**catalog.models, **site_models(config.tasks)}


def named(models: Mapping[str, RiskModel], name: str) -> list[RiskModel]:
    """Of these the model with the name, or all. Raises ConfigError for an unknown name."""
    if name != "all" and name not in models:
        raise ConfigError(f"no model {name}; there are {', '.join(sorted(models))}")
    return [m for n, m in sorted(models.items()) if name in ("all", n)]


def mark(lake: DeltaLake, model: RiskModel, as_of: date, rows: Any = None) -> str:
    """Of the rows that the model learns from (`rows`: their digest, when it is known) and of the code that learns: the same mark, the same model."""
    rows = rows or digest(lake, list(model.tables))
    code = module_text("carelake.ml.train", "carelake.ml.model")
    return hashlib.sha256(repr((rows, code, model, as_of)).encode()).hexdigest()[:32]


def train(run: Run, name: str) -> None:
    """Train each model whose rows or code changed; note what came of it."""
    from carelake.ml.train import train as fit

    digests: dict[tuple[str, ...], Any] = {}  # models share their tables
    as_of = run.settings()["as_of"]
    for model in chosen(run, name):
        started = time.monotonic()
        tables = {t.name: run.lake.version(t) for t in model.tables}
        read = tuple(tables)
        if read not in digests:
            digests[read] = digest(run.lake, list(model.tables))
        result = fit(
            model, model.examples(run.lake.read), covariate_names=model.covariate_names(run.lake.read),
            fingerprint=mark(run.lake, model, as_of, digests[read]), tracking=tracking(run.lake.root), as_of=as_of,
            tables=tables | _silver_versions(run), release=__version__,
        )  # fmt: skip
        run.models.append({
            "name": model.name, "version": result.version, "approved": result.approved, "metrics": dict(result.metrics),
            "gates": dict(result.gates), "trained": result.trained, "why_not": result.why_not,
        })  # fmt: skip
        run.progress.step(
            "train", model.name, 0, time.monotonic() - started, "" if result.trained else "as before"
        )


def _silver_versions(run: Run) -> dict[str, int]:
    return {
        t.name: run.lake.version(t) for n, t in run.catalog.declared.items() if n.startswith("silver/omop/")
    }


def versions(run: Run, models: Sequence[RiskModel]) -> tuple[dict[str, Version | None], bool]:
    """By model the champion, else the newest candidate, and whether the registry said so; when it is down, what the lake keeps.

    Raises RegistryError when it is down and the lake keeps nothing.
    """
    from carelake.ml import cache
    from carelake.ml.tracking import current

    try:
        where = tracking(run.lake.root)
        return {m.name: current(where, m.registered) for m in models}, True
    except RegistryError as e:
        kept = cache.kept(run.lake.storage)
        if kept is None:
            raise RegistryError(f"{e}; the lake keeps no model that could score meanwhile") from None
        return {m.name: kept.get(m.name) for m in models}, False


def keep(run: Run, found: Mapping[str, Version | None]) -> None:
    """Keep these versions in the lake, so that they can score when the registry is down. Needs the registry and the lease."""
    from carelake.ml import cache
    from carelake.ml.tracking import load

    if cache.kept(run.lake.storage) == dict(found):
        return
    run.lake.guard()
    for m in chosen(run, "all"):
        version = found.get(m.name)
        if version is not None and not cache.has(run.lake.storage, m.name, version):
            cache.keep(
                run.lake.storage, m.name, version, *load(tracking(run.lake.root), m.registered, version)
            )
    cache.point(run.lake.storage, found)


def predicted(
    run: Run, model: RiskModel, version: Version, rows: DataFrame
) -> tuple[DataFrame, Mapping[str, Any]]:
    """Scores of rows of `model.dataset`, and the reference values of the version."""
    from carelake.ml import cache
    from carelake.ml.tracking import load
    from carelake.ml.train import scores

    kept = cache.load(run.lake.storage, model.name, version)
    pipeline, reference = kept or load(tracking(run.lake.root), model.registered, version)
    return scores(model, rows, version, pipeline, reference), reference


def score(run: Run, name: str) -> bool:
    """Score everyone of whom the models ask on the as-of day, and look at whether the models still fit them.

    Nothing is written when model and rows are as published. Returns whether the registry was there; when not, the versions
    that the lake keeps are used.
    """
    chosen(run, name)
    models = chosen(run, "all")  # the tables hold every model's rows
    tables = {t.name: run.lake.version(t) for m in models for t in m.tables}
    found, live = versions(run, models)
    if live:
        keep(run, found)
    marks = sorted((n, f"{v.version}:{v.approved}" if v else None) for n, v in found.items())
    code = module_text("carelake.ml.train", "carelake.scores.score_history", "carelake.scores.model_monitor")
    own_mark = hashlib.sha256(repr((marks, code)).encode()).hexdigest()[:16]
    if all(_rests(run, t, own_mark, tables) for t in WRITTEN):
        run.results += [
            StepResult(t.name, run.before[t.name].version, 0, 0, 0.0, own_mark, tables, skipped=True)
            for t in WRITTEN
        ]
        return live
    as_of = run.settings()["as_of"]
    frames, references = [], {}
    for m in models:
        version = found[m.name]
        if version is not None:
            frame, references[m.name] = predicted(run, m, version, asked(run, m))
            frames.append(frame)
    rows = (
        risk_score(reduce(lambda a, b: a.unionByName(b), frames), scored_at=now(), tables=tables)
        if frames
        else run.lake.read(RISK_SCORE).drop("_run").where("false")
    )
    before = as_published(run.lake, run.before)
    _write(run, RISK_SCORE, rows, own_mark, tables)
    scored = run.lake.read(RISK_SCORE)
    past = before.read(SCORE_HISTORY)
    seen = []
    for m in models:
        version = found[m.name]
        if version is not None:
            own = scored.where(F.col("model") == m.name).select("person_id", "index_date", "score")
            outcomes = known_outcomes(past, m.name, m.asked(run.lake.read(m.cohort)), as_of)
            with_score = asked(run, m).join(own, ["person_id", "index_date"], how="inner")
            profile = references[m.name].get("profile", {})
            seen += watched(m.name, version.version, as_of, with_score, profile, outcomes)
    _write(run, SCORE_HISTORY, score_history(scored, past), own_mark, tables)
    _write(run, MODEL_MONITOR, model_monitor(seen, before.read(MODEL_MONITOR), as_of), own_mark, tables)
    return live


def asked(run: Run, model: RiskModel) -> DataFrame:
    """Rows of the model's dataset of whom it asks on the as-of day."""
    return model.examples(run.lake.read).where("split = 'score'")


def _rests(run: Run, table: Table, mark: str, inputs: Mapping[str, int]) -> bool:
    last = run.before.get(table.name)
    return bool(
        last and (last.fingerprint, last.inputs) == (mark, inputs) and run.lake.head(table) == last.version
    )


def _write(run: Run, table: Table, rows: DataFrame, mark: str, inputs: dict[str, int]) -> None:
    started = time.monotonic()
    named = table.conform(rows).selectExpr("*", f"'{run.log.run_id}' AS _run")
    commit = run.lake.replace(table, named, {"run": run.log.run_id})
    seconds = time.monotonic() - started
    run.progress.step("score", table.name, commit.rows, seconds)
    run.results.append(StepResult(table.name, commit.version, commit.rows, 0, seconds, mark, inputs))


def day(text: str) -> date:
    """The as-of day that a run's parameters name."""
    from datetime import date

    return date.fromisoformat(text)


def links(root: str) -> dict[str, Any]:
    """Where a person looks: report, lake, MLflow."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root}/mlflow/mlflow.db"
    return {"report": f"{root}/report/index.html", "lake": root, "mlflow": uri}
