"""Training on a small generated population with real signal, against a real MLflow (SQLite and files)."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pytest

from carelake.core.table import Field, Table
from carelake.ml.model import Estimator, Feature, Gate, Kind, RiskModel
from carelake.ml.train import Tracking, predict, train

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

COHORT = Table(
    name="gold/toy_cohort",
    doc="Generated people.",
    fields=(
        Field("person_id", "bigint", "p"), Field("index_date", "date", "d"), Field("split", "string", "s"),
        Field("label", "boolean", "l"),
    ),
    key=("person_id", "index_date"),
)  # fmt: skip
FEATURES = Table(
    name="gold/toy_features",
    doc="Generated features.",
    fields=(
        Field("person_id", "bigint", "p"), Field("index_date", "date", "d"), Field("visits", "double", "v"),
        Field("lab", "double", "l"), Field("noise", "double", "n"), Field("constant", "double", "c"), Field("empty", "double", "e"),
        Field("age", "double", "a"), Field("sex", "string", "s"),
    ),
    key=("person_id", "index_date"),
)  # fmt: skip
MODEL = RiskModel(
    name="toy",
    target="An event within a year",
    cohort=COHORT,
    feature_table=FEATURES,
    features=(
        Feature("visits", "visits in the last year", Kind.COUNT), Feature("lab", "blood lead"), Feature("noise", "noise"),
        Feature("constant", "constant"), Feature("empty", "nothing"), Feature("age", "age"),
    ),
    estimator=(
        Estimator("logistic", {"regParam": (0.01, 0.1)}, {"maxIter": 30}),
        Estimator("boosted_trees", {}, {"maxIter": 3, "maxDepth": 2}),
    ),
    gates=(Gate("discriminates", "auroc_lower", at_least=0.5), Gate("slope", "calibration_slope", at_least=0.5, at_most=2.0)),
    intended_use="To test training.",
    population="SYNTHETIC numbers from a random generator.",
    limits=("None of this is real.",),
    baseline=("age",),
    groups={"sex": "sex"},
)  # fmt: skip


def population(spark: SparkSession) -> DataFrame:
    """120 people at four landmarks; the outcome follows visits and lab, half of the labs are missing."""
    random = np.random.default_rng(7)
    cohort, features = [], []
    for person in range(1, 121):
        age, sex = float(random.integers(30, 90)), "female" if person % 2 else "male"
        for year in range(2019, 2024):
            visits, lab, noise = float(random.poisson(2)), random.normal(), random.normal()
            chance = 1 / (1 + np.exp(-(-2.2 + 0.6 * visits + 1.2 * lab)))
            test = person % 3 == 0
            split = (
                "score"
                if year == 2023
                else "test"
                if test and year >= 2021
                else "train"
                if not test and year < 2021
                else "unused"
            )
            label = None if year == 2023 else bool(random.random() < chance)
            day = date(year, 1, 1)
            cohort.append((person, day, split, label))
            seen = lab if random.random() < 0.7 else None
            features.append((person, day, visits, seen, noise, 1.0, None, age, sex))
    return MODEL.dataset(
        spark.createDataFrame(features, FEATURES.schema), spark.createDataFrame(cohort, COHORT.schema)
    )


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("ml flow")
    return Tracking(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))


@pytest.fixture(scope="module")
def examples(spark: SparkSession) -> DataFrame:
    return population(spark).cache()


def run(model: RiskModel, examples: DataFrame, tracking: Tracking, fingerprint: str):  # type: ignore[no-untyped-def]
    return train(
        model, examples, fingerprint=fingerprint, tracking=tracking, as_of=date(2023, 1, 1), tables={"gold/toy_features": 3},
        release="0.0.1",
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(examples: DataFrame, tracking: Tracking):  # type: ignore[no-untyped-def]
    return run(MODEL, examples, tracking, "abc123")


def artifacts(tracking: Tracking, run_id: str, to: Path) -> Path:
    client = mlflow.MlflowClient(tracking.uri, tracking.uri)
    return __import__("pathlib").Path(client.download_artifacts(run_id, "", str(to)))


def test_a_real_signal_is_found_and_its_version_becomes_champion(trained, tracking: Tracking) -> None:  # type: ignore[no-untyped-def]
    assert trained.trained
    assert trained.approved
    assert trained.gates == {"discriminates": True, "slope": True}
    assert trained.metrics["auroc"] > 0.7
    assert trained.metrics["auroc_lower"] < trained.metrics["auroc"] < trained.metrics["auroc_upper"]
    client = mlflow.MlflowClient(tracking.uri, tracking.uri)
    assert str(client.get_model_version_by_alias("carelake.toy", "champion").version) == trained.version


def test_the_run_carries_plots_card_importances_and_table_versions(
    trained, tracking: Tracking, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    files = artifacts(tracking, trained.run_id, tmp_path)
    for name in ("roc", "pr", "calibration"):
        assert (files / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    card = (files / "card.md").read_text()
    assert "SYNTHETIC" in card
    assert "**Approved**" in card
    assert "`gold/toy_features` 3" in card
    with (files / "feature_importances.csv").open() as f:
        ranked = [r["feature"] for r in csv.DictReader(f)]
    assert set(ranked[:2]) == {"visits", "lab"}
    assert set(ranked) == {"visits", "lab", "noise", "age", "lab_missing"}
    run_ = mlflow.MlflowClient(tracking.uri, tracking.uri).get_run(trained.run_id)
    assert run_.data.params["table.gold/toy_features"] == "3"
    assert run_.data.tags["release"] == "0.0.1"


def test_the_same_fingerprint_trains_nothing(trained, examples: DataFrame, tracking: Tracking) -> None:  # type: ignore[no-untyped-def]
    again = run(MODEL, examples, tracking, "abc123")
    assert not again.trained
    assert (again.version, again.run_id, again.approved, again.gates) == (
        trained.version,
        trained.run_id,
        True,
        trained.gates,
    )
    client = mlflow.MlflowClient(tracking.uri, tracking.uri)
    experiment = client.get_experiment_by_name("carelake/toy")
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_scores_are_probabilities_with_reasons_and_no_value(
    trained, examples: DataFrame, tracking: Tracking
) -> None:  # type: ignore[no-untyped-def]
    scored = predict(MODEL, examples.where("split = 'score'"), tracking=tracking)
    assert scored is not None
    rows = scored.collect()
    assert len(rows) == 120
    assert all(0 < r.score < 1 and r.approved and r.model_version == trained.version for r in rows)
    known = {r.person_id: (r.visits, r.lab) for r in examples.where("split = 'score'").collect()}
    highest = max(rows, key=lambda r: r.score)
    assert "more visits in the last year than usual" in highest.reasons
    for r in rows:
        visits, lab = known[r.person_id]
        assert len(r.reasons) <= 4
        assert not any(ch.isdigit() for text in r.reasons for ch in text)
        if "more visits in the last year than usual" in r.reasons:
            assert visits > 2
        if "higher blood lead than usual" in r.reasons:
            assert lab is not None
        assert not ({"no recent blood lead on record", "higher blood lead than usual"} <= set(r.reasons))


def test_scores_do_not_depend_on_the_order_of_training(
    trained, examples: DataFrame, tracking: Tracking, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    other = Tracking(f"sqlite:///{tmp_path}/other.db", (tmp_path / "a").as_uri())
    shuffled = examples.orderBy("noise").repartition(5)
    again = run(MODEL, shuffled, other, "abc123")
    assert {k: round(v, 9) for k, v in again.metrics.items()} == {
        k: round(v, 9) for k, v in trained.metrics.items()
    }


def test_a_failed_gate_leaves_the_champion_where_it_was(
    trained, examples: DataFrame, tracking: Tracking, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    strict = replace(
        MODEL, gates=(*MODEL.gates, Gate("perfect", "auroc", at_least=1.0)), estimator=MODEL.estimator[:1]
    )
    failed = run(strict, examples, tracking, "def456")
    assert failed.trained
    assert not failed.approved
    assert failed.gates == {"discriminates": True, "slope": True, "perfect": False}
    client = mlflow.MlflowClient(tracking.uri, tracking.uri)
    assert str(client.get_model_version_by_alias("carelake.toy", "champion").version) == trained.version
    assert client.get_run(failed.run_id).data.tags["gates_failed"] == "perfect"
    assert (
        "**NOT approved**: gate perfect"
        in (artifacts(tracking, failed.run_id, tmp_path) / "card.md").read_text()
    )


def test_without_a_champion_the_newest_candidate_scores_unapproved(
    examples: DataFrame, tmp_path: Path
) -> None:
    own = Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    assert predict(MODEL, examples, tracking=own) is None
    strict = replace(MODEL, gates=(Gate("perfect", "auroc", at_least=1.0),), estimator=MODEL.estimator[:1])
    version = run(strict, examples, own, "f1").version
    scored = predict(strict, examples.where("split = 'score'"), tracking=own)
    assert scored is not None
    assert {(r.model_version, r.approved) for r in scored.collect()} == {(version, False)}
    assert not list(tmp_path.glob("artifacts/.spark-*"))


def test_too_few_events_are_said_and_nothing_is_registered(examples: DataFrame, tmp_path: Path) -> None:
    own = Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    result = run(MODEL, examples.where("person_id <= 2"), own, "f1")
    assert (result.version, result.trained, result.approved) == (None, False, False)
    assert "needs 3 persons" in result.why_not
    assert predict(MODEL, examples, tracking=own) is None
