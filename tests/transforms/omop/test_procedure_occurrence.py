"""silver/omop/procedure_occurrence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.procedure_occurrence import PROCEDURE_OCCURRENCE, procedure_occurrence
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_procedures_keep_modifiers_verbatim_and_whole_quantities_and_a_quantity_of_none_is_one(
    spark: SparkSession,
) -> None:
    base = {
        "person_id": 10, "domain_id": "Procedure", "concept_id": 4170947, "source_concept_id": 4170947, "target_no": 0,
        "start_datetime": "2020-01-02 03:04:05", "has_time": True, "type_concept_id": 32817, "source_value": "73761001",
    }  # fmt: skip
    made = PROCEDURE_OCCURRENCE.conform(
        procedure_occurrence(
            frame(
                spark, EVENT_LINK,
                base | {"event_id": 1, "modifier_source_value": "25,LT", "quantity": 2.0, "end_datetime": "2020-01-02 04:00:00"},
                base | {"event_id": 2, "quantity": 1.5, "has_time": False},
                base | {"event_id": 5, "quantity": 0.0},
                base | {"event_id": 3, "domain_id": "Measurement"},
                base | {"event_id": 4, "excluded": "some_rule"},
            )
        )
    )  # fmt: skip
    assert rows(
        made, "procedure_occurrence_id", "procedure_concept_id", "procedure_date", "procedure_datetime",
        "procedure_end_date", "procedure_end_datetime", "modifier_concept_id", "modifier_source_value", "quantity",
    ) == [
        (1, 4170947, "2020-01-02", "2020-01-02T03:04:05", "2020-01-02", "2020-01-02T04:00:00", 0, "25,LT", 2),
        (2, 4170947, "2020-01-02", None, None, None, None, None, None),
        (5, 4170947, "2020-01-02", "2020-01-02T03:04:05", None, None, None, None, 1),
    ]  # fmt: skip
