"""Training and prediction of a RiskModel with MLlib, tracked in MLflow."""

from __future__ import annotations

import csv
import itertools
import tempfile
from dataclasses import dataclass, field
from functools import reduce
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyspark.sql.functions as F
from pyspark import inheritable_thread_target
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import GBTClassifier, LogisticRegression
from pyspark.ml.feature import (
    Imputer,
    ImputerModel,
    SQLTransformer,
    StandardScaler,
    VectorAssembler,
    VectorSlicer,
)
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import DenseMatrix

from carelake.ml import tracking as mlflow_store
from carelake.ml.card import card, plots
from carelake.ml.dataset import informative, settled, side, with_folds, with_weights
from carelake.ml.evaluate import HeldOut, auroc, by_group, evaluate, logistic
from carelake.ml.profile import training_profile
from carelake.ml.reasons import with_reasons
from carelake.ml.registry import gate_tags
from carelake.ml.tracking import Tracking, Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from pyspark.ml import Estimator as MLEstimator
    from pyspark.ml import Model, Transformer
    from pyspark.sql import DataFrame, SparkSession

    from carelake.ml.model import Estimator, RiskModel

__all__ = ["Tracking", "TrainResult", "predict", "train"]


@dataclass(frozen=True)
class TrainResult:
    """What came of a training: `trained` is False when an earlier run had the same fingerprint or the data do not allow it.

    `version` is None, and `why_not` says why, when there was too little to train on.
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
class _Candidate:
    estimator: Estimator
    params: Mapping[str, float]
    auroc: float
    label: Any
    margin: Any

    @property
    def words(self) -> str:
        return f"{self.estimator.kind}({', '.join(f'{k}={v:g}' for k, v in sorted(self.params.items()))})"


def train(
    model: RiskModel,
    examples: DataFrame,
    *,
    fingerprint: str,
    tracking: Tracking,
    as_of: date,
    tables: Mapping[str, int],
    release: str,
) -> TrainResult:
    """Fit, calibrate, test and register `model`; or return the version that a finished run with this fingerprint made.

    `examples` is `model.dataset(...)`. Candidates compete by mean AUROC over folds of persons of the training side; the
    winner's out-of-fold margins give the Platt calibration; the test side is looked at once, at the end.
    """
    known = mlflow_store.find(tracking, model.registered, fingerprint)
    if known is not None:
        gates = {g.name: g.holds(known.metrics) for g in model.gates}
        return TrainResult(model.name, known.version, known.approved, known.metrics, gates, known.run_id)
    train_side = side(examples, "train")
    sizes = train_side.groupBy("person_id").agg(F.count("label").alias("rows"), F.sum("label").alias("events")).agg(
        F.sum("rows"), F.sum("events"), F.count_if(F.col("events") > 0), F.count_if(F.col("events") < F.col("rows"))
    ).first()  # fmt: skip
    rows, events, with_event, without = (int(v or 0) for v in sizes or ())
    if min(with_event, without) < model.folds:
        why = f"the training side needs {model.folds} persons with and without the event; it has {with_event} and {without}"
        return TrainResult(model.name, None, False, why_not=why)
    fit_on = settled(with_weights(with_folds(train_side, model.folds), rows, events), rows).persist()
    try:
        names, missing = informative(fit_on, [f.name for f in model.features])
        preparation = _preparation(names, tuple(missing)).fit(fit_on)
        prepared = preparation.transform(fit_on).select("label", "weight", "fold", "features").persist()
        candidates = _cross_validate(model, prepared)
        best = max(candidates, key=lambda c: c.auroc)
        classifier = _classifier(best.estimator, best.params, model.seed).fit(prepared)
        pipeline = PipelineModel(
            [*preparation.stages, classifier, _margin(), _calibrator(best, fit_on.sparkSession)]
        )
        columns = [*names, *(f"{n}_missing" for n in missing)]
        reference = {
            "columns": columns, "medians": _medians(preparation, names, missing), "profile": training_profile(pipeline, fit_on, names),
        }  # fmt: skip
        tested = _test(model, pipeline, fit_on, side(examples, "test"))
        metrics = evaluate(tested, model.seed) | {
            "cv_auroc": best.auroc, "train_rows": float(rows), "train_events": float(events),
        }  # fmt: skip
        metrics |= {
            f"cv_auroc_{c.words.replace('(', '_').replace(')', '').replace(', ', '_').replace('=', '_')}": c.auroc
            for c in candidates
        }
        failed = tuple(g.name for g in model.gates if not g.holds(metrics))
        params = {
            "estimator": best.words, "candidates": str(len(candidates)), "folds": str(model.folds), "seed": str(model.seed),
            "features": str(len(names)), "calibration": "Platt on out-of-fold margins", "class_weights": "balanced", "as_of": as_of.isoformat(),
        }  # fmt: skip
        with tempfile.TemporaryDirectory() as scratch:
            files = Path(scratch)
            (files / "plots").mkdir()
            plots(tested, files / "plots")
            text = card(
                model, metrics=metrics, params=params, groups=by_group(tested), tables=tables, as_of=as_of, release=release,
                failed=[f"gate {g.name} does not hold ({g.rule})" for g in model.gates if g.name in failed],
            )  # fmt: skip
            (files / "card.md").write_text(text, encoding="utf-8")
            _write_importances(files / "feature_importances.csv", columns, classifier)
            version = mlflow_store.record(
                tracking, experiment=model.experiment, registered=model.registered, fingerprint=fingerprint, model=pipeline,
                params=params | {f"{mlflow_store.TABLE}{name}": str(v) for name, v in tables.items()}, metrics=metrics,
                tags={"release": release, "target": model.target} | gate_tags(model.gates, metrics), files=files, reference=reference, failed=failed,
            )  # fmt: skip
        prepared.unpersist()
    finally:
        fit_on.unpersist()
    gates = {g.name: g.name not in failed for g in model.gates}
    return TrainResult(
        model.name, version.version, not failed, version.metrics, gates, version.run_id, trained=True
    )


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
    """
    scored = pipeline.transform(rows).withColumn("score", vector_to_array(F.col("calibrated"))[1])
    return with_reasons(scored, pipeline, reference, model.features).select(
        "*", F.lit(model.name).alias("model"), F.lit(version.version).alias("model_version"),
        F.lit(version.approved).alias("approved"), F.lit(version.run_id).alias("run_id"),
    )  # fmt: skip


