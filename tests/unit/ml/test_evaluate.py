"""What is measured on the test side, and its intervals by resampling persons."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from carelake.ml.bootstrap import bootstrap, draws, interval
from carelake.ml.evaluate import HeldOut, evaluate

RANDOM = np.random.default_rng(5)
SCORE = np.round(RANDOM.random(400), 2)
LABEL = (RANDOM.random(400) < SCORE).astype(float)
PERSON = np.arange(400) // 4


def held_out(**change: object) -> HeldOut:
    given: dict[str, object] = {
        "person": PERSON,
        "label": LABEL,
        "score": SCORE,
        "baselines": {},
        "groups": {},
    }
    return HeldOut(**given | change)  # type: ignore[arg-type]


def test_persons_are_resampled_whole() -> None:
    batches = list(draws(np.array([7, 7, 9, 9, 9]), seed=3, resamples=50))
    drawn = np.concatenate(batches)
    assert drawn.shape == (50, 5)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 2:] == drawn[:, 2:3]).all()
    assert (drawn[:, 0] + drawn[:, 2] == 2).all()
    assert set(drawn[:, 0]) == {0, 1, 2}


def test_resamples_are_the_same_however_many_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together = np.concatenate(list(draws(PERSON, seed=1, resamples=30)))
    monkeypatch.setattr("carelake.ml.bootstrap._CELLS", 2900)
    assert (np.concatenate(list(draws(PERSON, seed=1, resamples=30))) == together).all()


def test_an_interval_is_the_middle_95_percent_of_what_can_be_computed() -> None:
    assert interval(np.arange(101.0)) == (2.5, 97.5)
    assert interval(np.array([np.nan, 1, 1])) == (1, 1)
    assert np.isnan(interval(np.array([np.nan, np.nan, 1]))).all()
    found = bootstrap(np.array([7, 7, 9, 9, 9]), lambda w: {"x": w[:, 0]}, seed=3, resamples=50)
    assert found == {"x": (0.0, 2.0)}


def test_the_interval_of_the_auroc_is_that_of_scikit_learn_on_the_same_resamples() -> None:
    found = evaluate(held_out(), seed=1, resamples=60)
    theirs = [roc_auc_score(LABEL, SCORE, sample_weight=w) for batch in draws(PERSON, 1, 60) for w in batch]
    low, high = np.percentile(theirs, [2.5, 97.5])
    assert (found["auroc_lower"], found["auroc_upper"]) == pytest.approx((low, high))
    assert found["auroc"] == pytest.approx(roc_auc_score(LABEL, SCORE))


def test_all_is_the_same_for_the_same_seed_and_intervals_hold_their_estimates() -> None:
    t = held_out(baselines={"flat": np.full(400, 0.5)}, lead_days=np.where(LABEL > 0, 30.0, np.nan))
    first = evaluate(t, seed=1, resamples=200)
    assert first == pytest.approx(evaluate(t, seed=1, resamples=200), nan_ok=True)
    for name in (
        "auroc", "auprc", "brier", "brier_skill", "log_loss", "calibration_slope", "calibration_intercept", "observed_expected",
        "net_benefit_10", "standardized_net_benefit_20", "sensitivity_top_10", "ppv_top_10", "number_needed_top_10", "auroc_gain",
    ):  # fmt: skip
        assert first[f"{name}_lower"] < first[name] < first[f"{name}_upper"], name
    assert first["number_needed_top_10_upper"] == 1 / first["ppv_top_10_lower"]
    assert first["lead_days_top_10"] == first["lead_days_top_10_upper"] == 30
    assert 0 < first["e50"] <= first["e90"]
    assert (first["test_rows"], first["test_persons"]) == (400, 100)
    assert first["test_events"] == LABEL.sum()
    assert first["prevalence"] == LABEL.mean()
    assert first["mean_score"] == SCORE.mean()


def test_the_gain_is_over_the_best_of_the_baselines() -> None:
    better = np.clip(0.8 * LABEL + 0.2 * SCORE, 0.01, 0.99)
    found = evaluate(held_out(baselines={"flat": np.full(400, 0.3), "age_sex": better}), 1, 50)
    assert found["baseline_flat_auroc"] == 0.5
    assert found["baseline_auroc"] == found["baseline_age_sex_auroc"] == 1.0
    assert found["auroc_gain"] == found["auroc"] - 1


def test_differences_are_paired_so_that_equal_scores_differ_by_nothing_in_every_resample() -> None:
    found = evaluate(held_out(champion=SCORE / 2, baselines={"same": SCORE}), seed=1, resamples=50)
    assert found["champion_auroc"] == found["auroc"]
    assert (found["champion_gain_lower"], found["champion_gain"], found["champion_gain_upper"]) == (0, 0, 0)
    assert (found["auroc_gain_lower"], found["auroc_gain_upper"]) == (0, 0)
    assert found["auroc_lower"] < found["auroc_upper"]


def test_without_a_champion_or_a_baseline_nothing_is_compared() -> None:
    found = evaluate(held_out(), seed=1, resamples=10)
    assert not [name for name in found if name.startswith("champion")]
    assert np.isnan(found["auroc_gain"])


def test_without_a_row_the_sizes_alone_are_said() -> None:
    none = np.empty(0)
    t = HeldOut(np.empty(0, dtype=np.int64), none, none, {"flat": none}, {"sex": np.empty(0, dtype=str)})
    assert evaluate(t, seed=1) == {"test_rows": 0, "test_persons": 0, "test_events": 0}


def test_one_class_leaves_what_can_be_computed() -> None:
    found = evaluate(held_out(label=np.zeros(400)), seed=1, resamples=10)
    assert np.isnan(
        [
            found[n]
            for n in ("auroc", "auprc", "calibration_slope", "ici", "e90", "brier_skill", "auroc_lower")
        ]
    ).all()
    assert found["brier"] == pytest.approx((SCORE**2).mean())
    assert found["ppv_top_10"] == 0
    assert np.isnan(found["number_needed_top_10"])


def test_what_fewer_than_eleven_persons_stand_for_at_a_budget_is_not_said() -> None:
    # 400 rows of 400 persons: 4, 20 and 40 are flagged; 8 of the 40 have an event
    score = np.arange(400) / 400
    label = np.zeros(400)
    label[[395, 392, 388, 384, 380, 376, 372, 368, *range(0, 300, 10)]] = 1
    t = held_out(person=np.arange(400), label=label, score=score, lead_days=np.where(label > 0, 9.0, np.nan))
    found = evaluate(t, seed=1, resamples=20)
    hidden = {n for n in found if "_top_" in n and n[-2:].isdigit() and np.isnan(found[n])}
    assert hidden == {
        "sensitivity_top_01", "ppv_top_01", "number_needed_top_01", "lead_days_top_01", "lead_days_top_05", "lead_days_top_10",
    }  # fmt: skip
    assert np.isnan([found["ppv_top_01_upper"], found["number_needed_top_01_lower"]]).all()
    assert found["ppv_top_10"] == pytest.approx(8 / 40)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="baseline age_sex, group sex, lead_days has another"):
        held_out(baselines={"age_sex": SCORE[:1]}, groups={"sex": np.array(["f"])}, lead_days=SCORE[1:])
