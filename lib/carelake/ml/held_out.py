"""The test side as arrays: what every measure of a model is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

Floats: TypeAlias = NDArray[np.float64]

SMALL_CELL = 11  # counts below it are not shown (cell size suppression policy of CMS)


@dataclass(frozen=True)
class HeldOut:
    """The test side in arrays of one length, a row per person and index date.

    `label` is 0 or 1, `score` and each of `baselines` a probability, `champion` that of the champion on the same rows;
    `groups` give for each kind of group the level as text; `lead_days` are days from index date to event, NaN without one.
    Raises ValueError when lengths differ.
    """

    person: NDArray[np.int64]
    label: Floats
    score: Floats
    baselines: dict[str, Floats]
    groups: dict[str, NDArray[np.str_]]
    lead_days: Floats | None = None
    champion: Floats | None = None

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths: numpy would repeat a single value silently."""
        wrong = [name for name, length in self._lengths() if length != len(self.label)]
        if wrong:
            raise ValueError(f"the test side needs arrays of one length; {', '.join(wrong)} has another")

    def _lengths(self) -> Iterator[tuple[str, int]]:
        yield "person", len(self.person)
        yield "score", len(self.score)
        yield from ((f"baseline {name}", len(values)) for name, values in self.baselines.items())
        yield from ((f"group {name}", len(values)) for name, values in self.groups.items())
        if self.lead_days is not None:
            yield "lead_days", len(self.lead_days)
        if self.champion is not None:
            yield "champion", len(self.champion)


def persons_behind(person: NDArray[np.int64], rows: NDArray[np.bool_]) -> int:
    """How many persons these rows stand for."""
    return len(np.unique(person[rows]))
