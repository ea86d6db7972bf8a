"""Training and prediction of a RiskModel with MLlib, tracked in MLflow."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark.sql.functions as F
from pyspark.ml import PipelineModel

from carelake.core.run import module_text
from carelake.errors import ConfigError
from carelake.ml import tracking as mlflow_store
from carelake.ml.card import card
from carelake.ml.cross_validation import cross_validate, texts_of
from carelake.ml.dataset import settled, side, with_folds, with_weights
from carelake.ml.describe import describe
from carelake.ml.estimators import fit, require, weights
from carelake.ml.evaluate import by_group, evaluate, gaps
from carelake.ml.explain import permutation_importance, write_importances
from carelake.ml.external import validate_by_site
from carelake.ml.model import COVARIATES
from carelake.ml.plots import plots
from carelake.ml.preparation import calibration_stages, frequent, prepare, varying, with_survival
from carelake.ml.profile import training_profile
from carelake.ml.reasons import with_reasons
from carelake.ml.record import attempt, record, record_candidate
from carelake.ml.sizes import Sizes, refusal, sizes_of
from carelake.ml.tested import held_out, places
from carelake.ml.tracking import Tracking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from typing import Any

    from pyspark.sql import DataFrame

    from carelake.ml.cross_validation import Candidate
    from carelake.ml.model import RiskModel
    from carelake.ml.preparation import Prepared
    from carelake.ml.record import Attempt
    from carelake.ml.tracking import Version

__all__ = ["Tracking", "TrainResult", "predict", "train"]

_LISTED = 40  # names in a parameter; feature_importances.csv and reference.json have them all


@dataclass(frozen=True)
class TrainResult:
    """What came of a training: `trained` is False when an earlier run had the same fingerprint or the data do not allow it.

    `version` is None, and `why_not` says why, with the numbers, when there was too little to train on.
    """

    name: str
    version: str | None
    approved: bool
    metrics: Mapping[str, float] = field(default_factory=dict)
    gates: Mapping[str, bool] = field(default_factory=dict)
    run_id: str | None = None
    trained: bool = False
    why_not: str = ""


@dataclass(frozen=True)
class _Data:
    """The training side, prepared, and what of the declared features is in it."""

    examples: DataFrame
    fit_on: DataFrame
    sizes: Sizes
    names: tuple[str, ...]
    prepared: Prepared
    covariates: Mapping[str, str]  # id and name


def train(
    model: RiskModel,
    examples: DataFrame,
    *,
    fingerprint: str,
    tracking: Tracking,
    as_of: date,
    tables: Mapping[str, int],
    release: str,
    covariate_names: DataFrame | None = None,
) -> TrainResult:
    """Fit, calibrate, test and register `model`; or return the version that a finished run with this fingerprint made.

    `examples` is `model.dataset(...)`, `covariate_names` the table that names its covariates. Candidates compete by mean AUROC over folds of persons of the training side; the
    winner's out-of-fold margins give the Platt calibration; the test side is looked at once, at the end. Nothing is
    written when the data do not allow a training (see `TrainResult.why_not`). Raises ConfigError when an estimator
    needs a package that is missing.
    """
    require(model.estimator, dict(examples.sparkSession.sparkContext.getConf().getAll()))
    known = mlflow_store.find(tracking, model.registered, fingerprint)
    if known is not None:
        return _result(model, known)
    train_side = side(examples, "train")
    sizes = sizes_of(train_side)
    why = refusal(model, sizes)
    if why:
        return TrainResult(model.name, None, False, why_not=why)
    weighted = with_weights(with_folds(with_survival(train_side), model.folds), sizes.rows, sizes.events)
    fit_on = settled(weighted, sizes.rows).persist()
    try:
        seen = varying(fit_on, [f.name for f in model.features])
        present = frequent(fit_on, sizes.persons)
        if not seen and not present:
            why = f"none of the {len(model.features)} features varies on the training side"
            return TrainResult(model.name, None, False, why_not=why)
        data = _Data(
            examples,
            fit_on,
            sizes,
            tuple(seen),
            prepare(fit_on, seen, present),
            _named(present, covariate_names),
        )
        why = refusal(model, sizes, data.prepared.varying)
        if why:
            return TrainResult(model.name, None, False, why_not=why)
        with attempt(
            tracking, experiment=model.experiment, registered=model.registered, fingerprint=fingerprint
        ) as at:
            version = _fit_and_record(
                model, data, tracking=tracking, at=at, as_of=as_of, tables=tables, release=release
            )
    finally:
        fit_on.unpersist()
    return _result(model, version, trained=True)


def _named(ids: Sequence[str], names: DataFrame | None) -> dict[str, str]:
    """The name of each covariate; its id where it has none."""
    known = {} if names is None or not ids else {
        str(r["covariate_id"]): str(r["covariate_name"])
        for r in names.where(F.col("covariate_id").cast("string").isin(list(ids))).select("covariate_id", "covariate_name").collect()
    }  # fmt: skip
    return {i: known.get(i, i) for i in ids}


def _result(model: RiskModel, version: Version, *, trained: bool = False) -> TrainResult:
    gates = {g.name: g.holds(version.metrics) for g in model.gates}
    return TrainResult(
        model.name, version.version, version.approved, version.metrics, gates, version.run_id, trained
    )


def _fit_and_record(
    model: RiskModel, data: _Data, *, tracking: Tracking, at: Attempt, as_of: date, tables: Mapping[str, int], release: str
) -> Version:  # fmt: skip
    spark = data.fit_on.sparkSession
    test = side(data.examples, "test")
    kept = [c for c in ("person_id", "label", "weight", "fold", "days", "censor") if c in data.fit_on.columns]
    prepared = data.prepared.transform(data.fit_on).select(*kept, *texts_of(model), "features").persist()
    try:
        ranked, best, seen = cross_validate(
            model, prepared, known=at.known, judged=lambda c: _record_candidate(tracking, at, c)
        )
        fitted = fit(best.estimator, best.params, prepared, model.seed)
        external = validate_by_site(model, best, prepared=data.prepared, train=prepared, seen=seen, test=test)
    finally:
        prepared.unpersist()
    column = model.recalibrated_column
    stages = [
        *data.prepared.stages,
        *fitted,
        *calibration_stages(seen.label, seen.margin, spark, seen.levels(column)),
    ]
    champion = _champion(model, data.examples, tracking)
    width = len(data.prepared.columns)
    tested, x, x_label = held_out(model, PipelineModel(stages), data.fit_on, test, width, champion)
    where = places(data.prepared.columns, data.names)
    importances = permutation_importance(fitted, x, x_label, where, seed=model.seed, spark=spark)
    words = {f.name: f.words for f in model.features} | dict(data.covariates)
    groups = by_group(tested, model.seed)
    dropped = [f.name for f in model.features if f.name not in data.names]
    metrics = evaluate(tested, model.seed) | gaps(groups) | data.sizes.metrics(data.prepared.varying)
    metrics |= {"cv_auroc": best.auroc, "features_dropped": float(len(dropped))}
    metrics |= external.metrics() if external else {}
    failed = [g for g in model.gates if not g.holds(metrics)]
    params = {
        "estimator": best.words, "candidates": str(len(ranked)), "folds": str(model.folds), "seed": str(model.seed),
        "features": str(width), "features_constant": _listed(dropped),
        "calibration": "Platt on out-of-fold margins", "class_weights": "balanced", "as_of": as_of.isoformat(),
    } | ({"recalibrated_by": f"{model.recalibrate_by}, a line for each level on out-of-fold scores"} if column else {})  # fmt: skip
    words_read = [column] if column else []
    reference = {
        "columns": list(data.prepared.columns), "medians": list(data.prepared.usual), "inputs": list(data.names), "words": words_read, "dropped": dropped,
        "covariates": dict(data.covariates),
        "profile": training_profile(PipelineModel(stages), data.fit_on, data.names),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch)
        (files / "plots").mkdir()
        plots(tested, files / "plots")
        text = card(
            model, metrics=metrics, params=params, groups=groups, tables=tables, as_of=as_of, release=release, external=external,
            failed=[f"gate {g.name} does not hold ({g.rule})" for g in failed],
            importances=[(words.get(i.feature, i.feature), i.drop, i.lower, i.upper) for i in importances],
        )  # fmt: skip
        (files / "card.md").write_text(text, encoding="utf-8")
        if external and external.sites:
            external.write(files / "external.csv")
        own = weights(fitted, width)
        write_importances(files / "feature_importances.csv", importances, where, own, words)
        return record(
            tracking, at, model, pipeline=PipelineModel(stages), inputs=data.names,
            words=words_read, listed=COVARIATES if data.covariates else None,
            params=params | {f"{mlflow_store.TABLE}{name}": str(v) for name, v in tables.items()}, metrics=metrics,
            tags={
                "release": release, "code": _code(), "target": model.target, "population": model.population,
                "intended_use": model.intended_use,
            },
            files=files, reference=reference, failed=failed,
            description=describe(
                model, metrics=metrics, groups=groups, importances=importances, estimator=best.words, as_of=as_of
            ),
        )  # fmt: skip


def _record_candidate(tracking: Tracking, at: Attempt, judged: Candidate) -> None:
    record_candidate(
        tracking, at, words=judged.words, kind=judged.estimator.kind, params=judged.params, folds=judged.folds, auroc=judged.auroc
    )  # fmt: skip


def _code() -> str:
    """A fingerprint of the source text that trains: it needs no git."""
    return hashlib.sha256(module_text(__name__, "carelake.ml.model").encode()).hexdigest()[:16]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "none") + more


def _check_features(
    model: RiskModel, version: Version, reference: Mapping[str, Any], columns: Sequence[str]
) -> None:
    """Raises ConfigError when the model or the `columns` no longer have a feature that the version was trained on."""
    read = reference.get("inputs", [c for c in reference["columns"] if not c.endswith("_missing")])
    known = {f.name for f in model.features} & set(columns)
    lost = [c for c in read if c not in known] + [c for c in reference.get("words", ()) if c not in columns]
    if reference.get("covariates") and COVARIATES not in columns:
        lost.append(COVARIATES)
    if lost:
        raise ConfigError(
            f"model {model.name}: version {version.version} was trained on another feature list, with {_listed(lost)}; train it again"
        )


def _champion(model: RiskModel, examples: DataFrame, tracking: Tracking) -> PipelineModel | None:
    """The champion that the new version is compared with; None without one, or when it was trained on other features."""
    version = mlflow_store.current(tracking, model.registered)
    if version is None or not version.approved:
        return None
    pipeline, reference = mlflow_store.load(tracking, model.registered, version)
    try:
        _check_features(model, version, reference, examples.columns)
    except ConfigError:
        return None
    return pipeline


def predict(model: RiskModel, rows: DataFrame, *, tracking: Tracking) -> DataFrame | None:
    """Scores of `rows` (as `model.dataset` gives them) by the champion, else by the newest candidate; None without either."""
    version = mlflow_store.current(tracking, model.registered)
    if version is None:
        return None
    return scores(model, rows, version, *mlflow_store.load(tracking, model.registered, version))


def scores(
    model: RiskModel, rows: DataFrame, version: Version, pipeline: PipelineModel, reference: Mapping[str, Any]
) -> DataFrame:
    """Scores of `rows` (as `model.dataset` gives them) by a version that is loaded.

    Columns: person_id, index_date, score (0-1), reasons (array of text, strongest first), model, model_version, approved, run_id.
    Raises ConfigError when the version was trained on a feature that the model no longer has.
    """
    _check_features(model, version, reference, rows.columns)
    scored = pipeline.transform(rows).withColumn("score", F.col("prediction"))
    return with_reasons(scored, pipeline, reference, model.features).select(
        "*", F.lit(model.name).alias("model"), F.lit(version.version).alias("model_version"),
        F.lit(version.approved).alias("approved"), F.lit(version.run_id).alias("run_id"),
    )  # fmt: skip
