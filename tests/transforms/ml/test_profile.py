"""Shares of bins by which drift is told: no value of one record among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.ml.profile import ABSENT, counted, profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_rows_and_persons_are_counted_in_the_bins_between_the_edges(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, 1.0, None), (1, 2.0, None), (2, 2.5, float("nan")), (3, 9.0, 1.0), (4, None, 0.0)],
        "person_id bigint, visits double, lab double",
    )
    assert counted(rows, {"visits": [2.0, 3.0], "lab": []}) == {
        "visits": {0: (2, 1), 1: (1, 1), 2: (1, 1), ABSENT: (1, 1)},
        "lab": {0: (2, 2), ABSENT: (3, 2)},
    }


def test_a_value_of_few_persons_makes_no_bin_and_edges_are_round(spark: SparkSession) -> None:
    # 100 people: visits 0 for 60, 1 for 30, 2 for 10; a lab that each tenth lacks; a mark that five people have
    rows = spark.createDataFrame(
        [
            (i, 0.0 if i < 60 else 1.0 if i < 90 else 2.0, None if i % 10 == 0 else 1234.5678 + i, float(i < 5), None if i < 4 else 1.0)
            for i in range(100)
        ],
        "person_id bigint, visits double, lab double, mark double, seldom_lacking double",
    )  # fmt: skip
    told = profile(rows, ["visits", "lab", "mark", "seldom_lacking"])
    assert (told["rows"], told["persons"]) == (100, 100)
    # two visits: ten people, too few for a bin of their own
    assert told["values"]["visits"] == {"edges": [0.0], "shares": [0.6, 0.4], "missing": 0.0}
    assert told["values"]["mark"] == {"edges": [], "shares": [1.0], "missing": 0.0}
    assert told["values"]["seldom_lacking"]["missing"] == 0.0  # four people
    lab = told["values"]["lab"]
    assert lab["missing"] == 0.0  # ten people: as few
    assert all(edge == round(edge, -1) for edge in lab["edges"])  # 1,240 and not 1,243.5678


def test_what_eleven_persons_lack_is_told(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(i, None if i < 11 else float(i)) for i in range(44)], "person_id bigint, lab double"
    )
    lab = profile(rows, ["lab"])["values"]["lab"]
    assert lab["missing"] == 0.25
    assert abs(sum(lab["shares"]) - 0.75) < 1e-12
    assert min(lab["shares"]) >= 0.25  # eleven of 44


def test_nobody_has_no_shares(spark: SparkSession) -> None:
    told = profile(spark.createDataFrame([], "person_id bigint, lab double"), ["lab"])
    assert told == {
        "rows": 0,
        "persons": 0,
        "values": {"lab": {"edges": [], "shares": [0.0], "missing": 0.0}},
    }
