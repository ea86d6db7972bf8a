"""Upkeep of one table: rows stay, files become few, and only those go that no kept version needs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from carelake.core.lake import DeltaLake
from carelake.core.table import Field, Table
from carelake.core.upkeep import (
    checkpoint,
    compact_files,
    file_names,
    file_sizes,
    is_clustered,
    retained,
    vacuum,
)
from carelake.errors import LakeError

MEASURED = Table(
    name="silver/omop/some",
    doc="One row per number.",
    fields=(Field("person_id", "bigint", "Whose", required=True), Field("word", "string", "A word")),
    key=("person_id",),
    cluster_by=("person_id",),
)
SORTED = Table(
    name="bronze/some", doc="One row per number.", key=("n",), partition_by=("word",),
    fields=(Field("n", "bigint", "The number"), Field("word", "string", "A word")),
)  # fmt: skip
NEVER = datetime(2000, 1, 1, tzinfo=timezone.utc)
LATER = datetime.now(timezone.utc) + timedelta(days=1)


@pytest.fixture
def lake(spark, tmp_path):
    return DeltaLake(spark, str(tmp_path / "a lake"))


def _frame(lake, table, *rows):
    return lake.spark.createDataFrame([(*r, "run") for r in rows], f"{table.ddl}, `_run` string").coalesce(1)


def _rows(frame):
    return sorted(tuple(r) for r in frame.collect())


def _on_disk(lake, table):
    folder = f"{lake.root}/{table.name}"
    from pathlib import Path

    return {
        p.relative_to(folder).as_posix()
        for p in Path(folder).rglob("*")
        if p.is_file() and "_delta_log" not in p.parts
    }


def test_small_files_of_each_partition_become_one_and_the_rows_stay(lake):
    for n in range(4):
        lake.append(SORTED, _frame(lake, SORTED, (n, "a b"), (10 + n, "x/y")), {})
    before = _rows(lake.read(SORTED))
    assert len(file_names(lake, SORTED, 3)) == 8
    version = compact_files(lake, SORTED, 1 << 20)
    assert version == 4
    assert len(file_sizes(lake, SORTED, version)) == 2
    assert _rows(DeltaLake(lake.spark, lake.root).read(SORTED)) == before
    assert lake.added(SORTED, 3) == [], "compacted files hold nothing new"
    assert compact_files(lake, SORTED, 1 << 20) == 4, "there is nothing more to compact"


def test_a_clustered_table_has_a_persons_rows_in_one_of_its_files(lake):
    spark = lake.spark
    many = spark.range(200_000).selectExpr("id % 1000 AS person_id", "uuid() AS word", "'run' AS _run")
    lake.replace(MEASURED, many.repartition(4), {})

    def with_person(version):
        files = [[n] for n in file_names(lake, MEASURED, version)]
        return sum(not lake.read_files(MEASURED, f).where("person_id = 500").isEmpty() for f in files), len(
            files
        )

    assert with_person(0) == (4, 4)
    assert not is_clustered(lake, MEASURED)
    version = compact_files(lake, MEASURED, 2 << 20, ("person_id",))
    holding, files = with_person(version)
    assert (holding, files > 2) == (1, True)
    assert is_clustered(lake, MEASURED)
    assert lake.read(MEASURED).where("person_id = 500").count() == 200


def test_only_the_head_stays_when_nothing_else_is_asked_for(lake):
    for n in range(3):
        lake.replace(MEASURED, _frame(lake, MEASURED, (n, "w")), {})
    removed = vacuum(lake, MEASURED, retained(lake, MEASURED, (), LATER))
    assert removed.files == 2
    assert removed.bytes > 0
    assert len([f for f in _on_disk(lake, MEASURED) if not f.endswith(".crc")]) == 1
    assert len(_on_disk(lake, MEASURED)) == 2, "the checksums of removed files are gone too"
    assert _rows(lake.read(MEASURED)) == [(2, "w", "run")]


def test_versions_named_and_versions_younger_than_the_policy_says_stay_readable(lake):
    for n in range(4):
        lake.replace(MEASURED, _frame(lake, MEASURED, (n, "w")), {})
    assert vacuum(lake, MEASURED, retained(lake, MEASURED, (), NEVER)).files == 0
    assert vacuum(lake, MEASURED, retained(lake, MEASURED, (1,), LATER)).files == 2
    for version in (1, 3):
        assert _rows(lake.at({MEASURED.name: version}).read(MEASURED)) == [(version, "w", "run")]


def test_what_a_run_wrote_that_died_before_its_commit_is_removed(lake):
    lake.replace(MEASURED, _frame(lake, MEASURED, (1, "w")), {})
    (name,) = file_names(lake, MEASURED, 0)
    folder = f"{lake.root}/{MEASURED.name}"
    with open(f"{folder}/{name}", "rb") as whole, open(f"{folder}/part-lost.parquet", "wb") as half:
        half.write(whole.read()[:100])
    assert vacuum(lake, MEASURED, retained(lake, MEASURED, (), NEVER)).files == 1
    assert _rows(lake.read(MEASURED)) == [(1, "w", "run")]


def test_nothing_is_removed_when_a_file_that_has_to_stay_is_missing(lake):
    lake.replace(MEASURED, _frame(lake, MEASURED, (1, "w")), {})
    before = _on_disk(lake, MEASURED)
    with pytest.raises(LakeError, match="silver/omop/some: 1 of its files are missing"):
        vacuum(lake, MEASURED, retained(lake, MEASURED, (), LATER) | {"part-gone.parquet"})
    assert _on_disk(lake, MEASURED) == before


def test_a_checkpoint_has_the_state_of_the_head(lake):
    lake.replace(MEASURED, _frame(lake, MEASURED, (1, "w")), {})
    lake.replace(MEASURED, _frame(lake, MEASURED, (2, "w")), {})
    checkpoint(lake, MEASURED)
    told = lake.storage.read_text(f"{MEASURED.name}/_delta_log/_last_checkpoint")
    assert '"version":1' in (told or "")
    for n in (0, 1):  # without the commits the checkpoint alone says what there is
        for end in ("json", "crc"):
            lake.storage.delete(f"{MEASURED.name}/_delta_log/{n:020d}.{end}")
    from deltalake import DeltaTable

    assert DeltaTable(lake.path(MEASURED)).to_pyarrow_table().num_rows == 1
