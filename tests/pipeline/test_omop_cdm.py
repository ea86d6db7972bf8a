"""A CDM that exists already is brought as it is: typed, judged and published like any other, with its own ids."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from carelake.errors import ConfigError
from tests.helpers.books import read, unbalanced
from tests.helpers.cdm_folder import SMALL, as_parquet, write
from tests.helpers.cli import FIVE
from tests.helpers.runs import digests, run

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.timeout(3000)


def rows(lake: Path, name: str, *columns: str) -> list[tuple[Any, ...]]:
    found = read(lake, f"silver/omop/{name}", list(columns)).to_pylist()
    return sorted((tuple(r.values()) for r in found), key=str)


def refused(lake: Path) -> Counter[tuple[str, str, str, str]]:
    found = read(lake, "ops/quarantine", ["kind", "reason", "rule", "severity"]).to_pylist()
    return Counter((r["kind"], r["reason"], r["rule"], r["severity"]) for r in found)


@pytest.fixture(scope="module")
def brought(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The small CDM to gold."""
    root = tmp_path_factory.mktemp("cdm")
    note = run(spark, root / "lake", {"omop": write(root / "csv")}, "--until", "gold")
    return root / "lake", note


def test_ids_stay_as_they_are_and_names_become_those_of_5_4(brought: tuple[Path, dict[str, Any]]):
    lake, note = brought
    assert rows(lake, "person", "person_id", "year_of_birth") == [(1, 1950), (2, 1960), (4, 1970)]
    assert rows(lake, "visit_occurrence", "visit_occurrence_id", "admitted_from_concept_id", "discharged_to_concept_id") == [
        (21, 8870, 8536), (22, None, None), (23, None, None),
    ]  # fmt: skip
    assert rows(lake, "condition_occurrence", "condition_occurrence_id") == [(31,), (32,), (33,), (34,)]
    assert str(note["as_of"]) == "2019-12-31"


def test_what_is_refused_has_its_reason_and_every_row_one_outcome(brought: tuple[Path, dict[str, Any]]):
    lake, _ = brought
    assert refused(lake) == Counter({
        ("person", "R_TYPE", "year_of_birth", "quarantined"): 1,
        ("person", "R_SCHEMA", "year_of_birth_missing", "quarantined"): 1,
        ("observation_period", "R_REF", "person_id", "quarantined"): 1,
        ("visit_occurrence", "R_TEMPORAL", "end_not_before_start", "quarantined"): 1,
        ("condition_occurrence", "R_REF", "person_id", "quarantined"): 1,
        ("condition_occurrence", "R_DATE", "condition_start_date", "quarantined"): 1,
        ("condition_occurrence", "R_SCHEMA", "condition_start_date_missing", "quarantined"): 1,
        ("drug_exposure", "R_CONFLICT_DUP", "id_given_anew", "repaired"): 1,
    })  # fmt: skip
    assert unbalanced(lake) == []
    ledger = read(
        lake, "ops/ledger", ["kind", "stage", "rows_in", "rows_written", "rows_quarantined"]
    ).to_pylist()
    told = {(r["kind"], r["stage"]): (r["rows_in"], r["rows_written"], r["rows_quarantined"]) for r in ledger}
    assert told["condition_occurrence", "bronze"] == (6, 6, 0)
    assert told["condition_occurrence", "conformed"] == (6, 4, 2)
    assert told["condition_occurrence", "omop"] == (4, 4, 0)
    assert told["drug_exposure", "conformed"] == (2, 2, 0)


def test_eras_that_the_folder_lacks_are_made_from_its_events(brought: tuple[Path, dict[str, Any]]):
    """31 and 32 lie 21 days apart, 33 a year later; concepts are those of the CDM, whatever the vocabulary knows."""
    lake, _ = brought
    eras = rows(lake, "condition_era", "person_id", "condition_concept_id", "condition_occurrence_count")
    assert eras == [(1, 201826, 1), (1, 201826, 2), (2, 192671, 1)]


