"""For whom a model is worse: its measures per level of each kind of group, small cells suppressed, and the gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from carelake.ml.bootstrap import RESAMPLES, bootstrap
from carelake.ml.discrimination import Ranking, areas, flagged, ratio
from carelake.ml.held_out import SMALL_CELL, persons_behind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from carelake.ml.held_out import Floats, HeldOut

BUDGET = 0.10  # the top of the whole list that counts as flagged
RATES = ("sensitivity", "ppv", "false_positive_rate")
COMPARED = ("auroc", "observed_expected", *RATES)
_COUNTED = ("persons", "rows", "mean_score")
_OF_EVENTS = ("events", "observed", "observed_expected", "auroc")
_WITH_INTERVAL = ("observed_expected", "auroc", *RATES)


def by_group(t: HeldOut, seed: int, resamples: int = RESAMPLES) -> list[dict[str, Any]]:
    """One dict per group and level; what must not be shown is None.

    persons, rows, events, observed share, mean_score, observed_expected (calibration in the large), auroc, and, with the top
    10 % of the whole test side flagged, sensitivity, ppv and false_positive_rate; the last five with `_lower` and `_upper` (95 %
    by person). Sizes are not shown of a level of fewer than 11 persons; nothing about its events when fewer than 11 persons
    have one, or none; the rates not when fewer than 11 stand behind any of the four cells of flagged and event. Levels that
    would give these away by subtraction from the total, which is known, are suppressed with them (see `suppressed`). Two kinds
    of group whose levels are sums of one another are not protected against each other.
    """
    if not len(t.label):
        return []
    share = flagged(t.score, BUDGET)
    event = t.label > 0
    sizes: list[NDArray[np.bool_]] = [np.ones(len(t.label), dtype=bool)]
    outcomes = [event, ~event]
    crossed = [event & (share > 0), event & (share < 1), ~event & (share > 0), ~event & (share < 1)]
    table: list[dict[str, Any]] = []
    for group, texts in t.groups.items():
        hidden = suppressed(t.person, texts, sizes, set())
        shy = suppressed(t.person, texts, outcomes, hidden)
        coarse = suppressed(t.person, texts, crossed, shy)
        for level in np.unique(texts):
            at = texts == level
            row = dict.fromkeys(
                (*_COUNTED, *_OF_EVENTS, *RATES, *(f"{n}_{end}" for n in _WITH_INTERVAL for end in ("lower", "upper")))
            )  # fmt: skip
            table.append({"group": group, "level": str(level)} | row)
            if level in hidden:
                continue
            table[-1] |= {
                "persons": persons_behind(t.person, at), "rows": int(at.sum()), "mean_score": float(t.score[at].mean()),
            }  # fmt: skip
            if level in shy:
                continue
            table[-1] |= {"events": int(t.label[at].sum()), "observed": float(t.label[at].mean())}
            table[-1] |= _measured(t, at, share[at], level not in coarse, seed, resamples)
    return table


def _measured(
    t: HeldOut, at: NDArray[np.bool_], share: Floats, rates: bool, seed: int, resamples: int
) -> dict[str, float]:
    """AUROC and observed to expected of a level, and the rates where they may be shown, with intervals."""
    label, score = t.label[at], t.score[at]
    ranking = Ranking.of(score)

    def statistics(weights: Floats) -> dict[str, Floats]:
        out = {
            "auroc": areas(ranking.weighed(label, weights)),
            "observed_expected": ratio(weights @ label, weights @ score),
        }
        if rates:
            hits, false_alarms = weights @ (share * label), weights @ (share * (1 - label))
            out |= {
                "sensitivity": ratio(hits, weights @ label),
                "ppv": ratio(hits, hits + false_alarms),
                "false_positive_rate": ratio(false_alarms, weights @ (1 - label)),
            }
        return out

    found = {name: float(values[0]) for name, values in statistics(np.ones((1, len(label)))).items()}
    for name, (low, high) in bootstrap(t.person[at], statistics, seed, resamples).items():
        found |= {f"{name}_lower": low, f"{name}_upper": high}
    return found


def suppressed(
    person: NDArray[np.int64],
    texts: NDArray[np.str_],
    cells: Sequence[NDArray[np.bool_]],
    already: Iterable[str],
) -> set[str]:
    """The levels that must not be shown: those with a cell of fewer than 11 persons, those `already` hidden, and what covers them.

    `cells` are sets of rows. A total less the levels shown is the sum over those hidden: so never one alone is hidden, and
    together they stand for at least 11 persons in each cell, as long as there is another level, smallest first, to hide.
    """

    def smallest(levels: Iterable[str]) -> int:
        inside = np.isin(texts, list(levels))
        return min(persons_behind(person, cell & inside) for cell in cells)

    size = {str(level): smallest([str(level)]) for level in np.unique(texts)}
    hidden = {level for level, persons in size.items() if persons < SMALL_CELL} | set(already)
    for level in sorted(size, key=lambda name: (size[name], name)):
        if not hidden or (len(hidden) > 1 and smallest(hidden) >= SMALL_CELL):
            break
        hidden.add(level)
    return hidden


def gaps(groups: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """`gap_<group>_<measure>`: the largest difference between two levels that are shown, for each kind of group and measure.

    Measures: auroc, observed_expected, sensitivity, ppv, false_positive_rate. A gap needs two levels; without them its name is
    absent, so that a gate on it does not hold.
    """
    shown: dict[str, list[float]] = {}
    for row in groups:
        for measure in COMPARED:
            value = row.get(measure)
            if value is not None and np.isfinite(value):
                shown.setdefault(f"gap_{row['group']}_{measure}", []).append(float(value))
    return {name: max(values) - min(values) for name, values in shown.items() if len(values) > 1}
