"""Baselines against scikit-learn's unpenalised logistic regression and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from carelake.ml.baselines import baseline_scores, few_columns

RANDOM = np.random.default_rng(11)
AGE = RANDOM.normal(60, 15, 500)
FEMALE = (RANDOM.random(500) < 0.5).astype(float)
LABEL = (RANDOM.random(500) < 1 / (1 + np.exp(-(AGE - 60) / 20 + FEMALE))).astype(float)


def test_a_baseline_is_the_logistic_regression_on_its_columns() -> None:
    x = np.column_stack([AGE, FEMALE])
    theirs = LogisticRegression(C=1e9, max_iter=5000, tol=1e-10).fit(x, LABEL).predict_proba(x)[:, 1]
    assert few_columns(x, LABEL)(x) == pytest.approx(theirs, abs=1e-4)


def test_the_prevalence_is_always_there_and_comes_from_the_training_side() -> None:
    train = {"label": np.array([1.0, 0, 0, 0])}
    scores = baseline_scores({}, train, {"label": np.ones(3)})
    assert {name: s.tolist() for name, s in scores.items()} == {"prevalence": [0.25, 0.25, 0.25]}


def test_every_declared_baseline_is_fit_on_its_own_columns() -> None:
    side = {"label": LABEL, "age": AGE, "female": FEMALE}
    scores = baseline_scores({"age": ("age",), "age_female": ("age", "female")}, side, side)
    assert list(scores) == ["prevalence", "age", "age_female"]
    assert np.corrcoef(scores["age"], AGE)[0, 1] > 0.9
    assert not np.allclose(scores["age"], scores["age_female"])


def test_a_missing_value_counts_as_the_training_median_and_an_empty_column_as_nothing() -> None:
    x = np.column_stack([AGE, np.full(500, np.nan), np.ones(500)])
    score = few_columns(x, LABEL)
    asked = np.array([[np.nan, 1.0, 7.0], [np.median(AGE), np.nan, 1.0]])
    assert score(asked)[0] == score(asked)[1]
