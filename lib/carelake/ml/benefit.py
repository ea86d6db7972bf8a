"""What acting on a score would bring: net benefit at thresholds, and the yield of a list of limited length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from carelake.ml.discrimination import Line, ratio

if TYPE_CHECKING:
    from carelake.ml.discrimination import Ranked
    from carelake.ml.held_out import Floats

THRESHOLDS = (0.02, 0.05, 0.10, 0.20)  # probabilities from which one would act
BUDGETS = (0.01, 0.05, 0.10)  # shares of the rows that can be flagged


def percent(share: float) -> str:
    """Two digits for the name of a metric: 0.05 is `05`."""
    return f"{round(share * 100):02d}"


def net_benefits(label: Floats, score: Floats, weights: Floats, threshold: float) -> Floats:
    """Events flagged less others flagged at the odds of the threshold, per row (Vickers and Elkin 2006), per resample."""
    worth = np.where(label > 0, 1.0, -threshold / (1 - threshold)) * (score >= threshold)
    return ratio(weights @ worth, weights.sum(axis=1))


def treat_all(prevalence: Floats, threshold: float) -> Floats:
    """Net benefit of flagging everyone; that of flagging nobody is 0."""
    return prevalence - (1 - prevalence) * threshold / (1 - threshold)


def benefit(label: Floats, score: Floats, weights: Floats) -> dict[str, Floats]:
    """Per threshold: net benefit, the same as a share of the prevalence (Kerr 2016), and beyond the better of all and none."""
    prevalence = ratio(weights @ label, weights.sum(axis=1))
    out: dict[str, Floats] = {}
    for threshold in THRESHOLDS:
        own = net_benefits(label, score, weights, threshold)
        at = percent(threshold)
        out[f"net_benefit_{at}"] = own
        out[f"standardized_net_benefit_{at}"] = ratio(own, prevalence)
        out[f"net_benefit_gain_{at}"] = own - np.maximum(treat_all(prevalence, threshold), 0)
    return out


def at_budgets(r: Ranked, weights: Floats, lead_days: Floats | None = None) -> dict[str, Floats]:
    """Per budget, when that share of the rows is flagged, per resample: sensitivity, positive predictive value, lead time.

    `lead_days` has a number in the rows with an event whose day is known, NaN in the others; the lead time is its median, by
    weight, over the events that are flagged, NaN without one.
    """
    out: dict[str, Floats] = {}
    rows, events = r.flagged[:, -1], r.hits[:, -1]
    for budget in BUDGETS:
        line = Line.at(r, budget)
        hits = line.hits(r)
        out[f"sensitivity_top_{percent(budget)}"] = ratio(hits, events)
        out[f"ppv_top_{percent(budget)}"] = ratio(hits, budget * rows)
        if lead_days is not None:
            out[f"lead_days_top_{percent(budget)}"] = _medians(line, r, weights, lead_days)
    return out


def _medians(line: Line, r: Ranked, weights: Floats, lead_days: Floats) -> Floats:
    known = np.flatnonzero(np.isfinite(lead_days))
    median = np.full(len(weights), np.nan)
    if known.size:
        by_time = known[np.argsort(lead_days[known], kind="stable")]
        mass = np.cumsum(weights[:, by_time] * line.shares(r.tie[by_time]), axis=1)
        some = mass[:, -1] > 0
        at = (mass < mass[:, -1:] / 2).sum(axis=1)
        median[some] = lead_days[by_time][at[some]]
    return median
