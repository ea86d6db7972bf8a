"""gold/cohort and gold/cohort_definition."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from carelake.gold.cohorts.cohort import COHORT, cohort
from carelake.gold.cohorts.cohort_definition import COHORT_DEFINITION, cohort_definition
from carelake.gold.cohorts.task import DEATH, Event, Task
from carelake.gold.cohorts.task_cohort import TASK_COHORT
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OWN = Task(
    name="death_5y", words="Death within five years, the site's own", outcome=Event(DEATH, "death"), months=60
)


def test_the_asked_and_their_outcomes_are_cohorts_whose_rows_never_overlap(spark: SparkSession) -> None:
    """CDM v5.4 COHORT: no two records of a subject in one cohort overlap; the end may be the start."""
    asked = frame(
        spark, TASK_COHORT,
        {"task": "acute_care_1y", "person_id": 1, "index_date": "2020-01-01", "days_to_event": 31},
        {"task": "acute_care_1y", "person_id": 1, "index_date": "2021-01-01"},
        {"task": "acute_care_1y", "person_id": 2, "index_date": "2020-01-01", "days_to_event": 0},
        {"task": "readmission_30d", "person_id": 2, "index_date": "2020-02-03", "days_to_event": 7},
        {"task": "death_5y", "person_id": 3, "index_date": "2020-01-01", "days_to_event": 1},
    )  # fmt: skip
    assert rows(COHORT.conform(cohort(asked, (OWN,)))) == [
        (1, 1, "2020-01-01", "2020-01-01"),
        (1, 1, "2021-01-01", "2021-01-01"),
        (1, 2, "2020-01-01", "2020-01-01"),
        (1001, 3, "2020-01-01", "2020-01-01"),
        (1002, 3, "2020-01-02", "2020-01-02"),
        (2, 1, "2020-02-01", "2020-02-01"),
        (2, 2, "2020-01-01", "2020-01-01"),
        (3, 2, "2020-02-03", "2020-02-03"),
        (4, 2, "2020-02-10", "2020-02-10"),
    ]
    defined = COHORT_DEFINITION.conform(cohort_definition(asked, (OWN,), as_of=dt.date(2024, 9, 1)))
    named = rows(
        defined,
        "cohort_definition_id",
        "cohort_definition_name",
        "definition_type_concept_id",
        "cohort_initiation_date",
    )
    assert [r for r in named if r[0] in (1, 2, 1001, 1002)] == [
        (1, "Asked: acute_care_1y", 0, "2024-09-01"),
        (1001, "Asked: death_5y", 0, "2024-09-01"),
        (1002, "Outcome: death_5y", 0, "2024-09-01"),
        (2, "Outcome: acute_care_1y", 0, "2024-09-01"),
    ]
    told = rows(defined.where("cohort_definition_id = 1001"), "cohort_definition_description")
    assert told == [
        (
            "Persons and index dates of the question: Death within five years, the site's own. carelake's own declaration.",
        )
    ]
