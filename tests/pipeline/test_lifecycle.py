"""A model's life on a small lake of generated people, against a real MLflow: trained, scored, watched, rolled back, made again."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pyarrow.parquet as pq
import pytest

from carelake import learning, lifecycle
from carelake.catalog import catalog
from carelake.core import config as configuration
from carelake.core.lake import DeltaLake
from carelake.core.progress import Progress
from carelake.core.run import new_run_id, now
from carelake.core.runlog import RunLog, last_run, published
from carelake.core.table import Field, Table
from carelake.errors import ConfigError, InputError, QualityGateError, RegistryError
from carelake.ml import cache, registry, tracking
from carelake.ml.model import Estimator, Feature, Gate, Kind, RiskModel
from carelake.ml.record import attempt
from carelake.ml.record import record as recorded
from carelake.pipeline import Run
from carelake.scores.model_monitor import MODEL_MONITOR
from carelake.scores.risk_score import RISK_SCORE
from carelake.scores.score_history import SCORE_HISTORY
from carelake.silver.conformed.encounter import ENCOUNTER
from tests.helpers import runs

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

FIRST_ID = 5_000_000_000_000_000_000  # ids as they are in a lake: not to be taken for another number
RARE = 9876.5432  # a value that one person alone has
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
        Field("lab", "double", "l"), Field("age", "double", "a"), Field("sex", "string", "s"),
    ),
    key=("person_id", "index_date"),
)  # fmt: skip
MODEL = RiskModel(
    name="toy",
    target="An event within a year",
    cohort=COHORT,
    feature_table=FEATURES,
    features=(Feature("visits", "visits in the last year", Kind.COUNT), Feature("lab", "blood lead"), Feature("age", "age")),
    estimator=(Estimator("logistic", {"regParam": (0.01,)}, {"maxIter": 20}),),
    gates=(Gate("discriminates", "auroc", at_least=0.5),),
    intended_use="To test what becomes of a model.",
    population="SYNTHETIC numbers from a random generator.",
    limits=("None of this is real.",),
    baselines={"age": ("age",)},
    groups={"sex": "sex"},
    site="sex",  # two places are enough to test the one on the other
    recalibrate_by="sex",
)  # fmt: skip
OTHER = replace(MODEL, estimator=(Estimator("logistic", {"regParam": (0.1,)}, {"maxIter": 20}),))
FAILING = replace(MODEL, gates=(Gate("perfect", "auroc", at_least=1.0),))


def people(spark: SparkSession, lake: DeltaLake, as_of: date, more_visits: float = 0.0) -> None:
    """Write cohort and features of 150 people as an as-of day in January knows them; `more_visits` moves those scored."""
    random = np.random.default_rng(11)
    cohort, features = [], []
    for person in range(150):
        age, sex = float(random.integers(30, 90)), "female" if person % 2 else "male"
        for year in range(2019, as_of.year + 1):
            visits, lab = float(random.poisson(2)), float(random.normal())
            happened = bool(random.random() < 1 / (1 + np.exp(-(-1.6 + 0.7 * visits + 1.2 * lab))))
            seen = lab if random.random() < 0.7 else None
            scored = year == as_of.year
            test = person % 3 == 0
            split = (
                "score" if scored else "test" if test and year >= 2021 else "train" if not test and year < 2021 else "unused"
            )  # fmt: skip
            if (person, year) == (1, 2019):
                seen = RARE
            day = date(year, 1, 1)
            cohort.append((FIRST_ID + person, day, split, None if scored else happened, "r"))
            features.append((FIRST_ID + person, day, visits + more_visits * scored, seen, age, sex, "r"))
    for table, rows in ((COHORT, cohort), (FEATURES, features)):
        lake.replace(
            table, spark.createDataFrame(rows, f"{table.ddl}, `_run` string").coalesce(1), {"run": "r"}
        )


def begin(spark: SparkSession, root: Path, as_of: date, model: RiskModel = MODEL) -> Run:
    """A run over the lake whose catalog knows this one model."""
    lake = DeltaLake(spark, str(root))
    log = RunLog(lake, new_run_id(last_run(lake)), "score", now())
    log.open()
    run = Run(
        configuration.load("local"), lake, log, Progress(), (), as_of=as_of, before=published(lake),
        catalog=replace(catalog(), models={model.name: model}),
    )  # fmt: skip
    run.extract_date = as_of
    return run


def go(spark: SparkSession, root: Path, as_of: date, model: RiskModel = MODEL, *, train: bool = True) -> Run:
    """Train and score, and publish what came of it."""
    run = begin(spark, root, as_of, model)
    if train:
        learning.train(run, "all")
    learning.score(run, "all")
    run.publish()
    return run


DAY = date(2023, 1, 1)


@pytest.fixture(scope="module")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one version, which is champion, and its scores. For reading: `lake` is a copy to write in."""
    root = tmp_path_factory.mktemp("life") / "lake"
    people(spark, DeltaLake(spark, str(root)), DAY)
    go(spark, root, DAY)
    return root


