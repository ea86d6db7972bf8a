"""Drift and outcomes against predictions, against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from carelake.ml.monitor import Moved, matured, moved, proposal
from carelake.ml.profile import ABSENT, joined

REFERENCE = {"edges": [2.0], "shares": [0.4, 0.4], "missing": 0.2}


def test_what_is_missing_is_a_bin_of_its_own():
    # shares now 0.4, 0.2, missing 0.4: (0.2 - 0.4) ln 0.5 + (0.4 - 0.2) ln 2 = 0.4 ln 2
    found = moved("lab", REFERENCE, {"lab": {0: (400, 400), 1: (200, 200), ABSENT: (400, 400)}}, 1000)
    assert found.psi == pytest.approx(0.2772588722)
    assert (found.rows, found.missing_share, found.missing_at_training, found.status) == (
        1000,
        0.4,
        0.2,
        "alarm",
    )


def test_between_a_tenth_and_a_quarter_is_watched():
    # shares now 0.5, 0.25, 0.25: 0.1 ln 1.25 - 0.15 ln 0.625 + 0.05 ln 1.25 = 0.15 ln 2
    found = moved("lab", REFERENCE, {"lab": {0: (500, 500), 1: (250, 250), ABSENT: (250, 250)}}, 1000)
    assert found.psi == pytest.approx(0.1039720771)
    assert found.status == "watch"


def test_what_chance_explains_in_a_small_sample_raises_no_alarm():
    # the same shares as in the first test, of ten times one and a half people
    found = moved("lab", REFERENCE, {"lab": {0: (6, 6), 1: (3, 3), ABSENT: (6, 6)}}, 50)
    assert found.psi == pytest.approx(0.2772588722)
    assert found.psi_by_chance == pytest.approx(
        13.816 * (1 / 15 + 1 / 50), rel=0.03
    )  # chi-square with two degrees
    assert found.status == "ok"


def test_fewer_than_eleven_people_are_no_distribution():
    assert moved("lab", REFERENCE, {"lab": {0: (10, 10)}}, 1000) == Moved(
        "lab", None, None, None, None, 0.2, "suppressed"
    )
    assert moved("lab", REFERENCE, {"lab": {0: (11, 11)}}, 10).status == "suppressed"
    assert moved("lab", REFERENCE, {}, 1000).status == "suppressed"


def test_observed_over_expected_by_hand():
    # 100 people scored 0.2 and 30 events: O/E 30/20; standard error sqrt(0.7 / 30) = 0.1527525
    found = matured(np.array([1.0] * 30 + [0.0] * 70), np.array([0.1, 0.3] * 50))
    assert (found.rows, found.observed) == (100, 30)
    assert found.expected == pytest.approx(20.0)
    assert found.ratio == pytest.approx(1.5)
    assert found.lower == pytest.approx(1.5 * np.exp(-1.96 * 0.1527525), rel=1e-6)
    assert found.upper == pytest.approx(1.5 * np.exp(1.96 * 0.1527525), rel=1e-6)
    assert found.status == "watch"  # the interval does not hold 1; no more than 1.5 times


def test_calibration_in_the_large_of_half_scored_a_quarter_is_the_difference_of_their_logits():
    # half of them have the event and all are scored near 0.25: logit(0.5) - logit(0.25) = ln 3
    found = matured(np.array([1.0, 0.0] * 50), np.array([0.25 - 1e-6] * 50 + [0.25 + 1e-6] * 50))
    assert found.in_the_large == pytest.approx(np.log(3), abs=1e-4)
    assert found.ratio == pytest.approx(2.0)
    assert found.status == "alarm"


def test_as_many_events_as_expected_are_in_order():
    found = matured(np.array([1.0, 0.0, 0.0, 0.0, 0.0] * 20), np.array([0.1, 0.3] * 50))
    assert (found.ratio, found.status) == (pytest.approx(1.0), "ok")


@pytest.mark.parametrize(("events", "others"), [(10, 90), (90, 10), (5, 5)])
def test_cells_below_eleven_are_not_shown(events: int, others: int):
    found = matured(np.array([1.0] * events + [0.0] * others), np.full(events + others, 0.3))
    assert found.status == "suppressed"
    assert (found.observed, found.expected, found.ratio, found.lower, found.upper, found.in_the_large) == (
        None,
    ) * 6
    assert found.rows == (None if events + others < 11 else events + others)


def value(subject: str, status: str) -> Moved:
    return Moved(subject, 100, 0.3, 0.01, 0.0, 0.0, status)


def test_a_new_training_is_proposed_for_moved_scores_many_features_or_wrong_outcomes():
    still = [value("score", "ok"), *(value(f"f{i}", "ok") for i in range(20))]
    assert proposal(still, []) is None
    assert proposal([*still[:-1], value("f19", "alarm")], []) is None  # one in twenty
    assert (
        proposal([*still[:-2], value("f18", "alarm"), value("f19", "alarm")], [])
        == "2 of 20 features have moved"
    )
    assert proposal([value("score", "alarm"), *still[1:]], []) == "the scores have moved (PSI 0.30)"
    doubled = matured(np.array([1.0, 0.0] * 50), np.array([0.2, 0.3] * 50))
    assert proposal(still, [doubled]) == "observed over expected is 2.00"


def test_a_bin_of_few_people_is_joined_with_its_neighbour():
    assert joined([1.0, 2.0, 3.0], [(20, 12), (5, 5), (30, 20), (40, 30)]) == ([1.0, 3.0], [20, 35, 40])
    assert joined([1.0, 2.0], [(20, 12), (30, 20), (4, 4)]) == ([1.0], [20, 34])
    assert joined([1.0], [(3, 3), (4, 4)]) == ([], [7])
    assert joined([1.0, 2.0], [(20, 6), (30, 8), (15, 11)]) == ([], [65])  # they may be the same people
