"""What a reviewer reads first in MLflow: what the model is for, on whom it was trained, how good, for whom worse, and the verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from carelake.ml.explain import Importance
    from carelake.ml.model import RiskModel

_WORST = 5  # levels of groups, and features


def number(value: Any) -> str:
    """Three digits, or that there is none."""
    known = isinstance(value, (int, float)) and math.isfinite(value)
    return f"{value:.3f}" if known else "not computable"


def _interval(metrics: Mapping[str, float], name: str) -> str:
    return f"{number(metrics.get(name))} ({number(metrics.get(f'{name}_lower'))} to {number(metrics.get(f'{name}_upper'))})"


def describe(
    model: RiskModel,
    *,
    metrics: Mapping[str, float],
    groups: Sequence[Mapping[str, Any]],
    importances: Sequence[Importance],
    estimator: str,
    as_of: date,
) -> str:
    """The description of a run and its version in Markdown; of groups, only what `by_group` lets be shown."""
    failed = [g for g in model.gates if not g.holds(metrics)]
    verdict = (
        "**Approved**: every gate holds, so it may be the champion."
        if not failed
        else f"**Not approved**: {len(failed)} of {len(model.gates)} gates do not hold. It may not be the champion."
    )
    words = {f.name: f.words for f in model.features}
    lines = [
        f"# {model.target}", "", verdict, "",
        "## What it is for", "", model.intended_use, "",
        "## On whom it was trained", "", model.population, "",
        f"{metrics.get('train_rows', 0):.0f} rows of {metrics.get('train_persons', 0):.0f} persons, "
        f"{metrics.get('train_events', 0):.0f} events; {number(metrics.get('events_per_variable'))} persons of the rarer outcome for each "
        f"candidate variable. As of {as_of.isoformat()}. Chosen by cross-validation grouped by person: `{estimator}`, "
        f"AUROC {number(metrics.get('cv_auroc'))} (the candidates are the nested runs).", "",
        "## How good it is", "",
        f"On {metrics.get('test_rows', 0):.0f} rows of {metrics.get('test_persons', 0):.0f} other persons, {metrics.get('test_events', 0):.0f} "
        "events, with 95 % intervals by resampling persons:", "",
        f"- AUROC {_interval(metrics, 'auroc')}",
        f"- AUPRC {_interval(metrics, 'auprc')}, prevalence {number(metrics.get('prevalence'))}",
        f"- Brier score {_interval(metrics, 'brier')}",
        f"- calibration slope {_interval(metrics, 'calibration_slope')}, intercept {_interval(metrics, 'calibration_intercept')}",
        *_elsewhere(metrics), "",
        "## For whom it is worse", "", *_worse(metrics, groups), "",
        "## What it goes by", "", *(
            [f"- {words.get(i.feature, i.feature)}: AUROC falls by {number(i.drop)} when it is shuffled" for i in importances[:_WORST]]
            or ["No importance can be computed: the test side has one class only."]
        ), "",
        "## Why it may be promoted, or not", "", "| gate | rule | value | holds |", "|---|---|---|---|",
        *(f"| {g.name} | {g.rule} | {number(metrics.get(g.metric))} | {'no' if g in failed else 'yes'} |" for g in model.gates), "",
        "Everything else: `card.md` among the artifacts.",
    ]  # fmt: skip
    return "\n".join(lines)


def _elsewhere(metrics: Mapping[str, float]) -> list[str]:
    """What is known of sites that took no part in the fit, if anything."""
    sites = metrics.get("external_sites", 0)
    if not sites:
        return []
    mean, low, high = (number(metrics.get(f"external_auroc_{what}")) for what in ("mean", "min", "max"))
    return [f"- at {sites:.0f} sites, fitted again without each: AUROC {mean} on average, {low} to {high}"]


def _worse(metrics: Mapping[str, float], groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """The levels with the lowest AUROC, of those that are shown and below the whole."""
    whole = metrics.get("auroc", math.nan)
    shown = [
        g for g in groups
        if isinstance(g.get("auroc"), (int, float)) and math.isfinite(g["auroc"])
    ]  # fmt: skip
    below = sorted((g for g in shown if g["auroc"] < whole), key=lambda g: g["auroc"])[:_WORST]
    hidden = len(groups) - len(shown)
    small = f"{hidden} of {len(groups)} levels of groups are too small to be judged or shown."
    return [
        *(f"- {g['group']} {g['level']}: AUROC {number(g['auroc'])}, {number(whole - g['auroc'])} below the whole" for g in below),
        *([] if below else ["No group that can be judged is below the whole."] if shown else ["No group can be judged."]),
        *(["", small] if hidden else []),
    ]  # fmt: skip
