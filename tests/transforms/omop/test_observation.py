"""silver/omop/observation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.observation import OBSERVATION, observation
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.omop_rule(5, 11)
def test_observations_hold_a_number_words_or_a_coded_answer(spark: SparkSession) -> None:
    """CDM v5.4 OBSERVATION: value as number, string or concept; nothing is 0 that was not sent."""
    base = {
        "person_id": 10, "domain_id": "Observation", "concept_id": 3046853, "source_concept_id": 3046853, "target_no": 0,
        "start_datetime": "2020-01-02 03:04:05", "has_time": True, "type_concept_id": 32817, "source_value": "76690-7",
    }  # fmt: skip
    made = OBSERVATION.conform(
        observation(
            frame(
                spark, EVENT_LINK,
                base | {"event_id": 1, "value_number": 3.5, "value_source_value": "3.5", "unit_concept_id": 8713, "unit_source_value": "g/dL"},
                base | {"event_id": 2, "value_text": "twice", "value_source_value": "twice", "has_time": False,
                        "start_datetime": "2020-01-02 00:00:00"},
                base | {"event_id": 3, "value_as_concept_id": 45877994, "value_source_value": "LA33-6"},
                base | {"event_id": 4, "domain_id": "Condition"},
                base | {"event_id": 5, "excluded": "some_rule"},
            )
        )
    )  # fmt: skip
    assert rows(
        made, "observation_id", "observation_datetime", "value_as_number", "value_as_string", "value_as_concept_id",
        "value_source_value", "unit_concept_id", "unit_source_value",
    ) == [
        (1, "2020-01-02T03:04:05", 3.5, None, None, "3.5", 8713, "g/dL"),
        (2, "2020-01-02T00:00:00", None, "twice", None, "twice", None, None),
        (3, "2020-01-02T03:04:05", None, None, 45877994, "LA33-6", None, None),
    ]  # fmt: skip
