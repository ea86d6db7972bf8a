"""What comes day by day ends in the same rows as all at once, and only the persons concerned are made anew."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from carelake import pipeline
from carelake.bronze.table import bronze_table
from carelake.core import part as parts
from carelake.core.lake import DeltaLake
from carelake.core.ops import LEDGER, QUARANTINE
from carelake.quality import digest
from carelake.silver.conformed.event import EVENT
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.measurement import MEASUREMENT
from carelake.silver.omop.person import PERSON
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from tests.helpers.cli import FIVE
from tests.helpers.days import deal
from tests.helpers.runs import digests, run
from tests.helpers.story import STORY, weight, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

    from carelake.core.table import Table

pytestmark = pytest.mark.timeout(3000)
# Everything from the links on; the contracts also say in which file a record stands, which differs by how it is sent.
COMPARED = ("silver/link/", "silver/omop/", "gold/")
NOT_COMPARED = {"silver/link/person_history", "silver/link/concept_change"}  # tell of the runs themselves


def _compared(spark: SparkSession, lake: Path) -> dict[str, tuple[int, str]]:
    return {n: d for n, d in digests(spark, lake, *COMPARED).items() if n not in NOT_COMPARED}


def _unlike(found: dict[str, Any], wanted: dict[str, Any]) -> set[str]:
    return {n for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n)}


def _unbalanced(spark: SparkSession, lake: Path) -> int:
    outcome = "rows_written + rows_duplicate + rows_superseded + rows_excluded + rows_quarantined"
    return DeltaLake(spark, str(lake)).read(LEDGER).where(f"rows_in <> {outcome}").count()


@dataclass(frozen=True)
class Told:
    """What the days of the story left: notes of the runs, and what the lake held after each."""

    lake: Path
    notes: list[dict[str, Any]]
    persons: list[set[str]]  # whose person row
    made: list[set[str]]  # whose rows in measurement the day's run made
    conditions: list[set[str]]
    weights: list[list[tuple[str, float]]]
    extract_dates: list[set[str]]  # ends of the visits that are still open


def _data_files(lake: Path) -> set[Path]:
    return {f for f in lake.rglob("part-*.parquet") if "_delta_log" not in f.parts}


def _people(spark: SparkSession, lake: Path, table: Table, *columns: str, where: str = "true") -> list[Any]:
    """Rows of a table with the sender's id of the person."""
    held = DeltaLake(spark, str(lake))
    who = held.read(PERSON_LINK).select("person_id", "source_person_id")
    rows = held.read(table).where(where).join(who, "person_id").selectExpr("source_person_id", *columns)
    return [tuple(r) if columns else r[0] for r in rows.collect()]


def _landed(spark: SparkSession, lake: Path) -> list[Any]:
    return digest(DeltaLake(spark, str(lake)), [bronze_table("fhir")])


