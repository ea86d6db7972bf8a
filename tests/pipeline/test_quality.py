"""The quality job on a published lake: its summary, its results file, its exit code."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.helpers.books import read
from tests.helpers.cli import carelake
from tests.helpers.runs import run

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from tests.helpers.books import Made


@pytest.fixture(scope="module")
def lake(five_lake: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the five people's lake, for jobs that write."""
    copied = tmp_path_factory.mktemp("quality") / "lake"
    shutil.copytree(five_lake.lake, copied)
    return copied


def test_the_gate_of_the_pipeline_looked_at_every_check_and_let_it_pass(five_lake: Made):
    rows = [r for r in five_lake.rows("ops/check_result") if r["run_id"] == five_lake.note["run_id"]]
    assert {r["severity"] for r in rows} >= {"fatal", "convention", "characterization"}
    assert len({r["check_name"] for r in rows}) == 27 + 3  # the dashboard's; keys, ledger, money
    assert not [
        r["check_id"]
        for r in rows
        if r["status"] in ("fail", "error") and r["severity"] != "characterization"
    ]
    assert {r["measure"] for r in five_lake.rows("ops/profile")} == {"rows", "nulls", "concept"}


def test_the_job_prints_the_summary_and_copies_the_results(
    spark: SparkSession, lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "dqd.json"
    run(spark, lake, {}, "--dqd", str(file), job="quality")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:5]] == [
        "Verification",
        "Plausibility",
        "Conformance",
        "Completeness",
        "Total",
    ]
    told = json.loads(file.read_text())
    assert told["Metadata"][0]["cdmSourceName"] == "carelake"
    total = [int(x) for x in lines[4].split()[1:]][-1]
    assert total == len(told["CheckResults"]) == told["Overview"]["countTotal"][0]


def test_a_failed_check_of_a_gated_severity_ends_with_13_and_names_records(
    spark: SparkSession, lake: Path, tmp_path: Path
):
    """Not one condition may be unmapped at this site."""
    strict = tmp_path / "strict.yaml"
    strict.write_text(
        "quality: {thresholds: [{check: standardConceptRecordCompleteness, table: CONDITION_OCCURRENCE, "
        "field: CONDITION_CONCEPT_ID, percent: 0, reason: all of them are mapped here}]}"
    )
    done = carelake("quality", "--lake", str(lake), "--env", str(strict))
    conditions = read(lake, "silver/omop/condition_occurrence").to_pylist()
    unmapped = sorted(r["condition_occurrence_id"] for r in conditions if r["condition_concept_id"] == 0)
    assert done.returncode == 13
    said = f"condition_concept_id: {len(unmapped)} of {len(conditions)} "
    (line,) = [x for x in done.stdout.splitlines() if said in x]
    assert line.startswith(
        "fail convention standardConceptRecordCompleteness silver/omop/condition_occurrence."
    )
    assert line.endswith("such as " + ", ".join(map(str, unmapped[:5])))

    lenient = tmp_path / "lenient.yaml"
    lenient.write_text("gate: [fatal]\n" + strict.read_text())
    run(spark, lake, {}, "--env", str(lenient), job="quality")  # raises nothing
