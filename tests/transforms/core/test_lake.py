"""DeltaLake: what Delta wrote down with a version serves the next read and write, with the same rows as Delta's own way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carelake.core.commit import commit
from carelake.core.jvm import java
from carelake.core.lake import DeltaLake
from carelake.core.table import Field, Table
from carelake.errors import LakeBusyError

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
        assert len(reader.named_files(PEOPLE, 1) or ()) >= 1
        assert _rows(reader.read(PEOPLE)) == _rows(by_delta) == [(1, "one", "run"), (2, None, "run")]
        assert reader.read(PEOPLE).dtypes == by_delta.dtypes


def test_rows_appended_or_written_by_another_are_seen(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    lake.replace(PEOPLE, frame((1, "one")), {})
    lake.append(PEOPLE, frame((2, "two")), {})
    assert len(lake.named_files(PEOPLE, 1) or ()) >= 2
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


def test_a_path_that_spark_would_take_for_a_pattern_is_a_path(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake[1]"))
    lake.replace(PEOPLE, frame((1, "one")), {})
    lake.append(PEOPLE, frame((2, "two")), {})
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [1, 2]


def test_a_version_of_another_declaration_is_left_to_delta_and_a_compacted_one_is_seen(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    lake.replace(PEOPLE, frame((1, "one")).repartition(1), {})
    narrower = Table(name=PEOPLE.name, doc=PEOPLE.doc, fields=PEOPLE.fields[:1], key=PEOPLE.key)
    assert lake.named_files(PEOPLE, 0) is not None
    assert lake.named_files(narrower, 0) is None
    lake.replace(PEOPLE, frame((1, "one"), (2, "two"), (3, "three")).repartition(3), {})
    spark.sql(f"OPTIMIZE delta.`{lake.path(PEOPLE)}`").collect()
    assert lake.head(PEOPLE) == 2
    assert len(lake.named_files(PEOPLE, 2) or ()) == 1
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [1, 2, 3]


def test_a_version_without_its_checksum_or_with_deletion_vectors_is_left_to_delta(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    lake.replace(PEOPLE, frame((1, "one"), (2, "two")).coalesce(1), {})
    log = path / "lake" / PEOPLE.name / "_delta_log"
    for damage in (lambda f: f.write_text(f.read_text()[:100]), lambda f: f.unlink()):
        damage(log / f"{0:020d}.crc")
        again = DeltaLake(spark, lake.root)
        assert again.named_files(PEOPLE, 0) is None
        assert [n for n, *_ in _rows(again.read(PEOPLE))] == [1, 2]
    lake.replace(PEOPLE, frame((1, "one"), (2, "two"), (3, "three")).coalesce(1), {})
    place = f"delta.`{lake.path(PEOPLE)}`"
    spark.sql(f"ALTER TABLE {place} SET TBLPROPERTIES ('delta.enableDeletionVectors' = true)").collect()
    spark.sql(f"DELETE FROM {place} WHERE n = 2").collect()
    assert lake.named_files(PEOPLE, lake.head(PEOPLE)) is None
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [1, 3]
    lake.replace(PEOPLE, frame((4, "four")), {})
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [4]


def test_a_partitioned_table_reads_as_delta_reads_it(spark, make):
    _, path = make
    table = Table(
        name=PEOPLE.name, doc=PEOPLE.doc, key=PEOPLE.key, partition_by=("word",),
        fields=(PEOPLE.fields[1], PEOPLE.fields[0]),
    )  # fmt: skip
    lake = DeltaLake(spark, str(path / "lake"))

    def frame(*rows):
        return spark.createDataFrame([(w, n, "run") for n, w in rows], f"{table.ddl}, `_run` string")

    lake.append(table, frame((1, "a/b = 50 %"), (2, None)), {})
    lake.append(table, frame((3, "007")), {})
    by_delta = spark.read.format("delta").load(lake.path(table))
    assert lake.named_files(table, 1) is not None
    assert lake.read(table).dtypes == by_delta.dtypes
    expected = [(1, "a/b = 50 %", "run"), (2, None, "run"), (3, "007", "run")]
    assert _rows(lake.read(table)) == _rows(by_delta) == expected
    lake.replace(table, frame((4, "x")), {})
    assert _rows(lake.read(table)) == [(4, "x", "run")]


def _history(spark, lake):
    rows = spark.sql(f"DESCRIBE HISTORY delta.`{lake.path(PEOPLE)}`").collect()
    return {r["version"]: r for r in rows}


def test_a_commit_by_the_checksum_stands_in_the_history_as_one_by_the_writer(spark, make):
    frame, path = make
    ours, theirs = DeltaLake(spark, str(path / "ours")), DeltaLake(spark, str(path / "theirs"))
    for lake in (ours, theirs):
        lake.replace(PEOPLE, frame((1, "one"), (2, "two")).coalesce(1), {})
    assert ours.replace(PEOPLE, frame((3, "three")).coalesce(1), {"run": "r"}).rows == 1
    theirs._save(
        PEOPLE, frame((3, "three")).coalesce(1), '{"run": "r"}', "overwrite", {"overwriteSchema": "true"}, None, new=False
    )  # fmt: skip
    mine, other = _history(spark, ours)[1], _history(spark, theirs)[1]
    assert mine["operation"] == other["operation"] == "WRITE"
    assert mine["operationParameters"]["mode"] == other["operationParameters"]["mode"] == "Overwrite"
    assert mine["userMetadata"] == other["userMetadata"] == '{"run": "r"}'
    assert mine["isBlindAppend"] == other["isBlindAppend"] is False
    for name in ("numFiles", "numOutputRows", "numOutputBytes"):
        assert mine["operationMetrics"][name] == other["operationMetrics"][name], name
    (a, b) = (
        next(x["add"] for x in lake.actions(PEOPLE, 1) if "add" in x)["stats"] for lake in (ours, theirs)
    )
    assert a == b
    assert '"minValues":{"n":3}' in a
    assert "three" not in a


def test_rows_of_one_transaction_are_appended_once(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    assert lake.append(PEOPLE, frame((1, "one")), {}, txn="first").version == 0
    assert lake.append(PEOPLE, frame((1, "one")), {}, txn="first").rows == 0
    assert lake.append(PEOPLE, frame((2, "two")), {}, txn="second").rows == 1
    for again in (lake, DeltaLake(spark, lake.root)):
        assert again.append(PEOPLE, frame((2, "two")), {}, txn="second").rows == 0
    assert [n for n, *_ in _rows(lake.read(PEOPLE))] == [1, 2]
    log = java(spark, "org.apache.spark.sql.delta.DeltaLog").forTable(spark._jsparkSession, lake.path(PEOPLE))
    none = java(spark, "scala.Option").empty()
    assert log.update(False, none, none).transactions().size() == 2


def test_a_column_that_is_new_comes_with_the_next_write(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    lake.append(PEOPLE, frame((1, "one")), {})
    wider = Table(
        name=PEOPLE.name, doc=PEOPLE.doc, key=PEOPLE.key, fields=(*PEOPLE.fields, Field("more", "date", "A day"))
    )  # fmt: skip
    more = frame((2, "two")).selectExpr("n", "word", "DATE'2024-01-02' AS more", "_run")
    lake.append(wider, more, {})
    found = {r["n"]: str(r["more"]) for r in lake.read(wider).collect()}
    assert found == {1: "None", 2: "2024-01-02"}
    lake.replace(wider, more, {})
    assert lake.read(wider).count() == 1


def test_a_replacement_over_a_commit_that_it_did_not_see_is_refused(spark, make):
    frame, path = make
    lake, other = DeltaLake(spark, str(path / "lake")), DeltaLake(spark, str(path / "lake"))
    lake.replace(PEOPLE, frame((1, "one")), {})

    class Late:
        """A frame that another writer overtakes when its rows are asked for."""

        sparkSession = spark  # noqa: N815, a DataFrame has it so

        @property
        def _jdf(self):
            self.asked += 1
            if self.asked == 2:
                other.append(PEOPLE, frame((2, "two")), {})
            return self.inner._jdf

        def __init__(self):
            self.inner, self.asked = frame((3, "three")), 0

    with pytest.raises(Exception, match=r"[Cc]oncurrent|DELTA_CONCURRENT"):
        commit(Late(), lake.path(PEOPLE), "{}", replace=True)
    assert [n for n, *_ in _rows(DeltaLake(spark, lake.root).read(PEOPLE))] == [1, 2]


def test_an_empty_replacement_of_an_empty_table_makes_no_version(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    first = lake.replace(PEOPLE, frame(), {}).version
    assert lake.replace(PEOPLE, frame(), {}).rows == 0
    assert lake.head(PEOPLE) in (first, first + 1)
    assert _rows(lake.read(PEOPLE)) == []


def test_what_is_kept_for_the_run_has_the_same_rows_and_goes_with_it(spark, make):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    kept = lake.keep(frame((1, "one"), (2, None)))
    assert _rows(kept) == [(1, "one", "run"), (2, None, "run")]
    assert _rows(lake.keep(frame())) == []
    lake.clear()
    assert not (path / "lake" / "ops" / "_scratch").exists()


@pytest.mark.parametrize("new", [True, False])
def test_a_run_that_may_not_write_any_more_commits_nothing(spark, make, new):
    frame, path = make
    lake = DeltaLake(spark, str(path / "lake"))
    if not new:
        lake.replace(PEOPLE, frame((1, "one")), {})

    def refuse():
        raise LakeBusyError("taken over")

    lake.guard = refuse
    for write in (lake.replace, lake.append):
        with pytest.raises(LakeBusyError):
            write(PEOPLE, frame((2, "two")), {})
    with pytest.raises(LakeBusyError):
        lake.clear()
    assert DeltaLake(spark, lake.root).head(PEOPLE) == (-1 if new else 0)


def test_the_size_of_a_table_is_that_of_the_files_of_its_version_by_part_too(spark, tmp_path):
    parted = replace(PEOPLE, partition_by=("word",))
    lake = DeltaLake(spark, str(tmp_path / "lake"))
    assert lake.size(parted) == 0
    rows = [(n, w, "run") for n in range(50) for w in ("one", "two")] + [(51, "three", "run")]
    lake.replace(parted, spark.createDataFrame([(0, "old", "run")], f"{PEOPLE.ddl}, `_run` string"), {})
    lake.replace(parted, spark.createDataFrame(rows, f"{PEOPLE.ddl}, `_run` string"), {})

    def on_disk(*words):
        folder = tmp_path / "lake" / PEOPLE.name
        return sum(f.stat().st_size for w in words for f in (folder / f"word={w}").glob("*.parquet"))

    assert lake.size(parted) == on_disk("one", "two", "three") > lake.size(parted, {"one", "three"})
    assert lake.size(parted, {"one", "three"}) == on_disk("one", "three") > 0
    assert lake.at({PEOPLE.name: 0}).size(parted) == on_disk("old")
    for checksum in (tmp_path / "lake" / PEOPLE.name / "_delta_log").glob("*.crc"):
        checksum.unlink()
    assert DeltaLake(spark, lake.root).size(parted) is None
