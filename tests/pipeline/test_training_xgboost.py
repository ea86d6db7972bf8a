"""Training with XGBoost's trees against a real MLflow: calibrated, kept, loaded, scored, with reasons."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from carelake.core.storage import Storage
from carelake.ml import cache
from carelake.ml.model import Estimator
from carelake.ml.tracking import current, load, mlflow_at
from carelake.ml.train import Tracking, predict, scores
from tests.pipeline.test_training import MODEL, population, run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

xgboost = pytest.importorskip("xgboost")

TREES = replace(
    MODEL, estimator=(Estimator("xgboost", {"max_depth": (1.0,)}, {"n_estimators": 40.0, "learning_rate": 0.1}),)
)  # fmt: skip


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("ml flow")
    return Tracking(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))


@pytest.fixture(scope="module")
def examples(spark: SparkSession) -> DataFrame:
    return population(spark).cache()


@pytest.fixture(scope="module")
def trained(examples: DataFrame, tracking: Tracking) -> Any:
    return run(TREES, examples, tracking, "abc123")


def own_auroc(examples: DataFrame) -> float:
    """Of XGBoost's own API on the same rows: lab at the training median where it is missing, and that it is; balanced weights."""
    frame = examples.where("label IS NOT NULL").toPandas()
    frame["absent"] = frame["lab"].isna().astype(float)
    frame["lab"] = frame["lab"].fillna(frame.loc[frame["split"] == "train", "lab"].median())
    columns = ["visits", "lab", "noise", "age", "absent"]
    (x, y), (held_x, held_y) = (
        (side[columns].to_numpy(), side["label"].to_numpy())
        for side in (frame[frame["split"] == split] for split in ("train", "test"))
    )
    trees = xgboost.XGBClassifier(max_depth=1, n_estimators=40, learning_rate=0.1)
    trees.fit(x, y, sample_weight=np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean())))
    return float(roc_auc_score(held_y, trees.predict_proba(held_x)[:, 1]))


def test_the_trees_discriminate_as_xgboosts_own_and_are_calibrated(trained: Any, examples: DataFrame) -> None:
    assert trained.trained
    assert trained.metrics["auroc"] == pytest.approx(own_auroc(examples), abs=0.01)
    assert trained.metrics["auroc"] > 0.65
    assert 0.5 < trained.metrics["calibration_slope"] < 2
    assert abs(trained.metrics["calibration_intercept"]) < 0.5


def test_the_run_names_the_package_and_its_version(trained: Any, tracking: Tracking) -> None:
    client = mlflow.MlflowClient(tracking.uri, tracking.uri)
    (package,) = packages_distributions()["xgboost"]
    assert client.get_run(trained.run_id).data.tags[f"env.{package}"] == version(package)
    with mlflow_at(tracking):
        file = mlflow.pyfunc.get_model_dependencies(f"models:/{TREES.registered}/{trained.version}")
    assert f"{package}=={version(package)}" in Path(file).read_text(encoding="utf-8").split()


def test_scores_are_probabilities_with_reasons(trained: Any, examples: DataFrame, tracking: Tracking) -> None:
    scored = predict(TREES, examples.where("split = 'score'"), tracking=tracking)
    assert scored is not None
    rows = scored.collect()
    assert len(rows) == 120
    assert all(0 < r.score < 1 and r.model_version == trained.version for r in rows)
    highest, lowest = max(rows, key=lambda r: r.score), min(rows, key=lambda r: r.score)
    assert {"more visits in the last year than usual", "higher blood lead than usual"} & set(highest.reasons)
    assert "more visits in the last year than usual" not in lowest.reasons


def test_the_copy_in_the_lake_scores_as_the_registry_does(
    trained: Any, examples: DataFrame, tracking: Tracking, spark: SparkSession, tmp_path: Path
) -> None:
    known = current(tracking, TREES.registered)
    assert known is not None
    pipeline, reference = load(tracking, TREES.registered, known)
    storage = Storage(str(tmp_path), spark)
    cache.keep(storage, TREES.name, known, pipeline, reference)
    again = cache.load(storage, TREES.name, known)
    assert again is not None
    rows = examples.where("split = 'score'")
    of_lake = {r.person_id: r.score for r in scores(TREES, rows, known, *again).collect()}
    registry = predict(TREES, rows, tracking=tracking)
    assert registry is not None
    assert of_lake == {r.person_id: r.score for r in registry.collect()}


def test_the_same_rows_in_another_order_give_the_same_metrics(
    trained: Any, examples: DataFrame, tmp_path: Path
) -> None:
    other = Tracking(f"sqlite:///{tmp_path}/other.db", str(tmp_path / "a"))
    assert run(TREES, examples.orderBy("noise").repartition(5), other, "another").metrics == trained.metrics