@pytest.fixture(scope="module")
def told(spark: SparkSession, days: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The story, a run a day, to silver."""
    lake = tmp_path_factory.mktemp("daily") / "lake"
    story = Told(lake, [], [], [], [], [], [])
    for n in range(len(STORY)):
        note = run(spark, lake, {"fhir": days / f"day{n}"}, "--until", "silver")
        mine = f"_run = '{note['run_id']}'"
        story.notes.append(note)
        story.persons.append(set(_people(spark, lake, PERSON)))
        story.made.append(set(_people(spark, lake, MEASUREMENT, where=mine)))
        story.conditions.append(set(_people(spark, lake, CONDITION_OCCURRENCE)))
        story.weights.append(sorted(_people(spark, lake, MEASUREMENT, "value_as_number")))
        open_until = DeltaLake(spark, str(lake)).read(VISIT_OCCURRENCE)
        ends = open_until.where("visit_type_concept_id = 32220").selectExpr(
            "cast(visit_end_date AS string) AS d"
        )
        story.extract_dates.append({r["d"] for r in ends.collect()})
    return story


def _steps(note: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {s["table"]: s for s in note["steps"]}


def test_only_the_persons_concerned_are_made_anew(told: Told) -> None:
    assert told.notes[0]["persons_affected"] == 4
    # day two: a weight of p1, a diagnosis of p2 taken back; p4 is concerned only by the later extract date, in its visit
    assert told.notes[1]["persons_affected"] == 2
    assert told.made[1] == {"p1", "p2"}
    assert told.weights[1] == [("p1", 70.5), ("p1", 71.0), ("p2", 81.0), ("p3", 64.0)]
    assert _steps(told.notes[1])["silver/omop/measurement"]["rows_made"] == 3
    assert _steps(told.notes[1])["silver/conformed/event"]["rows_made"] == 1
    assert _steps(told.notes[1])["silver/conformed/patient"]["skipped"]


def test_what_is_taken_back_or_deleted_is_gone_with_its_person(told: Told) -> None:
    assert told.conditions == [{"p1", "p2", "p3"}, {"p1", "p3"}, set()]
    assert told.persons == [{"p1", "p2", "p3", "p4"}, {"p1", "p2", "p3", "p4"}, {"p1", "p2", "p4", "p9"}]


def test_a_record_waits_for_its_person_and_is_released_when_the_person_comes(
    spark: SparkSession, told: Told
) -> None:
    assert ("p9", 55.0) not in told.weights[1] and ("p9", 55.0) in told.weights[2]
    runs = [n["run_id"] for n in told.notes]
    waits = DeltaLake(spark, str(told.lake)).read(QUARANTINE).where("rule = 'pending:person'").collect()
    seen = sorted((runs.index(r["run_id"]), r["kind"], r["severity"]) for r in waits)
    assert seen == [
        (0, "Observation", "quarantined"),
        (1, "Observation", "quarantined"),
        (2, "Condition", "quarantined"),  # of p3, who is deleted
        (2, "Encounter", "quarantined"),
        (2, "Observation", "quarantined"),
        (2, "Observation", "released"),
    ]


def test_a_stay_that_is_still_open_ends_on_each_extract_date(told: Told) -> None:
    assert told.extract_dates == [{"2024-03-01"}, {"2024-03-02"}, {"2024-03-03"}]


def test_every_record_of_a_day_has_one_outcome(spark: SparkSession, told: Told) -> None:
    assert _unbalanced(spark, told.lake) == 0
    examined = {
        (
            r["stage"],
            r["kind"],
            r["rows_in"],
            r["rows_written"],
            r["rows_duplicate"],
            r["rows_superseded"],
            r["rows_quarantined"],
        )
        for r in told.notes[1]["sources"]
    }
    assert examined == {
        ("bronze", "Condition", 1, 1, 0, 0, 0), ("bronze", "Observation", 5, 5, 0, 0, 0),
        ("conformed", "Condition", 2, 0, 0, 1, 1), ("conformed", "Observation", 5, 1, 4, 0, 0),
        # the records of p1 and p2, and the weight that waits
        ("omop", "Condition", 1, 1, 0, 0, 0), ("omop", "Encounter", 2, 2, 0, 0, 0), ("omop", "Observation", 4, 3, 0, 0, 1),
        ("omop", "Patient", 2, 2, 0, 0, 0),
    }  # fmt: skip
    taken_back = DeltaLake(spark, str(told.lake)).read(QUARANTINE).where("reason = 'R_RETRACTED'").collect()
    assert sorted((r["stage"], r["kind"], r["rule"]) for r in taken_back) == [
        ("bronze", "Condition", "deleted"),
        ("bronze", "Patient", "deleted"),
        ("conformed", "Condition", "entered_in_error"),
    ]


def test_days_one_after_the_other_end_in_the_rows_of_all_at_once(
    spark: SparkSession, days: Path, told: Told, tmp_path: Path
) -> None:
    run(spark, tmp_path / "lake", {"fhir": days}, "--until", "silver")
    assert _unlike(_compared(spark, told.lake), _compared(spark, tmp_path / "lake")) == set()


def test_the_same_batch_three_times_is_the_same_as_once(
    spark: SparkSession, days: Path, told: Told, tmp_path: Path
) -> None:
    """The second time as it was, the third time under other file names."""
    lake, renamed = tmp_path / "lake", tmp_path / "renamed"
    shutil.copytree(told.lake, lake)
    renamed.mkdir()
    for file in (days / "day2").iterdir():
        shutil.copy(file, renamed / file.name.replace(".", ".again.", 1))
    once = digests(spark, lake)
    for again in (days / "day2", renamed):
        note = run(spark, lake, {"fhir": again}, "--until", "silver")
        assert all(s["skipped"] for s in note["steps"] if s["stage"] == "silver")
        assert all(r["rows_in"] == r["rows_duplicate"] > 0 for r in note["sources"])
    thrice = digests(spark, lake)
    assert thrice == once
    assert _landed(spark, lake) == _landed(spark, told.lake)
    print(f"the same batch three times: {len(thrice)} of {len(once)} tables identical")


def test_upkeep_changes_no_row_and_the_next_day_concerns_no_one_else(
    spark: SparkSession, told: Told, tmp_path: Path
) -> None:
    lake, thrifty = tmp_path / "lake", tmp_path / "thrifty.yaml"
    shutil.copytree(told.lake, lake)
    thrifty.write_text("maintain: {retain_days: 0, many_files: 1}")
    before, files = _compared(spark, lake), _data_files(lake)
    note = run(spark, lake, {}, "--env", str(thrifty), job="maintain")
    assert {"bronze/fhir", "ops/ledger"} <= {j["table"] for j in note["maintained"]}
    assert note["removed"]["files"] > 100, "two of three versions of some forty tables"
    assert len(files - _data_files(lake)) == note["removed"]["files"]
    assert _unlike(_compared(spark, lake), before) == set()

    write(tmp_path / "day3", 3, {"Observation": [weight("w2b", "p2", 82.0, day=4)]})
    note = run(spark, lake, {"fhir": tmp_path / "day3"}, "--until", "silver")
    assert note["persons_affected"] == 1
    assert set(_people(spark, lake, MEASUREMENT, where=f"_run = '{note['run_id']}'")) == {"p2"}
    assert sorted(_people(spark, lake, MEASUREMENT, "value_as_number")) == sorted(
        [*told.weights[2], ("p2", 82.0)]
    )


@pytest.mark.slow
def test_all_anew_from_bronze_ends_in_the_same_rows(
    spark: SparkSession, days: Path, told: Told, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(told.lake, lake)
    run(spark, lake, {"fhir": days / "day2"}, "--until", "silver", "--full")
    assert _unlike(_compared(spark, lake), _compared(spark, told.lake)) == set()


class Died(BaseException):
    """What ends a run at a point, as far as one that shares its process with others can be killed."""


@pytest.mark.slow
def test_an_increment_that_dies_leaves_nothing_that_counts(
    spark: SparkSession, days: Path, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    run(spark, lake, {"fhir": days / "day0"}, "--until", "silver")
    for day, points in (
        (1, ("silver/omop/measurement:after", "silver:conformed")),
        (2, ("silver/link/person:after", "publish:before")),
    ):
        for fatal in points:

            def die(point: str, fatal: str = fatal) -> None:
                if point == fatal:
                    raise Died

            with monkeypatch.context() as patched, pytest.raises(Died):
                patched.setattr(pipeline, "fault", die)
                run(spark, lake, {"fhir": days / f"day{day}"}, "--until", "silver")
        run(spark, lake, {"fhir": days / f"day{day}"}, "--until", "silver")
    assert _unlike(_compared(spark, lake), _compared(spark, told.lake)) == set()
    assert _unbalanced(spark, lake) == 0


def test_tables_written_again_file_by_file_hold_the_same_rows(
    spark: SparkSession, days: Path, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a large lake are: what is made anew and is as it was keeps its run and its files, and a table may need no commit."""
    monkeypatch.setattr(parts, "COMPARED_FROM", 1)
    monkeypatch.setattr(parts, "MOST", 1)
    lake = tmp_path / "lake"
    held = DeltaLake(spark, str(lake))
    run(spark, lake, {"fhir": days / "day0"}, "--until", "silver")
    before = {t.name: held.head(t) for t in (EVENT, PERSON)}
    events = held.named_files(EVENT, before[EVENT.name])

    def die(point: str) -> None:
        if point == "silver/omop/measurement:after":
            raise Died

    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(pipeline, "fault", die)
        run(spark, lake, {"fhir": days / "day1"}, "--until", "silver")
    laid = held.named_files(EVENT, before[EVENT.name] + 1)
    assert set(events or ()) & set(laid or ()), "one event went, of one of two files"
    note = run(spark, lake, {"fhir": days / "day1"}, "--until", "silver")
    assert note["persons_affected"] == 2
    # the measurements of p2 are made anew as well, and are what they were
    assert set(_people(spark, lake, MEASUREMENT, where=f"_run = '{note['run_id']}'")) >= {"p1"}
    assert held.head(PERSON) == before[PERSON.name], "two persons made anew who are as they were"
    run(spark, lake, {"fhir": days / "day2"}, "--until", "silver")
    assert _unlike(_compared(spark, lake), _compared(spark, told.lake)) == set()
    assert _unbalanced(spark, lake) == 0


SENDERS = {"fhir": False, "cms_rif": True, "fitbit": True, "enrollment": True}


@pytest.fixture(scope="module")
def dealt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The five people's records, each sender's dealt to ten days."""
    root = tmp_path_factory.mktemp("dealt")
    return {s: deal(FIVE / s, root / s, 10, header=h) for s, h in SENDERS.items()}


@pytest.fixture(scope="module")
def at_once(
    spark: SparkSession, dealt: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The digests of all days in one run."""
    lake = tmp_path_factory.mktemp("whole") / "lake"
    run(spark, lake, {s: days[0].parent for s, days in dealt.items()}, "--until", "gold")
    return _compared(spark, lake)


@pytest.mark.slow
@pytest.mark.parametrize("order", [range(10), (3, 8, 0, 5, 9, 1, 7, 2, 6, 4)], ids=["in order", "shuffled"])
def test_ten_days_in_any_order_end_in_the_rows_of_all_at_once(
    spark: SparkSession,
    order: Sequence[int],
    dealt: dict[str, list[Path]],
    at_once: dict[str, Any],
    tmp_path: Path,
) -> None:
    for n in order:
        there = {s: days[n] for s, days in dealt.items() if days[n].exists()}
        run(spark, tmp_path / "lake", there, "--until", "gold" if n == order[-1] else "silver")
    found = _compared(spark, tmp_path / "lake")
    assert _unlike(found, at_once) == set()
    assert _unbalanced(spark, tmp_path / "lake") == 0
    print(f"ten days, {[*order]}: {len(found)} of {len(at_once)} tables identical")
