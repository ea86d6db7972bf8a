"""Contract: a value that a device or an app measured."""

from __future__ import annotations

from carelake.core.table import Check, Field, Table
from carelake.silver.conformed.lineage import LINEAGE

METRICS = (
    "steps",
    "heart_rate",
    "resting_heart_rate",
    "sleep_duration",
    "time_in_bed",
    "energy",
    "distance",
    "active_minutes",
    "body_weight",
    "body_height",
    "body_mass_index",
    "body_fat",
    "body_temperature",
    "blood_glucose",
    "systolic",
    "diastolic",
    "oxygen_saturation",
    "respiratory_rate",
)

SAMPLE = Table(
    name="silver/conformed/sample",
    doc="One row per value of a wearable or app over an interval or at a moment, in the metric's canonical unit.",
    fields=(
        Field("source_person_id", "string", "The device account", True, phi="MRN", reason="R_REF"),
        Field("metric", "string", "What was measured: " + ", ".join(METRICS), required=True, reason="R_CODE"),
        Field(
            "start_datetime",
            "timestamp_ntz",
            "Start of the interval, local wall clock",
            True,
            reason="R_DATE",
        ),
        Field(
            "end_datetime", "timestamp_ntz", "End of the interval, exclusive; equal to the start for a moment"
        ),
        Field("start_at", "timestamp", "Start as an instant, when the sender gives the offset"),
        Field("grain", "string", "day, hour, minute, moment, session", required=True),
        Field("value", "double", "Value in `unit`", required=True, reason="R_TYPE"),
        Field("unit", "string", "UCUM unit of the value", required=True, reason="R_UNIT"),
        Field(
            "worn_minutes",
            "double",
            "Minutes for which the device was worn in the interval; NULL when not known",
        ),
        Field(
            "shift_days",
            "int",
            "Days by which the sender's configuration moved the times; 0 = as sent",
            required=True,
        ),
        Field("modality", "string", "sensed, self_reported, or NULL"),
        *LINEAGE,
    ),
    key=("_source", "_record", "_part"),
    checks=(
        Check("metric_known", f"metric IN {METRICS!r}", reason="R_CODE"),
        Check("not_before_devices", "start_datetime >= DATE'1975-01-01'", reason="R_TEMPORAL"),
        Check("end_not_before_start", "end_datetime >= start_datetime", reason="R_TEMPORAL"),
        Check("not_negative", "value >= 0", reason="R_RANGE"),
    ),
    cluster_by=("_source", "source_person_id"),
)
