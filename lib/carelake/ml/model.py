"""RiskModel: what a risk model is, declared once. Knows tables and numbers, no health care."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

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


ESTIMATORS = ("logistic", "random_forest", "boosted_trees", "survival_aft", "xgboost")
SURVIVAL = ("days_to_event", "followup_days")  # columns of a cohort that survival_aft asks for
COVARIATES = "covariates"  # column of the examples: ids of the covariates that are present
UNKNOWN = "unknown"  # the level of a group, and the site, of a row that has none
TIME_AT_RISK = "time_at_risk_days"  # its fixed parameter: the day by which the event is predicted


@dataclass(frozen=True)
class Estimator:
    """One of ESTIMATORS with the grid that cross-validation tries; parameters bear the names of Spark's (or XGBoost's) own.

    `survival_aft` also needs the fixed parameter `time_at_risk_days`.
    """

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


Read = Callable[["Table"], "DataFrame"]


@dataclass(frozen=True)
class Covariates:
    """Sparse columns beside the features: a row of `table` (person_id, index_date, covariate_id) that `of` (SQL) picks is one that is present.

    `names` has covariate_id and covariate_name.
    """

    table: Table
    names: Table
    of: str = "true"


@dataclass(frozen=True)
class RiskModel:
    """A declared risk model.

    `cohort` has person_id, index_date, split (train, test, unused, score) and a boolean `label`; of one that holds several tasks, `task`
    names the rows. Where the outcome is an amount (`top_share`), the label is whether a row's `amount` is above zero and among that share of the
    highest of its index date. `feature_table` has the same key and a column for each of `features`. `baselines` names sets of few columns of
    the feature table that the model must beat. `groups` gives, for the audit, SQL text over the
    feature table by which the test side is cut; `recalibrate_by` is one of them, by whose levels the score is recalibrated and of which it then
    is a function. `site` is SQL text over the feature table too: where a row was cared for, 'unknown' or NULL nowhere; the model is then tested
    at sites that took no part in its fit as well (ml/external.py). `estimator` lists the candidates; the best by cross-validation on the training
    side is taken.

    `covariates` are appended to the features; only a logistic regression takes them, since reasons are told in one pass where the margin is linear.

    Training is refused below `min_events` persons with, or without, the event, and below `min_events_per_variable` of them
    for each candidate variable. The latter is off unless declared: the penalties of the estimators allow less than the ten
    of Peduzzi et al. (1996, doi:10.1016/S0895-4356(96)00236-3), and the figure is a metric that a gate may hold.
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
    covariates: Covariates | None = None
    baselines: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    min_events: int = 10
    min_events_per_variable: float = 0.0
    groups: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    site: str | None = None
    recalibrate_by: str | None = None
    folds: int = 3
    seed: int = 20240901

    def __post_init__(self) -> None:
        """Refuse a wrong declaration at import. Raises DeclarationError."""
        columns = set(self.feature_table.columns)
        named = [*(f.name for f in self.features), *(c for b in self.baselines.values() for c in b)]
        absent = [name for name in dict.fromkeys(named) if name not in columns]
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
        wrong = [e.kind for e in self.estimator if e.kind not in ESTIMATORS]
        if wrong or not self.estimator:
            raise DeclarationError(f"model {self.name}: unknown estimator {', '.join(wrong) or 'none given'}")
        if self.covariates and any(e.kind != "logistic" for e in self.estimator):
            raise DeclarationError(f"model {self.name}: only a logistic regression takes covariates")
        survival = [e for e in self.estimator if e.kind == "survival_aft"]
        if survival and not set(SURVIVAL) <= set(self.cohort.columns):
            raise DeclarationError(
                f"model {self.name}: survival_aft needs {' and '.join(SURVIVAL)} in {self.cohort.name}"
            )
        if any(e.fixed.get(TIME_AT_RISK, 0) <= 0 for e in survival):
            raise DeclarationError(
                f"model {self.name}: survival_aft needs {TIME_AT_RISK} among its fixed parameters"
            )
        if self.recalibrate_by is not None and self.recalibrate_by not in self.groups:
            raise DeclarationError(
                f"model {self.name}: recalibrate_by names no group; there are {', '.join(self.groups) or 'none'}"
            )
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

    @property
    def tables(self) -> tuple[Table, ...]:
        """What its examples are made of: features, cohort, covariates."""
        return (self.feature_table, self.cohort, *((self.covariates.table,) if self.covariates else ()))

    def examples(self, read: Read) -> DataFrame:
        """`dataset` of the tables as `read` gives them."""
        return self.dataset(*[read(t) for t in self.tables])

    @property
    def recalibrated_column(self) -> str | None:
        """The column of the dataset by whose levels the score is recalibrated."""
        return f"group_{self.recalibrate_by}" if self.recalibrate_by else None

    def covariate_names(self, read: Read) -> DataFrame | None:
        """What the ids of its covariates mean; None without covariates."""
        return read(self.covariates.names) if self.covariates else None

    def asked(self, cohort: DataFrame) -> DataFrame:
        """The rows of `cohort` that this model asks about, their `label` as it means it (boolean, NULL open)."""
        rows = cohort if self.task is None else cohort.where(f"task = '{self.task}'")
        if self.top_share is None:
            return rows
        # whom care costs most is asked of all people of a day, whichever side they are on: a definition, not a prediction
        bound = f"percentile(amount, {1 - self.top_share}) OVER (PARTITION BY index_date)"
        return rows.withColumn("label", F.expr(f"amount > 0 AND amount >= {bound}"))

    def dataset(
        self, features: DataFrame, cohort: DataFrame, covariates: DataFrame | None = None
    ) -> DataFrame:
        """One row per person and index date: key, split, label (double, NULL open), features, `group_*` texts, and
        `site`, a text, where it is declared.

        With them the columns of baselines, and `days_to_event` and `followup_days` where the cohort has them, as doubles; `covariates`,
        the ids of those that are present (array of text), where the model is declared with some.
        """
        words = {f"group_{name}": sql for name, sql in self.groups.items()} | (
            {"site": self.site} if self.site else {}
        )
        texts = [f"coalesce(cast(({sql}) AS string), '{UNKNOWN}') AS {name}" for name, sql in words.items()]
        times = [c for c in SURVIVAL if c in self.cohort.columns]
        asked = self.asked(cohort).selectExpr(
            "person_id", "index_date", "split", "cast(label AS double) AS label",
            *[f"cast(`{c}` AS double) AS `{c}`" for c in times],
        )  # fmt: skip
        columns = dict.fromkeys(
            [*(f.name for f in self.features), *(c for b in self.baselines.values() for c in b)]
        )
        known = features.selectExpr(
            "person_id",
            "index_date",
            *[f"cast(`{c}` AS double) AS `{c}`" for c in columns],
            *texts,
        )
        key = ["person_id", "index_date"]
        out = asked.join(known, key, how="inner")
        if covariates is None or self.covariates is None:
            return out
        # to text within each row's own set: the ids of a row are many, of all rows few
        present = (
            covariates.where(self.covariates.of).groupBy(key).agg(F.collect_set("covariate_id").alias("_ids"))
        )
        listed = "coalesce(cast(array_sort(_ids) AS array<string>), cast(array() AS array<string>))"
        return out.join(present, key, how="left").withColumn(COVARIATES, F.expr(listed)).drop("_ids")
