"""Net benefit by hand and against dcurves 1.1.7; alert budgets and lead times by hand."""

from __future__ import annotations

import numpy as np
import pytest

from carelake.ml.benefit import at_budgets, benefit, net_benefits, treat_all
from carelake.ml.discrimination import Ranking

AT = np.arange(600)
SCORE = ((AT * 37) % 601 + 1) / 640
LABEL = (((AT * 269) % 607) / 607 < SCORE**1.3).astype(float)


def test_net_benefit_by_hand() -> None:
    # at 0.2 three rows are flagged, two with the event: (2 - 1 * 0.25) / 5
    label, score = np.array([1.0, 1, 0, 0, 1]), np.array([0.9, 0.2, 0.3, 0.1, 0.1])
    assert net_benefits(label, score, np.ones((1, 5)), 0.2)[0] == pytest.approx(0.35)
    # the second row drawn three times, the first not at all: (3 - 0.25) / 6
    assert net_benefits(label, score, np.array([[0, 3.0, 1, 1, 1]]), 0.2)[0] == pytest.approx(2.75 / 6)


def test_net_benefit_is_that_of_dcurves() -> None:
    for threshold, model, everyone in (
        (0.02, 0.383061, 0.384354),
        (0.05, 0.365877, 0.364912),
        (0.10, 0.339444, 0.329630),
        (0.20, 0.282083, 0.245833),
        (0.50, 0.151667, -0.206667),
    ):
        assert net_benefits(LABEL, SCORE, np.ones((1, 600)), threshold)[0] == pytest.approx(model, abs=1e-6)
        assert treat_all(LABEL.mean(), threshold) == pytest.approx(everyone, abs=1e-6)


def test_benefit_is_also_said_against_the_prevalence_and_the_better_of_all_and_none() -> None:
    found = benefit(LABEL, SCORE, np.ones((1, 600)))
    assert found["standardized_net_benefit_10"][0] == pytest.approx(0.339444 / (238 / 600), abs=1e-5)
    assert found["net_benefit_gain_02"][0] == pytest.approx(0.383061 - 0.384354, abs=1e-5)
    rare = benefit(np.array([1.0] + [0] * 99), np.array([0.3] + [0.01] * 99), np.ones((1, 100)))
    assert rare["net_benefit_gain_20"][0] == pytest.approx(
        0.01
    )  # treating all would harm: none is the better


def test_yield_at_budgets_by_hand() -> None:
    score = np.arange(100) / 100
    label = np.zeros(100)
    label[[99, 97, 92, 91, 50]] = 1  # ranks 1, 3, 8, 9 and 50
    lead = np.full(100, np.nan)
    lead[[99, 97, 92, 91, 50]] = [300, 10, 40, 20, 5]
    weights = np.ones((1, 100))
    found = at_budgets(Ranking.of(score).weighed(label, weights), weights, lead)
    assert {name: value[0] for name, value in found.items()} == pytest.approx(
        {
            "sensitivity_top_01": 1 / 5, "ppv_top_01": 1.0, "lead_days_top_01": 300,
            "sensitivity_top_05": 2 / 5, "ppv_top_05": 2 / 5, "lead_days_top_05": 10,
            "sensitivity_top_10": 4 / 5, "ppv_top_10": 4 / 10, "lead_days_top_10": 20,
        }
    )  # fmt: skip


def test_a_list_without_an_event_has_no_lead_time() -> None:
    weights = np.ones((1, 100))
    label = np.zeros(100)
    label[0] = 1
    lead = np.where(label > 0, 7.0, np.nan)
    found = at_budgets(Ranking.of(np.arange(100) / 100).weighed(label, weights), weights, lead)
    assert found["ppv_top_10"][0] == 0
    assert np.isnan(found["lead_days_top_10"][0])
