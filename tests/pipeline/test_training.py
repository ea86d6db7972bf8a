"""Training on a small generated population with real signal, against a real MLflow (SQLite and files)."""

from __future__ import annotations

import csv
import platform
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pytest
from pyspark.ml.classification import LogisticRegressionModel, RandomForestClassificationModel
from pyspark.sql import functions as F

from carelake.core.table import Field, Table
from carelake.errors import ConfigError
from carelake.ml.model import Covariates, Estimator, Feature, Gate, Kind, RiskModel
from carelake.ml.record import attempt, record_candidate
from carelake.ml.tracking import current, load, session
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
    baselines={"age": ("age",)},
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
        lines = list(csv.DictReader(f))
    ranked = [r["feature"] for r in lines]
    assert all(float(r["auroc_drop"]) > 0.02 for r in lines[:2])
    assert {r["feature"] for r in lines if r["missing_weight"]} == {"lab"}
    assert set(ranked[:2]) == {"visits", "lab"}
    assert set(ranked) == {"visits", "lab", "noise", "age"}
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
    runs = client.search_runs([experiment.experiment_id])
    assert [r.info.run_id for r in runs if "mlflow.parentRunId" not in r.data.tags] == [trained.run_id]
    assert len(runs) == 1 + 3


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


def stages(tracking: Tracking, version: str) -> list[Any]:
    known = current(tracking, MODEL.registered)
    assert known is not None
    assert known.version == version
    return load(tracking, MODEL.registered, known)[0].stages


