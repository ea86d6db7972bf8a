"""Calibration against hand-made cases, scikit-learn, and figures of statsmodels 0.15 on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from carelake.ml.calibration import Calibrated, Flexible, brier, briers, calibration, log_losses, skills
from carelake.ml.logistic import Regression, logistic, logit

RANDOM = np.random.default_rng(5)
SCORE = np.round(RANDOM.random(400), 2)
LABEL = (RANDOM.random(400) < SCORE).astype(float)
WEIGHTS = RANDOM.integers(0, 4, (5, 400)).astype(float)
ONE = np.ones((1, 600))
# 600 rows made without a random generator, so that any implementation can be given the same
AT = np.arange(600)
FIXED_SCORE = ((AT * 37) % 601 + 1) / 640
FIXED_LABEL = (((AT * 269) % 607) / 607 < FIXED_SCORE**1.3).astype(float)


def test_errors_of_each_weighting_agree_with_scikit_learn() -> None:
    score = np.clip(SCORE, 0.005, 0.995)
    assert brier(LABEL, SCORE) == pytest.approx(brier_score_loss(LABEL, SCORE))
    assert briers(LABEL, SCORE, WEIGHTS) == pytest.approx(
        [brier_score_loss(LABEL, SCORE, sample_weight=w) for w in WEIGHTS]
    )
    assert log_losses(LABEL, score, WEIGHTS) == pytest.approx(
        [log_loss(LABEL, score, sample_weight=w) for w in WEIGHTS]
    )


def test_a_certain_score_that_is_wrong_costs_what_scikit_learn_says() -> None:
    label, score = np.array([1.0, 0]), np.array([0.0, 0.5])
    assert log_losses(label, score, np.ones((1, 2)))[0] == pytest.approx(log_loss(label, score))


def test_the_scaled_brier_score_is_nothing_for_the_prevalence_and_one_for_the_truth() -> None:
    label = np.array([1.0, 0, 0, 0])
    assert skills(label, np.full(4, 0.25), np.ones((1, 4)))[0] == pytest.approx(0)
    assert skills(label, label, np.ones((1, 4)))[0] == 1
    # Brier 0.0625 * 3/4 + 0.25 / 4, over 3/16
    assert skills(label, np.array([0.5, 0.25, 0.25, 0.25]), np.ones((1, 4)))[0] == pytest.approx(
        1 - (3 * 0.0625 + 0.25) / 4 / (3 / 16)
    )


def test_slopes_of_each_weighting_agree_with_scikit_learn_on_the_logit() -> None:
    x = logit(SCORE)[:, None]
    theirs = [
        LogisticRegression(C=1e9, max_iter=2000, tol=1e-10).fit(x, LABEL, sample_weight=w).coef_[0, 0]
        for w in WEIGHTS
    ]
    assert Calibrated(LABEL, SCORE).measured(WEIGHTS)["calibration_slope"] == pytest.approx(theirs, rel=1e-3)
    assert [calibration(LABEL, SCORE, w)[0] for w in WEIGHTS] == pytest.approx(theirs, rel=1e-3)


def test_slope_and_intercept_are_those_of_statsmodels() -> None:
    # GLM(label, [1, logit]).params[1] and GLM(label, 1, offset=logit).params[0]
    assert calibration(FIXED_LABEL, FIXED_SCORE) == pytest.approx((1.09617517, -0.41860325), abs=1e-6)


def test_the_flexible_curve_is_that_of_statsmodels_on_a_natural_spline_of_patsy() -> None:
    # GLM on patsy's cr() with the same knots; mean, median and 90th percentile of |fitted - score|
    away = Calibrated(FIXED_LABEL, FIXED_SCORE).distances()
    assert away.mean() == pytest.approx(0.07552417535, abs=1e-7)
    assert np.quantile(away, 0.5) == pytest.approx(0.06733709999, abs=1e-7)
    assert np.quantile(away, 0.9) == pytest.approx(0.13204647047, abs=1e-7)
    assert Calibrated(FIXED_LABEL, FIXED_SCORE).measured(ONE)["ici"][0] == pytest.approx(away.mean())


def test_the_integrated_calibration_index_by_hand() -> None:
    # 20 rows at 0.2 of which 6 have the event (0.3), 10 at 0.8 of which 6 (0.6): a line through both fits both
    score = np.array([0.2] * 20 + [0.8] * 10)
    label = np.array([1.0] * 6 + [0] * 14 + [1] * 6 + [0] * 4)
    assert Calibrated(label, score).measured(np.ones((1, 30)))["ici"][0] == pytest.approx(
        (20 * 0.1 + 10 * 0.2) / 30, abs=1e-5
    )
    # rows drawn twice count twice: the second kind alone makes up two thirds now
    weights = np.array([[1.0] * 20 + [4.0] * 10])
    assert Calibrated(label, score).measured(weights)["ici"][0] == pytest.approx(
        (20 * 0.1 + 40 * 0.2) / 60, abs=1e-4
    )


def test_a_constant_score_is_as_far_off_as_its_distance_from_the_prevalence() -> None:
    found = Calibrated(np.array([1.0] * 3 + [0] * 7), np.full(10, 0.45)).measured(np.ones((1, 10)))
    assert found["ici"][0] == pytest.approx(0.15)
    assert np.isnan(found["calibration_slope"][0])


def test_a_score_that_is_half_the_odds_has_an_intercept_of_log_two() -> None:
    label = np.array([1.0, 0] * 50)  # observed odds 1
    score = np.full(100, 1 / 3)  # predicted odds 1/2
    score[:2] += 1e-9  # a slope needs two different scores
    assert calibration(label, score)[1] == pytest.approx(np.log(2), abs=1e-6)


def test_one_class_or_one_score_gives_no_number_also_in_one_resample_of_several() -> None:
    assert np.isnan(calibration(np.array([0.0, 1]), np.array([0.4, 0.4]))[0])
    assert np.isnan(calibration(np.ones(2), np.array([0.4, 0.5]))).all()
    label, score = np.array([1.0, 0, 1, 0, 1, 0]), np.array([0.2, 0.2, 0.6, 0.6, 0.7, 0.9])
    drawn = np.array([[1.0, 1, 1, 1, 1, 1], [2, 0, 2, 0, 2, 0], [3, 3, 0, 0, 0, 0]])
    found = Calibrated(label, score).measured(drawn)
    assert np.isfinite(found["calibration_slope"]).tolist() == [True, False, False]
    assert np.isfinite(found["calibration_intercept"]).tolist() == [True, False, True]
    assert np.isfinite(found["ici"]).tolist() == [True, False, True]


def test_the_spline_is_straight_beyond_its_outer_knots_and_has_as_many_knots_as_the_events_allow() -> None:
    few = Flexible.of(np.array([1.0] * 50 + [0] * 350), np.linspace(0.01, 0.9, 400))
    many = Flexible.of(np.array([1.0] * 150 + [0] * 250), np.linspace(0.01, 0.9, 400))
    assert (len(few.knots), len(many.knots)) == (3, 5)
    x = np.array([many.knots[-1] + d for d in (0.1, 0.2, 0.3)] + [many.knots[0] - d for d in (0.1, 0.2, 0.3)])
    columns = many.design(1 / (1 + np.exp(-x)))
    for end in (columns[:3], columns[3:]):
        assert end[2] - end[1] == pytest.approx(end[1] - end[0], abs=1e-6)


def test_a_perfect_separation_comes_to_rest() -> None:
    beta = logistic(np.array([[0.0], [0.1], [0.9], [1.0]]), np.array([0.0, 0, 1, 1]))
    assert np.isfinite(beta).all()
    assert beta[1] > 10


def test_a_prior_holds_coefficients_where_there_is_little_to_learn() -> None:
    design, label = np.ones((4, 1)), np.array([1.0, 1, 1, 0])
    free = Regression(design, label).fit()[0]
    held = Regression(design, label, penalty=np.array([1e6]), center=np.array([-2.0])).fit()[0]
    assert free == pytest.approx(np.log(3), abs=1e-5)
    assert held == pytest.approx(-2, abs=1e-4)
