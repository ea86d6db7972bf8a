"""The plots are drawn whatever the test side holds, show what they say, and no bar stands for few persons."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from carelake.ml import plots as module
from carelake.ml.held_out import HeldOut
from carelake.ml.plots import plots, safe_edges

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

NAMES = {"roc", "pr", "calibration", "decision_curve", "groups", "score_distribution"}
RANDOM = np.random.default_rng(4)
SCORE = RANDOM.random(300) * 0.7
LABEL = (RANDOM.random(300) < SCORE).astype(float)
SEX = np.array(["female", "male"] * 145 + ["other"] * 10)


def held_out(label: np.ndarray = LABEL, score: np.ndarray = SCORE) -> HeldOut:
    n = len(label)
    baselines = {"prevalence": np.full(n, 0.3), "age_sex": np.round(score, 1) / 2}
    return HeldOut(np.arange(n), label, score, baselines, {"sex": SEX[:n]}, None, score**2)


def axes() -> Axes:
    return Figure().subplots()


def lines(drawn: Axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        str(line.get_label()): (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
        for line in drawn.lines
    }


@pytest.mark.parametrize(
    ("label", "score"),
    [
        (LABEL, SCORE),
        (np.zeros(300), SCORE),
        (np.ones(300), SCORE),
        (LABEL, np.full(300, 0.2)),
        (LABEL, np.where(LABEL > 0, 1.0, 0.0)),
        (LABEL[:4], SCORE[:4]),
        (LABEL[:1], SCORE[:1]),
    ],
    ids=["usual", "no event", "events only", "one score", "certain and right", "four rows", "one row"],
)
def test_every_plot_is_drawn(label: np.ndarray, score: np.ndarray, tmp_path: Path) -> None:
    plots(held_out(label, score), tmp_path)
    assert {p.stem for p in tmp_path.iterdir()} == NAMES
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in tmp_path.iterdir())


def test_a_curve_from_which_one_could_read_the_scores_of_few_is_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    for name in ("_roc", "_pr", "_calibration", "_decision_curve"):
        monkeypatch.setattr(module, name, lambda axes, t, name=name: drawn.append(name))
    label = np.zeros(300)
    label[:10] = 1
    plots(held_out(label), tmp_path)
    assert drawn == []
    label[10] = 1
    plots(held_out(label), tmp_path)
    assert drawn == ["_roc", "_pr", "_calibration", "_decision_curve"]


def test_without_a_row_nothing_is_drawn(tmp_path: Path) -> None:
    none = np.empty(0)
    plots(HeldOut(np.empty(0, np.int64), none, none, {}, {"sex": np.empty(0, str)}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_roc_curve_by_hand() -> None:
    drawn = axes()
    t = HeldOut(np.arange(4), np.array([1.0, 0, 1, 0]), np.array([0.9, 0.6, 0.6, 0.1]), {}, {})
    module._roc(drawn, t)
    x, y = lines(drawn)["model, AUROC 0.875"]
    assert list(zip(x, y, strict=True)) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]


def test_the_decision_curve_by_hand() -> None:
    drawn = axes()
    module._decision_curve(drawn, held_out())
    found = lines(drawn)
    assert set(found) == {
        "act on the model",
        "act on the best baseline (age sex)",
        "act on everyone",
        "act on nobody",
    }
    x, y = found["act on everyone"]
    prevalence = LABEL.mean()
    assert y == pytest.approx(prevalence - (1 - prevalence) * x / (1 - x))
    x, y = found["act on the model"]
    at = x[60] <= SCORE
    assert y[60] == pytest.approx(((LABEL * at).sum() - ((1 - LABEL) * at).sum() * x[60] / (1 - x[60])) / 300)


def test_the_calibration_curve_of_true_probabilities_lies_in_its_band_beside_the_diagonal() -> None:
    random = np.random.default_rng(8)
    score = random.random(6000) * 0.8
    label = (random.random(6000) < score).astype(float)
    t = HeldOut(np.arange(6000), label, score, {}, {})
    grid = np.linspace(0.05, 0.75, 15)
    curve, low, high = module._curve(t, grid)
    assert np.abs(curve - grid).max() < 0.05
    assert (low < curve).all()
    assert (curve < high).all()


def test_the_plot_by_group_leaves_suppressed_levels_out() -> None:
    drawn = axes()
    rows = [
        {"group": "sex", "level": "female", "persons": 1200, "auroc": 0.7, "auroc_lower": 0.6, "auroc_upper": 0.8},
        {"group": "sex", "level": "other", "persons": None, "auroc": None, "auroc_lower": None, "auroc_upper": None},
    ]  # fmt: skip
    module._groups(drawn, held_out(), rows)
    assert [text.get_text() for text in drawn.get_yticklabels()] == ["sex: female (n = 1,200)"]
    assert "1 of 2 levels not shown" in drawn.get_xlabel()


def test_where_events_are_few_the_scores_are_shown_together() -> None:
    label = np.zeros(300)
    label[:10] = 1
    drawn = axes()
    module._score_distribution(drawn, held_out(label))
    assert len(drawn.patches) == 1
    assert drawn.get_title() == "Scores"
    drawn = axes()
    module._score_distribution(drawn, held_out())
    assert len(drawn.patches) == 2
    drawn = axes()
    module._score_distribution(drawn, held_out(LABEL[:10], SCORE[:10]))
    assert len(drawn.patches) == 0


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.floats(0, 1), st.integers(0, 1000))
def test_each_bar_stands_for_eleven_persons_of_each_kind_or_more(
    rows: int, persons: int, share: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    person, score = random.integers(0, persons, rows), random.beta(1, 4, rows)
    kind = random.random(rows) < share
    edges = safe_edges(person, score, (kind, ~kind))
    if min(len(np.unique(person[kind])), len(np.unique(person[~kind]))) < 11:
        assert len(edges) == 0
        return
    assert edges[0] == 0
    assert score.max() <= edges[-1]  # no row is left out
    for at, (low, high) in enumerate(pairwise(edges)):
        last = at == len(edges) - 2
        inside = (score >= low) & ((score <= high) if last else (score < high))
        assert len(set(person[inside & kind].tolist())) >= 11
        assert len(set(person[inside & ~kind].tolist())) >= 11
