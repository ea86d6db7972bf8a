"""Kinds of estimator, without Spark."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carelake.core.table import Field, Table
from carelake.errors import ConfigError, DeclarationError
from carelake.ml.cross_validation import Candidate, candidates
from carelake.ml.estimators import _FITS, require
from carelake.ml.model import ESTIMATORS, Estimator
from tests.unit.ml.test_risk_model import COHORT, MODEL

SURVIVAL = Table(
    "gold/s", "s", (*COHORT.fields, Field("days_to_event", "int", "t"), Field("followup_days", "int", "f")), ("person_id",)
)  # fmt: skip


def test_every_kind_that_may_be_declared_can_be_fit() -> None:
    assert set(_FITS) == set(ESTIMATORS)


def test_xgboost_is_refused_in_one_sentence_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carelake.ml.estimators.find_spec", lambda _: None)
    require([Estimator("logistic")])
    with pytest.raises(ConfigError, match=r"needs the package xgboost, which is not installed: pip install"):
        require([Estimator("logistic"), Estimator("xgboost")])


def test_xgboost_is_refused_where_executors_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carelake.ml.estimators.find_spec", lambda _: "found")
    grows = {"spark.dynamicAllocation.enabled": "true", "spark.master": "spark://host:7077"}
    trees = [Estimator("xgboost")]
    with pytest.raises(ConfigError, match=r"--conf spark\.dynamicAllocation\.enabled=false"):
        require(trees, grows)
    require([Estimator("logistic")], grows)
    require(trees, grows | {"spark.master": "local[*]"})
    require(trees, grows | {"spark.dynamicAllocation.enabled": "false"})
    require(trees)


def test_survival_needs_times_in_the_cohort_and_a_time_at_risk() -> None:
    year = Estimator("survival_aft", fixed={"time_at_risk_days": 365.0})
    with pytest.raises(DeclarationError, match="needs days_to_event and followup_days in gold/c"):
        replace(MODEL, estimator=(year,))
    with pytest.raises(DeclarationError, match="needs time_at_risk_days"):
        replace(MODEL, cohort=SURVIVAL, estimator=(Estimator("survival_aft"),))
    assert replace(MODEL, cohort=SURVIVAL, estimator=(year,)).estimator == (year,)


def test_candidates_are_every_point_of_every_grid_with_what_is_fixed() -> None:
    grid = Estimator("logistic", {"regParam": (0.1, 0.2), "elasticNetParam": (0.0, 1.0)}, {"maxIter": 9})
    asked = candidates(replace(MODEL, estimator=(grid, Estimator("random_forest", fixed={"numTrees": 5}))))
    assert [c.words for c in asked] == [
        "logistic(elasticNetParam=0, maxIter=9, regParam=0.1)",
        "logistic(elasticNetParam=1, maxIter=9, regParam=0.1)",
        "logistic(elasticNetParam=0, maxIter=9, regParam=0.2)",
        "logistic(elasticNetParam=1, maxIter=9, regParam=0.2)",
        "random_forest(numTrees=5)",
    ]


def test_a_fold_of_one_class_leaves_the_mean_to_the_others() -> None:
    assert Candidate(Estimator("logistic"), {}, (0.5, float("nan"), 0.7)).auroc == pytest.approx(0.6)
    assert Candidate(Estimator("logistic"), {}, (np.nan,)).auroc == 0.0
