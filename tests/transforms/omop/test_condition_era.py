"""silver/omop/condition_era."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.omop.condition_era import CONDITION_ERA, condition_era
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.omop_rule(13)
def test_occurrences_at_most_thirty_days_apart_are_one_era(spark: SparkSession) -> None:
    """CDM v5.4 CONDITION_ERA, 30 days of persistence: persons and concepts apart, concept 0 out, the end not padded, a long occurrence bridges short ones inside."""

    def at(
        person: int, concept: int, start: str, end: str | None = None, source: str = "ehr"
    ) -> dict[str, Any]:
        return {
            "person_id": person, "condition_concept_id": concept, "condition_start_date": start,
            "condition_end_date": end, "condition_type_concept_id": 32817, "_source": source,
        }  # fmt: skip

    given = [
        at(1, 5, "2020-01-01"), at(1, 5, "2020-01-31", source="claims"), at(1, 5, "2020-03-02"),
        at(1, 7, "2020-01-01", "2020-06-30"), at(1, 7, "2020-02-01", "2020-02-02"), at(1, 7, "2020-07-30"),
        at(1, 0, "2020-01-01"),
        at(2, 5, "2020-01-15"),
        at(2, 7, "2020-05-02", "2020-05-01"),
    ]  # fmt: skip
    occurrences = frame(
        spark,
        CONDITION_OCCURRENCE,
        *[r | {"condition_occurrence_id": n} for n, r in enumerate(given, start=1)],
    )
    made = CONDITION_ERA.conform(condition_era(occurrences))
    assert rows(
        made, "person_id", "condition_concept_id", "condition_era_start_date", "condition_era_end_date",
        "condition_occurrence_count", "_source", "_record",
    ) == [
        (1, 5, "2020-01-01", "2020-01-31", 2, "claims+ehr", 1),
        (1, 5, "2020-03-02", "2020-03-02", 1, "ehr", 3),  # 31 days after
        (1, 7, "2020-01-01", "2020-07-30", 3, "ehr", 4),  # 30 days after the long one's end
        (2, 5, "2020-01-15", "2020-01-15", 1, "ehr", 8),
        (2, 7, "2020-05-02", "2020-05-02", 1, "ehr", 9),
    ]  # fmt: skip
    assert len({r.condition_era_id for r in made.collect()}) == 5
