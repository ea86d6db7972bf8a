"""DeltaLake: a version that this process wrote is read from its files, every other one by Delta, both with the same rows."""

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
def test_what_a_process_replaced_it_reads_from_its_files_and_another_reads_the_same(spark, make, folder):
    frame, path = make
    lake = DeltaLake(spark, str(path / folder))
    lake.replace(PEOPLE, frame((9, "old")), {})
    commit = lake.replace(PEOPLE, frame((1, "one"), (2, None)), {})
    assert (commit.version, commit.rows) == (1, 2)
    assert lake._written[PEOPLE.name][0] == 1
    expected = [(1, "one", "run"), (2, None, "run")]
    assert _rows(lake.read(PEOPLE)) == expected
    assert _rows(DeltaLake(spark, lake.root).read(PEOPLE)) == expected
    assert lake.read(PEOPLE).schema.names == DeltaLake(spark, lake.root).read(PEOPLE).schema.names


def test_rows_appended_or_written_by_another_are_seen(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    lake.replace(PEOPLE, frame((1, "one")), {})
    lake.append(PEOPLE, frame((2, "two")), {})
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
    assert PEOPLE.name not in lake._written
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [1]
