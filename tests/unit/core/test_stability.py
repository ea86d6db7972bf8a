"""The population stability index, against values worked by hand."""

from __future__ import annotations

import pytest

from carelake.core.stability import stability, stability_by_chance


def test_the_same_shares_have_an_index_of_nought():
    assert stability([(0.3, 0.3), (0.7, 0.7)]) == 0


def test_half_and_half_that_becomes_one_to_three():
    # (0.25 - 0.5) ln(0.25 / 0.5) + (0.75 - 0.5) ln(0.75 / 0.5) = 0.25 ln 2 + 0.25 ln 1.5 = 0.25 ln 3
    assert stability([(0.5, 0.25), (0.5, 0.75)]) == pytest.approx(0.2746530722)


def test_a_bucket_that_was_empty_counts_as_one_in_ten_thousand():
    # (0.1 - 0.0001) ln(0.1 / 0.0001) + (0.9 - 1) ln 0.9 = 0.0999 * 6.9077552790 + 0.1 * 0.1053605157
    assert stability([(0.0, 0.1), (1.0, 0.9)]) == pytest.approx(0.7006208039)


def test_both_ways_are_equally_far():
    assert stability([(0.2, 0.6), (0.8, 0.4)]) == pytest.approx(stability([(0.6, 0.2), (0.4, 0.8)]))


@pytest.mark.parametrize(("buckets", "quantile"), [(2, 10.828), (5, 18.467), (10, 27.877)])
def test_what_chance_explains_is_the_quantile_of_chi_square_in_any_table_of_it(buckets: int, quantile: float):
    assert stability_by_chance(buckets, 100, 300) == pytest.approx(quantile * (1 / 100 + 1 / 300), rel=0.04)


def test_one_bucket_does_not_move():
    assert stability_by_chance(1, 100, 100) == 0
