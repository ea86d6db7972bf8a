"""What each kind of estimator is in Spark: from `features` to `margin`, the raw score of the event."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.classification import GBTClassifier, LogisticRegression, RandomForestClassifier
from pyspark.ml.feature import SQLTransformer, VectorAssembler, VectorSlicer
from pyspark.ml.linalg import SparseVector
from pyspark.ml.regression import AFTSurvivalRegression, AFTSurvivalRegressionModel

from carelake.errors import ConfigError
from carelake.ml.model import TIME_AT_RISK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame

    from carelake.ml.evaluate import Floats
    from carelake.ml.model import Estimator

    Fit = Callable[[DataFrame, dict[str, Any], int], list[Transformer]]

_WHOLE = frozenset(
    {"maxIter", "maxDepth", "minInstancesPerNode", "numTrees", "maxBins", "aggregationDepth", "max_depth", "max_bin", "max_leaves", "n_estimators", "num_workers"}
)  # fmt: skip
_SHARED: dict[str, Any] = {
    "featuresCol": "features",
    "labelCol": "label",
    "weightCol": "weight",
    "predictionCol": "class",
}
_SPARSE: dict[str, Any] = {"enable_sparse_data_optim": True, "missing": 0.0}
_FARTHEST = 50.0  # of a log cumulative hazard: beyond it a probability is 0 or 1 in double precision


# else it tells every fit and every scoring on the terminal; its workers take the level from here
logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)


def require(estimators: Iterable[Estimator], settings: Mapping[str, str] = MappingProxyType({})) -> None:
    """Raises ConfigError when an estimator needs a package that is not installed, or another Spark than these `settings` give."""
    if all(e.kind != "xgboost" for e in estimators):
        return
    if find_spec("xgboost") is None:
        raise ConfigError(
            "the estimator xgboost needs the package xgboost, which is not installed: pip install 'carelake[xgboost]'"
        )
    grows = settings.get("spark.dynamicAllocation.enabled", "false").lower() == "true"
    if grows and not settings.get("spark.master", "local").startswith("local"):
        raise ConfigError(
            "the estimator xgboost trains in Spark's barrier mode, which needs a fixed number of executors: "
            "--conf spark.dynamicAllocation.enabled=false"
        )


def fit(
    estimator: Estimator, params: Mapping[str, float], prepared: DataFrame, seed: int
) -> list[Transformer]:
    """The fitted stages that make `margin`, a vector of one that grows with the chance of the event.

    `prepared` has label, weight and features; for survival_aft also `days` and `censor`. The margin is the log odds of the
    weighted fit (logistic, xgboost; half of them for boosted trees), the share of the trees' votes (random forest) or the
    log cumulative hazard at the end of the time at risk (survival_aft).
    """
    given = {name: int(value) if name in _WHOLE else value for name, value in params.items()}
    return _FITS[estimator.kind](prepared, given, seed)


def _logistic(prepared: DataFrame, params: dict[str, Any], seed: int) -> list[Transformer]:
    asked: dict[str, Any] = _SHARED | params | {"standardization": False}
    fitted = LogisticRegression(**asked).fit(prepared)
    return [fitted, _slice("rawPrediction")]


def _random_forest(prepared: DataFrame, params: dict[str, Any], seed: int) -> list[Transformer]:
    return [RandomForestClassifier(**_SHARED, **params, seed=seed).fit(prepared), _slice("probability")]


def _boosted_trees(prepared: DataFrame, params: dict[str, Any], seed: int) -> list[Transformer]:
    return [GBTClassifier(**_SHARED, **params, seed=seed).fit(prepared), _slice("rawPrediction")]


def _xgboost(prepared: DataFrame, params: dict[str, Any], seed: int) -> list[Transformer]:
    """XGBoost's own trees; of sparse vectors what is absent takes each split's default direction, as of a CSR matrix."""
    from xgboost.spark import SparkXGBClassifier

    first = prepared.select("features").first()
    sparse = first is not None and isinstance(first[0], SparseVector)
    # a shuffle before it, since Spark refuses a barrier stage in which partitions were put together
    asked: dict[str, Any] = {
        "random_state": seed,
        "verbose": False,
        "verbosity": 0,
        "force_repartition": True,
    }
    asked |= (_SPARSE if sparse else {}) | params
    fitted = SparkXGBClassifier(
        features_col="features", label_col="label", weight_col="weight", prediction_col="class", **asked
    ).fit(prepared)  # fmt: skip
    return [fitted, _slice("rawPrediction")]


def _survival_aft(prepared: DataFrame, params: dict[str, Any], seed: int) -> list[Transformer]:
    """Weibull accelerated failure time: P(event by t) = 1 - exp(-(t / exp(x·b)) ** (1 / scale)); MLlib fits it unpenalised."""
    horizon = float(params.pop(TIME_AT_RISK))
    fitted = AFTSurvivalRegression(
        featuresCol="features", labelCol="days", censorCol="censor", predictionCol="survival_days", **params
    ).fit(prepared.where("days IS NOT NULL"))
    hazard = f"(ln({horizon!r}D) - ln(survival_days)) / {float(fitted.scale)!r}D"
    # `least` passes over the NULL that ln gives of no days at all: the event is certain then
    bounded = f"greatest(-{_FARTHEST}D, least({_FARTHEST}D, {hazard}))"
    return [
        fitted,
        SQLTransformer(
            statement=f"SELECT *, {bounded} AS log_hazard, 1 - exp(-exp({bounded})) AS event_probability FROM __THIS__"
        ),
        VectorAssembler(inputCols=["log_hazard"], outputCol="margin"),
    ]


def _slice(column: str) -> Transformer:
    return VectorSlicer(inputCol=column, outputCol="margin", indices=[1])


_FITS: Mapping[str, Fit] = {
    "logistic": _logistic,
    "random_forest": _random_forest,
    "boosted_trees": _boosted_trees,
    "survival_aft": _survival_aft,
    "xgboost": _xgboost,
}


def slopes(stages: Sequence[Any]) -> Floats | None:
    """What the margin gains for one more of each of `features`; None when the margin is not linear in them."""
    for stage in stages:
        if isinstance(stage, AFTSurvivalRegressionModel):
            return np.asarray(-stage.coefficients.toArray() / stage.scale, dtype=np.float64)
        if hasattr(stage, "coefficients"):
            return np.asarray(stage.coefficients.toArray(), dtype=np.float64)
    return None


def weights(stages: Sequence[Any], width: int) -> Floats:
    """The model's own weight of each of `features`: its slope, or the share of the trees' gain; NaN when it tells none."""
    linear = slopes(stages)
    if linear is not None:
        return linear
    for stage in stages:
        if hasattr(stage, "featureImportances"):
            return np.asarray(stage.featureImportances.toArray(), dtype=np.float64)
        if hasattr(stage, "get_booster"):
            # by f0, f1, ...; of features that split alone
            gain: Mapping[str, float] = stage.get_feature_importances("total_gain")
            whole = sum(gain.values()) or 1.0
            return np.array([gain.get(f"f{j}", 0.0) / whole for j in range(width)])
    return np.full(width, np.nan)
