"""The plots that a reviewer of a risk model expects, drawn from the test side."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from carelake.ml.benefit import net_benefits, treat_all
from carelake.ml.bootstrap import draws
from carelake.ml.calibration import Calibrated, Flexible, both_classes
from carelake.ml.discrimination import Ranking, auprc, auroc
from carelake.ml.fairness import by_group
from carelake.ml.held_out import SMALL_CELL, persons_behind
from carelake.ml.logistic import Regression, expit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from carelake.ml.held_out import Floats, HeldOut

_SEED, _RESAMPLES = 20240901, 200  # for bands, which are read by eye
_BINS = 30
_MODEL, _OTHER, _GREY = "#1b5e8c", "#c8553d", "#767676"


def plots(t: HeldOut, folder: Path) -> None:
    """Write roc, pr, calibration, decision_curve, groups and score_distribution (.png) into `folder`; nothing without a row.

    Curves are not drawn of fewer than 11 persons with or without the event, whose scores one would read off them; bars stand for at
    least 11 of each (or of all, where these are too few), and levels that the table by group suppresses are left out.
    """
    if not len(t.label):
        return
    event = t.label > 0
    few = min(persons_behind(t.person, event), persons_behind(t.person, ~event)) < SMALL_CELL
    for name, draw, size in (
        ("roc", _roc, (5.2, 4.8)),
        ("pr", _pr, (5.2, 4.8)),
        ("calibration", _calibration, (5.2, 5.6)),
        ("decision_curve", _decision_curve, (5.8, 4.6)),
    ):
        with _figure(folder / f"{name}.png", size, t) as axes:
            (_not_drawn if few else draw)(axes, t)
    with _figure(folder / "score_distribution.png", (5.8, 4.2), t) as axes:
        _score_distribution(axes, t)
    levels = by_group(t, _SEED, _RESAMPLES)
    shown = sum(row["auroc"] is not None for row in levels)
    with _figure(folder / "groups.png", (6.2, 1.9 + 0.28 * max(shown, 3)), t) as axes:
        _groups(axes, t, levels)


@contextmanager
def _figure(file: Path, size: tuple[float, float], t: HeldOut) -> Iterator[Axes]:
    """Axes of a figure that is written at the end, with the size of the test side below its title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    yield axes
    n = f"test side: {len(t.label):,} rows of {len(np.unique(t.person)):,} persons, {t.label.sum():,.0f} events"
    title = axes.get_title() or file.stem.replace("_", " ")
    axes.set_title(f"{title}\n", fontsize=11)
    axes.text(0.5, 1.02, n, transform=axes.transAxes, ha="center", fontsize=8, color=_GREY)
    figure.savefig(file, bbox_inches="tight")


def _not_drawn(axes: Axes, t: HeldOut) -> None:
    words = "not drawn: fewer than 11 persons with or without the event"
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", fontsize=8)
    axes.set_axis_off()


def _rivals(t: HeldOut) -> list[tuple[str, Floats, str, str]]:
    """Name, scores, colour and line style of the model, its baselines and the champion."""
    styles = ("--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)), (0, (1, 3)))
    out = [("model", t.score, _MODEL, "-")]
    for at, (name, score) in enumerate(t.baselines.items()):
        out.append((f"baseline: {name.replace('_', ' ')}", score, _GREY, styles[at % len(styles)]))  # type: ignore[arg-type]
    if t.champion is not None:
        out.append(("champion", t.champion, _OTHER, "-"))
    return out


def _cumulated(t: HeldOut, score: Floats) -> tuple[Floats, Floats]:
    """Events and rows at or above each score, from the highest, beginning with 0."""
    r = Ranking.of(score).weighed(t.label, np.ones((1, len(t.label))))
    return np.append(0, r.hits[0]), np.append(0, r.flagged[0])


def _roc(axes: Axes, t: HeldOut) -> None:
    events, others = max(t.label.sum(), 1), max((1 - t.label).sum(), 1)
    for name, score, colour, style in _rivals(t):
        hits, rows = _cumulated(t, score)
        words = f"{name}, AUROC {_words(auroc(t.label, score))}"
        axes.plot((rows - hits) / others, hits / events, color=colour, linestyle=style, label=words, lw=1.4)
    axes.plot((0, 1), (0, 1), linestyle=":", color="lightgrey", zorder=0)
    axes.set(xlabel="1 - specificity (false-positive rate)", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01), title="ROC curve")  # fmt: skip
    axes.legend(fontsize=7, loc="lower right", frameon=False)


