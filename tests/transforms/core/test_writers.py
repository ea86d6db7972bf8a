"""Several writers and readers on one table: nothing is lost or doubled, and nobody sees half a batch."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from carelake.core.lake import DeltaLake
from carelake.core.table import Field, Table

NUMBERS = Table(
    name="silver/omop/some",
    doc="One row per batch and number.",
    fields=(Field("batch", "string", "The batch", required=True), Field("n", "bigint", "Its number")),
    key=("batch", "n"),
)
ROWS = 7  # of each batch
WRITERS = 4


@pytest.fixture
def lake(spark, tmp_path):
    """A table of one batch, since six who append first to a missing table hinder each other (ops tables are made first)."""
    made = DeltaLake(spark, str(tmp_path / "lake"))
    made.append(NUMBERS, _batch(spark, "first"), {})
    return made


def _batch(spark, name):
    return spark.range(ROWS).selectExpr(f"'{name}' AS batch", "id AS n", "'run' AS _run").repartition(2)


def _batches(lake):
    return {r["batch"]: r["count"] for r in lake.read(NUMBERS).groupBy("batch").count().collect()}


def _while_read(lake, work):
    """What the work gives, and the batches that a reader saw meanwhile, look by look."""
    seen, done = [], threading.Event()

    def read():
        while not done.is_set():
            seen.append(_batches(DeltaLake(lake.spark, lake.root)))

    with ThreadPoolExecutor(1) as reader:
        looking = reader.submit(read)
        try:
            made = work()
        finally:
            done.set()
        looking.result()
    return made, seen


def test_a_thread_that_did_nothing_before_has_the_session_when_it_commits(lake, spark):
    """What Delta does after a commit asks the thread for its session, now and then: a landing was written and reported as failed."""
    sessions = spark._jvm.org.apache.spark.sql.SparkSession
    asked = []

    def one(_):
        rows = _batch(spark, "in a thread")
        sessions.clearActiveSession()  # as a thread of the JVM begins whose parent had none
        mine = DeltaLake(
            spark, lake.root, guard=lambda: asked.append(sessions.getActiveSession().isDefined())
        )
        return mine.append(NUMBERS, rows, {}).rows

    with ThreadPoolExecutor(1) as pool:
        assert list(pool.map(one, range(1))) == [ROWS]
    assert asked == [True]


@pytest.mark.parametrize("each", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_appends_of_four_threads_all_land_once_and_readers_see_whole_batches(lake, each):
    def one(writer):
        mine = DeltaLake(lake.spark, lake.root)
        name = [f"{writer}.{i}" for i in range(each)]
        return [mine.append(NUMBERS, _batch(lake.spark, b), {"batch": b}, txn=f"t:{b}") for b in name]

    def all_at_once():
        with ThreadPoolExecutor(WRITERS) as pool:
            return [c for commits in pool.map(one, range(WRITERS)) for c in commits]

    commits, seen = _while_read(lake, all_at_once)
    assert _batches(lake) == {"first": ROWS} | {f"{w}.{i}": ROWS for w in range(WRITERS) for i in range(each)}
    assert sorted(c.version for c in commits) == list(range(1, WRITERS * each + 1)), (
        "each knows its own commit"
    )
    assert {c.rows for c in commits} == {ROWS}
    assert {n for look in seen for n in look.values()} == {ROWS}
    print(f"{len(commits)} of {WRITERS * each} appends landed, {len(seen)} looks saw whole batches only")


def test_one_transaction_by_four_threads_at_once_lands_once(lake):
    together = threading.Barrier(WRITERS)

    def one(_):
        together.wait()
        try:
            return (
                DeltaLake(lake.spark, lake.root).append(NUMBERS, _batch(lake.spark, "b"), {}, txn="same").rows
            )
        except Exception as e:
            assert "oncurrent" in type(e).__name__ + str(e), "refused for no other reason"
            return 0

    with ThreadPoolExecutor(WRITERS) as pool:
        rows = list(pool.map(one, range(WRITERS)))
    assert sorted(rows) == [0, 0, 0, ROWS]
    assert _batches(lake) == {"first": ROWS, "b": ROWS}


@pytest.mark.parametrize("each", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_replacement_beside_appends_takes_away_only_what_it_saw_or_is_refused(lake, each):
    """Two threads append, two replace; who is refused tries again. The log then tells what must be there."""
    refused = []

    def one(writer):
        mine = DeltaLake(lake.spark, lake.root)
        for i in range(each):
            name = f"{writer}.{i}"
            if writer % 2:
                mine.append(NUMBERS, _batch(lake.spark, name), {"batch": name}, txn=name)
                continue
            while True:
                try:
                    mine.replace(NUMBERS, _batch(lake.spark, name), {"batch": name})
                    break
                except Exception as e:
                    assert "oncurrent" in type(e).__name__ + str(e), "refused for no other reason"
                    refused.append(name)

    def all_at_once():
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(one, range(WRITERS)))

    _, seen = _while_read(lake, all_at_once)
    there, landed = {"first"}, set()
    for version in range(1, lake.head(NUMBERS) + 1):
        told = lake.commit_info(NUMBERS, version)
        batch = json.loads(told["userMetadata"])["batch"]
        landed.add(batch)
        if told["operationParameters"]["mode"] == "Overwrite":
            assert told["readVersion"] == version - 1, "it saw every commit before it"
            there = set()
        there.add(batch)
        assert set(_batches(lake.at({NUMBERS.name: version}))) == there
    assert landed == {f"{w}.{i}" for w in range(WRITERS) for i in range(each)}
    assert _batches(lake) == dict.fromkeys(there, ROWS)
    assert {n for look in seen for n in look.values()} == {ROWS}
    print(
        f"{len(landed)} of {WRITERS * each} commits landed, {len(refused)} replacements refused and tried again"
    )
