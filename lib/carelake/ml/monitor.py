"""Whether a model still fits those whom it scores: drift of features and score, and outcomes against predictions. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carelake.core.stability import stability, stability_by_chance
from carelake.ml.evaluate import calibration
from carelake.ml.profile import ABSENT, SCORE, SMALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from carelake.ml.profile import Counts

WATCH_PSI, ALARM_PSI = 0.1, 0.25
# Observed over expected: beyond these, above or below, when its 95 % interval does not hold 1.
WATCH_RATIO, ALARM_RATIO = 1.25, 1.5
MANY = 0.1  # share of the features that have moved from which on a new training is proposed
OK, WATCH, ALARM, SUPPRESSED = "ok", "watch", "alarm", "suppressed"


@dataclass(frozen=True)
class Moved:
    """A value's distribution now against that of the training; None where fewer than 11 persons are too few to tell."""

    subject: str
    rows: int | None
    psi: float | None
    psi_by_chance: float | None
    missing_share: float | None
    missing_at_training: float | None
    status: str


@dataclass(frozen=True)
class Matured:
    """Outcomes that are known by now against the scores of one earlier day; None where a cell would be below 11."""

    rows: int | None
    observed: int | None
    expected: float | None
    ratio: float | None
    lower: float | None
    upper: float | None
    in_the_large: float | None
    status: str


def moved(subject: str, reference: Mapping[str, Any], counts: Counts, persons: int) -> Moved:
    """The stability index of one value, what is missing being a bin of its own.

    `reference` is its part of `profile()["values"]`, `counts` of `counted` with the same edges, `persons` those of the training. One
    row a person now: an index that chance alone explains raises no alarm.
    """
    bins = counts.get(subject, {})
    rows, people = sum(n for n, _ in bins.values()), sum(p for _, p in bins.values())
    if min(people, persons) < SMALL:
        return Moved(subject, None, None, None, None, reference["missing"], SUPPRESSED)
    now = [bins.get(i, (0, 0))[0] / rows for i in range(len(reference["shares"]))]
    absent = bins.get(ABSENT, (0, 0))[0] / rows
    pairs = [*zip(reference["shares"], now, strict=True), (reference["missing"], absent)]
    there = [(a, b) for a, b in pairs if a or b]
    index, chance = stability(there), stability_by_chance(len(there), persons, people)
    status = OK if index <= max(WATCH_PSI, chance) else ALARM if index > ALARM_PSI else WATCH
    return Moved(subject, rows, index, chance, absent, reference["missing"], status)


def matured(label: NDArray[np.float64], score: NDArray[np.float64]) -> Matured:
    """Observed over expected events with a 95 % interval, and calibration in the large.

    The interval is that of log(O/E) with standard error sqrt((1 - O/n) / O) (Debray et al., BMJ 2017;356:i6460). Calibration in the large
    is the intercept of a logistic regression of the outcome with the logit of the score as offset: 0 is ideal, above 0 too low scores.
    """
    n, observed = len(label), int(label.sum())
    if min(n, observed, n - observed) < SMALL:
        return Matured(n if n >= SMALL else None, *(None,) * 6, SUPPRESSED)
    expected = float(score.sum())
    ratio = observed / expected
    spread = 1.96 * math.sqrt((1 - observed / n) / observed)
    lower, upper = ratio * math.exp(-spread), ratio * math.exp(spread)
    large = calibration(label, score)[1]
    far = max(ratio, 1 / ratio)
    status = OK if lower <= 1 <= upper or far <= WATCH_RATIO else ALARM if far > ALARM_RATIO else WATCH
    return Matured(
        n, observed, expected, ratio, lower, upper, large if math.isfinite(large) else None, status
    )


def proposal(values: Sequence[Moved], outcomes: Sequence[Matured]) -> str | None:
    """Why the model should be trained anew; None when nothing asks for it. `outcomes` are those of its own scores."""
    features = [v for v in values if v.subject != SCORE]
    far = [v for v in features if v.status == ALARM]
    why = [
        f"the scores have moved (PSI {v.psi:.2f})"
        for v in values
        if v.subject == SCORE and v.status == ALARM and v.psi is not None
    ]
    if far and len(far) >= MANY * len(features):
        why.append(f"{len(far)} of {len(features)} features have moved")
    why += [
        f"observed over expected is {o.ratio:.2f}"
        for o in outcomes
        if o.status == ALARM and o.ratio is not None
    ]
    return "; ".join(why) or None
