"""A part of a large table is laid over it file by file: what does not change stays as it is, in files and in rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from carelake.core import part as parts
from carelake.core.lake import DeltaLake
from carelake.core.table import Field, Table

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

EVENTS = Table(
    name="silver/omop/some_events",
    doc="One row per person and event.",
    fields=(
        Field("person_id", "bigint", "Whose"), Field("n", "int", "Which"), Field("value", "double", "What"),
        Field("codes", "array<string>", "Its codes"),
    ),
    key=("person_id", "n"),
)  # fmt: skip
# What each of three files holds: person, n, value
FILES = [[(1, 1, 0.5), (2, 1, 1.5)], [(3, 1, 2.5), (3, 2, None)], [(2, 2, 3.5), (4, 1, 4.5)]]


@dataclass(frozen=True)
class OfSome:
    """The rows of some persons."""

    published: DeltaLake
    people: tuple[int, ...]
    settings: ClassVar[dict[str, Any]] = {}

    def only(self, table: Table) -> DataFrame:
        return self.gone(self.published.read(table))

    def gone(self, rows: DataFrame) -> DataFrame:
        return rows.where(f"person_id IN {(*self.people, -1)}")

    def stay(self) -> DataFrame:
        return self.published.read(EVENTS).where(f"person_id NOT IN {(*self.people, -1)}")


def _rows(spark: SparkSession, run: str, rows: list[tuple[int, int, float | None]]) -> DataFrame:
    found = spark.createDataFrame(rows, "person_id bigint, n int, value double")
    codes = "CASE WHEN n = 1 THEN array('a', concat('b', person_id)) END AS codes"
    return found.selectExpr("person_id", "n", "value", codes, f"'{run}' AS _run").coalesce(1)


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeltaLake:
    monkeypatch.setattr(parts, "COMPARED_FROM", 1)
    monkeypatch.setattr(parts, "MOST", 1)
    lake = DeltaLake(spark, str(tmp_path / "a lake"))
    for rows in FILES:
        lake.append(EVENTS, _rows(spark, "old", rows), {})
    return lake


def _held(lake: DeltaLake) -> list[tuple[Any, ...]]:
    rows = [(r["person_id"], r["n"], r["value"], r["codes"], r["_run"]) for r in lake.read(EVENTS).collect()]
    return sorted(rows, key=str)


def _files(lake: DeltaLake) -> set[str]:
    return set(lake.named_files(EVENTS, lake.head(EVENTS)) or ())


def _lay(lake: DeltaLake, people: tuple[int, ...], rows: list[tuple[int, int, float | None]]) -> Any:
    published = lake.at({EVENTS.name: lake.head(EVENTS)})
    return lake.lay(EVENTS, _rows(lake.spark, "new", rows), OfSome(published, people), {"run": "new"})


def test_only_files_that_hold_a_row_which_goes_are_written_again(lake: DeltaLake) -> None:
    before = _files(lake)
    # of person 2 the first event is as it was, the second has another value; a third comes
    commit = _lay(lake, (2,), [(2, 1, 1.5), (2, 2, 9.0), (2, 3, None)])
    assert commit.version == 3 and commit.rows == 7
    assert _held(lake) == [
        (1, 1, 0.5, ["a", "b1"], "old"), (2, 1, 1.5, ["a", "b2"], "old"), (2, 2, 9.0, None, "new"),
        (2, 3, None, None, "new"), (3, 1, 2.5, ["a", "b3"], "old"), (3, 2, None, None, "old"),
        (4, 1, 4.5, ["a", "b4"], "old"),
    ]  # fmt: skip
    gone = before - _files(lake)
    removed = [a["remove"]["path"] for a in lake.actions(EVENTS, 3) if "remove" in a]
    assert len(gone) == 1 and removed == [*gone]  # the third file


def test_rows_that_only_come_leave_every_file(lake: DeltaLake) -> None:
    before = _files(lake)
    assert _lay(lake, (4, 5), [(4, 1, 4.5), (5, 1, 5.5)]).rows == 7
    assert before < _files(lake)
    assert len(lake.read(EVENTS).where("_run = 'new'").collect()) == 1


def test_rows_that_only_go_are_gone(lake: DeltaLake) -> None:
    before = _files(lake)
    assert _lay(lake, (3,), []).rows == 4
    assert _files(lake) < before  # nothing of the second file is left
    assert {r["person_id"] for r in lake.read(EVENTS).collect()} == {1, 2, 4}


def test_a_part_as_it_was_published_writes_nothing(lake: DeltaLake) -> None:
    before = _held(lake)
    commit = _lay(lake, (2, 3), [(3, 2, None), (3, 1, 2.5), (2, 2, 3.5), (2, 1, 1.5)])
    assert (commit.version, commit.rows) == (2, 6)
    assert lake.head(EVENTS) == 2 and _held(lake) == before


def test_the_same_row_twice_is_counted(lake: DeltaLake) -> None:
    assert _lay(lake, (3,), [(3, 1, 2.5), (3, 1, 2.5), (3, 2, None)]).rows == 7
    assert _lay(lake, (3,), [(3, 1, 2.5), (3, 2, None)]).rows == 6
    assert [r[:3] for r in _held(lake) if r[0] == 3] == [(3, 1, 2.5), (3, 2, None)]


@pytest.mark.parametrize(("most", "stays"), [(0.5, 0), (0.7, 1)])
def test_a_table_most_of_whose_files_are_in_question_is_written_whole(
    lake: DeltaLake, most: float, stays: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST", most)
    before = _files(lake)
    assert _lay(lake, (2,), [(2, 1, 0.0), (2, 2, 0.0)]).rows == 6  # person 2 is in two of three files
    assert len(before & _files(lake)) == stays
    assert [r[:3] for r in _held(lake) if r[0] == 2] == [(2, 1, 0.0), (2, 2, 0.0)]


def test_what_a_run_that_died_wrote_is_written_over(lake: DeltaLake) -> None:
    published = lake.at({EVENTS.name: lake.head(EVENTS)})
    lake.append(EVENTS, _rows(lake.spark, "dead", [(9, 1, 9.5)]), {})
    lake.lay(EVENTS, _rows(lake.spark, "new", [(4, 1, 0.0)]), OfSome(published, (4,)), {})
    assert sorted((r[0], r[1]) for r in _held(lake)) == [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1)]


def test_without_a_checksum_nothing_is_lost(lake: DeltaLake) -> None:
    """A writer of other hands need not name the files: the table is written whole."""
    (checksum,) = (f for f in (_log(lake)).glob(f"{lake.head(EVENTS):020d}.crc"))
    checksum.unlink()
    fresh = DeltaLake(lake.spark, lake.root)
    assert _lay(fresh, (4,), [(4, 1, 8.0)]).rows == 6
    assert (4, 1, 8.0) in [r[:3] for r in _held(fresh)]


def test_a_divided_table_keeps_the_files_of_its_other_parts(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "COMPARED_FROM", 1)
    monkeypatch.setattr(parts, "MOST", 1)
    domain = Field("domain", "string", "Its domain")
    table = replace(EVENTS, fields=(*EVENTS.fields, domain), partition_by=("domain",))
    lake = DeltaLake(spark, str(tmp_path / "lake"))

    def rows(run: str, value: float) -> DataFrame:
        found = _rows(spark, run, [(1, 1, 0.5), (1, 2, value), (2, 1, 2.5)])
        return found.selectExpr(
            "person_id", "n", "value", "codes",
            "CASE WHEN person_id = 2 OR n = 2 THEN 'Spec Anatomic Site' ELSE 'Drug/Device=x' END AS domain", "_run",
        )  # fmt: skip

    lake.replace(table, rows("old", 1.5), {})
    before = set(lake.named_files(table, 0) or ())
    published = lake.at({table.name: 0})
    some = rows("new", 9.0).where("person_id = 1")
    assert lake.lay(table, some, OfSome(published, (1,)), {}).rows == 3
    found = sorted((r["person_id"], r["n"], r["value"], r["_run"]) for r in lake.read(table).collect())
    assert found == [(1, 1, 0.5, "old"), (1, 2, 9.0, "new"), (2, 1, 2.5, "old")]
    after = set(lake.named_files(table, 1) or ())
    assert len(before) == 2 and len(before & after) == 1


def _log(lake: DeltaLake) -> Path:
    from pathlib import Path

    return Path(lake.path(EVENTS), "_delta_log")
