"""silver/omop/device_exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.device_exposure import DEVICE_EXPOSURE, device_exposure
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.omop_rule(19)
def test_devices_keep_their_udi_may_have_no_end_and_are_one_where_no_quantity_is_said(
    spark: SparkSession,
) -> None:
    """CDM v5.4 DEVICE_EXPOSURE: unique_device_id, quantity."""
    base = {
        "person_id": 10, "domain_id": "Device", "concept_id": 45767846, "source_concept_id": 45767846, "target_no": 0,
        "start_datetime": "2020-01-02 03:04:05", "has_time": True, "type_concept_id": 32817, "source_value": "170615005",
    }  # fmt: skip
    made = DEVICE_EXPOSURE.conform(
        device_exposure(
            frame(
                spark, EVENT_LINK,
                base | {"event_id": 1, "unique_device_id": "(01)45306178756402", "production_id": "S-9"},
                base | {"event_id": 2, "has_time": False, "start_datetime": "2020-01-02 00:00:00", "end_datetime": "2020-02-01 00:00:00",
                        "quantity": 4.0},
                base | {"event_id": 5, "quantity": 0.5},
                base | {"event_id": 3, "domain_id": "Procedure"},
                base | {"event_id": 4, "excluded": "some_rule"},
            )
        )
    )  # fmt: skip
    assert rows(
        made, "device_exposure_id", "device_exposure_start_date", "device_exposure_start_datetime",
        "device_exposure_end_date", "device_exposure_end_datetime", "unique_device_id", "production_id", "quantity",
    ) == [
        (1, "2020-01-02", "2020-01-02T03:04:05", None, None, "(01)45306178756402", "S-9", 1),
        (2, "2020-01-02", "2020-01-02T00:00:00", "2020-02-01", "2020-02-01T00:00:00", None, None, 4),
        (5, "2020-01-02", "2020-01-02T03:04:05", None, None, None, None, None),
    ]  # fmt: skip
