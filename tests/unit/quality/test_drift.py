"""Drift against the run published last, worked out by hand."""

from __future__ import annotations

import pytest

from carelake.core.config import Drift
from carelake.quality.drift import CONCEPT, NULLS, ROWS, compare, stability_index

LIMITS = Drift(rows=0.5, null_share=0.1, psi=0.25, min_rows=100)


def test_the_index_of_the_same_shares_is_0_whatever_the_numbers():
    assert stability_index({1: 50, 2: 50}, {1: 500, 2: 500}, 100, 1000) == pytest.approx(0.0, abs=1e-12)


def test_the_index_is_the_sum_over_shares():
    # (0.25 - 0.5) ln(0.25 / 0.5) + (0.75 - 0.5) ln(0.75 / 0.5) = 0.1733 + 0.1014
    assert stability_index({1: 50, 2: 50}, {1: 25, 2: 75}, 100, 100) == pytest.approx(0.27465, abs=1e-5)


def test_rarer_concepts_are_a_bucket_of_their_own():
    # of 100 rows 20 are rare before, 60 after: 0.4 ln 3 + 0.4 ln 2
    assert stability_index({1: 80}, {1: 40}, 100, 100) == pytest.approx(0.71670, abs=1e-5)


def profile(rows: int, nulls: int, concepts: dict[int, int]) -> dict[tuple[str, str, str, int], int]:
    found = {("t", "", ROWS, 0): rows, ("t", "c", NULLS, 0): nulls}
    return found | {("t", "c", CONCEPT, k): n for k, n in concepts.items()}


def told(was, now):
    return {r["check_name"]: (r["status"], r["note"]) for r in compare(was, now, LIMITS)}


def test_what_stays_within_the_limits_passes():
    assert told(profile(1000, 100, {1: 450, 2: 450}), profile(1400, 210, {1: 600, 2: 590})) == {
        "drift_rows": ("pass", "0.4000"), "drift_null_share": ("pass", "0.0500"), "drift_concepts": ("pass", "0.0001"),
    }  # fmt: skip


def test_what_moves_beyond_the_limits_is_a_warning():
    found = told(profile(1000, 0, {1: 500, 2: 500}), profile(400, 100, {1: 75, 2: 225}))
    assert found == {
        "drift_rows": ("warn", "0.6000"), "drift_null_share": ("warn", "0.2500"), "drift_concepts": ("warn", "0.2747"),
    }  # fmt: skip


def test_small_and_new_tables_are_not_judged():
    assert told(profile(20, 0, {1: 20}), profile(60, 0, {2: 60})) == {}
    assert told({}, profile(1000, 0, {1: 1000})) == {}


def test_a_table_that_lost_its_rows_is_a_warning():
    assert told(profile(1000, 0, {1: 1000}), profile(0, 0, {})) == {"drift_rows": ("warn", "1.0000")}
