"""The gate's check of keys and the digest, on tables whose answer is plain."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from carelake.core.lake import DeltaLake
from carelake.core.runlog import RunLog
from carelake.core.table import Field, Table
from carelake.quality import check, digest


def _table(name):
    return Table(
        name=f"gold/{name}",
        doc="One row per pair.",
        fields=(Field("a", "bigint", "First half"), Field("b", "bigint", "Second half")),
        key=("a", "b"),
    )


@pytest.fixture
def lake(spark, tmp_path):
    return DeltaLake(spark, str(tmp_path))


def _write(lake, table, *rows):
    frame = lake.spark.createDataFrame([(*r, "run") for r in rows], f"{table.ddl}, `_run` string")
    lake.replace(table, frame, {})


@pytest.mark.omop_rule(18)
def test_a_key_that_comes_twice_fails_and_null_is_a_value_of_its_own_place(lake):
    """DQD isPrimaryKey: primary keys are unique."""
    sound, twice, twice_null, empty = map(_table, ("sound", "twice", "twice_null", "empty"))
    _write(lake, sound, (1, 1), (1, 2), (None, 1), (1, None), (None, None))
    _write(lake, twice, (1, 1), (1, 1), (1, 1), (2, 1))
    _write(lake, twice_null, (None, 7), (None, 7), (7, None))
    _write(lake, empty)
    log = RunLog(lake, "run", "quality", datetime.now(timezone.utc))
    found = {
        r["table_name"]: (r["rows_checked"], r["rows_violating"], r["status"])
        for r in check(lake, log, [sound, twice, twice_null, empty, _table("not_there")])
        if r["check_name"] == "primary_key_unique"
    }
    assert found == {
        "gold/sound": (5, 0, "pass"),
        "gold/twice": (4, 2, "fail"),
        "gold/twice_null": (3, 1, "fail"),
        "gold/empty": (0, 0, "pass"),
    }


def test_the_digest_knows_rows_from_their_order_counts_and_places_of_null(lake):
    def of(*rows):
        _write(lake, table, *rows)
        ((_, n, mark),) = digest(lake, [table])
        return n, mark

    table = _table("some")
    first = of((1, 2), (3, None), (3, None))
    assert first == of((3, None), (1, 2), (3, None))
    others = [of((1, 2), (3, None)), of((1, 2), (None, 3), (None, 3)), of((2, 1), (3, None), (3, None)), of()]
    assert first not in others
    assert len(set(others)) == 4
