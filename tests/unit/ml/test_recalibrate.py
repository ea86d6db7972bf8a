"""Recalibration by group takes a planted miscalibration away, and leaves small groups near the whole."""

from __future__ import annotations

import numpy as np
import pytest

from carelake.ml.calibration import calibration
from carelake.ml.recalibrate import OVERALL, Levels, apply, kept_lines, recalibrate_by_group

RANDOM = np.random.default_rng(11)


def population(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that are right in a; in b the true log-odds are 1 higher and half as steep."""
    group = np.where(RANDOM.random(n) < 0.6, "a", "b")
    x = RANDOM.normal(-1, 1, n)
    true = np.where(group == "a", x, 1 + 0.5 * x)
    label = (RANDOM.random(n) < 1 / (1 + np.exp(-true))).astype(float)
    return 1 / (1 + np.exp(-x)), label, group


def test_a_planted_miscalibration_of_one_group_is_removed_in_new_people() -> None:
    lines = recalibrate_by_group(*population(8000))
    assert lines["a"] == pytest.approx((1, 0), abs=0.1)
    assert lines["b"] == pytest.approx((0.5, 1), abs=0.1)
    score, label, group = population(8000)
    after = apply(score, group, lines)
    b = group == "b"
    assert label[b].sum() / score[b].sum() > 1.3
    for level in "ab":
        at = group == level
        assert label[at].sum() / after[at].sum() == pytest.approx(1, abs=0.06)
        slope, intercept = calibration(label[at], after[at])
        assert (slope, intercept) == pytest.approx((1, 0), abs=0.15)


def test_a_small_group_is_held_near_the_whole_and_an_unseen_one_takes_its_line() -> None:
    score, label, _ = population(4000)
    few = np.append(np.full(4000, "many"), np.full(3, "few"))
    lines = recalibrate_by_group(np.append(score, np.full(3, 0.2)), np.append(label, np.ones(3)), few)
    slope, intercept = lines[OVERALL]
    # three events of three at 0.2 would by themselves have no finite line
    assert lines["few"] == pytest.approx((slope, intercept), abs=0.5)
    assert lines["few"][1] > intercept
    assert lines["many"] == pytest.approx((slope, intercept), abs=0.02)
    expected = 1 / (1 + np.exp(-(slope * np.log(0.3 / 0.7) + intercept)))
    assert apply(np.array([0.3]), np.array(["unseen"]), lines) == pytest.approx([expected])


def test_a_line_is_applied_on_the_log_odds() -> None:
    lines = {OVERALL: (1.0, 0.0), "a": (2.0, np.log(2))}
    # odds 1/3 squared and doubled: 2/9, a probability of 2/11
    assert apply(np.array([0.25, 0.25]), np.array(["a", "z"]), lines) == pytest.approx([2 / 11, 0.25])
    assert apply(np.empty(0), np.empty(0, dtype=str), lines).shape == (0,)


def test_a_group_of_one_class_gets_a_finite_line() -> None:
    score, label, group = population(500)
    label[group == "b"] = 0
    assert np.isfinite([*recalibrate_by_group(score, label, group).values()]).all()


def levels(person: np.ndarray, level: np.ndarray) -> Levels:
    return Levels("group_x", person, level)


def test_a_level_of_ten_persons_has_no_line_in_the_model_and_one_of_eleven_has() -> None:
    score, label, _ = population(4000)
    person = np.arange(4000)
    group = np.full(4000, "many", dtype="<U6")
    group[:10], group[100:111] = "ten", "eleven"
    # of ten persons still, however many rows they have
    group[200:260], person[200:260] = "ten", np.tile(person[:10], 6)
    lines = kept_lines(score, label, levels(person, group))
    assert set(lines) == {OVERALL, "eleven", "many"}
    known = recalibrate_by_group(score, label, group)
    assert lines == {name: known[name] for name in lines}


def test_no_line_turns_an_order_round() -> None:
    score, label, group = population(3000)
    turned = np.where(group == "b", 1 - score, score)  # in b the score is wrong throughout
    high = (turned > 0.5).astype(float)
    label = np.where(group == "b", 1 - high, label)
    lines = kept_lines(turned, label, levels(np.arange(3000), group))
    assert recalibrate_by_group(turned, label, group)["b"][0] < 0
    assert "b" not in lines
    reversed_ = kept_lines(score, (score < 0.3).astype(float), levels(np.arange(3000), group))
    assert reversed_[OVERALL] == (1.0, 0.0)
