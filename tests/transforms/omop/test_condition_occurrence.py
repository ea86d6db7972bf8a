"""silver/omop/condition_occurrence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE, condition_occurrence
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BASE = {
    "person_id": 10, "domain_id": "Condition", "concept_id": 201826, "source_concept_id": 35206882, "source_value": "E119",
    "target_no": 0, "start_datetime": "2020-01-02 03:04:05", "has_time": True, "type_concept_id": 32817,
    "visit_occurrence_id": 70, "visit_detail_id": 71, "provider_id": 5,
}  # fmt: skip

MIDNIGHT = {"start_datetime": "2020-01-02 00:00:00", "has_time": False}


@pytest.mark.omop_rule(12)
def test_conditions_keep_what_was_sent_and_guess_no_end(spark: SparkSession) -> None:
    """CDM v5.4 CONDITION_OCCURRENCE: status from the role, problem list as type, a datetime without a time of day is midnight, other domains elsewhere."""
    made = CONDITION_OCCURRENCE.conform(
        condition_occurrence(
            frame(
                spark, EVENT_LINK,
                BASE | {"event_id": 1, "role": "principal", "end_datetime": "2020-01-05 06:07:08"},
                BASE | MIDNIGHT | {"event_id": 2, "role": "admitting", "end_datetime": "2020-01-03 00:00:00"},
                BASE | {"event_id": 3, "role": "secondary", "type_concept_id": 32855},
                BASE | {"event_id": 4, "role": "problem_list", "concept_id": 0},
                BASE | {"event_id": 5, "role": "problem_list", "type_concept_id": 32855},
                BASE | {"event_id": 6, "role": "differential"},
                BASE | {"event_id": 7, "domain_id": "Observation"},
                BASE | {"event_id": 8, "excluded": "some_rule"},
            )
        )
    )  # fmt: skip
    assert rows(
        made, "condition_occurrence_id", "condition_start_date", "condition_start_datetime", "condition_end_date",
        "condition_end_datetime",
    ) == [
        (1, "2020-01-02", "2020-01-02T03:04:05", "2020-01-05", "2020-01-05T06:07:08"),
        (2, "2020-01-02", "2020-01-02T00:00:00", "2020-01-03", "2020-01-03T00:00:00"),
        (3, "2020-01-02", "2020-01-02T03:04:05", None, None),
        (4, "2020-01-02", "2020-01-02T03:04:05", None, None),
        (5, "2020-01-02", "2020-01-02T03:04:05", None, None),
        (6, "2020-01-02", "2020-01-02T03:04:05", None, None),
    ]  # fmt: skip
    assert rows(
        made, "condition_occurrence_id", "condition_concept_id", "condition_type_concept_id",
        "condition_status_concept_id", "condition_status_source_value",
    ) == [
        (1, 201826, 32817, 32902, "principal"),
        (2, 201826, 32817, 32890, "admitting"),
        (3, 201826, 32855, 32908, "secondary"),
        (4, 0, 32840, None, None),
        (5, 201826, 32855, None, None),
        (6, 201826, 32817, 0, "differential"),
    ]  # fmt: skip
    assert rows(
        made.where("condition_occurrence_id = 1"), "person_id", "visit_occurrence_id", "visit_detail_id", "provider_id",
        "condition_source_value", "condition_source_concept_id", "_source", "_record",
    ) == [(10, 70, 71, 5, "E119", 35206882, "ehr", 1)]  # fmt: skip
