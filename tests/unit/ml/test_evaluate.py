"""The metrics against hand-made values and scikit-learn's implementation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from carelake.ml.evaluate import HeldOut, auprc, auroc, bootstrap, brier, by_group, calibration, evaluate

RANDOM = np.random.default_rng(5)
SCORE = np.round(RANDOM.random(400), 2)
LABEL = (RANDOM.random(400) < SCORE).astype(float)
WEIGHT = RANDOM.integers(0, 4, 400).astype(float)


def held_out(person: list[int], label: list[float], score: list[float], sex: list[str]) -> HeldOut:
    return HeldOut(
        np.array(person),
        np.array(label),
        np.array(score),
        {"none": np.zeros(len(label))},
        {"sex": np.array(sex)},
    )


def test_auroc_of_a_hand_made_case_counts_ties_half() -> None:
    # pairs (event, other): (0.5, 0.5) half, (0.5, 0.1) won, (0.9, 0.5) won, (0.9, 0.1) won
    assert auroc(np.array([1.0, 1, 0, 0]), np.array([0.5, 0.9, 0.5, 0.1])) == 3.5 / 4


def test_metrics_agree_with_scikit_learn_weighted_and_not() -> None:
    for weight in (None, WEIGHT):
        assert auroc(LABEL, SCORE, weight) == pytest.approx(roc_auc_score(LABEL, SCORE, sample_weight=weight))
        assert auprc(LABEL, SCORE, weight) == pytest.approx(
            average_precision_score(LABEL, SCORE, sample_weight=weight)
        )
        assert brier(LABEL, SCORE, weight) == pytest.approx(
            brier_score_loss(LABEL, SCORE, sample_weight=weight)
        )


def test_calibration_slope_agrees_with_scikit_learn_on_the_logit() -> None:
    p = np.clip(SCORE, 1e-6, 1 - 1e-6)
    logit = np.log(p / (1 - p))
    theirs = LogisticRegression(C=1e9, max_iter=1000, tol=1e-10).fit(logit[:, None], LABEL).coef_[0, 0]
    assert calibration(LABEL, SCORE)[0] == pytest.approx(theirs, rel=1e-3)


def test_a_score_that_is_half_the_odds_has_an_intercept_of_log_two() -> None:
    label = np.array([1.0, 0] * 50)  # observed odds 1
    score = np.full(100, 1 / 3)  # predicted odds 1/2
    score[:2] += 1e-9  # a slope needs two different scores
    assert calibration(label, score)[1] == pytest.approx(np.log(2), abs=1e-6)


def test_one_class_or_one_score_gives_no_number() -> None:
    assert np.isnan(auroc(np.ones(3), np.array([0.1, 0.2, 0.3])))
    assert np.isnan(auprc(np.zeros(3), np.array([0.1, 0.2, 0.3])))
    assert np.isnan(calibration(np.array([0.0, 1]), np.array([0.4, 0.4]))).all()
    assert evaluate(held_out([], [], [], []), seed=1)["test_rows"] == 0


def test_persons_are_resampled_whole() -> None:
    # each person's weights are equal over its rows in every resample
    seen: list[bool] = []

    def statistic(weight: np.ndarray) -> dict[str, float]:
        seen.append(
            bool(weight[0] == weight[1] and weight[2] == weight[3] == weight[4] and weight[[0, 2]].sum() == 2)
        )
        return {"x": float(weight[0])}

    low, high = bootstrap(np.array([7, 7, 9, 9, 9]), statistic, seed=3, resamples=50)["x"]
    assert all(seen)
    assert (low, high) == (0.0, 2.0)


def test_the_interval_is_the_same_for_the_same_seed_and_holds_the_estimate() -> None:
    t = HeldOut(np.arange(400) // 4, LABEL, SCORE, {"none": np.zeros(400)}, {})
    first, again = evaluate(t, seed=1, resamples=100), evaluate(t, seed=1, resamples=100)
    assert first == again
    assert first["auroc_lower"] < first["auroc"] < first["auroc_upper"]
    assert first["baseline_auroc"] == 0.5


def test_small_groups_are_suppressed_and_cannot_be_had_by_subtraction() -> None:
    people = list(range(60))
    sex = ["a"] * 30 + ["b"] * 20 + ["c"] * 10
    label = [1.0, 0.0] * 30
    table = {
        r["level"]: r
        for r in by_group(held_out(people, label, list(np.linspace(0.01, 0.9, 60)), sex), seed=1)
    }
    assert table["a"]["persons"] == 30
    assert table["a"]["events"] == 15
    # c has ten persons: hidden; b, the next smallest, hides it from subtraction
    assert [
        table[x][k] for x in "bc" for k in ("persons", "rows", "events", "auroc", "mean_score", "observed")
    ] == [None] * 12


def test_few_events_hide_events_but_not_the_size() -> None:
    label = [1.0] * 5 + [0.0] * 25 + [1.0, 0.0] * 15
    table = {
        r["level"]: r
        for r in by_group(held_out(list(range(60)), label, [0.1] * 60, ["a"] * 30 + ["b"] * 30), seed=1)
    }
    assert (table["a"]["persons"], table["a"]["events"], table["a"]["auroc"], table["a"]["observed"]) == (
        30,
        None,
        None,
        None,
    )
    assert table["b"]["events"] is None