def _preparation(names: Sequence[str], missing: Sequence[str]) -> Pipeline:
    """Missing indicators, medians for what is missing, one vector (`assembled`), standardised (`features`)."""
    marks = "".join(f", CAST(`{n}` IS NULL AS DOUBLE) AS `{n}_missing`" for n in missing)
    return Pipeline(stages=[
        SQLTransformer(statement=f"SELECT *{marks} FROM __THIS__"),
        Imputer(inputCols=list(names), outputCols=[f"{n}_imputed" for n in names], strategy="median"),
        VectorAssembler(inputCols=[*(f"{n}_imputed" for n in names), *(f"{n}_missing" for n in missing)], outputCol="assembled"),
        StandardScaler(inputCol="assembled", outputCol="features", withMean=True, withStd=True),
    ])  # fmt: skip


def _classifier(estimator: Estimator, params: Mapping[str, float], seed: int) -> MLEstimator[Any]:
    shared: dict[str, Any] = {"featuresCol": "features", "labelCol": "label", "weightCol": "weight"}
    given: dict[str, Any] = {
        k: int(v) if k in {"maxIter", "maxDepth", "minInstancesPerNode"} else v for k, v in params.items()
    }
    if estimator.kind == "logistic":
        return LogisticRegression(**shared, **given, standardization=False)
    return GBTClassifier(**shared, **given, seed=seed)


def _cross_validate(model: RiskModel, prepared: DataFrame) -> list[_Candidate]:
    """Every point of every grid, fit on the other folds and judged on each fold, two fits at a time.

    Medians and scales are those of the whole training side: they use no outcome. Not MLlib's CrossValidator, which would fit
    them again for each fold and point, and gives no out-of-fold margins for the calibration.
    """
    points = [
        (estimator, {**estimator.fixed, **dict(zip(estimator.grid, values, strict=True))})
        for estimator in model.estimator
        for values in itertools.product(*estimator.grid.values())
    ]

    def fit(task: tuple[int, int]) -> DataFrame:
        point, fold = task
        fitted = _classifier(*points[point], model.seed).fit(prepared.where(F.col("fold") != fold))
        return (
            _margin()
            .transform(fitted.transform(prepared.where(F.col("fold") == fold)))
            .select("label", "margin", "fold")
        )

    with ThreadPool(2) as pool:
        tasks = list(itertools.product(range(len(points)), range(model.folds)))
        judged = pool.map(inheritable_thread_target(prepared.sparkSession)(fit), tasks, chunksize=1)
    out = []
    for at, (estimator, params) in enumerate(points):
        margins = reduce(lambda a, b: a.unionByName(b), judged[at * model.folds : (at + 1) * model.folds])
        rows = margins.select("label", vector_to_array(F.col("margin"))[0], "fold").collect()
        label, margin, fold = (np.array([r[i] for r in rows], dtype=np.float64) for i in range(3))
        known = [
            s for f in range(model.folds) if np.isfinite(s := auroc(label[fold == f], margin[fold == f]))
        ]
        out.append(_Candidate(estimator, params, float(np.mean(known)) if known else 0.0, label, margin))
    return out


