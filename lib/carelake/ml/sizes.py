"""How much there is to learn from, and when that is too little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from carelake.ml.model import RiskModel


@dataclass(frozen=True)
class Sizes:
    """Of the training side: rows, rows with the event, persons with a row that has it, persons with a row that has not."""

    rows: int
    events: int
    persons: int
    with_event: int
    without: int

    @property
    def rarer(self) -> int:
        """Persons of the rarer outcome: rows of one person are not independent, so persons are what is counted."""
        return min(self.with_event, self.without)

    def metrics(self, variables: int) -> dict[str, float]:
        """As metrics, with the events per variable: persons of the rarer outcome for each candidate variable."""
        return {
            "train_rows": float(self.rows), "train_events": float(self.events), "train_persons": float(self.persons),
            "train_persons_with_event": float(self.with_event), "candidate_variables": float(variables),
            "events_per_variable": self.rarer / variables,
        }  # fmt: skip


def sizes_of(train: DataFrame) -> Sizes:
    """The sizes of labelled rows (person_id, label)."""
    persons = train.groupBy("person_id").agg(F.count("label").alias("rows"), F.sum("label").alias("events"))
    found = persons.agg(
        F.sum("rows"), F.sum("events"), F.count("*"), F.count_if(F.col("events") > 0), F.count_if(F.col("events") < F.col("rows"))
    ).first()  # fmt: skip
    return Sizes(*(int(v or 0) for v in found or (0,) * 5))


def refusal(model: RiskModel, sizes: Sizes, variables: int | None = None) -> str:
    """Why there is too little to train on, with the numbers; empty when there is enough.

    `variables` are the places of the feature vector that vary, once they are known.
    """
    if not sizes.rows:
        return "the training side has no labelled row"
    if sizes.events in (0, sizes.rows):
        which = "no row has" if not sizes.events else "every row has"
        return f"the training side has one class only: of {sizes.rows} rows, {which} the event"
    needed = max(model.min_events, model.folds)
    if sizes.rarer < needed:
        return f"the training side needs {needed} persons with the event and {needed} without; it has {sizes.with_event} and {sizes.without}"
    if variables and sizes.rarer / variables < model.min_events_per_variable:
        return (
            f"the training side has {sizes.rarer / variables:.2g} events per variable ({sizes.rarer} persons of the rarer outcome, "
            f"{variables} candidate variables); the model asks for {model.min_events_per_variable:g}"
        )
    return ""