def where(root: Path) -> tracking.Tracking:
    return learning.tracking(str(root))


def scores(spark: SparkSession, root: Path) -> list[tuple[Any, ...]]:
    rows = DeltaLake(spark, str(root)).read(RISK_SCORE).orderBy("rank").collect()
    return [(r.person_id, r.model_version, r.approved, round(r.score, 12)) for r in rows]


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_version_that_passes_its_gates_is_champion_and_each_gate_is_noted_with_its_value(
    trained: Path,
) -> None:
    (version,) = registry.listing(where(trained), "carelake.toy")
    assert (version.version, version.stage, version.approved, version.reason) == (
        "1",
        "champion",
        True,
        "every gate holds",
    )
    assert [(t.version, t.stage) for t in registry.history(where(trained), "carelake.toy")] == [
        ("1", "champion")
    ]
    tags = registry.made(where(trained), version.run_id).tags
    value, rule, verdict = tags["gate.discriminates"].split("; ")
    assert float(value) == pytest.approx(version.metrics["auroc"], abs=1e-5)
    assert (rule, verdict) == ("auroc at least 0.5", "holds")
    (line,) = lifecycle.lines({"toy": [version]})
    assert line.startswith("toy 1: champion since ")


def test_nothing_new_writes_nothing(spark: SparkSession, trained: Path) -> None:
    run = begin(spark, trained, DAY)
    assert learning.score(run, "all")
    assert [r.skipped for r in run.results] == [True, True, True]


def test_one_person_is_scored_as_the_table_says_and_a_stranger_is_refused(
    spark: SparkSession, trained: Path
) -> None:
    first = DeltaLake(spark, str(trained)).read(RISK_SCORE).where("rank = 1").collect()[0]
    heads = {
        t.name: DeltaLake(spark, str(trained)).head(t) for t in (RISK_SCORE, SCORE_HISTORY, MODEL_MONITOR)
    }
    (told,) = lifecycle.person(begin(spark, trained, DAY), first.person_id, "all")
    assert told["score"] == pytest.approx(first.score, abs=1e-12)
    assert (told["rank"], told["of"], told["approved"], told["registry"]) == (1, 150, True, "live")
    assert told["reasons"] == first.reasons
    assert json.loads(json.dumps(told)) == told
    with pytest.raises(InputError, match="no features") as refused:
        lifecycle.person(begin(spark, trained, DAY), 42, "all")
    assert "42" not in str(refused.value)
    assert heads == {
        t.name: DeltaLake(spark, str(trained)).head(t) for t in (RISK_SCORE, SCORE_HISTORY, MODEL_MONITOR)
    }


def test_the_same_rows_score_as_the_training_did_and_nothing_is_proposed(
    spark: SparkSession, trained: Path
) -> None:
    rows = {r.subject: r for r in DeltaLake(spark, str(trained)).read(MODEL_MONITOR).collect()}
    assert set(rows) == {"score", "visits", "lab", "age"}
    assert {r.rows for r in rows.values()} == {150}
    assert {r.status for r in rows.values()} == {"ok"}
    assert not any(r.retrain_proposed for r in rows.values())
    assert rows["lab"].missing_share == pytest.approx(0.3, abs=0.1)
    assert rows["age"].missing_share == 0


