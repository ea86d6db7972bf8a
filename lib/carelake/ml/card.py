"""The model card and the plots: what a reader needs to judge a model, without a value of anyone's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from carelake.ml.model import RiskModel

_METRICS = (
    ("auroc", "AUROC"), ("baseline_auroc", "AUROC of the baseline"), ("auroc_gain", "AUROC above the baseline"),
    ("auprc", "AUPRC"), ("brier", "Brier score"), ("calibration_slope", "Calibration slope (ideal 1)"),
    ("calibration_intercept", "Calibration intercept (ideal 0)"),
)  # fmt: skip


def _number(value: float | None, digits: int = 3) -> str:
    return "not computable" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def _cell(value: float | int | None) -> str:
    return "<11" if value is None else f"{value}" if isinstance(value, int) else f"{value:.3f}"


def card(
    model: RiskModel,
    *,
    metrics: Mapping[str, float],
    params: Mapping[str, str],
    failed: Sequence[str],
    groups: Sequence[Mapping[str, Any]],
    tables: Mapping[str, int],
    as_of: date,
    release: str,
    importances: Sequence[tuple[str, float, float, float]] = (),
) -> str:
    """The model card in Markdown."""
    verdict = (
        "**Approved**: every gate below holds."
        if not failed
        else f"**NOT approved**: {'; '.join(failed)}. Scores of this version are candidates and must not steer care."
    )
    lines = [
        f"# Model card: {model.name}", "", verdict, "",
        "## Intended use", "", model.intended_use, "",
        "## Population", "", model.population, "",
        "## Question", "", f"{model.target}", "",
        "## Data", "",
        f"- As of {as_of.isoformat()}, carelake {release}; table versions: "
        + (", ".join(f"`{name}` {version}" for name, version in sorted(tables.items())) or "not given") + ".",
        "- " + "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in sorted(params.items())) + ".",
        "- Split by time and by person: no person is on both sides, and training labels end before the first test index date.",
        "",
        f"## Metrics on the test side ({metrics.get('test_rows', 0):.0f} rows of {metrics.get('test_persons', 0):.0f} persons, "
        f"{metrics.get('test_events', 0):.0f} events)", "",
        "95 % intervals by resampling persons.", "",
        "| metric | value | interval |", "|---|---|---|",
        *(f"| {label} | {_number(metrics.get(key))} | {_number(metrics.get(key + '_lower'))} to {_number(metrics.get(key + '_upper'))} |"
          for key, label in _METRICS), "",
        f"The baseline is a logistic regression on {' or on '.join(', '.join(b) for b in model.all_baselines.values()) or 'nothing'}, fit on the same training rows.", "",
        "## Gates", "", "| gate | rule | value | holds |", "|---|---|---|---|",
        *(f"| {g.name} | {g.rule} | {_number(metrics.get(g.metric))} | {'yes' if g.holds(metrics) else '**no**'} |" for g in model.gates), "",
        "## By group", "",
        "Cells that stand for fewer than 11 persons, events or non-events are not shown, nor is what would give them away.", "",
        "| group | level | persons | rows | events | AUROC | mean score | observed |", "|---|---|---|---|---|---|---|---|",
        *("| " + " | ".join([str(r["group"]), str(r["level"]), *(_cell(r[c]) for c in ("persons", "rows", "events", "auroc", "mean_score", "observed"))]) + " |"
          for r in groups), "",
        "## What it goes by", "", *(f"- {words}: AUROC falls by {drop:.3f} when it is shuffled" for words, drop, _, _ in importances), "",
        "## Limits", "", *(f"- {limit}" for limit in model.limits), "",
    ]  # fmt: skip
    return "\n".join(lines)
