"""Each kind of estimator against scikit-learn, or against the law that the data were drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import functions as F
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.inspection import permutation_importance as theirs_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from carelake.ml.estimators import fit, slopes, weights
from carelake.ml.explain import _on_arrays, _on_spark, margin_parts, permutation_importance
from carelake.ml.model import Estimator

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

N, HELD = 3000, 1000
LOGISTIC = (Estimator("logistic"), {"regParam": 0.01, "elasticNetParam": 0.0, "maxIter": 100.0})
FOREST = (Estimator("random_forest"), {"numTrees": 100.0, "maxDepth": 5.0})
BOOSTED = (Estimator("boosted_trees"), {"maxIter": 30.0, "maxDepth": 3.0, "stepSize": 0.1})
YEAR = 365.0
AFT = (Estimator("survival_aft"), {"time_at_risk_days": YEAR, "maxIter": 100.0})
SCALE, CONSTANT, SLOPES = 0.5, 6.5, np.array([-0.8, 0.4, 0.0, 0.0, 0.0])  # of the Weibull law of the times


@dataclass(frozen=True)
class Drawn:
    """Standardised features of N rows, their label and their time; the last HELD rows are for testing."""

    x: Any
    label: Any
    risk: Any
    frame: DataFrame

    def margins(self, stages: list[Any]) -> Any:
        """Of all rows, in order."""
        rows = PipelineModel(stages).transform(self.frame).orderBy("row")
        return np.array([r[0] for r in rows.select(vector_to_array(F.col("margin"))[0]).collect()])

    @property
    def train(self) -> DataFrame:
        return self.frame.where(F.col("row") < N - HELD).persist()


@pytest.fixture(scope="module")
def drawn(spark: SparkSession) -> Drawn:
    random = np.random.default_rng(4)
    x = random.normal(size=(N, 5))
    logit = -1 + 1.0 * x[:, 0] - 0.6 * x[:, 1] + 0.8 * x[:, 2] * (x[:, 0] > 0)
    label = (random.random(N) < 1 / (1 + np.exp(-logit))).astype(float)
    # Weibull: T = exp(constant + slopes.x) * E ** scale, E exponential; watched for two years
    time = np.exp(CONSTANT + x @ SLOPES) * random.exponential(size=N) ** SCALE
    risk = 1 - np.exp(-((YEAR / np.exp(CONSTANT + x @ SLOPES)) ** (1 / SCALE)))
    rows = [
        (i, float(label[i]), 1.0, [float(v) for v in x[i]], float(min(time[i], 730.0)), float(time[i] < 730.0)) for i in range(N)
    ]  # fmt: skip
    frame = spark.createDataFrame(
        rows, "row int, label double, weight double, x array<double>, days double, censor double"
    ).coalesce(1)
    return Drawn(x, label, risk, frame.withColumn("features", array_to_vector("x")).persist())


@pytest.fixture(scope="module")
def fitted(drawn: Drawn) -> dict[str, list[Any]]:
    kinds = {"logistic": LOGISTIC, "random_forest": FOREST, "boosted_trees": BOOSTED, "survival_aft": AFT}
    return {name: fit(e, dict(p), drawn.train, 7) for name, (e, p) in kinds.items()}


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        ("logistic", LogisticRegression(C=1 / (0.01 * (N - HELD)))),
        ("random_forest", RandomForestClassifier(300, max_depth=5, random_state=0)),
        ("boosted_trees", GradientBoostingClassifier(n_estimators=30, max_depth=3, random_state=0)),
    ],
)
def test_discrimination_is_within_a_hundredth_of_scikit_learn(
    drawn: Drawn, fitted: dict[str, list[Any]], kind: str, theirs: Any
) -> None:
    cut = N - HELD
    theirs.fit(drawn.x[:cut], drawn.label[:cut])
    expected = roc_auc_score(drawn.label[cut:], theirs.predict_proba(drawn.x[cut:])[:, 1])
    assert roc_auc_score(drawn.label[cut:], drawn.margins(fitted[kind])[cut:]) == pytest.approx(
        expected, abs=0.01
    )


def test_logistic_slopes_are_scikit_learns(drawn: Drawn, fitted: dict[str, list[Any]]) -> None:
    cut = N - HELD
    theirs = LogisticRegression(C=1 / (0.01 * cut), tol=1e-8).fit(drawn.x[:cut], drawn.label[:cut])
    assert slopes(fitted["logistic"]) == pytest.approx(theirs.coef_[0], abs=1e-3)


def test_survival_finds_the_weibull_law_that_the_times_follow(
    drawn: Drawn, fitted: dict[str, list[Any]]
) -> None:
    model = fitted["survival_aft"][0]
    assert model.scale == pytest.approx(SCALE, abs=0.03)
    assert model.intercept == pytest.approx(CONSTANT, abs=0.05)
    assert model.coefficients.toArray() == pytest.approx(SLOPES, abs=0.05)
    assert slopes(fitted["survival_aft"]) == pytest.approx(-SLOPES / SCALE, abs=0.12)
    rows = PipelineModel(fitted["survival_aft"]).transform(drawn.frame).orderBy("row").collect()
    off = np.abs(np.array([r.event_probability for r in rows]) - drawn.risk)
    assert (
        off.mean() < 0.02
    )  # the law of 3,000 drawn rows is found to within sampling error, least well at its ends
    assert off.max() < 0.12
    hazard = np.array([r.margin[0] for r in rows])
    assert 1 - np.exp(-np.exp(hazard)) == pytest.approx([r.event_probability for r in rows], abs=1e-12)


@pytest.mark.parametrize("kind", ["logistic", "random_forest", "boosted_trees", "survival_aft"])
def test_the_margin_on_arrays_is_sparks(drawn: Drawn, fitted: dict[str, list[Any]], kind: str) -> None:
    parts = margin_parts(fitted[kind])
    assert parts is not None
    ours = np.sum([part(drawn.x) for _, part in parts], axis=0)
    apart = drawn.margins(fitted[kind]) - ours
    assert apart == pytest.approx(np.full(N, apart[0]), abs=1e-9)  # but for a constant


@pytest.mark.parametrize("kind", ["logistic", "boosted_trees"])
def test_shuffled_margins_are_the_same_on_arrays_and_through_spark(
    drawn: Drawn, fitted: dict[str, list[Any]], kind: str, spark: SparkSession
) -> None:
    x = drawn.x[:40]
    orders = [np.random.default_rng(s).permutation(40) for s in (1, 2)]
    where = {"a": [0, 3], "b": [1]}
    parts = margin_parts(fitted[kind])
    assert parts is not None
    usual, *arrays = _on_arrays(parts, x, where, orders)
    through, *spark_ = _on_spark(fitted[kind], x, where, orders, spark)
    constant = through[0] - usual[0]
    assert through == pytest.approx(usual + constant, abs=1e-9)
    assert np.array(spark_) == pytest.approx(np.array(arrays) + constant, abs=1e-9)


def test_permutation_importance_is_scikit_learns(
    drawn: Drawn, fitted: dict[str, list[Any]], spark: SparkSession
) -> None:
    cut = N - HELD
    theirs = LogisticRegression(C=1 / (0.01 * cut)).fit(drawn.x[:cut], drawn.label[:cut])
    expected = theirs_importance(
        theirs, drawn.x[cut:], drawn.label[cut:], scoring="roc_auc", n_repeats=60, random_state=0
    ).importances_mean  # fmt: skip
    where = {f"x{j}": [j] for j in range(5)}
    found = permutation_importance(
        fitted["logistic"], drawn.x[cut:], drawn.label[cut:], where, seed=3, spark=spark
    )
    assert [i.feature for i in found[:2]] == ["x0", "x1"]
    assert {i.feature: i.drop for i in found} == pytest.approx(
        {f"x{j}": expected[j] for j in range(5)}, abs=0.012
    )
    assert all(i.lower <= i.drop <= i.upper for i in found)


def test_a_test_side_of_one_class_has_no_importance(
    drawn: Drawn, fitted: dict[str, list[Any]], spark: SparkSession
) -> None:
    assert (
        permutation_importance(fitted["logistic"], drawn.x[:9], np.zeros(9), {"x": [0]}, seed=1, spark=spark)
        == []
    )


def test_weights_are_slopes_or_shares_of_gain(fitted: dict[str, list[Any]]) -> None:
    assert weights(fitted["logistic"], 5).tolist() == slopes(fitted["logistic"]).tolist()  # type: ignore[union-attr]
    for kind in ("random_forest", "boosted_trees"):
        assert weights(fitted[kind], 5).sum() == pytest.approx(1.0)
    assert np.isnan(weights([], 3)).all()
