"""The engine on a lake in memory: what is written, what is refused and why."""

import pytest

from carelake.core.run import Context, fingerprint, run_plan, run_step
from carelake.core.session import COMPILED_FROM, pace, paced
from carelake.core.step import AS_OF, Step, step
from carelake.core.table import Check, Field, Table
from tests.helpers.dict_lake import DictLake
from tests.helpers.tables import rows

IN = Table(
    "silver/link/given",
    "One row per id.",
    (Field("id", "bigint", "An id"), Field("n", "string", "Text")),
    ("id",),
)
OUT = Table(
    "gold/made", "One row per id.",
    (Field("id", "bigint", "An id", required=True, reason="R_ID"), Field("n", "int", "A number")), ("id",),
    (Check("positive", "n > 0", reason="R_RANGE"),),
)  # fmt: skip
NEXT = Table("gold/next", "One row per id.", (Field("id", "bigint", "An id"),), ("id",))


@step(writes=OUT, given=IN)
def made(given):
    """Numbers."""
    return given.selectExpr(
        "id",
        "n",
        "CASE WHEN n = 'x' THEN array('R_TYPE:n') END AS _problems",
        "CASE WHEN n = '9' THEN 'nine' END AS _excluded",
    )


@step(writes=NEXT, made=OUT)
def following(made):
    """What was made."""
    return made.select("id")


@pytest.fixture
def given(spark):
    lake = DictLake(spark)
    values = [(1, "5"), (2, "-5"), (None, "-1"), (4, "x"), (5, "9"), (6, None)]
    lake.frames[IN.name] = spark.createDataFrame(values, IN.schema).selectExpr("*", "'r' AS _run")
    lake.versions[IN.name] = 0
    return lake


def _context(refused):
    return Context(
        "run-1",
        {"as_of": "2024-09-01"},
        lambda step, frame: refused.extend(rows(frame, "id", "_reasons", "_excluded")),
    )


@pytest.mark.omop_rule(18)
def test_a_row_is_written_or_refused_with_all_its_reasons_and_null_passes_checks(given):
    """DQD isRequired and cdmDatatype: what is required is not null, and values are of the declared types."""
    refused = []
    result = run_step(made, given, _context(refused))
    assert rows(given.frames[OUT.name], "id", "n", "_run") == [(1, 5, "run-1"), (6, None, "run-1")]
    assert sorted(refused, key=str) == sorted(
        [
            (2, ["R_RANGE:positive"], None),
            (None, ["R_ID:id_missing", "R_RANGE:positive"], None),
            (4, ["R_TYPE:n"], None),
            (5, [], "nine"),
        ],
        key=str,
    )
    assert (result.rows, result.rejected, result.excluded, result.inputs) == (2, 4, 1, {IN.name: 0})


def test_a_plan_runs_each_step_after_what_it_reads_and_skips_what_it_is_told(given):
    done = run_plan([following, made], given, _context([]), threads=2)
    assert [r.table for r in done] == ["gold/next", "gold/made"]
    assert rows(given.frames[NEXT.name], "id") == [(1,), (6,)]
    again = run_plan([made], given, _context([]), threads=1, skip=lambda s: done[1])
    assert again == [done[1]] and given.versions[OUT.name] == 0


def test_of_the_steps_that_are_ready_the_one_comes_first_for_which_most_wait(given):
    called = []

    def noted(name, reads):
        writes = Table(f"gold/{name}", "One row per id.", (Field("id", "bigint", "An id"),), ("id",))

        def transform(read):
            called.append(name)
            return read.select("id")

        return Step(writes, {"read": reads}, transform, name)

    alone, followed = noted("alone", IN), noted("followed", IN)
    last = noted("last", followed.writes)
    run_plan([alone, followed, last], given, _context([]), threads=1)
    assert called == ["followed", "alone", "last"]


def test_an_error_of_one_step_ends_the_plan(given):
    @step(writes=NEXT, made=OUT)
    def broken(made):
        """Fails."""
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        run_plan([made, broken], given, _context([]), threads=2)


def test_the_fingerprint_changes_with_the_settings_that_the_step_reads_alone():
    @step(writes=NEXT, made=OUT, as_of=AS_OF)
    def dated(made, as_of):
        """By day."""
        return made

    first, later = {"as_of": "2024-09-01"}, {"as_of": "2025-09-01"}
    assert fingerprint(dated, first) != fingerprint(dated, later)
    assert fingerprint(following, first) == fingerprint(following, later)


@pytest.mark.parametrize("session_compiles", [True, False])
def test_expressions_are_interpreted_or_compiled_as_the_bytes_that_a_step_reads_ask_for(
    given, spark, session_compiles
):
    pace(spark, COMPILED_FROM if session_compiles else 0)
    modes, written = [], []

    class Noting(DictLake):
        def replace(self, table, frame, meta):
            modes.append(frame.sparkSession.conf.get("spark.sql.codegen.factoryMode"))
            written.append(rows(frame, "id", "n"))
            return super().replace(table, frame, meta)

    lake = Noting(spark, given.frames, given.versions)
    try:
        for sizes in ([COMPILED_FROM - 1, 1], [COMPILED_FROM - 1, 0], [COMPILED_FROM, None]):
            refused = []
            context = _context(refused)
            context.sizes = lambda step, sizes=sizes: sizes
            result = run_step(made, lake, context)
            assert (result.rows, result.rejected, len(refused)) == (2, 4, 4)
    finally:
        mode = spark.conf.get("spark.sql.codegen.factoryMode")
        pace(spark, 0)
    assert modes == ["FALLBACK", "NO_CODEGEN", mode]
    assert mode == ("FALLBACK" if session_compiles else "NO_CODEGEN")
    assert written == [[(1, 5), (6, None)]] * 3


def test_a_frame_at_another_pace_keeps_the_settings_of_its_session(spark):
    spark.conf.set("spark.sql.shuffle.partitions", "3")
    pace(spark, COMPILED_FROM)
    try:
        frame = paced(spark.range(3).selectExpr("id + 1 AS id"), [0])
        assert frame.sparkSession is not spark
        assert frame.sparkSession.conf.get("spark.sql.shuffle.partitions") == "3"
        assert rows(frame, "id") == [(1,), (2,), (3,)]
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
        pace(spark, 0)
