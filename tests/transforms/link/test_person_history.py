"""What changed between two states of the person links."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from carelake.silver.link.person_history import changes
from carelake.silver.link.tables import PERSON_HISTORY, PERSON_LINK
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MONDAY, TUESDAY = (datetime(2026, 1, d, 8, tzinfo=timezone.utc) for d in (5, 6))


def state(spark: SparkSession, *links: tuple[str, int, str]) -> DataFrame:
    return frame(
        spark, PERSON_LINK,
        *[{"source": "ehr", "source_person_id": k, "person_id": p, "rule": r, "score": 1.0} for k, p, r in links],
    )  # fmt: skip


def test_new_moved_and_vanished_records_are_told_and_the_rest_is_not(spark: SparkSession) -> None:
    before = state(spark, ("same", 1, "self"), ("moved", 2, "self"), ("gone", 3, "self"))
    after = state(spark, ("same", 1, "self"), ("moved", 1, "shared_identifier"), ("new", 4, "self"))
    assert rows(changes(before, after, MONDAY).drop("changed_at")) == [
        ("ehr", "gone", 3, None, None),
        ("ehr", "moved", 2, 1, "shared_identifier"),
        ("ehr", "new", None, 4, "self"),
    ]


def test_a_record_that_goes_back_to_its_first_person_has_two_changes_with_keys_of_their_own(
    spark: SparkSession,
) -> None:
    alone, joined = state(spark, ("x", 2, "self")), state(spark, ("x", 1, "name_birth_sex_zip"))
    seen = changes(joined, alone, MONDAY).unionByName(changes(alone, joined, TUESDAY))
    again = seen.unionByName(changes(joined, alone, datetime(2026, 1, 7, tzinfo=timezone.utc)))
    kept = PERSON_HISTORY.conform(again)
    assert [r["person_id"] for r in kept.orderBy("changed_at").collect()] == [2, 1, 2]
    assert kept.select(*PERSON_HISTORY.key).distinct().count() == 3
