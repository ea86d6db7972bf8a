"""The mark of the risk models: scikit-learn on the same features and the same split, beside ours.

    PYTHONPATH=lib python -m bench.model_mark LAKE [MODEL ...]

Reads a lake's gold features and cohort and prints for each model AUROC on the test side with 95 % intervals by person: scikit-learn's
logistic regression and histogram-boosted trees, ours (trained anew, into a temporary MLflow; the lake is not written), ours with
every concept on record beside the features (logistic regression), and the best baseline; and the seconds of each: of theirs one fit on a matrix in memory, of ours the whole training with its
cross-validation, evaluation and records.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from carelake.catalog import catalog
from carelake.core.lake import DeltaLake
from carelake.core.session import start
from carelake.ml.discrimination import aurocs
from carelake.ml.evaluate import auroc, bootstrap
from carelake.ml.train import Tracking, TrainResult, train
from carelake.models.standard import with_covariates

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from carelake.ml.model import RiskModel


def sides(examples: Any, names: list[str]) -> dict[str, tuple[Any, Any, Any]]:
    """Person, features and label of the train and the test side."""
    frame = examples.where("label IS NOT NULL").toPandas().sort_values(["person_id", "index_date"])
    out = {}
    for split in ("train", "test"):
        rows = frame[frame["split"] == split]
        out[split] = (
            rows["person_id"].to_numpy(),
            rows[names].to_numpy(float),
            rows["label"].to_numpy(float),
        )
    return out


def trained(spark: SparkSession, root: str, model: RiskModel) -> tuple[TrainResult, float]:
    """The model, trained into a registry that is thrown away, and the seconds that it took."""
    lake = DeltaLake(spark, root)
    with tempfile.TemporaryDirectory() as folder:
        tracking = Tracking(f"sqlite:///{folder}/mlflow.db", str(Path(folder) / "artifacts"))
        started = time.monotonic()
        result = train(
            model, model.examples(lake.read), fingerprint="mark", tracking=tracking, as_of=date(2000, 1, 1), tables={}, release="bench",
            covariate_names=model.covariate_names(lake.read),
        )  # fmt: skip
        return result, time.monotonic() - started


def mark(spark: SparkSession, root: str, model: RiskModel) -> list[tuple[str, float, float, float, float]]:
    """Name, AUROC, lower and upper bound, seconds of each contender; none where the model is not trained."""
    examples = model.examples(DeltaLake(spark, root).read).cache()
    names = [f.name for f in model.features]
    result, seconds = trained(spark, root, model)
    if result.version is None:
        sys.stderr.write(f"{model.name}: {result.why_not}\n")
        return []
    data = sides(examples, names)
    person, x_test, y_test = data["test"]
    _, x, y = data["train"]
    vary = [i for i in range(len(names)) if np.unique(x[~np.isnan(x[:, i]), i]).size > 1]
    theirs = {
        "scikit-learn logistic": make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True), StandardScaler(),
            LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"),
        ),
        "scikit-learn boosted trees": HistGradientBoostingClassifier(
            max_iter=100, max_depth=3, learning_rate=0.05, min_samples_leaf=10, random_state=0
        ),
    }  # fmt: skip
    out = []
    for name, estimator in theirs.items():
        started = time.monotonic()
        fitted = estimator.fit(x[:, vary], y)
        took = time.monotonic() - started
        score = fitted.predict_proba(x_test[:, vary])[:, 1]
        low, high = bootstrap(person, lambda w, s=score: {"auroc": aurocs(y_test, s, w)}, model.seed)["auroc"]  # type: ignore[misc]
        out.append((name, auroc(y_test, score), low, high, took))
    m = result.metrics
    sparse, longer = trained(spark, root, with_covariates(model))
    for name, found, key, took in (
        ("carelake", m, "auroc", seconds), ("carelake, with covariates", sparse.metrics, "auroc", longer),
        ("best baseline", m, "baseline_auroc", np.nan),
    ):  # fmt: skip
        out.append((name, *(found.get(f"{key}{end}", np.nan) for end in ("", "_lower", "_upper")), took))
    return out


def main(argv: list[str]) -> int:
    """Print the table."""
    models = catalog().models
    if not argv or not Path(argv[0]).is_dir() or set(argv[1:]) - set(models):
        sys.stderr.write((__doc__ or "") + "\n")
        return 2
    sys.stdout.write("| model | contender | AUROC | 95 % interval by person | s |\n|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as scratch:
        spark = start("model mark", scratch)
        try:
            for name in argv[1:] or sorted(models):
                for who, value, low, high, took in mark(spark, str(Path(argv[0]).absolute()), models[name]):
                    sys.stdout.write(
                        f"| {name} | {who} | {value:.3f} | {low:.3f} to {high:.3f} | {took:.1f} |\n"
                    )
                    sys.stdout.flush()
        finally:
            spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