def _margin() -> Transformer:
    """The raw score of the event as a vector of one, `margin`."""
    return VectorSlicer(inputCol="rawPrediction", outputCol="margin", indices=[1])


def _calibrator(best: _Candidate, spark: SparkSession) -> Model:
    """Platt scaling: unweighted logistic regression of the outcome on the out-of-fold margin; never reverses the order."""
    pairs = spark.createDataFrame(
        [(float(y), float(m)) for y, m in zip(best.label, best.margin, strict=True)],
        "label double, _margin double",
    )
    calibrator: Model = LogisticRegression(
        featuresCol="margin", labelCol="label", predictionCol="calibrated_prediction", probabilityCol="calibrated",
        rawPredictionCol="calibrated_raw", lowerBoundsOnCoefficients=DenseMatrix(1, 1, [1e-3]), maxIter=30,
    ).fit(pairs.select("label", array_to_vector(F.array("_margin")).alias("margin")).coalesce(1))  # fmt: skip
    return calibrator


def _medians(preparation: PipelineModel, names: Sequence[str], missing: Mapping[str, float]) -> list[float]:
    """The usual value of each column of `assembled`: the imputer's median, and whether most rows lack the feature."""
    imputer = next(s for s in preparation.stages if isinstance(s, ImputerModel))
    usual = imputer.surrogateDF.first()
    if usual is None:
        raise AssertionError("an imputer that was fitted has a row of medians")
    return [*(float(usual[n]) for n in names), *(float(share > 0.5) for share in missing.values())]


def _test(model: RiskModel, pipeline: PipelineModel, fit_on: DataFrame, test_side: DataFrame) -> HeldOut:
    """The test side as arrays, with the baseline's scores."""
    groups = [f"group_{name}" for name in model.groups]
    scored = pipeline.transform(test_side).select(
        "person_id",
        "index_date",
        "label",
        vector_to_array(F.col("calibrated"))[1].alias("score"),
        *model.baseline,
        *groups,
    )
    rows = scored.orderBy("person_id", "index_date").collect()
    seen = fit_on.select("label", *model.baseline).collect()
    label = np.array([r["label"] for r in rows], dtype=np.float64)
    baseline = np.zeros(len(rows))
    if model.baseline and rows:
        raw = np.array([[r[b] for b in model.baseline] for r in seen], dtype=np.float64)
        center, spread = np.nanmedian(raw, axis=0), np.nanstd(raw, axis=0)
        spread[~(spread > 0)] = 1.0

        def shaped(values: Any) -> Any:
            return (np.where(np.isnan(values), center, values) - center) / spread

        beta = logistic(shaped(raw), np.array([r["label"] for r in seen], dtype=np.float64))
        baseline = (
            shaped(np.array([[r[b] for b in model.baseline] for r in rows], dtype=np.float64)) @ beta[1:]
        )
    return HeldOut(
        person=np.array([r["person_id"] for r in rows], dtype=np.int64), label=label,
        score=np.array([r["score"] for r in rows], dtype=np.float64), baseline=baseline,
        groups={name: np.array([r[f"group_{name}"] for r in rows]) for name in model.groups},
    )  # fmt: skip


def _write_importances(file: Path, columns: Sequence[str], classifier: Any) -> None:
    """Coefficients per standard deviation, or the trees' split gains; strongest first."""
    linear = hasattr(classifier, "coefficients")
    values = classifier.coefficients.toArray() if linear else classifier.featureImportances.toArray()
    with file.open("w", newline="", encoding="utf-8") as f:
        out = csv.writer(f)
        out.writerow(["feature", "coefficient" if linear else "importance"])
        ranked = sorted(zip(columns, values.tolist(), strict=True), key=lambda r: -abs(r[1]))
        out.writerows(ranked)
