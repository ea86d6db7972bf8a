"""gold/cohort and gold/cohort_definition."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from carelake.gold.cohorts.acute_care_1y import COHORT_ACUTE_CARE_1Y
from carelake.gold.cohorts.cohort import COHORT, cohort
from carelake.gold.cohorts.cohort_definition import COHORT_DEFINITION, cohort_definition
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_the_asked_and_their_acute_care_are_cohorts_whose_rows_never_overlap(spark: SparkSession) -> None:
    """CDM v5.4 COHORT: no two records of a subject in one cohort overlap; the end may be the start."""
    asked = frame(
        spark, COHORT_ACUTE_CARE_1Y,
        {"person_id": 1, "index_date": "2020-01-01", "days_to_event": 31},
        {"person_id": 1, "index_date": "2021-01-01"},
        {"person_id": 2, "index_date": "2020-01-01", "days_to_event": 0},
    )  # fmt: skip
    assert rows(COHORT.conform(cohort(asked))) == [
        (1, 1, "2020-01-01", "2020-01-01"),
        (1, 1, "2021-01-01", "2021-01-01"),
        (1, 2, "2020-01-01", "2020-01-01"),
        (2, 1, "2020-02-01", "2020-02-01"),
        (2, 2, "2020-01-01", "2020-01-01"),
    ]
    defined = COHORT_DEFINITION.conform(cohort_definition(asked, as_of=dt.date(2024, 9, 1)))
    assert rows(defined, "cohort_definition_id", "cohort_definition_name", "definition_type_concept_id", "cohort_initiation_date") == [
        (1, "Asked for acute care within twelve months", 0, "2024-09-01"),
        (2, "Acute care within twelve months of being asked", 0, "2024-09-01"),
    ]  # fmt: skip
