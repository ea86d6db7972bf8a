"""What changed between two states of the person links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.silver.link.person_history import changes
from carelake.silver.link.tables import PERSON_LINK
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_new_moved_and_vanished_records_are_told_and_the_rest_is_not(spark: SparkSession) -> None:
    def state(*links: tuple[str, int, str]) -> object:
        return frame(
            spark, PERSON_LINK,
            *[{"source": "ehr", "source_person_id": k, "person_id": p, "rule": r, "score": 1.0} for k, p, r in links],
        )  # fmt: skip

    before = state(("same", 1, "self"), ("moved", 2, "self"), ("gone", 3, "self"))
    after = state(("same", 1, "self"), ("moved", 1, "shared_identifier"), ("new", 4, "self"))
    assert rows(changes(before, after)) == [
        ("ehr", "gone", 3, None, None),
        ("ehr", "moved", 2, 1, "shared_identifier"),
        ("ehr", "new", None, 4, "self"),
    ]
