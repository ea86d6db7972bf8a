"""How good a model is on the test side: every figure under one flat name, with intervals by resampling persons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carelake.ml.benefit import BUDGETS, at_budgets, benefit, percent
from carelake.ml.bootstrap import RESAMPLES, bootstrap
from carelake.ml.calibration import Calibrated, brier, briers, calibration, log_losses, skills
from carelake.ml.discrimination import Ranking, areas, auprc, auroc, flagged, precisions, ratio
from carelake.ml.fairness import by_group, gaps
from carelake.ml.held_out import SMALL_CELL, Floats, HeldOut, persons_behind
from carelake.ml.logistic import logistic

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "RESAMPLES", "SMALL_CELL", "Floats", "HeldOut", "auprc", "auroc", "bootstrap", "brier", "by_group", "calibration",
    "evaluate", "gaps", "logistic",
]  # fmt: skip


def evaluate(t: HeldOut, seed: int, resamples: int = RESAMPLES) -> dict[str, float]:
    """The metrics of the test side, each with `_lower` and `_upper` (95 % by person), and the sizes.

    auroc, auprc, brier, brier_skill, log_loss, calibration_slope, calibration_intercept, observed_expected, ici, e50, e90;
    net_benefit_*, standardized_net_benefit_*, net_benefit_gain_* per threshold in percent; sensitivity_top_*, ppv_top_*,
    number_needed_top_*, lead_days_top_* per budget in percent; baseline_<name>_auroc, baseline_auroc (the best of them in
    the same resample), auroc_gain; champion_auroc and champion_gain when there is a champion. NaN where it cannot be computed
    or, at a budget, where fewer than 11 persons are flagged (lead times: flagged with an event). Without a row the sizes alone.
    """
    sizes = {
        "test_rows": float(len(t.label)), "test_persons": float(len(np.unique(t.person))), "test_events": float(t.label.sum()),
    }  # fmt: skip
    if not len(t.label):
        return sizes
    measures = measured(t)
    out = {name: float(values[0]) for name, values in measures(np.ones((1, len(t.label)))).items()}
    out |= dict.fromkeys(_too_few(t) & out.keys(), float("nan"))
    for name, bounds in bootstrap(t.person, measures, seed, resamples).items():
        low, high = bounds if np.isfinite(out[name]) else (float("nan"), float("nan"))
        out[f"{name}_lower"], out[f"{name}_upper"] = low, high
    for budget in map(percent, BUDGETS):  # the inverse of a share turns its bounds round
        for end, of in (("", ""), ("_lower", "_upper"), ("_upper", "_lower")):
            share = out.get(f"ppv_top_{budget}{of}", float("nan"))
            out[f"number_needed_top_{budget}{end}"] = 1 / share if share > 0 else float("nan")
    away = np.full(1, np.nan) if np.isnan(out["ici"]) else Calibrated(t.label, t.score).distances()
    out |= {"e50": float(np.quantile(away, 0.5)), "e90": float(np.quantile(away, 0.9))}
    return out | sizes | {"prevalence": float(t.label.mean()), "mean_score": float(t.score.mean())}


def measured(t: HeldOut) -> Callable[[Floats], dict[str, Floats]]:
    """What gives each metric for weights of (resamples, rows), one value per resample. Shape: at least one row."""
    label, score = t.label, t.score
    ranking, calibrated = Ranking.of(score), Calibrated(label, score)
    rivals = {name: Ranking.of(values) for name, values in t.baselines.items()}
    champion = None if t.champion is None else Ranking.of(t.champion)
    lead_days = None if t.lead_days is None else np.where(label > 0, t.lead_days, np.nan)

    def measures(weights: Floats) -> dict[str, Floats]:
        own = ranking.weighed(label, weights)
        out = {
            "auroc": areas(own), "auprc": precisions(own), "brier": briers(label, score, weights),
            "brier_skill": skills(label, score, weights), "log_loss": log_losses(label, score, weights),
            "observed_expected": ratio(weights @ label, weights @ score),
        }  # fmt: skip
        out |= calibrated.measured(weights) | benefit(label, score, weights)
        out |= at_budgets(own, weights, lead_days)
        compared = {name: areas(r.weighed(label, weights)) for name, r in rivals.items()}
        out |= {f"baseline_{name}_auroc": values for name, values in compared.items()}
        best = np.max(list(compared.values()), axis=0) if compared else np.full(len(weights), np.nan)
        out |= {"baseline_auroc": best, "auroc_gain": out["auroc"] - best}
        if champion is not None:
            theirs = areas(champion.weighed(label, weights))
            out |= {"champion_auroc": theirs, "champion_gain": out["auroc"] - theirs}
        return out

    return measures


def _too_few(t: HeldOut) -> set[str]:
    """Metrics at budgets that would stand for fewer than 11 persons: chance, and what happened to somebody."""
    timed = np.zeros(len(t.label), bool) if t.lead_days is None else (t.label > 0) & np.isfinite(t.lead_days)
    names = set()
    for budget in BUDGETS:
        top = flagged(t.score, budget) > 0
        if persons_behind(t.person, top) < SMALL_CELL:
            names |= {f"sensitivity_top_{percent(budget)}", f"ppv_top_{percent(budget)}"}
        if persons_behind(t.person, top & timed) < SMALL_CELL:
            names.add(f"lead_days_top_{percent(budget)}")
    return names
