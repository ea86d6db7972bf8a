"""The train and score stages: models of the catalog on the gold tables of a run."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, Any

from carelake import __version__
from carelake.core.run import StepResult, module_text, now
from carelake.core.storage import is_local
from carelake.errors import ConfigError
from carelake.quality import digest
from carelake.scores.risk_score import RISK_SCORE, risk_score

if TYPE_CHECKING:
    from carelake.ml.model import RiskModel
    from carelake.ml.tracking import Tracking
    from carelake.pipeline import Run


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
    models = run.catalog.models
    if name != "all" and name not in models:
        raise ConfigError(f"no model {name}; there are {', '.join(sorted(models))}")
    return [m for n, m in sorted(models.items()) if name in ("all", n)]


def _mark(run: Run, model: RiskModel) -> str:
    """Of the rows that the model learns from and of the code that learns: the same mark, the same model."""
    rows = digest(run.lake, [model.cohort, model.feature_table])
    code = module_text("carelake.ml.train", "carelake.ml.model")
    return hashlib.sha256(repr((rows, code, model, run.settings()["as_of"])).encode()).hexdigest()[:32]


def train(run: Run, name: str) -> None:
    """Train each model whose rows or code changed; note what came of it."""
    from carelake.ml.train import train as fit

    for model in chosen(run, name):
        started = time.monotonic()
        tables = {t.name: run.lake.version(t) for t in (model.cohort, model.feature_table)}
        result = fit(
            model, model.dataset(run.lake.read(model.feature_table), run.lake.read(model.cohort)),
            fingerprint=_mark(run, model), tracking=tracking(run.lake.root), as_of=run.settings()["as_of"],
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


def score(run: Run, name: str) -> None:
    """Score everyone of whom the models ask on the as-of day; nothing is written when model and rows are as published."""
    from functools import reduce

    from carelake.ml.train import current_version, predict

    models = chosen(run, "all")  # the table holds every model's scores
    started = time.monotonic()
    tables = {t.name: run.lake.version(t) for m in models for t in (m.cohort, m.feature_table)}
    where = tracking(run.lake.root)
    versions = {m.name: current_version(m, tracking=where) for m in models}
    mark = hashlib.sha256(
        repr((sorted(versions.items()), module_text("carelake.ml.train"))).encode()
    ).hexdigest()[:16]
    last = run.before.get(RISK_SCORE.name)
    if (
        last
        and (last.fingerprint, last.inputs) == (mark, tables)
        and run.lake.head(RISK_SCORE) == last.version
    ):
        run.results.append(StepResult(RISK_SCORE.name, last.version, 0, 0, 0.0, mark, tables, skipped=True))
        return
    asked = [m for m in models if versions[m.name]]
    made = [
        predict(
            m,
            m.dataset(run.lake.read(m.feature_table), run.lake.read(m.cohort)).where("split = 'score'"),
            tracking=where,
        )
        for m in asked
    ]
    frames = [f for f in made if f is not None]
    rows = (
        risk_score(reduce(lambda a, b: a.unionByName(b), frames), scored_at=now(), tables=tables)
        if frames
        else None
    )
    if rows is None:
        rows = run.lake.read(RISK_SCORE).drop("_run").where("false")
    commit = run.lake.replace(
        RISK_SCORE,
        RISK_SCORE.conform(rows).selectExpr("*", f"'{run.log.run_id}' AS _run"),
        {"run": run.log.run_id},
    )
    seconds = time.monotonic() - started
    run.progress.step("score", RISK_SCORE.name, commit.rows, seconds)
    run.results.append(StepResult(RISK_SCORE.name, commit.version, commit.rows, 0, seconds, mark, tables))


def links(root: str) -> dict[str, Any]:
    """Where a person looks: report, lake, MLflow."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root}/mlflow/mlflow.db"
    return {"report": f"{root}/report/index.html", "lake": root, "mlflow": uri}
