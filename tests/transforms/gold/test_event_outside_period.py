"""gold/event_outside_period."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.gold.event_outside_period import EVENT_OUTSIDE_PERIOD, event_outside_period
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.device_exposure import DEVICE_EXPOSURE
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.omop.measurement import MEASUREMENT
from carelake.silver.omop.observation import OBSERVATION
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.procedure_occurrence import PROCEDURE_OCCURRENCE
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.omop_rule(4)
def test_rule_4_events_outside_a_period_are_kept_and_flagged(spark: SparkSession) -> None:
    """CDM v5.4 OBSERVATION_PERIOD: events may lie outside all periods. Both ends of a period are inside; nobody's
    period serves another, and a person without one has all events outside."""
    periods = frame(
        spark, OBSERVATION_PERIOD,
        {"person_id": 1, "observation_period_start_date": "2020-01-01", "observation_period_end_date": "2020-12-31"},
        {"person_id": 1, "observation_period_start_date": "2022-01-01", "observation_period_end_date": "2022-12-31"},
    )  # fmt: skip
    made = event_outside_period(
        periods,
        frame(spark, VISIT_OCCURRENCE, {"visit_occurrence_id": 1, "person_id": 1, "visit_start_date": "2020-01-01"},
              {"visit_occurrence_id": 2, "person_id": 1, "visit_start_date": "2021-06-01"}),
        frame(spark, CONDITION_OCCURRENCE,
              {"condition_occurrence_id": 1, "person_id": 1, "condition_start_date": "2020-12-31"},
              {"condition_occurrence_id": 2, "person_id": 1, "condition_start_date": "2019-12-31"}),
        frame(spark, DRUG_EXPOSURE, {"drug_exposure_id": 3, "person_id": 2, "drug_exposure_start_date": "2020-06-01"}),
        frame(spark, PROCEDURE_OCCURRENCE, {"procedure_occurrence_id": 4, "person_id": 1, "procedure_date": "2022-06-01"}),
        frame(spark, DEVICE_EXPOSURE, {"device_exposure_id": 5, "person_id": 1, "device_exposure_start_date": "2023-01-01"}),
        frame(spark, MEASUREMENT, {"measurement_id": 6, "person_id": 1, "measurement_date": "2021-12-31"}),
        frame(spark, OBSERVATION, {"observation_id": 7, "person_id": 1, "observation_date": "2022-01-01"}),
    )  # fmt: skip
    assert rows(EVENT_OUTSIDE_PERIOD.conform(made)) == [
        ("condition_occurrence", 2, 1, "2019-12-31"),
        ("device_exposure", 5, 1, "2023-01-01"),
        ("drug_exposure", 3, 2, "2020-06-01"),
        ("measurement", 6, 1, "2021-12-31"),
        ("visit_occurrence", 2, 1, "2021-06-01"),
    ]
