"""The estimator xgboost against XGBoost's own API for scikit-learn, on the same matrix and with the same parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from sklearn.metrics import roc_auc_score

from carelake.ml.estimators import fit, weights
from carelake.ml.explain import margin_parts, permutation_importance
from carelake.ml.model import Estimator, Feature, Kind
from carelake.ml.preparation import calibration_stages, prepare, varying
from carelake.ml.reasons import with_reasons

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

xgboost = pytest.importorskip("xgboost")

N, HELD, WIDTH = 3000, 1000, 8
PARAMS = {"n_estimators": 30.0, "max_depth": 3.0, "learning_rate": 0.1}
THEIRS: dict[str, Any] = {"n_estimators": 30, "max_depth": 3, "learning_rate": 0.1, "random_state": 7}


@dataclass(frozen=True)
class Drawn:
    """N rows of one kind of vector; the last HELD are for testing."""

    x: Any
    matrix: Any  # as XGBoost's own API takes it
    label: Any
    weight: Any
    frame: DataFrame

    @property
    def train(self) -> DataFrame:
        return self.frame.where(F.col("row") < N - HELD).persist()

    def margins(self, stages: list[Any]) -> Any:
        rows = PipelineModel(stages).transform(self.frame).orderBy("row")
        return np.array([r[0] for r in rows.select(vector_to_array(F.col("margin"))[0]).collect()])


def _drawn(spark: SparkSession, kind: str) -> Drawn:
    random = np.random.default_rng(5)
    x = random.normal(size=(N, WIDTH))
    if kind == "sparse":
        x = np.where(random.random((N, WIDTH)) < 0.2, np.abs(x) + 0.5, 0.0)
    chance = 1 / (1 + np.exp(-(-0.5 + 1.2 * x[:, 0] - x[:, 1] + 0.8 * x[:, 2] * (x[:, 0] > 0))))
    label = (random.random(N) < chance).astype(float)
    weight = np.where(label > 0, 1.4, 0.8)

    def vector(row: Any) -> Any:
        at = np.flatnonzero(row)
        return (
            Vectors.sparse(WIDTH, at.tolist(), row[at].tolist())
            if kind == "sparse"
            else Vectors.dense(row.tolist())
        )

    rows = [(i, float(label[i]), float(weight[i]), vector(x[i])) for i in range(N)]
    frame = spark.createDataFrame(rows, ["row", "label", "weight", "features"]).coalesce(1).persist()
    return Drawn(x, csr_matrix(x) if kind == "sparse" else x, label, weight, frame)


@pytest.fixture(scope="module", params=["dense", "sparse"])
def drawn(request: pytest.FixtureRequest, spark: SparkSession) -> Drawn:
    return _drawn(spark, request.param)


@pytest.fixture(scope="module")
def fitted(drawn: Drawn) -> list[Any]:
    return fit(Estimator("xgboost"), dict(PARAMS), drawn.train, 7)


@pytest.fixture(scope="module")
def theirs(drawn: Drawn) -> Any:
    cut = N - HELD
    return xgboost.XGBClassifier(**THEIRS).fit(
        drawn.matrix[:cut], drawn.label[:cut], sample_weight=drawn.weight[:cut]
    )


def test_discrimination_is_within_a_hundredth_of_xgboosts_own(
    drawn: Drawn, fitted: list[Any], theirs: Any
) -> None:
    cut = N - HELD
    expected = roc_auc_score(drawn.label[cut:], theirs.predict_proba(drawn.matrix[cut:])[:, 1])
    assert expected > 0.65
    assert roc_auc_score(drawn.label[cut:], drawn.margins(fitted)[cut:]) == pytest.approx(expected, abs=0.01)


def test_margins_are_xgboosts_own_log_odds(drawn: Drawn, fitted: list[Any], theirs: Any) -> None:
    expected = theirs.predict(drawn.matrix, output_margin=True)
    assert drawn.margins(fitted) == pytest.approx(expected, abs=1e-4)


def test_the_margin_on_arrays_is_sparks(drawn: Drawn, fitted: list[Any]) -> None:
    parts = margin_parts(fitted)
    assert parts is not None
    assert sum(part(drawn.x) for _, part in parts) == pytest.approx(drawn.margins(fitted), abs=1e-5)


def test_weights_are_the_shares_of_gain_and_importance_finds_what_was_planted(
    drawn: Drawn, fitted: list[Any], theirs: Any, spark: SparkSession
) -> None:
    gain = theirs.get_booster().get_score(importance_type="total_gain")
    expected = np.array([gain.get(f"f{j}", 0.0) for j in range(WIDTH)])
    assert weights(fitted, WIDTH) == pytest.approx(expected / expected.sum(), abs=1e-3)
    cut = N - HELD
    where = {f"x{j}": [j] for j in range(WIDTH)}
    found = permutation_importance(
        fitted, drawn.x[cut:], drawn.label[cut:], where, seed=3, spark=spark
    )  # fmt: skip
    assert {i.feature for i in found[:2]} == {"x0", "x1"}


def test_the_same_rows_give_the_same_trees(drawn: Drawn, fitted: list[Any]) -> None:
    again = fit(Estimator("xgboost"), dict(PARAMS), drawn.train, 7)
    one, two = (s[0].get_booster().save_raw("json") for s in (fitted, again))
    assert one == two


def test_reasons_are_asked_of_the_trees(spark: SparkSession) -> None:
    random = np.random.default_rng(6)
    rows = [(i, float(i % 2), 1.0, float(2 + 4 * (i % 2) + random.integers(0, 2)), float(random.normal())) for i in range(200)]  # fmt: skip
    frame = spark.createDataFrame(
        rows, "person_id int, label double, weight double, visits double, age double"
    ).coalesce(1).withColumn("index_date", F.lit("2024-01-01"))  # fmt: skip
    made = prepare(frame, varying(frame, ["visits", "age"]))
    stages = fit(Estimator("xgboost"), dict(PARAMS), made.transform(frame), 1)
    ends = calibration_stages(np.array([0.0, 1, 0, 1]), np.array([-1.0, 1, 1, 2]), spark)
    pipeline = PipelineModel([*made.stages, *stages, *ends])
    reference = {"columns": list(made.columns), "medians": [4.0, 0.0]}
    features = (Feature("visits", "visits", Kind.COUNT), Feature("age", "age"))
    scored = pipeline.transform(frame).withColumn("score", F.col("prediction"))
    found = {r.person_id: r.reasons for r in with_reasons(scored, pipeline, reference, features).collect()}
    assert len(found) == 200
    # who had the event had six or seven visits, the others two or three: four is between
    assert all(found[i] == ["more visits than usual"] for i in range(1, 200, 2))


def test_null_filled_vectors_from_arrays_train_too(spark: SparkSession) -> None:
    frame = spark.createDataFrame(
        [(float(i % 2), 1.0, float(i % 2) if i % 5 else None, float(i % 3)) for i in range(300)],
        "label double, weight double, lab double, noise double",
    ).coalesce(1)  # fmt: skip
    made = prepare(frame, varying(frame, ["lab", "noise"]))
    assert "lab_missing" in made.columns
    rows = made.transform(frame).withColumn("features", array_to_vector(vector_to_array("features")))
    out = PipelineModel(fit(Estimator("xgboost"), dict(PARAMS), rows, 1)).transform(rows)
    margins = out.selectExpr("label", "lab").withColumn("n", F.lit(1))
    assert margins.count() == 300
    ranked = out.select("label", vector_to_array(F.col("margin"))[0].alias("m")).toArrow()
    assert roc_auc_score(ranked["label"].to_numpy(), ranked["m"].to_numpy()) > 0.85
