"""Someone else's OMOP: OHDSI's GiBleed (CDM v5.3) is brought as it is, and nothing is changed but the lake."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.books import read, unbalanced
from tests.helpers.gibleed import export
from tests.helpers.runs import run

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

# Rows of the database itself. Drug exposures and measurements share ids: 63,323 and 41,870 different ones.
ROWS = {
    "person": 2694, "condition_occurrence": 65332, "drug_exposure": 67707, "measurement": 44053, "procedure_occurrence": 37409,
    "observation": 1477, "visit_occurrence": 1037, "condition_era": 65719, "drug_era": 52508,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(data / "omop_gibleed" / "cdm.duckdb.tar.xz", tmp_path_factory.mktemp("gibleed"))


# a site's task on it: index dates, features, covariates, estimators and gates are those of every other lake
TASK = """
name: gi_bleed_2y
words: A first gastrointestinal haemorrhage within two years
outcome:
  words: gastrointestinal haemorrhage
  records: [{domain: condition, ids: [192671]}]
  first: true
washout: true
months: 24
seen_months: 0
ages: [18, 120]
covariates: true
intended_use: To try a task on someone else's OMOP.
population: SYNTHETIC people of OHDSI's GiBleed.
"""


@pytest.fixture(scope="module")
def site(folder: Path) -> str:
    tasks = folder.parent / "tasks"
    tasks.mkdir()
    (tasks / "gi_bleed.yaml").write_text(TASK, encoding="utf-8")
    config = folder.parent / "site.yaml"
    config.write_text(f"tasks: {tasks}\n", encoding="utf-8")
    return str(config)


@pytest.fixture(scope="module")
def brought(spark: SparkSession, folder: Path, site: str) -> tuple[Path, dict[str, Any]]:
    lake = folder.parent / "lake"
    note = run(spark, lake, {"omop": folder}, "--until", "gold", "--env", site)
    return lake, note


def test_as_many_rows_as_theirs_and_every_record_has_one_outcome(
    folder: Path, brought: tuple[Path, dict[str, Any]]
):
    lake, note = brought
    assert {n: read(lake, f"silver/omop/{n}", ["_record"]).num_rows for n in ROWS} == ROWS
    for name, n in ROWS.items():
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as f:
            assert sum(1 for _ in csv.reader(f)) - 1 == n
    assert unbalanced(lake) == []
    assert str(note["as_of"]) == "2019-05-25"


def test_what_is_not_as_the_cdm_wants_it_is_said(brought: tuple[Path, dict[str, Any]]):
    """2,649 observation periods are of people whom the database does not have; ids that are not unique are given anew."""
    lake, _ = brought
    found = read(lake, "ops/quarantine", ["kind", "reason", "rule", "severity"]).to_pandas()
    told = found.groupby(["kind", "reason", "rule", "severity"]).size().to_dict()
    assert told == {
        ("drug_exposure", "R_CONFLICT_DUP", "id_given_anew", "repaired"): 67707 - 63323,
        ("measurement", "R_CONFLICT_DUP", "id_given_anew", "repaired"): 44053 - 41870,
        ("observation", "R_CONFLICT_DUP", "id_given_anew", "repaired"): 1477 - 1471,
        ("observation_period", "R_REF", "person_id", "quarantined"): 5343 - 2694,
    }


def test_the_lakes_own_checks_hold_and_those_of_the_dashboard_are_told(brought: tuple[Path, dict[str, Any]]):
    lake, _ = brought
    found = read(lake, "ops/check_result", ["check_name", "status", "table_name"]).to_pylist()
    own = [r["status"] for r in found if r["check_name"] in ("primary_key_unique", "ledger_balances")]
    assert set(own) == {"pass"}
    failed = {(r["check_name"], r["table_name"]) for r in found if r["status"] == "fail"}
    assert (
        "isForeignKey",
        "silver/omop/condition_occurrence",
    ) in failed  # visits that the database does not have


def test_a_task_trains_and_scores_on_it(
    spark: SparkSession, brought: tuple[Path, dict[str, Any]], site: str
) -> None:
    lake, _ = brought
    (told,) = run(spark, lake, {}, "--model", "gi_bleed_2y", "--env", site, job="train")["models"]
    assert told["why_not"] == ""
    # the cohort by hand, in SQL of another engine, over their files
    rows = read(lake, "gold/task_cohort", ["task", "split", "label", "person_id", "index_date"]).to_pandas()
    own = rows[(rows["task"] == "gi_bleed_2y") & (rows["split"] == "test") & rows["label"].notna()]
    assert told["metrics"]["test_rows"] == len(own)
    assert told["metrics"]["test_events"] == own["label"].sum()
    run(spark, lake, {}, "--env", site, job="score")
    scores = read(lake, "gold/risk_score", ["model", "person_id", "score", "index_date"]).to_pandas()
    asked = rows[(rows["task"] == "gi_bleed_2y") & (rows["split"] == "score")]
    assert set(scores["person_id"]) == set(asked["person_id"])
    assert set(scores["model"]) == {"gi_bleed_2y"}
    assert scores["score"].between(0, 1).all()
