"""How good a probability is: discrimination, calibration, and intervals by resampling persons. Arrays in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SMALL_CELL = 11
RESAMPLES = 1000
_EDGE = 1e-6


@dataclass(frozen=True)
class HeldOut:
    """The test side in arrays of one length: person, label (0/1), score (0-1), scores of baselines and group texts by name."""

    person: NDArray[np.int64]
    label: Floats
    score: Floats
    baselines: dict[str, Floats]
    groups: dict[str, NDArray[np.str_]]
    lead_days: Floats | None = None
    champion: Floats | None = None


def auroc(label: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Area under the ROC curve, ties counted half; NaN when one class is absent."""
    w = np.ones_like(label) if weight is None else weight
    _, group = np.unique(score, return_inverse=True)
    events = np.bincount(group, w * label)
    others = np.bincount(group, w * (1 - label))
    total = events.sum() * others.sum()
    below = np.cumsum(others) - others
    return float((events * (below + others / 2)).sum() / total) if total else float("nan")


def auprc(label: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Average precision (the step-wise area under precision and recall); NaN without an event."""
    w = np.ones_like(label) if weight is None else weight
    _, group = np.unique(-score, return_inverse=True)
    events, rows = np.bincount(group, w * label), np.bincount(group, w)
    hits, flagged = np.cumsum(events), np.cumsum(rows)
    if not hits.size or hits[-1] == 0:
        return float("nan")
    precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
    return float((precision * events).sum() / hits[-1])


def brier(label: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Mean squared difference between probability and outcome."""
    w = np.ones_like(label) if weight is None else weight
    return float((w * (score - label) ** 2).sum() / w.sum()) if w.sum() else float("nan")


def logistic(
    x: Floats, label: Floats, weight: Floats | None = None, offset: Floats | None = None, ridge: float = 1e-6
) -> Floats:
    """Coefficients (intercept first) of a logistic regression by Newton steps; `ridge` spares the intercept."""
    design = np.column_stack([np.ones(len(label)), x])
    w = np.ones_like(label) if weight is None else weight
    base = np.zeros_like(label) if offset is None else offset
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 1e-9
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta + base, -30, 30)))
        gradient = design.T @ (w * (label - p)) - penalty * beta
        hessian = (design * (w * np.maximum(p * (1 - p), 1e-12))[:, None]).T @ design + np.diag(penalty)
        change = np.clip(np.linalg.solve(hessian, gradient), -5, 5)
        beta = beta + change
        if np.abs(change).max() < 1e-8:
            break
    return beta


def calibration(label: Floats, score: Floats, weight: Floats | None = None) -> tuple[float, float]:
    """Slope of the outcome on the logit of the score, and intercept with the slope held at 1; ideal is (1, 0).

    NaN when one class is absent or all scores are the same.
    """
    w = np.ones_like(label) if weight is None else weight
    events = float((w * label).sum())
    used = score[w > 0]
    if events in (0.0, float(w.sum())) or used.min() == used.max():
        return float("nan"), float("nan")
    p = np.clip(score, _EDGE, 1 - _EDGE)
    logit = np.log(p / (1 - p))
    slope = logistic(logit[:, None], label, w)[1]
    intercept = logistic(np.empty((len(label), 0)), label, w, offset=logit)[0]
    return float(slope), float(intercept)


def _all(t: HeldOut, weight: Floats) -> dict[str, float]:
    slope, intercept = calibration(t.label, t.score, weight)
    own = auroc(t.label, t.score, weight)
    base = max((auroc(t.label, b, weight) for b in t.baselines.values()), default=float("nan"))
    return {
        "auroc": own, "auprc": auprc(t.label, t.score, weight), "brier": brier(t.label, t.score, weight),
        "calibration_slope": slope, "calibration_intercept": intercept,
        "baseline_auroc": base, "auroc_gain": own - base,
    }  # fmt: skip


def bootstrap(
    person: NDArray[np.int64],
    statistic: Callable[[Floats], dict[str, float]],
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of each statistic of row weights, resampling whole persons with replacement.

    Resamples in which a statistic cannot be computed (one class only) leave its interval to the others.
    """
    persons, index = np.unique(person, return_inverse=True)
    random = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(resamples):
        times = np.bincount(random.integers(0, len(persons), len(persons)), minlength=len(persons))
        for name, value in statistic(times[index].astype(np.float64)).items():
            drawn.setdefault(name, []).append(value)
    out = {}
    for name, values in drawn.items():
        known = np.asarray(values)[np.isfinite(values)]
        low, high = np.percentile(known, [2.5, 97.5]) if known.size else (float("nan"), float("nan"))
        out[name] = (float(low), float(high))
    return out


def evaluate(t: HeldOut, seed: int, resamples: int = RESAMPLES) -> dict[str, float]:
    """The metrics of the test side, each with `_lower` and `_upper` (95 % by person), and the sizes."""
    if not len(t.label):
        return {"test_rows": 0.0, "test_persons": 0.0, "test_events": 0.0}
    out = _all(t, np.ones_like(t.label))
    for name, (low, high) in bootstrap(t.person, lambda w: _all(t, w), seed, resamples).items():
        out[f"{name}_lower"], out[f"{name}_upper"] = low, high
    out |= {
        "test_rows": float(len(t.label)), "test_persons": float(len(np.unique(t.person))),
        "test_events": float(t.label.sum()), "prevalence": float(t.label.mean()), "mean_score": float(t.score.mean()),
    }  # fmt: skip
    return out


def by_group(t: HeldOut, seed: int) -> list[dict[str, Any]]:
    """One dict per group and level: persons, rows, events, AUROC, mean score and observed share.

    A level of fewer than 11 persons, or with fewer than 11 events or non-events, shows no count or figure below that size: counts
    are None and so is what would give them away. So that no suppressed level can be had by subtraction, the
    next smallest level of its group is suppressed with it when it stands alone.
    """
    table: list[dict[str, Any]] = []
    for name, texts in t.groups.items():
        cells = []
        for level in np.unique(texts):
            at = texts == level
            cells.append(
                (str(level), len(np.unique(t.person[at])), int(at.sum()), int(t.label[at].sum()), at)
            )
        hidden = {c[0] for c in cells if c[1] < SMALL_CELL}
        if len(hidden) == 1 and len(cells) > 1:
            hidden.add(min((c for c in cells if c[0] not in hidden), key=lambda c: (c[1], c[0]))[0])
        shy = {c[0] for c in cells if min(c[3], c[2] - c[3]) < SMALL_CELL}
        if len(shy) == 1 and len(cells) > 1:
            shy.add(min((c for c in cells if c[0] not in shy), key=lambda c: (c[3], c[0]))[0])
        for level, persons, rows, events, at in cells:
            row: dict[str, Any] = dict.fromkeys(
                ("persons", "rows", "events", "auroc", "mean_score", "observed")
            )
            row |= {"group": name, "level": level}
            if level not in hidden:
                row |= {"persons": persons, "rows": rows, "mean_score": float(t.score[at].mean())}
                if level not in shy:
                    row |= {
                        "events": events,
                        "observed": events / rows,
                        "auroc": auroc(t.label[at], t.score[at]),
                    }
            table.append(row)
    return table


def gaps(groups: list[dict[str, Any]]) -> dict[str, float]:
    """Highest less lowest AUROC among the shown levels of each group."""
    found: dict[str, list[float]] = {}
    for row in groups:
        if row["auroc"] is not None:
            found.setdefault(row["group"], []).append(row["auroc"])
    return {f"auroc_gap_{name}": max(values) - min(values) for name, values in found.items()}
