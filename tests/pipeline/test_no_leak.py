"""A perfect predictor that lies in the future lifts nothing: from records to the AUROC of the test side."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyspark.sql.functions as F
import pytest

from carelake.core.table import Table
from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.features.covariate import COVARIATE, covariate
from carelake.gold.features.person_features import PERSON_FEATURES, PREDICTORS, person_features
from carelake.ml.model import Estimator, Gate, RiskModel
from carelake.ml.train import Tracking, train
from carelake.models.standard import PRESENT
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from carelake.core.step import Step

DIABETES = 201826
DATES = {date(2021, 1, 1): "train", date(2022, 1, 1): "test"}
MODEL = RiskModel(
    name="toy", target="A coin", cohort=TASK_COHORT, task="toy", feature_table=PERSON_FEATURES, features=PREDICTORS, covariates=PRESENT,
    estimator=(Estimator("logistic", {}, {"regParam": 0.05, "maxIter": 20}),), gates=(Gate("discriminates", "auroc", at_least=0.5),),
    intended_use="To look for leaks.", population="SYNTHETIC coins.", limits=(),
)  # fmt: skip


PLANTED = {"never": None, "on the day": 0, "later": 30, "the day before": -1}  # days after the index date
PEOPLE = 240  # in each of these worlds, which differ in nothing else


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> dict[Table, DataFrame]:
    """Cohort, features and covariates of people whose outcome is a coin; who has it gets a diagnosis on the planted day."""
    cohort: list[dict[str, Any]] = []
    conditions: list[dict[str, Any]] = []
    visits: list[dict[str, Any]] = []
    for world, (task, planted) in enumerate(PLANTED.items()):
        random = np.random.default_rng(5)
        for n in range(1, PEOPLE + 1):
            person = 1000 * world + n
            visits.append({
                "person_id": person, "visit_occurrence_id": person, "visit_concept_id": 9203 if n % 3 else 9202,
                "visit_start_date": "2020-06-01", "visit_end_date": "2020-06-01",
            })  # fmt: skip
            day, split = list(DATES.items())[n % 2]
            label = bool(random.random() < 0.4)
            cohort.append(
                {"task": task, "person_id": person, "index_date": day, "split": split, "label": label}
            )
            if label and planted is not None:
                on = (day + timedelta(days=planted)).isoformat()
                conditions.append({"person_id": person, "condition_concept_id": DIABETES, "condition_start_date": on})  # fmt: skip
    people = [r["person_id"] for r in visits]
    rows = {
        "visit_occurrence": visits, "condition_occurrence": conditions, "task_cohort": cohort,
        "person": [{"person_id": p, "year_of_birth": 1960, "gender_concept_id": 8532} for p in people],
        "observation_period": [
            {"person_id": p, "observation_period_start_date": "2019-01-01", "observation_period_end_date": "2023-12-31"} for p in people
        ],
        "concept": [{"concept_id": DIABETES, "concept_name": "Type 2 diabetes mellitus", "domain_id": "Condition",
                     "vocabulary_id": "SNOMED", "concept_code": "44054006"}],
    }  # fmt: skip

    def made(step: Step) -> DataFrame:
        given = {
            name: frame(spark, table, *rows.get(table.name.rpartition("/")[2], []))
            for name, table in step.inputs.items() if isinstance(table, Table)
        }  # fmt: skip
        return step.writes.conform(step(**given)).cache()

    return {
        TASK_COHORT: frame(spark, TASK_COHORT, *cohort), PERSON_FEATURES: made(person_features), COVARIATE: made(covariate)
    }  # fmt: skip


def in_world(rows: DataFrame, task: str) -> list[tuple[Any, ...]]:
    world = list(PLANTED).index(task)
    inside = rows.where(f"person_id DIV 1000 = {world}").withColumn("person_id", F.expr("person_id % 1000"))
    return sorted(map(tuple, inside.collect()), key=repr)


def auroc(tables: dict[Table, DataFrame], task: str, folder: Path) -> float:
    own = Tracking(f"sqlite:///{folder}/{task}.db", str(folder / task))
    model = replace(MODEL, task=task)
    result = train(
        model, model.examples(tables.__getitem__), fingerprint="f", tracking=own, as_of=date(2023, 1, 1), tables={}, release="0"
    )  # fmt: skip
    assert result.trained
    return float(result.metrics["auroc"])


@pytest.mark.parametrize("task", ["on the day", "later"])
def test_a_perfect_predictor_from_the_index_date_on_changes_no_feature(
    tables: dict[Table, DataFrame], task: str
) -> None:
    for table in (PERSON_FEATURES, COVARIATE):
        assert in_world(tables[table], task) == in_world(tables[table], "never")


def test_it_lifts_no_auroc_but_a_day_before_it_is_found(
    tables: dict[Table, DataFrame], tmp_path: Path
) -> None:
    assert auroc(tables, "on the day", tmp_path) == pytest.approx(0.5, abs=0.15)  # a coin
    assert auroc(tables, "the day before", tmp_path) == 1.0
