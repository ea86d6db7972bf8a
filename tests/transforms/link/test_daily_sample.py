"""silver/link/daily_sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.conformed.sample import SAMPLE
from carelake.silver.link.daily_sample import DAILY_SAMPLE, daily_sample
from carelake.silver.link.tables import PERSON_LINK
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def sample(metric: str, start: str, value: float, grain: str = "day", **more: Any) -> dict[str, Any]:
    return {
        "source_person_id": "a", "metric": metric, "start_datetime": start, "grain": grain, "value": value, "unit": "1",
        "shift_days": 0, "_source": "watch",
    } | more  # fmt: skip


GIVEN = (
    # 12 April: the sender's total counts, not its hours; the same sleep twice counts once
    sample("steps", "2016-04-12 00:00:00", 8123.0, worn_minutes=1200.0),
    sample("steps", "2016-04-12 08:00:00", 4000.0, "hour"), sample("steps", "2016-04-12 09:00:00", 9000.0, "hour"),
    sample("sleep_duration", "2016-04-11 23:00:00", 300.0, "session", end_datetime="2016-04-12 04:00:00"),
    sample("sleep_duration", "2016-04-11 23:00:00", 300.0, "session", end_datetime="2016-04-12 04:00:00"),
    sample("sleep_duration", "2016-04-12 05:00:00", 60.0, "session", end_datetime="2016-04-12 06:00:00"),
    sample("heart_rate", "2016-04-12 08:00:00", 60.0, "moment"), sample("heart_rate", "2016-04-12 08:00:05", 70.0, "moment"),
    sample("heart_rate", "2016-04-12 08:00:10", 80.0, "moment"),
    # 13 April: not worn, but weighed
    sample("steps", "2016-04-13 00:00:00", 0.0, worn_minutes=0.0), sample("energy", "2016-04-13 00:00:00", 1500.0),
    sample("body_weight", "2016-04-13 07:00:00", 70.5, "moment"),
    # 14 April: no step, wear time not known: taken as not worn. 15 April: no step, but worn
    sample("steps", "2016-04-14 00:00:00", 0.0),
    sample("steps", "2016-04-15 00:00:00", 0.0, worn_minutes=600.0),
    # 16 April: no step and no wear time, but a heart that beat; hours alone are summed
    sample("steps", "2016-04-16 08:00:00", 0.0, "hour"), sample("heart_rate", "2016-04-16 08:00:00", 55.0, "moment"),
    sample("energy", "2016-04-16 08:00:00", 0.1, "hour"), sample("energy", "2016-04-16 09:00:00", 0.2, "hour"),
    # a second account of the same person with another sender, and an account of nobody
    sample("steps", "2016-04-12 00:00:00", 7000.0, source_person_id="b", _source="phone"),
    sample("steps", "2016-04-12 00:00:00", 1.0, source_person_id="z"),
)  # fmt: skip


@pytest.mark.omop_rule(20)
def test_a_day_of_a_device(spark: SparkSession) -> None:
    """LOINC has codes for days of steps, heart rate and sleep; CDM v5.4 MEASUREMENT takes them. A day not worn is no zero."""
    made = DAILY_SAMPLE.conform(
        daily_sample(
            frame(spark, SAMPLE, *GIVEN),
            frame(spark, PERSON_LINK, {"source": "watch", "source_person_id": "a", "person_id": 10},
                  {"source": "phone", "source_person_id": "b", "person_id": 10}),
        )
    )  # fmt: skip
    assert rows(made, "_source", "day", "metric", "value", "n_samples", "grain", "worn_minutes") == [
        ("phone", "2016-04-12", "steps", 7000.0, 1, "day", None),
        ("watch", "2016-04-12", "heart_rate", 70.0, 3, "moment", 1200.0),
        ("watch", "2016-04-12", "sleep_duration", 360.0, 2, "session", 1200.0),
        ("watch", "2016-04-12", "steps", 8123.0, 1, "day", 1200.0),
        ("watch", "2016-04-13", "body_weight", 70.5, 1, "moment", 0.0),
        ("watch", "2016-04-15", "steps", 0.0, 1, "day", 600.0),
        ("watch", "2016-04-16", "energy", 0.3, 2, "hour", None),
        ("watch", "2016-04-16", "heart_rate", 55.0, 1, "moment", None),
        ("watch", "2016-04-16", "steps", 0.0, 1, "hour", None),
    ]  # fmt: skip
    assert rows(made.where("metric = 'sleep_duration'"), "_record", "person_id") == [(4, 10)]