def test_each_row_leads_to_its_line(brought: tuple[Path, dict[str, Any]]):
    lake, _ = brought
    raw = {r["record_id"]: r["raw"] for r in read(lake, "bronze/omop", ["record_id", "raw"]).to_pylist()}
    found = read(lake, "silver/omop/drug_exposure", ["_record", "person_id", "drug_concept_id"]).to_pylist()
    assert sorted(raw[r["_record"]].split(",")[1:3] for r in found) == [["1", "1124300"], ["2", "1118084"]]


def test_gold_asks_it_as_any_other(brought: tuple[Path, dict[str, Any]]):
    lake, _ = brought
    asked = read(lake, "gold/task_cohort", ["task", "person_id", "index_date", "label"]).to_pylist()
    told = {(r["person_id"], str(r["index_date"])): r["label"] for r in asked if r["task"] == "acute_care_1y"}
    assert told[1, "2018-01-01"] is True  # the emergency visit of May
    assert told[1, "2019-01-01"] is None or told[1, "2019-01-01"] is False
    assert not [p for p, _ in told if p not in (1, 2)]  # the visit of person 4 was refused


@pytest.mark.slow
def test_parquet_in_folders_of_parts_ends_in_the_same_rows(
    spark: SparkSession, brought: tuple[Path, dict[str, Any]], tmp_path: Path
):
    lake, _ = brought
    source = as_parquet(tmp_path / "parquet", write(tmp_path / "csv"))
    run(spark, tmp_path / "lake", {"omop": source}, "--until", "silver")
    for name, columns in {
        "person": ("person_id", "year_of_birth", "birth_datetime"),
        "visit_occurrence": ("visit_occurrence_id", "visit_start_date", "discharged_to_concept_id"),
        "condition_occurrence": ("condition_occurrence_id", "condition_start_date", "visit_occurrence_id"),
        "drug_exposure": ("person_id", "drug_concept_id"),
        "cdm_source": ("cdm_source_name", "source_release_date", "cdm_version"),
    }.items():
        assert rows(tmp_path / "lake", name, *columns) == rows(lake, name, *columns)
    assert refused(tmp_path / "lake") == refused(lake)


@pytest.mark.slow
def test_a_later_export_of_the_same_day_takes_the_place_of_the_first(spark: SparkSession, tmp_path: Path):
    """A row that changed, a person who was refused and is mended, and one who is gone, which a full export cannot tell."""
    lake = tmp_path / "lake"
    run(spark, lake, {"omop": write(tmp_path / "one")}, "--until", "gold")
    changed = dict(SMALL)
    changed["person"] = (
        SMALL["person"].replace("3,8532,unknown", "3,8532,1980").replace("4,8532,1970,,,,0,0,d\n", "")
    )
    changed["condition_occurrence"] = SMALL["condition_occurrence"].replace(
        "34,2,192671,2018-06-01", "34,2,192671,2018-06-02"
    )
    run(spark, lake, {"omop": write(tmp_path / "two", changed)}, "--until", "gold")
    assert [p for p, _ in rows(lake, "person", "person_id", "year_of_birth")] == [1, 2, 3, 4]
    conditions = rows(lake, "condition_occurrence", "condition_occurrence_id", "condition_start_date")
    assert [(i, str(d)) for i, d in conditions][-2:] == [(34, "2018-06-02"), (35, "2018-06-01")]
    assert unbalanced(lake) == []
    parts = digests(spark, lake, "silver/omop", "gold")
    run(spark, lake, {"omop": tmp_path / "two"}, "--until", "gold", "--full")
    assert digests(spark, lake, "silver/omop", "gold") == parts


def test_it_has_its_lake_to_itself(spark: SparkSession, tmp_path: Path):
    sources = {"omop": write(tmp_path / "csv"), "fitbit": FIVE / "fitbit"}
    with pytest.raises(ConfigError, match="omop: a CDM that is brought as it is has a lake to itself"):
        run(spark, tmp_path / "lake", sources, "--until", "bronze")
    assert not (tmp_path / "lake" / "bronze").exists()
