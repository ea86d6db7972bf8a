"""The matrix that training is timed on, and what is said of the times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.claims_matrix import BLOCK, Claims, read, write
from bench.matrix import DENSE, Figure, balanced, fitting, medians, objective, overtaken, row

LAW = Claims(200, 8, seed=3)


def test_columns_follow_zipfs_law_below_a_cap_and_fill_a_row_as_asked() -> None:
    share = LAW.frequencies
    assert share.sum() == pytest.approx(8)
    assert share.max() == 0.5
    free = np.flatnonzero(share < 0.5)
    assert share[free] * (free + 1) == pytest.approx(share[-1] * 200)  # frequency times rank is the same
    with pytest.raises(ValueError, match="4 columns give at most 2 a row"):
        _ = Claims(4, 2, 1).frequencies


def test_columns_are_in_so_many_rows_as_the_law_says() -> None:
    x, label = LAW.block(0)
    assert x.shape == (BLOCK, 200)
    assert set(x.data) == {1.0}
    # five standard errors of a share of 10,000 rows
    error = np.sqrt(LAW.frequencies * (1 - LAW.frequencies) / BLOCK)
    assert (np.abs(np.asarray(x.mean(axis=0)).ravel() - LAW.frequencies) < 5 * error).all()
    assert label.mean() == pytest.approx(0.10, abs=0.015)


def test_the_planted_columns_and_no_others_tell_of_the_outcome() -> None:
    assert np.count_nonzero(LAW.slopes) == 50
    x, label = LAW.block(0)
    at = int(np.argmax(LAW.slopes * (LAW.frequencies > 0.1)))
    has = np.asarray(x[:, [at]].todense()).ravel() > 0
    assert label[has].mean() > label[~has].mean()


def test_the_same_seed_gives_the_same_rows_and_a_small_matrix_begins_the_large_one() -> None:
    (small, labels), *_ = LAW.blocks(100)
    large, more = next(iter(Claims(200, 8, seed=3).blocks(2 * BLOCK)))
    assert (small != large[:100]).nnz == 0
    assert (labels == more[:100]).all()
    other, _ = next(iter(Claims(200, 8, seed=4).blocks(100)))
    assert (small != other).nnz > 0
    second = list(LAW.blocks(2 * BLOCK))[1][0]
    assert (second != large).nnz > 0


def test_what_is_written_is_what_is_read(tmp_path) -> None:  # type: ignore[no-untyped-def]
    write(LAW, BLOCK + 50, tmp_path / "m.parquet")
    x, label, held = read(tmp_path / "m.parquet", 200)
    made = list(LAW.blocks(BLOCK + 50))
    assert x.shape == (BLOCK + 50, 200)
    assert (x[:BLOCK] != made[0][0]).nnz == 0
    assert (x[BLOCK:] != made[1][0]).nnz == 0
    assert (label == np.concatenate([m[1] for m in made])).all()
    assert held.sum() == (BLOCK + 50) / 5


def test_the_objective_is_the_mean_loss_and_the_penalty_by_hand() -> None:
    label, margin, weight = np.array([1.0, 0.0]), np.array([0.0, 0.0]), np.array([1.0, 3.0])
    slopes = np.array([2.0, -1.0])
    # log 2; then 0.1 * (0.5 * (2 + 1) + 0.5 / 2 * (4 + 1))
    assert objective(label, margin, weight, slopes, 0.1, 0.5) == pytest.approx(0.6931472 + 0.275)
    assert balanced(np.array([1.0, 0, 0, 0])).tolist() == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])


OURS = Figure(
    read=4.0, fit=10.0, fit_cpu=12.0, whole=30.0, cpu=45.0, peak_rss=3 * 2**30, auroc=0.751, objective=0.5
)
THEIRS = Figure(read=1.0, fit=20.0, fit_cpu=24.0, whole=24.0, cpu=22.0, peak_rss=2**30, auroc=0.7512)


def test_a_row_tells_ratios_and_the_difference_to_scikit_learn() -> None:
    assert row(100_000, "carelake", "ridge", OURS, THEIRS) == (
        "| 100,000 | carelake, ridge | 4.0 | 10.0 | 12.0 | 30.0 | 45 | 3.0 | 0.7510 | -0.0002 | 0.50000 | 0.50 | 0.50 | 1.25 |"
    )
    assert row(100_000, "scikit-learn", "ridge (lbfgs)", THEIRS, None) == (
        "| 100,000 | scikit-learn, ridge (lbfgs) | 1.0 | 20.0 | 24.0 | 24.0 | 22 | 1.0 | 0.7512 | - | - | - | - | - |"
    )


def test_runs_are_told_by_their_medians_and_the_largest_memory() -> None:
    three = [replace(OURS, fit=f, peak_rss=m) for f, m in ((10.0, 5.0), (30.0, 9.0), (11.0, 7.0))]
    assert (medians(three).fit, medians(three).peak_rss) == (11.0, 9.0)


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ({10: 3.0, 100: 0.9, 1000: 0.4}, "faster than scikit-learn's from 100 rows on"),
        ({10: 0.9, 100: 2.0}, "does not overtake up to 100 rows; the ratio does not fall (0.90 at 10, 2.00 at 100)"),
        ({10: 9.0, 100: 2.0}, "does not overtake up to 100 rows; the ratio falls"),
        ({10: 9.0}, "does not overtake at 10 rows (ratio 9.00)"),
        ({}, "nothing to compare with"),
    ],
)  # fmt: skip
def test_one_sentence_says_where_ours_overtakes(ratios: dict[int, float], said: str) -> None:
    assert said in overtaken("ridge", ratios)


def test_what_needs_a_dense_matrix_is_left_out_where_it_is_too_large() -> None:
    assert fitting(["ridge", "boosted trees"], DENSE // 8 // 2000, 2000) == ["ridge", "boosted trees"]
    assert fitting(["ridge", "boosted trees"], 1_000_000, 2000) == ["ridge"]