def test_the_same_rows_in_another_order_give_the_same_model_to_the_bit(
    trained, examples: DataFrame, tracking: Tracking, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    other = Tracking(f"sqlite:///{tmp_path}/other.db", (tmp_path / "a").as_uri())
    shuffled = examples.orderBy("noise").repartition(5)
    again = run(MODEL, shuffled, other, "another")
    assert again.metrics == trained.metrics
    first, second = stages(tracking, trained.version), stages(other, again.version)
    linear = [[s for s in side if isinstance(s, LogisticRegressionModel)] for side in (first, second)]
    assert len(linear[0]) == 2  # the winner and the calibration
    for one, two in zip(*linear, strict=True):
        assert (one.coefficients.toArray() == two.coefficients.toArray()).all()
        assert one.intercept == two.intercept


@pytest.mark.slow
def test_trees_too_are_the_same_to_the_bit(examples: DataFrame, tmp_path: Path) -> None:
    trees = replace(MODEL, estimator=(Estimator("random_forest", {}, {"numTrees": 5, "maxDepth": 3}),))
    texts = []
    for name, rows in (("one", examples), ("two", examples.orderBy("noise").repartition(5))):
        own = Tracking(f"sqlite:///{tmp_path}/{name}.db", str(tmp_path / name))
        version = run(trees, rows, own, name).version
        forest = next(s for s in stages(own, version) if isinstance(s, RandomForestClassificationModel))
        texts.append(forest.toDebugString.split("\n", 1)[1])  # the first line has a random name
    assert "If (feature" in texts[0]
    assert texts[0] == texts[1]


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
    result = run(MODEL, examples.where("person_id <= 12"), own, "f1")
    assert (result.version, result.trained, result.approved) == (None, False, False)
    assert "needs 10 persons with the event and 10 without; it has" in result.why_not
    assert predict(MODEL, examples, tracking=own) is None
    assert (
        mlflow.MlflowClient(own.uri, own.uri).search_experiments(filter_string="name LIKE 'carelake/%'") == []
    )


def test_one_class_and_features_that_do_not_vary_are_said(examples: DataFrame, tmp_path: Path) -> None:
    own = Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    said = run(MODEL, examples.withColumn("label", F.lit(0.0)), own, "f1").why_not
    assert "one class only" in said
    flat = replace(MODEL, features=tuple(f for f in MODEL.features if f.name in ("constant", "empty")))
    assert run(flat, examples, own, "f2").why_not == "none of the 2 features varies on the training side"
    strict = replace(MODEL, min_events_per_variable=1000.0)
    assert "the model asks for 1000" in run(strict, examples, own, "f3").why_not
    assert predict(MODEL, examples, tracking=own) is None


def test_candidates_are_nested_runs_with_their_folds(trained, tracking: Tracking) -> None:  # type: ignore[no-untyped-def]
    client = mlflow.MlflowClient(tracking.uri, tracking.uri)
    experiment = client.get_experiment_by_name("carelake/toy")
    nested = client.search_runs(
        [experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{trained.run_id}'", order_by=["attributes.run_name"]
    )  # fmt: skip
    assert [r.info.run_name for r in nested] == [
        "boosted_trees(maxDepth=2, maxIter=3)", "logistic(maxIter=30, regParam=0.01)", "logistic(maxIter=30, regParam=0.1)",
    ]  # fmt: skip
    best = max(r.data.metrics["cv_auroc"] for r in nested)
    assert best == trained.metrics["cv_auroc"]
    for r in nested:
        folds = client.get_metric_history(r.info.run_id, "fold_auroc")
        assert sorted(m.step for m in folds) == [0, 1, 2]
        assert np.mean([m.value for m in folds]) == pytest.approx(r.data.metrics["cv_auroc"])
        assert client.list_artifacts(r.info.run_id) == []  # margins of persons stay out of MLflow
    assert nested[1].data.params == {"estimator": "logistic", "regParam": "0.01", "maxIter": "30"}


def test_a_reviewer_finds_use_gates_environment_and_schema(trained, tracking: Tracking) -> None:  # type: ignore[no-untyped-def]
    client = mlflow.MlflowClient(tracking.uri, tracking.uri)
    run_ = client.get_run(trained.run_id)
    tags = run_.data.tags
    assert (tags["target"], tags["intended_use"]) == ("An event within a year", "To test training.")
    assert tags["population"] == "SYNTHETIC numbers from a random generator."
    assert tags["gate.discriminates"].startswith("0.")
    assert tags["gate.discriminates"].endswith("; auroc_lower at least 0.5; holds")
    assert run_.data.metrics["gate.slope"] == trained.metrics["calibration_slope"]
    assert (tags["env.pyspark"], tags["env.python"]) == (version("pyspark"), platform.python_version())
    assert len(tags["code"]) == 16
    assert run_.data.params["features_constant"] == "constant, empty"
    assert trained.metrics["features_dropped"] == 2
    # 5 columns: visits, lab, noise, age, and that the lab is missing
    assert trained.metrics["candidate_variables"] == 5
    at = client.get_model_version("carelake.toy", trained.version)
    for text in (tags["mlflow.note.content"], at.description):
        assert "## For whom it is worse" in text
        assert "**Approved**" in text
        assert "| discriminates | auroc_lower at least 0.5 |" in text
    assert at.tags["gate.slope"] == tags["gate.slope"]
    assert "To test training." in client.get_registered_model("carelake.toy").description
    with session(tracking):
        info = mlflow.models.get_model_info(f"models:/carelake.toy/{trained.version}")
    signature = info.signature
    assert signature.inputs.input_names() == ["visits", "lab", "noise", "age"]
    assert {str(t) for t in signature.inputs.input_types()} == {"DataType.double"}
    assert signature.outputs.input_names() == ["prediction"]
    assert info.saved_input_example_info is None


class Killed(BaseException):
    """As when the process is told to end."""


def test_a_killed_training_goes_on_with_the_candidates_that_were_judged(
    trained, examples: DataFrame, tracking: Tracking, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    own = Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    client = mlflow.MlflowClient(own.uri, own.uri)
    winner = mlflow.MlflowClient(tracking.uri, tracking.uri).get_run(trained.run_id).data.params["estimator"]
    assert winner.startswith("logistic")
    with pytest.raises(Killed), attempt(
        own, experiment=MODEL.experiment, registered=MODEL.registered, fingerprint="abc123"
    ) as first:  # fmt: skip
        # what two candidates of a training leave behind, with figures that no fit would give
        for regularisation in (0.01, 0.1):
            won = winner == f"logistic(maxIter=30, regParam={regularisation:g})"
            aurocs = (0.999, 0.998, 0.997) if won else (0.1, 0.2, 0.3)
            record_candidate(
                own, first, words=f"logistic(maxIter=30, regParam={regularisation:g})", kind="logistic",
                params={"maxIter": 30, "regParam": regularisation}, folds=aurocs, auroc=float(np.mean(aurocs)),
            )  # fmt: skip
        raise Killed
    assert client.get_run(first.run_id).info.status == "FAILED"
    assert predict(MODEL, examples, tracking=own) is None
    result = run(MODEL, examples, own, "abc123")
    # they were not fitted again: their figures are still those, and the best of them won
    assert result.trained
    assert result.metrics["cv_auroc"] == pytest.approx(0.998)
    experiment = client.get_experiment_by_name("carelake/toy")
    runs = client.search_runs([experiment.experiment_id])
    nested = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == result.run_id]
    assert sorted(r.info.run_name.split("(")[0] for r in nested) == ["boosted_trees", "logistic", "logistic"]
    assert len(runs) == 2 + 3
    # its margins were made again: the calibration is that of a training in one go
    assert result.metrics["calibration_slope"] == trained.metrics["calibration_slope"]
    # another fingerprint is another training
    with attempt(own, experiment=MODEL.experiment, registered=MODEL.registered, fingerprint="other") as at:
        assert at.known == {}


def test_a_version_trained_on_a_feature_that_is_no_more_is_refused_by_name(
    trained, examples: DataFrame, tracking: Tracking
) -> None:  # type: ignore[no-untyped-def]
    fewer = replace(MODEL, features=tuple(f for f in MODEL.features if f.name != "lab"))
    with pytest.raises(ConfigError, match="was trained on another feature list, with lab; train it again"):
        predict(fewer, examples.where("split = 'score'"), tracking=tracking)
    more = replace(MODEL, features=(*MODEL.features, Feature("sex", "sex")))
    assert predict(more, examples.where("split = 'score'"), tracking=tracking) is not None


COVARIATE = Table(
    name="gold/toy_covariate", doc="Sparse.",
    fields=(Field("person_id", "bigint", "p"), Field("index_date", "date", "d"), Field("covariate_id", "bigint", "c"),
            Field("covariate_value", "double", "v")),
    key=("person_id", "index_date", "covariate_id"),
)  # fmt: skip
NAMES = Table(
    name="gold/toy_ref", doc="Names.",
    fields=(Field("covariate_id", "bigint", "c"), Field("covariate_name", "string", "n")), key=("covariate_id",),
)  # fmt: skip


def test_covariates_train_score_and_are_named_through_mlflow(
    spark: SparkSession, examples: DataFrame, tmp_path: Path
) -> None:
    """201826101 is the outcome itself for 90 of 120 persons, 5101 is had by ten persons, 7102 of an analysis that is not taken."""
    own = Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    model = replace(
        MODEL, estimator=(Estimator("logistic", {}, {"regParam": 0.01, "maxIter": 30}),),
        covariates=Covariates(COVARIATE, NAMES, of="covariate_id % 1000 = 101"),
    )  # fmt: skip
    key = examples.select("person_id", "index_date", "label")
    given = (
        key.where("label = 1 AND person_id % 4 <> 1").selectExpr("person_id", "index_date", "201826101L AS covariate_id", "1D AS covariate_value")
        .union(key.where("person_id <= 10").selectExpr("person_id", "index_date", "5101L", "1D"))
        .union(key.selectExpr("person_id", "index_date", "7102L", "1D"))
        .union(key.where("split = 'score' AND person_id <= 3").selectExpr("person_id", "index_date", "201826101L", "1D"))
    )  # fmt: skip
    features = examples.withColumnsRenamed({"group_sex": "sex"}).drop("label", "split", "covariates")
    cohort = examples.selectExpr("person_id", "index_date", "split", "label = 1 AS label")
    rows = model.dataset(features, cohort, given)
    assert rows.count() == examples.count()
    names = spark.createDataFrame([(201826101, "Condition, any time: Type 2 diabetes")], NAMES.schema)
    result = train(
        model, rows, fingerprint="f1", tracking=own, as_of=date(2023, 1, 1), tables={}, release="0.0.1", covariate_names=names
    )  # fmt: skip
    assert result.metrics["auroc"] > 0.85 > trained_without(examples, tmp_path)
    version = current(own, model.registered)
    assert version is not None
    _, reference = load(own, model.registered, version)
    assert reference["covariates"] == {"201826101": "Condition, any time: Type 2 diabetes"}
    assert reference["columns"][-1] == "201826101"
    with session(own):
        signature = mlflow.models.get_model_info(f"models:/carelake.toy/{result.version}").signature
    assert signature.inputs.input_names() == ["visits", "lab", "noise", "age", "covariates"]
    scored = predict(model, rows.where("split = 'score'"), tracking=own)
    assert scored is not None
    reasons = {r.person_id: r.reasons for r in scored.collect()}
    said = "Condition, any time: Type 2 diabetes"
    assert len(reasons) == 120
    assert {p for p, texts in reasons.items() if said in texts} == {1, 2, 3}
    card = (artifacts(own, version.run_id, tmp_path / "files") / "card.md").read_text()
    assert "Condition, any time: Type 2 diabetes" in card
    assert "the covariates of `gold/toy_covariate`" in card
    with (tmp_path / "files" / "feature_importances.csv").open() as f:
        assert {r["feature"]: r["words"] for r in csv.DictReader(f)}[
            "201826101"
        ] == "Condition, any time: Type 2 diabetes"
    with pytest.raises(
        ConfigError, match="was trained on another feature list, with covariates; train it again"
    ):
        predict(replace(model, covariates=None), examples.where("split = 'score'"), tracking=own)


def trained_without(examples: DataFrame, folder: Path) -> float:
    """AUROC of the same estimator on the features alone."""
    own = Tracking(f"sqlite:///{folder}/without.db", str(folder / "without"))
    plain = replace(MODEL, estimator=(Estimator("logistic", {}, {"regParam": 0.01, "maxIter": 30}),))
    return float(run(plain, examples, own, "f0").metrics["auroc"])


def test_other_sites_and_recalibration_are_in_the_run_and_the_saved_model(
    examples: DataFrame, tmp_path: Path
) -> None:
    own = Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    model = replace(
        MODEL, site="place", recalibrate_by="sex", estimator=(Estimator("logistic", {}, {"maxIter": 20}),)
    )
    placed = examples.withColumn(
        "site", F.expr("IF(pmod(person_id div 3, 2) = 0, 'facility 90210', 'facility 90211')")
    )
    others = placed.where("split = 'test'").withColumn("person_id", F.expr("person_id + 1000"))
    result = run(model, placed.unionByName(others), own, "f1")
    assert result.metrics["external_sites"] == result.metrics["external_sites_found"] == 2
    assert result.metrics["external_auroc_min"] <= result.metrics["external_auroc_mean"]
    assert result.metrics["external_auroc_mean"] > 0.65
    files = artifacts(own, result.run_id, tmp_path / "got")
    with (files / "external.csv").open() as f:
        lines = list(csv.DictReader(f))
    assert [(r["site"], r["rows"], r["persons"]) for r in lines] == [
        ("site 1", "80", "40"),
        ("site 2", "80", "40"),
    ]
    card = (files / "card.md").read_text()
    assert "Internal-external cross-validation" in card
    assert "**Recalibrated by sex**" in card
    assert not [
        f
        for f in files.rglob("*")
        if f.is_file() and b"9021" in f.read_bytes() and f.suffix in (".md", ".csv", ".json")
    ]
    params = mlflow.MlflowClient(own.uri, own.uri).get_run(result.run_id).data.params
    assert params["recalibrated_by"].startswith("sex")

    # the score is what the saved model predicts, in MLflow's own terms too, and another level has another score
    asked = examples.where("split = 'score' AND person_id <= 20")
    scored = predict(model, asked, tracking=own)
    assert scored is not None
    scores = {r.person_id: r.score for r in scored.collect()}
    with session(own):
        loaded = mlflow.pyfunc.load_model(f"models:/carelake.toy/{result.version}")
    inputs = ["visits", "lab", "noise", "age", "group_sex"]
    assert loaded.metadata.signature.inputs.input_names() == inputs
    rows = asked.orderBy("person_id").toPandas()
    assert loaded.predict(rows[inputs]) == pytest.approx([scores[p] for p in rows["person_id"]], abs=1e-9)
    turned = predict(model, asked.withColumn("group_sex", F.lit("male")), tracking=own)
    assert turned is not None
    changed = {r.person_id for r in turned.collect() if abs(r.score - scores[r.person_id]) > 1e-9}
    assert changed == {p for p in scores if p % 2}
    with pytest.raises(ConfigError, match="trained on another feature list, with group_sex"):
        predict(model, asked.drop("group_sex"), tracking=own)


def test_a_run_whose_sites_are_too_small_says_so_and_has_no_table_of_them(
    examples: DataFrame, tmp_path: Path
) -> None:
    own = Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    model = replace(MODEL, site="place", estimator=(Estimator("logistic", {}, {"maxIter": 20}),))
    result = run(model, examples.withColumn("site", F.col("group_sex")), own, "f1")
    assert (result.metrics["external_sites"], result.metrics["external_sites_found"]) == (0, 2)
    assert "external_auroc_mean" not in result.metrics
    files = artifacts(own, result.run_id, tmp_path / "got")
    assert not (files / "external.csv").exists()
    assert "of 2 sites on the test side have 11 persons" in (files / "card.md").read_text()


def test_survival_competes_where_the_cohort_carries_times(examples: DataFrame, tmp_path: Path) -> None:
    own = Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    cohort = replace(
        COHORT,
        fields=(*COHORT.fields, Field("days_to_event", "int", "t"), Field("followup_days", "int", "f")),
    )
    aft = Estimator("survival_aft", fixed={"time_at_risk_days": 365.0, "maxIter": 50})
    model = replace(MODEL, cohort=cohort, estimator=(aft,))
    timed = examples.withColumns({
        "days_to_event": F.expr("CASE WHEN label = 1 THEN 365D - least(300D, 100D * visits) END"),
        "followup_days": F.lit(365.0),
    })  # fmt: skip
    result = run(model, timed, own, "f1")
    assert result.trained
    assert result.metrics["auroc"] > 0.65
    scored = predict(model, timed.where("split = 'score'"), tracking=own)
    assert scored is not None
    rows = scored.collect()
    assert all(0 < r.score < 1 for r in rows)
    assert "more visits in the last year than usual" in max(rows, key=lambda r: r.score).reasons
