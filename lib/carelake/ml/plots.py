"""The plots of the test side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from carelake.ml.evaluate import HeldOut


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
