"""The table by group by hand, and an attack on it: nothing small can be had from what is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from carelake.ml.discrimination import flagged
from carelake.ml.fairness import by_group, gaps
from carelake.ml.held_out import HeldOut


def held_out(person: Any, label: Any, score: Any, **groups: Any) -> HeldOut:
    texts = {name: np.array(levels) for name, levels in groups.items()}
    return HeldOut(np.array(person), np.array(label, float), np.array(score, float), {}, texts)


def test_measures_of_a_level_by_hand() -> None:
    # two levels of 200 rows; the top tenth of 400 rows is 40: 24 of a (18 events) and 16 of b (12 events)
    score = np.r_[np.linspace(0.9, 0.8, 24), np.linspace(0.5, 0.1, 176), np.linspace(0.9, 0.8, 16), np.linspace(0.5, 0.1, 184)]  # fmt: skip
    label = np.zeros(400)
    label[:18] = label[30:62] = 1  # a: 50 events, 18 of them flagged
    label[200:212] = label[230:258] = 1  # b: 40 events, 12 of them flagged
    t = held_out(np.arange(400), label, score, sex=["a"] * 200 + ["b"] * 200)
    # b has four false alarms: its rates are not shown, nor are a's, which would give them away
    a, b = by_group(t, seed=1, resamples=20)
    assert (a["persons"], a["rows"], a["events"], a["observed"]) == (200, 200, 50, 0.25)
    assert a["auroc"] == pytest.approx(roc_auc_score(label[:200], score[:200]))
    assert a["auroc_lower"] < a["auroc"] < a["auroc_upper"]
    assert a["observed_expected"] == pytest.approx(50 / score[:200].sum())
    assert (a["sensitivity"], a["ppv"], b["false_positive_rate"]) == (None, None, None)


def test_rates_at_the_overall_top_tenth_by_hand() -> None:
    score = np.r_[np.linspace(0.9, 0.8, 48), np.linspace(0.5, 0.1, 352), np.linspace(0.9, 0.8, 32), np.linspace(0.5, 0.1, 368)]  # fmt: skip
    label = np.zeros(800)
    label[:30] = label[60:90] = 1  # a: 60 events of 400, 30 of 48 flagged
    label[400:412] = label[450:488] = 1  # b: 50 events of 400, 12 of 32 flagged
    a, b = by_group(
        held_out(np.arange(800), label, score, sex=["a"] * 400 + ["b"] * 400), seed=1, resamples=20
    )
    assert (a["sensitivity"], a["ppv"], a["false_positive_rate"]) == pytest.approx(
        (30 / 60, 30 / 48, 18 / 340)
    )
    assert (b["sensitivity"], b["ppv"], b["false_positive_rate"]) == pytest.approx(
        (12 / 50, 12 / 32, 20 / 350)
    )
    assert gaps([a, b])["gap_sex_sensitivity"] == pytest.approx(0.5 - 0.24)
    assert gaps([a, b])["gap_sex_ppv"] == pytest.approx(30 / 48 - 12 / 32)


def test_gaps_are_between_levels_that_are_shown_and_need_two() -> None:
    rows = [
        {"group": "sex", "level": "a", "auroc": 0.8, "ppv": 0.5},
        {"group": "sex", "level": "b", "auroc": 0.7, "ppv": None},
        {"group": "sex", "level": "c", "auroc": 0.75, "ppv": float("nan")},
        {"group": "race", "level": "x", "auroc": 0.9, "ppv": 0.1},
    ]
    assert gaps(rows) == {"gap_sex_auroc": pytest.approx(0.1)}
    assert gaps([]) == {}


def test_small_groups_are_suppressed_and_cannot_be_had_by_subtraction() -> None:
    sex = ["a"] * 30 + ["b"] * 20 + ["c"] * 10
    table = {
        r["level"]: r
        for r in by_group(held_out(range(60), [1, 0] * 30, np.linspace(0.01, 0.9, 60), sex=sex), 1, 5)
    }
    assert (table["a"]["persons"], table["a"]["events"]) == (30, 15)
    # c has ten persons: hidden; b, the next smallest, hides it from subtraction
    for level in "bc":
        assert {v for k, v in table[level].items() if k not in {"group", "level"}} == {None}


def test_levels_that_together_are_too_small_take_another_with_them() -> None:
    # c and d are four and three persons: the rest of the total, seven, would be known
    sex = ["a"] * 40 + ["b"] * 30 + ["c"] * 4 + ["d"] * 3
    table = by_group(held_out(range(77), [1, 0] * 38 + [1], np.linspace(0.01, 0.9, 77), sex=sex), 1, 5)
    assert [r["persons"] for r in table] == [40, None, None, None]


def test_few_events_hide_events_but_not_the_size() -> None:
    label = [1] * 5 + [0] * 25 + [1, 0] * 15
    a, b = by_group(held_out(range(60), label, [0.1] * 60, sex=["a"] * 30 + ["b"] * 30), 1, 5)
    assert (a["persons"], a["events"], a["auroc"], a["observed"], a["observed_expected"]) == (
        30,
        None,
        None,
        None,
        None,
    )
    assert b["events"] is None


def test_events_of_few_persons_are_few_events() -> None:
    # a has twenty rows with the event, of five persons
    person = [*range(5)] * 4 + [*range(100, 140)] + [*range(200, 280)]
    label = [1] * 20 + [0] * 40 + [1, 0] * 40
    a, b = by_group(held_out(person, label, np.linspace(0.1, 0.9, 140), sex=["a"] * 60 + ["b"] * 80), 1, 5)
    assert (a["persons"], a["events"]) == (45, None)
    assert b["events"] is None


def test_no_row_has_no_group() -> None:
    assert by_group(held_out([], [], [], sex=[]), 1) == []


def obtained(shown: list[float | None], total: float) -> list[float]:
    """What a reader who knows the total gets: each number shown, and the rest, unless all is hidden."""
    known = [n for n in shown if n is not None]
    if not known or len(known) == len(shown):
        return known
    return [*known, total - sum(known)]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 500),
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.floats(0.02, 0.6),
    st.integers(0, 10_000),
)
def test_no_count_below_eleven_can_be_had_from_the_table_and_the_totals(
    rows: int, sizes: list[int], prevalence: float, seed: int
) -> None:
    """The attacker knows every total and each row shown; one row per person and no ties, so that counts are persons."""
    random = np.random.default_rng(seed)
    level = random.choice([*"abcdef"[: len(sizes)]], rows, p=np.array(sizes) / sum(sizes))
    score = random.permutation(np.linspace(0.01, 0.99, rows))
    label = (random.random(rows) < np.clip(prevalence * 2 * score, 0, 1)).astype(float)
    t = held_out(np.arange(rows), label, score, kind=level)
    table = by_group(t, seed=1, resamples=2)
    top = flagged(score, 0.10)

    for counts, total in (
        ([r["persons"] for r in table], rows),
        ([r["events"] for r in table], label.sum()),
        ([None if r["events"] is None else r["rows"] - r["events"] for r in table], (1 - label).sum()),
        ([None if r["sensitivity"] is None else r["sensitivity"] * r["events"] for r in table], (top * label).sum()),
        (
            [None if r["sensitivity"] is None else (1 - r["sensitivity"]) * r["events"] for r in table],
            ((1 - top) * label).sum(),
        ),
        (
            [
                None
                if r["false_positive_rate"] is None
                else r["false_positive_rate"] * (r["rows"] - r["events"])
                for r in table
            ],
            (top * (1 - label)).sum(),
        ),
    ):  # fmt: skip
        assert counts.count(None) != 1 or len(counts) == 1
        # one row can be flagged in part, so a count of eleven can be a little over ten
        assert all(n > 10 - 1e-6 for n in obtained(counts, total)), counts
    for r in table:
        if r["events"] is None:
            assert {
                r[k] for k in ("auroc", "auroc_lower", "observed", "observed_expected", "sensitivity", "ppv")
            } == {None}
        if r["sensitivity"] is None:
            assert {r[k] for k in ("ppv", "false_positive_rate", "sensitivity_upper", "ppv_lower")} == {None}
        if r["persons"] is None:
            assert {r[k] for k in ("rows", "mean_score", "events")} == {None}
