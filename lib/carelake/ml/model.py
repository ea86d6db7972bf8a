"""RiskModel: what a risk model is, declared once. Knows tables and numbers, no health care."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

from carelake.errors import DeclarationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from carelake.core.table import Table


class Kind(str, Enum):
    """How a feature's deviation from the usual is put into words."""

    COUNT = "count"
    AMOUNT = "amount"
    FLAG = "flag"
    ELAPSED = "elapsed"


@dataclass(frozen=True)
class Feature:
    """A numeric column of the feature table: `words` name it in a sentence, `unit` is UCUM or empty."""

    name: str
    words: str
    kind: Kind = Kind.AMOUNT
    unit: str = ""

    @property
    def above(self) -> str:
        """The reason when the value is above the training median."""
        return {
            Kind.COUNT: f"more {self.words} than usual",
            Kind.AMOUNT: f"higher {self.words} than usual",
            Kind.FLAG: self.words,
            Kind.ELAPSED: f"longer than usual since the {self.words}",
        }[self.kind]

    @property
    def below(self) -> str:
        """The reason when the value is below the training median."""
        return {
            Kind.COUNT: f"fewer {self.words} than usual",
            Kind.AMOUNT: f"lower {self.words} than usual",
            Kind.FLAG: f"no record of {self.words}",
            Kind.ELAPSED: f"shorter than usual since the {self.words}",
        }[self.kind]

    @property
    def absent(self) -> str:
        """The reason when that the value is missing counts by itself."""
        return f"no recent {self.words} on record"


@dataclass(frozen=True)
class Estimator:
    """A kind of classifier (`logistic` or `boosted_trees`) with the grid that cross-validation tries."""

    kind: str
    grid: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))
    fixed: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Gate:
    """A bound on one metric of the test side; a metric that could not be computed does not hold."""

    name: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, metrics: Mapping[str, float]) -> bool:
        """Whether the metric lies within the bounds."""
        value = metrics.get(self.metric, float("nan"))
        above = self.at_least is None or value >= self.at_least
        below = self.at_most is None or value <= self.at_most
        return value == value and above and below

    @property
    def rule(self) -> str:
        """The bound in words."""
        low = [] if self.at_least is None else [f"at least {self.at_least:g}"]
        high = [] if self.at_most is None else [f"at most {self.at_most:g}"]
        return f"{self.metric} {' and '.join(low + high)}"


Dataset = Callable[["DataFrame", "DataFrame"], "DataFrame"]


@dataclass(frozen=True)
class RiskModel:
    """A declared risk model.

    `cohort` has person_id, index_date, split (train, test, unused, score) and a boolean `label`; of one that holds several tasks, `task` names
    the rows. Where the outcome is an amount (`top_share`), the label is whether a row's `amount` is above zero and among that share of the highest of its
    index date. `feature_table` has the same key and a column for each of `features`. `baseline` names the few features that the model must beat. `groups` gives, for
    the audit, SQL text over the feature table by which the test side is cut. `estimator` lists the candidates; the best
    by cross-validation on the training side is taken.
    """

    name: str
    target: str
    cohort: Table
    feature_table: Table
    features: tuple[Feature, ...]
    estimator: tuple[Estimator, ...]
    gates: tuple[Gate, ...]
    intended_use: str
    population: str
    limits: tuple[str, ...]
    task: str | None = None
    top_share: float | None = None
    baseline: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    folds: int = 3
    seed: int = 20240901

    def __post_init__(self) -> None:
        """Refuse a wrong declaration at import. Raises DeclarationError."""
        columns = set(self.feature_table.columns)
        absent = [f.name for f in self.features if f.name not in columns] + [
            b for b in self.baseline if b not in columns
        ]
        if absent:
            raise DeclarationError(
                f"model {self.name}: {self.feature_table.name} has no column {', '.join(absent)}"
            )
        asked = (
            {"person_id", "index_date", "split", "label"}
            | ({"task"} if self.task else set())
            | ({"amount"} if self.top_share else set())
        )
        needed = asked - set(self.cohort.columns)
        if needed:
            raise DeclarationError(
                f"model {self.name}: {self.cohort.name} has no column {', '.join(sorted(needed))}"
            )
        wrong = [e.kind for e in self.estimator if e.kind not in {"logistic", "boosted_trees"}]
        if wrong or not self.estimator:
            raise DeclarationError(f"model {self.name}: unknown estimator {', '.join(wrong) or 'none given'}")
        if not self.gates or not self.intended_use.strip():
            raise DeclarationError(f"model {self.name}: gates and intended use are part of a model")

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return f"carelake/{self.name}"

    @property
    def registered(self) -> str:
        """Name of the registered model."""
        return f"carelake.{self.name}"

    def dataset(self, features: DataFrame, cohort: DataFrame) -> DataFrame:
        """One row per person and index date: key, split, label (double, NULL open), times, features, and `group_*` texts.

        Times (days_to_event, followup_days, as doubles) are there when the cohort has them.
        """
        groups = [
            f"coalesce(cast(({sql}) AS string), 'unknown') AS group_{name}"
            for name, sql in self.groups.items()
        ]
        rows = cohort if self.task is None else cohort.where(f"task = '{self.task}'")
        label = "label"
        if self.top_share is not None:
            # whom care costs most is asked of one day's people, whichever side they are on: a definition, not a prediction
            bound = f"percentile(amount, {1 - self.top_share}) OVER (PARTITION BY index_date)"
            rows = rows.selectExpr("*", f"amount > 0 AND amount >= {bound} AS _top")
            label = "_top"
        times = [
            f"cast({c} AS double) AS {c}" for c in ("days_to_event", "followup_days") if c in cohort.columns
        ]
        asked = rows.selectExpr(
            "person_id", "index_date", "split", f"cast({label} AS double) AS label", *times
        )
        known = features.selectExpr(
            "person_id",
            "index_date",
            *[f"cast(`{f.name}` AS double) AS `{f.name}`" for f in self.features],
            *groups,
        )
        return asked.join(known, ["person_id", "index_date"], how="inner")
