"""The model card and the plots: what a reader needs to judge a model, without a value of anyone's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from carelake.ml.evaluate import HeldOut
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
        f"The baseline is a logistic regression on {', '.join(model.baseline) or 'nothing'}, fit on the same training rows.", "",
        "## Gates", "", "| gate | rule | value | holds |", "|---|---|---|---|",
        *(f"| {g.name} | {g.rule} | {_number(metrics.get(g.metric))} | {'yes' if g.holds(metrics) else '**no**'} |" for g in model.gates), "",
        "## By group", "",
        "Cells that stand for fewer than 11 persons, events or non-events are not shown, nor is what would give them away.", "",
        "| group | level | persons | rows | events | AUROC | mean score | observed |", "|---|---|---|---|---|---|---|---|",
        *("| " + " | ".join([str(r["group"]), str(r["level"]), *(_cell(r[c]) for c in ("persons", "rows", "events", "auroc", "mean_score", "observed"))]) + " |"
          for r in groups), "",
        "## Limits", "", *(f"- {limit}" for limit in model.limits), "",
    ]  # fmt: skip
    return "\n".join(lines)


def plots(tested: HeldOut, folder: Path) -> None:
    """Write roc.png, pr.png and calibration.png into `folder`; nothing when there is no test row."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    label, score = tested.label, tested.score
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True) if len(score) else np.empty(0, bool)
    hits, flagged = np.cumsum(label[order])[last], (np.arange(len(order)) + 1)[last]
    events, others = max(label.sum(), 1), max((1 - label).sum(), 1)
    curves = {
        "roc": ((flagged - hits) / others, hits / events, "1 - specificity", "sensitivity", (0, 1)),
        "pr": (hits / events, hits / np.maximum(flagged, 1), "recall", "precision", None),
    }
    for name, (x, y, x_label, y_label, diagonal) in curves.items():
        figure, axes = plt.subplots(figsize=(4, 4), dpi=110)
        axes.step(
            np.concatenate([[0], x]) if name == "roc" else x,
            np.concatenate([[0], y]) if name == "roc" else y,
            where="post",
        )
        if diagonal:
            axes.plot(diagonal, diagonal, linestyle=":", color="grey")
        else:
            axes.axhline(label.mean() if len(label) else 0, linestyle=":", color="grey")
        axes.set(
            xlabel=x_label,
            ylabel=y_label,
            xlim=(0, 1),
            ylim=(0, 1.02),
            title=f"{name.upper()} on the test side",
        )
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png")
        plt.close(figure)
    figure, axes = plt.subplots(figsize=(4, 4), dpi=110)
    bins = np.array_split(np.argsort(score, kind="stable"), max(1, min(10, len(score) // 20)))
    points = [(score[b].mean(), label[b].mean()) for b in bins if len(b)]
    axes.plot((0, 1), (0, 1), linestyle=":", color="grey")
    axes.plot([p for p, _ in points], [o for _, o in points], marker="o")
    axes.set(
        xlabel="mean score",
        ylabel="observed share",
        xlim=(0, 1),
        ylim=(0, 1),
        title="Calibration on the test side",
    )
    figure.tight_layout()
    figure.savefig(folder / "calibration.png")
    plt.close(figure)
