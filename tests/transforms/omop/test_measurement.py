"""silver/omop/measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.silver.link.daily_sample import DAILY_SAMPLE
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.measurement import MEASUREMENT, measurement
from carelake.silver.vocabulary.tables import CODE_MAP
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.omop_rule(11, 5, 20)
def test_results_and_days_of_wearables(spark: SparkSession) -> None:
    """CDM v5.4 MEASUREMENT: operators, ranges and units as sent; a day is at midnight, of type 32865, and its wear time beside its value."""
    base = {
        "person_id": 10, "domain_id": "Measurement", "concept_id": 3004249, "source_concept_id": 3004249, "target_no": 0,
        "start_datetime": "2020-01-02 03:04:05", "has_time": True, "type_concept_id": 32817, "source_value": "8480-6",
        "value_number": 120.0,
    }  # fmt: skip
    events = frame(
        spark, EVENT_LINK,
        base | {"event_id": 1, "range_low": 90.0, "range_high": 140.0, "unit_concept_id": 8876, "unit_source_concept_id": 8876,
                "unit_source_value": "mm[Hg]", "value_source_value": "120"},
        base | {"event_id": 2, "value_operator": "<", "has_time": False, "start_datetime": "2020-01-02 00:00:00"},
        base | {"event_id": 3, "value_operator": "<="},
        base | {"event_id": 4, "value_operator": ">"},
        base | {"event_id": 5, "value_operator": ">="},
        base | {"event_id": 6, "value_operator": "~"},
        base | {"event_id": 7, "value_number": None, "value_as_concept_id": 45884084, "value_source_value": "POS"},
        base | {"event_id": 8, "domain_id": "Observation"},
        base | {"event_id": 9, "excluded": "some_rule"},
    )  # fmt: skip
    day = {
        "day": "2016-04-12",
        "grain": "day",
        "n_samples": 1,
        "_source": "watch",
        "_record": 3,
        "person_id": 20,
    }
    daily = frame(
        spark, DAILY_SAMPLE,
        day | {"metric": "steps", "value": 8123.0, "unit": "{steps}", "worn_minutes": 1200.0},
        day | {"metric": "heart_rate", "value": 71.5, "unit": "/min"},
        day | {"metric": "distance", "value": 5100.0, "unit": "m"},
    )  # fmt: skip
    codes = frame(
        spark, CODE_MAP,
        {"vocabulary_id": "LOINC", "code": "41950-7", "source_concept_id": 2000000002, "concept_id": 2000000002, "target_no": 0},
        {"vocabulary_id": "UCUM", "code": "/min", "source_concept_id": 8541, "concept_id": 8541, "target_no": 0},
    )  # fmt: skip
    made = MEASUREMENT.conform(measurement(events, daily, codes))

    clinical = made.where("_source = 'ehr'")
    assert rows(clinical, "measurement_id", "operator_concept_id") == [
        (1, None), (2, 4171756), (3, 4171754), (4, 4172704), (5, 4171755), (6, 0), (7, None),
    ]  # fmt: skip
    assert rows(
        clinical.where("measurement_id IN (1, 2, 7)"), "measurement_id", "measurement_datetime", "measurement_time",
        "value_as_number", "range_low", "range_high", "unit_concept_id", "unit_source_value", "value_as_concept_id",
        "value_source_value",
    ) == [
        (1, "2020-01-02T03:04:05", "03:04:05", 120.0, 90.0, 140.0, 8876, "mm[Hg]", None, "120"),
        (2, "2020-01-02T00:00:00", None, 120.0, None, None, None, None, None, None),
        (7, "2020-01-02T03:04:05", "03:04:05", None, None, None, None, None, 45884084, "POS"),
    ]  # fmt: skip

    worn = made.where("_source = 'watch'")
    assert rows(
        worn, "person_id", "measurement_concept_id", "measurement_source_value", "measurement_date",
        "measurement_datetime", "measurement_type_concept_id", "value_as_number", "unit_concept_id", "value_source_value",
    ) == [
        (20, 0, "8867-4", "2016-04-12", "2016-04-12T00:00:00", 32865, 71.5, 8541, "71.5"),
        (20, 2000000002, "41950-7", "2016-04-12", "2016-04-12T00:00:00", 32865, 8123.0, 0, "8123.0; worn_minutes=1200"),
    ]  # fmt: skip
    assert len({r.measurement_id for r in worn.collect()}) == 2