def _pr(axes: Axes, t: HeldOut) -> None:
    events = max(t.label.sum(), 1)
    for name, score, colour, style in _rivals(t):
        hits, rows = _cumulated(t, score)
        words = f"{name}, average precision {_words(auprc(t.label, score))}"
        axes.step(hits[1:] / events, hits[1:] / rows[1:], where="pre", color=colour, linestyle=style, label=words, lw=1.4)  # fmt: skip
    axes.axhline(t.label.mean(), linestyle=":", color="lightgrey", zorder=0)
    axes.set(xlabel="recall (sensitivity)", ylabel="precision (positive predictive value)", xlim=(0, 1), ylim=(0, 1.01), title="Precision and recall")  # fmt: skip
    axes.legend(fontsize=7, loc="upper right", frameon=False)


def _calibration(axes: Axes, t: HeldOut) -> None:
    top = float(min(1, 1.1 * max(np.quantile(t.score, 0.99), t.label.mean(), 0.05)))
    axes.plot((0, 1), (0, 1), linestyle=":", color=_GREY, lw=1, label="ideal")
    grid = np.quantile(t.score, np.linspace(0.005, 0.995, 100))
    curve, low, high = _curve(t, grid)
    axes.fill_between(grid, low, high, color=_MODEL, alpha=0.2, lw=0, label="95 % band, resampling persons")
    axes.plot(grid, curve, color=_MODEL, lw=1.6, label="flexible curve (restricted cubic spline)")
    top = float(min(1, max(top, 1.05 * curve.max())))
    axes.legend(fontsize=7, loc="upper left", frameon=False)
    axes.set(xlabel="predicted probability", ylabel="observed share with the event", xlim=(0, top), ylim=(0, top), title="Calibration")  # fmt: skip
    below = axes.inset_axes((0, -0.4, 1, 0.2), sharex=axes)
    below.spines[["top", "right", "left"]].set_visible(False)
    below.tick_params(labelbottom=False)
    below.set_ylabel("scores", fontsize=7)
    below.set_yticks([])
    edges, _ = _edges(t)
    if len(edges):
        _bars(below, t.score, edges, _MODEL, "scores")


def _curve(t: HeldOut, grid: Floats) -> tuple[Floats, Floats, Floats]:
    """The flexible curve at the scores of `grid` and its 95 % band."""
    form = Flexible.of(t.label, t.score)
    fitted = Calibrated(t.label, t.score).flexible
    # the curve is fitted on orthogonal columns; the same ones at the grid, by the triangle that made them
    triangle = np.linalg.qr(form.design(t.score))[1]
    at = np.linalg.solve(triangle.T, form.design(grid).T).T * np.sqrt(len(t.score))
    curves = np.concatenate(
        [_resampled(fitted, weights, at) for weights in draws(t.person, _SEED, _RESAMPLES)]
    )
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    return expit(at @ fitted.fit()), low, high


def _resampled(fitted: Regression, weights: Floats, at: Floats) -> Floats:
    usable = both_classes(fitted.label, weights)
    return expit(fitted.fits(weights[usable]) @ at.T) if usable.any() else np.empty((0, len(at)))


def _decision_curve(axes: Axes, t: HeldOut) -> None:
    prevalence = t.label.mean()
    last = float(np.clip(3 * prevalence, 0.1, 0.9))
    thresholds = np.linspace(0.005, last, 120)
    one = np.ones((1, len(t.label)))

    def curve(score: Floats) -> list[float]:
        return [float(net_benefits(t.label, score, one, c)[0]) for c in thresholds]

    axes.plot(thresholds, curve(t.score), color=_MODEL, lw=1.6, label="act on the model")
    ranked = {name: auroc(t.label, score) for name, score in t.baselines.items()}
    if ranked and np.isfinite(list(ranked.values())).all():
        best = max(ranked, key=lambda name: ranked[name])
        words = f"act on the best baseline ({best.replace('_', ' ')})"
        axes.plot(thresholds, curve(t.baselines[best]), color=_OTHER, lw=1.2, linestyle="--", label=words)
    axes.plot(thresholds, [float(treat_all(prevalence, c)) for c in thresholds], color=_GREY, lw=1, label="act on everyone")  # fmt: skip
    axes.axhline(0, color="black", lw=1, linestyle=":", label="act on nobody")
    room = max(float(prevalence), 0.01)
    axes.set(
        xlabel="threshold probability from which one would act",
        ylabel="net benefit (true positives per row)",
        xlim=(0, last),
        ylim=(-0.25 * room, 1.1 * room),
        title="Decision curve",
    )
    axes.legend(fontsize=7, loc="upper right", frameon=False)


