"""The mark of a risk model: scikit-learn on the same features and the same split, beside ours.

    PYTHONPATH=lib python -m bench.model_mark LAKE

Reads a lake's gold features and cohort and prints AUROC on the test side with 95 % intervals by person: scikit-learn's
logistic regression and histogram-boosted trees, ours (trained anew, into a temporary MLflow; the lake is not written),
and age with sex alone.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from carelake.core.lake import DeltaLake
from carelake.core.session import start
from carelake.ml.discrimination import aurocs
from carelake.ml.evaluate import auroc, bootstrap
from carelake.ml.train import Tracking, train
from carelake.models.acute_care_1y import ACUTE_CARE_1Y

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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


def mark(spark: SparkSession, root: str) -> list[tuple[str, float, float, float]]:
    """Name, AUROC, lower and upper bound of each contender."""
    model, lake = ACUTE_CARE_1Y, DeltaLake(spark, root)
    examples = model.dataset(lake.read(model.feature_table), lake.read(model.cohort)).cache()
    names = [f.name for f in model.features]
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
        score = estimator.fit(x[:, vary], y).predict_proba(x_test[:, vary])[:, 1]
        low, high = bootstrap(person, lambda w, s=score: {"auroc": aurocs(y_test, s, w)}, model.seed)["auroc"]  # type: ignore[misc]
        out.append((name, auroc(y_test, score), low, high))
    with tempfile.TemporaryDirectory() as folder:
        tracking = Tracking(f"sqlite:///{folder}/mlflow.db", str(Path(folder) / "artifacts"))
        result = train(
            model,
            examples,
            fingerprint="mark",
            tracking=tracking,
            as_of=date(2000, 1, 1),
            tables={},
            release="bench",
        )
    m = result.metrics
    if result.version is None:
        sys.stderr.write(result.why_not + "\n")
        return out
    for name, key in (("carelake", "auroc"), ("age and sex alone", "baseline_auroc")):
        out.append((name, m.get(key, np.nan), m.get(f"{key}_lower", np.nan), m.get(f"{key}_upper", np.nan)))
    return out


def main(argv: list[str]) -> int:
    """Print the table."""
    if len(argv) != 1 or not Path(argv[0]).is_dir():
        sys.stderr.write((__doc__ or "") + "\n")
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        spark = start("model mark", scratch)
        try:
            found = mark(spark, str(Path(argv[0]).absolute()))
        finally:
            spark.stop()
    sys.stdout.write("| contender | AUROC | 95 % interval by person |\n|---|---|---|\n")
    for name, value, low, high in found:
        sys.stdout.write(f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