def test_no_value_of_a_person_is_in_mlflow(spark: SparkSession, trained: Path) -> None:
    store = trained / "mlflow"
    told = [p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()]
    assert len(told) > 20
    kept = [p.read_bytes() for p in sorted((trained / cache.PLACE).rglob("*")) if p.is_file()]
    ids = [
        r.person_id
        for r in DeltaLake(spark, str(trained)).read(COHORT).select("person_id").distinct().collect()
    ]
    forbidden = (
        [str(i).encode() for i in ids]
        + [i.to_bytes(8, "little") for i in ids]
        + [b"9876.54", np.float64(RARE).tobytes()]
    )
    for text in told + kept:
        assert not any(word in text for word in forbidden)
    tables = list(store.rglob("*.parquet")) + list((trained / cache.PLACE).rglob("*.parquet"))
    assert tables
    for p in tables:  # compressed: read as what they are
        table = pq.ParquetFile(p).read()
        assert not {"person_id", "index_date", "label"} & set(table.column_names)
        assert table.num_rows < 20  # no row a person
        words = str(table.to_pylist())
        assert not any(str(i) in words for i in ids)
        assert "9876.54" not in words
    assert not [p for p in store.rglob("*.csv") if len(p.read_text().splitlines()) > 20]


@pytest.mark.slow
def test_a_run_made_again_with_other_code_says_so_and_without_its_rows_names_the_table(
    spark: SparkSession, trained: Path, tmp_path: Path
) -> None:
    root = copied(trained, tmp_path)
    (version,) = registry.listing(where(root), "carelake.toy")
    people(spark, DeltaLake(spark, str(root)), DAY, more_visits=1.0)  # the head is another version by now
    changed = lifecycle.reproduce(begin(spark, root, DAY, OTHER), version.run_id)
    assert "auroc" in changed.differing or "brier" in changed.differing
    assert not changed.same_rows_and_code
    lake = DeltaLake(spark, str(root))
    gone = [a["add"]["path"] for a in lake.actions(FEATURES, 0) if "add" in a]
    (root / FEATURES.name / gone[0]).unlink()
    with pytest.raises(InputError, match=r"not reproducible: gold/toy_features at version 0 is gone"):
        lifecycle.reproduce(begin(spark, root, DAY), version.run_id)
    assert (
        registry.listing(where(root), "carelake.toy")[0].reproducible
        == "no: gold/toy_features at its version is gone"
    )
    with pytest.raises(ConfigError, match="no finished run"):
        lifecycle.reproduce(begin(spark, root, DAY), "0" * 32)


def copied(lake: Path, to: Path) -> Path:
    """A copy of a lake; MLflow's absolute places of artifacts go with it."""
    import sqlite3
    from contextlib import closing

    root = to / "lake"
    shutil.copytree(lake, root)
    with closing(sqlite3.connect(root / "mlflow" / "mlflow.db")) as db:
        for table, column in (
            ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("model_versions", "storage_location"),
            ("logged_models", "artifact_location"),
        ):  # fmt: skip
            db.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(lake), str(root)))
        db.commit()
    return root