def _score_distribution(axes: Axes, t: HeldOut) -> None:
    edges, split = _edges(t)
    event = t.label > 0
    if split:
        _bars(axes, t.score[~event], edges, _GREY, "without the event")
        _bars(axes, t.score[event], edges, _OTHER, "with the event")
    elif len(edges):
        _bars(axes, t.score, edges, _MODEL, "all (too few with or without the event to part them)")
    title = "Scores with and without the event" if split else "Scores"
    if not len(edges):
        axes.text(0.5, 0.5, "too few persons to show", transform=axes.transAxes, ha="center", fontsize=8)
    axes.set(xlabel="score (predicted probability)", ylabel="density", title=title)
    if axes.patches:
        axes.legend(fontsize=7, frameon=False)


def _bars(axes: Axes, score: Floats, edges: Floats, colour: str, name: str) -> None:
    heights, _ = np.histogram(score, edges, density=True)
    axes.stairs(heights, edges, fill=True, color=colour, alpha=0.45, label=name)


def _edges(t: HeldOut) -> tuple[Floats, bool]:
    """Edges of the bins of every histogram, and whether events and others are shown apart in them.

    The same for all, since bins of all scores less those of the others would be bins of events.
    """
    event = t.label > 0
    edges = safe_edges(t.person, t.score, (event, ~event))
    if len(edges):
        return edges, True
    return safe_edges(t.person, t.score, (np.ones(len(t.label), dtype=bool),)), False


def safe_edges(person: NDArray[np.int64], score: Floats, cells: Sequence[NDArray[np.bool_]]) -> Floats:
    """Edges of about thirty bins over 0-1, joined until each holds at least 11 persons of each cell; none when there are too few."""
    edges = [0.0]

    def enough(end: float) -> bool:
        inside = (score >= edges[-1]) & ((score < end) if end < 1 else (score <= 1))
        return all(persons_behind(person, inside & cell) >= SMALL_CELL for cell in cells)

    for end in np.linspace(0, 1, _BINS + 1)[1:]:
        if enough(end):
            edges.append(float(end))
    if len(edges) > 1 and (score >= edges[-1]).any():
        edges[-1] = 1.0  # what is left belongs to the last bin that holds enough
    return np.array(edges if len(edges) > 1 else [])


def _groups(axes: Axes, t: HeldOut, levels: list[dict[str, object]]) -> None:
    shown = [row for row in levels if row["auroc"] is not None]
    overall = auroc(t.label, t.score)
    for y, row in enumerate(reversed(shown)):
        value, low, high = (float(str(row[key])) for key in ("auroc", "auroc_lower", "auroc_upper"))
        axes.plot((low, high), (y, y), color=_MODEL, lw=1.4)
        axes.plot(value, y, marker="o", color=_MODEL, markersize=4)
    axes.set_yticks(range(len(shown)))
    axes.set_yticklabels(
        [f"{row['group']}: {row['level']} (n = {row['persons']:,})" for row in reversed(shown)], fontsize=8
    )
    if np.isfinite(overall):
        axes.axvline(overall, color=_GREY, linestyle=":", lw=1, label=f"all {overall:.3f}")
        axes.legend(fontsize=7, frameon=False)
    note = f"{len(levels) - len(shown)} of {len(levels)} levels not shown: too few persons, or they would give these away"
    axes.set_xlabel(f"AUROC with 95 % interval, resampling persons\n{note if len(shown) < len(levels) else ''}", fontsize=8)  # fmt: skip
    axes.set_title("AUROC by group")
    axes.set_ylim(-0.7, max(len(shown), 1) - 0.3)


def _words(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "not computable"
