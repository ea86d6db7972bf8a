"""Discrimination against hand-made cases and scikit-learn, for one weighting and for many."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from carelake.ml.discrimination import Line, Ranking, areas, auprc, auroc, flagged, precisions

RANDOM = np.random.default_rng(5)
SCORE = np.round(RANDOM.random(400), 2)
LABEL = (RANDOM.random(400) < SCORE).astype(float)
WEIGHTS = RANDOM.integers(0, 4, (7, 400)).astype(float)


def test_auroc_of_a_hand_made_case_counts_ties_half() -> None:
    # pairs (event, other): (0.5, 0.5) half, (0.5, 0.1) won, (0.9, 0.5) won, (0.9, 0.1) won
    assert auroc(np.array([1.0, 1, 0, 0]), np.array([0.5, 0.9, 0.5, 0.1])) == 3.5 / 4


def test_each_weighting_agrees_with_scikit_learn() -> None:
    r = Ranking.of(SCORE).weighed(LABEL, WEIGHTS)
    assert areas(r) == pytest.approx([roc_auc_score(LABEL, SCORE, sample_weight=w) for w in WEIGHTS])
    assert precisions(r) == pytest.approx(
        [average_precision_score(LABEL, SCORE, sample_weight=w) for w in WEIGHTS]
    )
    assert auroc(LABEL, SCORE) == pytest.approx(roc_auc_score(LABEL, SCORE))
    assert auprc(LABEL, SCORE, WEIGHTS[0]) == pytest.approx(
        average_precision_score(LABEL, SCORE, sample_weight=WEIGHTS[0])
    )


def test_scores_without_ties_agree_too() -> None:
    score = np.random.default_rng(2).random(400)
    assert areas(Ranking.of(score).weighed(LABEL, WEIGHTS)) == pytest.approx(
        [roc_auc_score(LABEL, score, sample_weight=w) for w in WEIGHTS]
    )


def test_one_class_or_no_row_gives_no_number() -> None:
    assert np.isnan(auroc(np.ones(3), np.array([0.1, 0.2, 0.3])))
    assert np.isnan(auprc(np.zeros(3), np.array([0.1, 0.2, 0.3])))
    assert np.isnan(auroc(np.empty(0), np.empty(0)))
    assert np.isnan(auprc(np.empty(0), np.empty(0)))


def test_a_constant_score_is_a_coin() -> None:
    assert auroc(np.array([1.0, 0, 0]), np.full(3, 0.2)) == 0.5
    assert auprc(np.array([1.0, 0, 0]), np.full(3, 0.2)) == pytest.approx(1 / 3)


def test_the_top_of_the_list_keeps_its_length_and_takes_a_part_of_the_tie_on_its_line() -> None:
    score = np.array([0.1, 0.9, 0.5, 0.5, 0.5, 0.5, 0.2, 0.3, 0.0, 0.05])
    # a fifth of ten rows is two: the highest, and one of the four that share the next score
    assert flagged(score, 0.2).tolist() == [0, 1, 0.25, 0.25, 0.25, 0.25, 0, 0, 0, 0]
    assert flagged(score, 1.0).tolist() == [1] * 10
    assert flagged(np.full(4, 0.3), 0.5).tolist() == [0.5] * 4


def test_hits_above_the_line_follow_the_weights_of_each_resample() -> None:
    score, label = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 0, 1, 1])
    weights = np.array([[1.0, 1, 1, 1], [0, 2, 2, 0], [4, 0, 0, 0]])
    r = Ranking.of(score).weighed(label, weights)
    line = Line.at(r, 0.5)
    # top two: rows 1 and 2; twice row 2 alone, no event; half of the first, drawn four times
    assert line.hits(r).tolist() == [1, 0, 2]
    assert line.shares(r.tie).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0.5, 0, 0, 0]]
