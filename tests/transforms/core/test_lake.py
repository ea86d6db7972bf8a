"""DeltaLake: a version that replaced a whole table is read from its files, every other one by Delta, both with the same rows."""

from __future__ import annotations

import pytest

from carelake.core.lake import DeltaLake
from carelake.core.table import Field, Table

PEOPLE = Table(
    name="silver/omop/some",
    doc="One row per number.",
    fields=(Field("n", "bigint", "The number", required=True), Field("word", "string", "A word")),
    key=("n",),
)


@pytest.fixture
def make(spark, tmp_path):
    def frame(*rows):
        return spark.createDataFrame([(n, w, "run") for n, w in rows], f"{PEOPLE.ddl}, `_run` string")

    return frame, tmp_path


def _rows(frame):
    return sorted((r["n"], r["word"], r["_run"]) for r in frame.collect())


@pytest.mark.parametrize("folder", ["lake", "a lake, a blank and an ü"])
def test_what_was_replaced_is_read_from_its_files_as_delta_reads_it(spark, make, folder):
    frame, path = make
    lake = DeltaLake(spark, str(path / folder))
    lake.replace(PEOPLE, frame((9, "old")), {})
    commit = lake.replace(PEOPLE, frame((1, "one"), (2, None)), {})
    assert (commit.version, commit.rows) == (1, 2)
    by_delta = spark.read.format("delta").load(lake.path(PEOPLE))
    for reader in (lake, DeltaLake(spark, lake.root)):
        assert len(reader._whole(PEOPLE, 1) or ()) >= 1
        assert _rows(reader.read(PEOPLE)) == _rows(by_delta) == [(1, "one", "run"), (2, None, "run")]
        assert reader.read(PEOPLE).dtypes == by_delta.dtypes


def test_rows_appended_or_written_by_another_are_seen(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    lake.replace(PEOPLE, frame((1, "one")), {})
    lake.append(PEOPLE, frame((2, "two")), {})
    assert lake._whole(PEOPLE, 1) is None
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [1, 2]
    lake.replace(PEOPLE, frame((3, "three")), {})
    DeltaLake(spark, lake.root).replace(PEOPLE, frame((4, "four")), {})
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [4]


def test_a_pinned_version_and_an_empty_table_are_read_as_such(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    lake.replace(PEOPLE, frame((1, "one")), {})
    lake.replace(PEOPLE, frame(), {})
    assert _rows(lake.read(PEOPLE)) == []
    lake.pinned[PEOPLE.name] = 0
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [1]
    lake.pinned[PEOPLE.name] = -1
    assert _rows(lake.read(PEOPLE)) == []


def test_a_path_that_spark_would_take_for_a_pattern_is_left_to_delta(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake[1]"))
    lake.replace(PEOPLE, frame((1, "one")), {})
    assert lake._whole(PEOPLE, 0) is None
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [1]


def test_a_version_of_another_declaration_or_a_compacted_one_is_left_to_delta(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    lake.replace(PEOPLE, frame((1, "one")).repartition(1), {})
    narrower = Table(name=PEOPLE.name, doc=PEOPLE.doc, fields=PEOPLE.fields[:1], key=PEOPLE.key)
    assert lake._whole(PEOPLE, 0) is not None
    assert lake._whole(narrower, 0) is None
    lake.replace(PEOPLE, frame((1, "one"), (2, "two"), (3, "three")).repartition(3), {})
    spark.sql(f"OPTIMIZE delta.`{lake.path(PEOPLE)}`").collect()
    assert lake.head(PEOPLE) == 2
    assert lake._whole(PEOPLE, 2) is None
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [1, 2, 3]


def test_what_is_kept_for_the_run_has_the_same_rows_and_goes_with_it(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    kept = lake.keep(frame((1, "one"), (2, None)))
    assert _rows(kept) == [(1, "one", "run"), (2, None, "run")]
    assert _rows(lake.keep(frame())) == []
    lake.clear()
    assert not (path / "lake" / "ops" / "_scratch").exists()
