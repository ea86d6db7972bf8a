"""The benchmark's count of scans, on plans that read a table twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from bench.features import Scan, _executed, scans

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture
def stored(spark: SparkSession, tmp_path: Path) -> DataFrame:
    """Ten rows, kept as Parquet."""
    spark.range(10).select("id", (F.col("id") % 2).alias("half")).write.parquet(str(tmp_path / "t"))
    return spark.read.parquet(str(tmp_path / "t"))


def test_two_readings_of_a_table_are_two_scans_with_their_rows(stored: DataFrame, tmp_path: Path) -> None:
    twice = stored.unionByName(stored.where("id % 5 = 0"))
    assert _executed(twice) == 12
    assert [s.path for s in scans(twice)] == [str(tmp_path / "t")] * 2
    assert sum(s.rows for s in scans(twice)) == 20


def test_a_shuffle_that_is_used_again_is_one_scan(stored: DataFrame, tmp_path: Path) -> None:
    halves = stored.groupBy("half").agg(F.sum("id").alias("ids"))
    same = halves.hint("merge").join(halves.withColumnRenamed("ids", "again"), "half")
    assert _executed(same) == 2
    assert scans(same) == [Scan(str(tmp_path / "t"), 10)]