def test_scores_are_made_with_the_kept_version_while_the_registry_is_down_and_nothing_is_trained(
    spark: SparkSession, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(trained, tmp_path)
    before = scores(spark, root)
    people(spark, DeltaLake(spark, str(root)), DAY)  # new versions of the tables: there is something to score
    shutil.rmtree(root / "gold" / "risk_score")
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    run = begin(spark, root, DAY)
    assert not learning.score(run, "all")
    run.publish()
    assert scores(spark, root) == before
    (told,) = lifecycle.person(begin(spark, root, DAY), before[0][0], "all")
    assert told["registry"] == "cached"
    with pytest.raises(RegistryError, match=r"MLflow server http://127.0.0.1:\d+ cannot be reached"):
        learning.train(begin(spark, root, DAY), "all")
    shutil.rmtree(root / cache.PLACE)
    with pytest.raises(RegistryError, match="keeps no model that could score") as refused:
        learning.score(begin(spark, root, DAY), "all")
    assert refused.value.exit_code == 10
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert [v.version for v in registry.listing(where(root), "carelake.toy")] == ["1"]


@pytest.mark.slow
def test_champions_follow_each_other_through_gates_and_a_rollback_goes_back_one_by_one(
    spark: SparkSession, trained: Path, tmp_path: Path
) -> None:
    root = copied(trained, tmp_path)
    go(spark, root, DAY, OTHER)
    stages = {v.version: v.stage for v in registry.listing(where(root), "carelake.toy")}
    assert stages == {"1": "archived", "2": "champion"}
    assert {s[1] for s in scores(spark, root)} == {"2"}
    go(spark, root, DAY, FAILING)
    newest = registry.listing(where(root), "carelake.toy")[0]
    assert (newest.version, newest.stage, newest.approved, newest.gates_failed) == (
        "3",
        "candidate",
        False,
        "perfect",
    )
    assert {s[1] for s in scores(spark, root)} == {"2"}
    with pytest.raises(QualityGateError, match="version 3 cannot become champion: it failed perfect"):
        lifecycle.change(begin(spark, root, DAY), rollback=None, promoted="toy=3", reason="")

    run = begin(spark, root, DAY)
    assert lifecycle.change(run, rollback="toy", promoted=None, reason="worse on the ward") == (
        "toy: version 1 is champion again, version 2 is archived"
    )
    kept = cache.kept(run.lake.storage)
    assert kept is not None
    assert kept["toy"] is not None
    assert kept["toy"].version == "1"
    go(spark, root, DAY, train=False)
    assert {s[1] for s in scores(spark, root)} == {"1"}
    assert [(t.version, t.stage) for t in registry.history(where(root), "carelake.toy")] == [
        ("1", "champion"), ("1", "archived"), ("2", "champion"), ("2", "archived"), ("1", "champion"),
    ]  # fmt: skip
    assert "worse on the ward" in registry.history(where(root), "carelake.toy")[-1].reason
    with pytest.raises(ConfigError, match="no version was champion before version 1"):
        lifecycle.change(begin(spark, root, DAY), rollback="toy", promoted=None, reason="")


def test_a_version_that_is_worse_than_the_champion_stays_a_candidate(
    spark: SparkSession, trained: Path, tmp_path: Path
) -> None:
    root = copied(trained, tmp_path)
    champion = tracking.current(where(root), "carelake.toy")
    assert champion is not None
    pipeline, reference = tracking.load(where(root), "carelake.toy", champion)
    (tmp_path / "files").mkdir()

    def record(gain: float) -> str:
        to = where(root)
        opened = attempt(
            to, experiment="carelake/toy", registered="carelake.toy", fingerprint=f"g{abs(int(gain * 100))}"
        )
        with opened as at:
            return recorded(
                to, at, MODEL, pipeline=pipeline, inputs=reference["inputs"], listed=None, params={},
                metrics={"auroc": 0.7, "champion_gain_lower": gain}, tags={}, files=tmp_path / "files", reference=reference, failed=(),
                description="",
            ).version  # fmt: skip

    assert record(-0.06) == "2"
    worse = registry.listing(where(root), "carelake.toy")[0]
    assert (worse.stage, worse.approved) == ("candidate", True)
    assert worse.held_back == "champion_gain_lower is -0.060, and has to be at least -0.05"
    assert record(-0.04) == "3"
    assert registry.listing(where(root), "carelake.toy")[0].stage == "champion"


def test_as_outcomes_become_known_they_are_held_against_the_scores_of_their_day(
    spark: SparkSession, trained: Path, tmp_path: Path
) -> None:
    root = copied(trained, tmp_path)
    later = date(2024, 1, 1)
    people(spark, DeltaLake(spark, str(root)), later, more_visits=4.0)
    go(spark, root, later, train=False)
    lake = DeltaLake(spark, str(root))
    assert {(str(r.index_date), r.n) for r in lake.read(SCORE_HISTORY).groupBy("index_date").agg({"*": "count"}).toDF("index_date", "n").collect()} == {
        ("2023-01-01", 150), ("2024-01-01", 150),
    }  # fmt: skip
    rows = {(str(r.as_of), r.subject): r for r in lake.read(MODEL_MONITOR).collect()}
    assert {d for d, _ in rows} == {"2023-01-01", "2024-01-01"}
    outcome = rows["2024-01-01", "outcome"]
    happened = lake.read(COHORT).where("index_date = DATE'2023-01-01' AND label").count()
    said = (
        lake.read(SCORE_HISTORY)
        .where("index_date = DATE'2023-01-01'")
        .selectExpr("sum(score)")
        .collect()[0][0]
    )
    assert (outcome.rows, outcome.observed, str(outcome.index_date)) == (150, happened, "2023-01-01")
    assert outcome.expected == pytest.approx(said, abs=1e-9)
    assert outcome.observed_expected == pytest.approx(happened / said, abs=1e-9)
    assert rows["2024-01-01", "visits"].status == "alarm"
    assert rows["2024-01-01", "score"].status == "alarm"
    assert rows["2024-01-01", "age"].status == "ok"
    assert rows["2024-01-01", "score"].retrain_proposed
    assert "the scores have moved" in rows["2024-01-01", "score"].reason
    assert not rows["2023-01-01", "score"].retrain_proposed


def test_the_jobs_of_the_command_line_train_score_ask_reproduce_and_roll_back(
    spark: SparkSession,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = copied(trained, tmp_path)
    shutil.rmtree(root / cache.PLACE)
    lake = DeltaLake(spark, str(root))
    seen = ENCOUNTER.conform(spark.sql("SELECT TIMESTAMP'2023-01-01 08:00:00' AS start_datetime"))
    lake.replace(ENCOUNTER, seen.selectExpr("*", "'r' AS _run"), {"run": "r"})
    for name in list(catalog().models):
        monkeypatch.delitem(catalog().models, name)
    monkeypatch.setitem(catalog().models, "toy", MODEL)

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
    with pytest.raises(RegistryError):
        runs.run(spark, root, {}, job="train")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert not (root / cache.PLACE).exists()

    (told,) = runs.run(spark, root, {}, job="train")["models"]
    assert (told["version"], told["approved"], told["trained"]) == ("1", True, False)
    assert cache.kept(lake.storage) is not None  # a training is enough to score without the registry

    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
    capsys.readouterr()
    people(spark, lake, DAY)  # other versions of the tables: there is something to score
    note = runs.run(spark, root, {}, job="score")
    assert note["registry"] == "cached"
    assert (
        "registry: cannot be reached; scored with the versions that the lake keeps" in capsys.readouterr().out
    )
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert len(scores(spark, root)) == 150

    note = runs.run(spark, root, {}, job="score")
    assert note["registry"] == "live"
    assert all(s["skipped"] for s in note["steps"] if s["table"] == RISK_SCORE.name)

    capsys.readouterr()
    someone = scores(spark, root)[4][0]
    note = runs.run(spark, root, {}, "--person", str(someone), job="score")
    (answer,) = json.loads(capsys.readouterr().out)
    assert (answer["person_id"], answer["rank"], answer["of"]) == (someone, 5, 150)
    assert str(someone) not in json.dumps(note)

    run_id = registry.listing(where(root), "carelake.toy")[0].run_id
    note = runs.run(spark, root, {}, "--reproduce", run_id, job="train")
    assert "reproduced: toy: " in capsys.readouterr().out
    assert (note["reproduced"]["differing"], note["reproduced"]["same_rows_and_code"]) == ((), True)
    assert note["reproduced"]["compared"] > 15
    made = mlflow.MlflowClient(where(root).uri, where(root).uri).get_run(run_id).data
    assert made.metrics["external_sites"] == 2
    assert made.params["recalibrated_by"].startswith("sex")
    assert [v.version for v in registry.listing(where(root), "carelake.toy")] == ["1"]
    with pytest.raises(ConfigError, match="nothing to go back to"):
        runs.run(spark, root, {}, "--rollback", "toy", job="models")
    runs.run(spark, root, {}, "--promote", "toy=1", job="models")
    assert "models: toy: version 1 is champion" in capsys.readouterr().out
