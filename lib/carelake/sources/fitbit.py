"""Fitbit recordings as Fitabase exports them: one CSV per kind, US dates on a 12-hour clock, no time zone.

Columns and units: Fitabase Fitbit data dictionary (distances in kilometres for a metric account, energy in kcal).
Wear time is not exported. Fitabase's convention: a day's active and sedentary minutes are the minutes that the device
accounts for, and a day of 1,440 sedentary minutes without a step is a device that was not worn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from carelake.bronze.parts import Divides
from carelake.bronze.source import FileProblem, Source, Unit
from carelake.core.delimited import fields, records
from carelake.silver.conformed.sample import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

# Columns that give the time of a record, by kind: the first that a file has, joined with the hour where it stands apart.
_TIMES = {
    **dict.fromkeys(("dailyActivity",), ("ACTIVITYDATE", "ACTIVITYDAY")),
    **dict.fromkeys(("dailySteps", "dailyCalories", "dailyIntensities"), ("ACTIVITYDAY", "ACTIVITYDATE")),
    **dict.fromkeys(("hourlySteps", "hourlyCalories", "hourlyIntensities"), ("ACTIVITYDAY", "ACTIVITYHOUR")),
    **dict.fromkeys(
        ("minuteStepsNarrow", "minuteCaloriesNarrow", "minuteIntensitiesNarrow", "minuteMETsNarrow"),
        ("ACTIVITYMINUTE",),
    ),
    **dict.fromkeys(("minuteStepsWide", "minuteCaloriesWide", "minuteIntensitiesWide"), ("ACTIVITYHOUR",)),
    "minuteSleep": ("DATE",),
    "sleepDay": ("SLEEPDAY",),
    "weightLogInfo": ("DATE",),
    "heartrate_seconds": ("TIME",),
}
_KINDS = {kind.lower(): kind for kind in _TIMES}


def units(stream: BinaryIO, name: str) -> Iterator[Unit]:
    """Rows of a Fitabase file; the key is account and time (a repeated row is a duplicate), for weights and minutes of
    sleep the log's own id as well."""
    kind = _KINDS.get(name.lower().rsplit("/", 1)[-1].split(".")[0].removesuffix("_merged"))
    if kind is None:
        raise FileProblem("F_WRONG_FORMAT", "file_name")
    required = ("Id", "|".join(_TIMES[kind]))
    for record in records(
        stream,
        sep=",",
        quoted=True,
        columns=("Id", "LogId", *_TIMES[kind]),
        required=required,
        refuse=FileProblem,
    ):
        account, log, *found = record.values
        times = [t for t in found if t]
        when = " ".join(times if kind.startswith("hourly") else times[:1])
        problem = (
            record.problem
            or (None if account else "R_ID:Id_missing")
            or (None if when else "R_DATE:time_missing")
        )
        parts = [account, when, log]
        key = "|".join(p for p in parts if p) if account and when else None
        yield Unit(kind, key, None, record.raw, record.byte_offset, record.record_no, problem, record.header)


SOURCE = Source(
    format="fitbit",
    doc="Fitabase export of Fitbit data: daily, hourly, sleep, weight, heart rate.",
    files=tuple(pattern for kind in _KINDS for pattern in (f"{kind}.csv", f"{kind}_merged.csv")),
    units=units,
    kinds=frozenset(_TIMES),
    divides=lambda name: Divides(head=1, quoted=True),
)


def _time(*columns: str) -> str:
    """SQL of a local time from the first column that has one; midnight where only a day is given."""
    forms = ("M/d/yyyy h:mm:ss a", "M/d/yyyy h:mm a", "M/d/yyyy H:mm:ss", "M/d/yyyy")
    read = ", ".join(f"try_to_timestamp({c}, '{form}')" for c in columns for form in forms)
    return f"cast(coalesce({read}) AS timestamp_ntz)"


def _sample(part: int, metric: str, unit: str, sent: str, factor: float = 1.0) -> str:
    """SQL of one value of a record; `sent` is SQL of what was sent, as text."""
    return (
        f"named_struct('part', {part}, 'metric', '{metric}', 'unit', '{unit}', 'sent', {sent}, "
        f"'value', try_cast({sent} AS double) * {factor}D)"
    )


def _samples(
    rows: DataFrame, start: str, grain: str, *values: str, worn: str = "NULL", modality: str = "'sensed'"
) -> DataFrame:
    """One row per value of a record that was sent, its times moved by the sender's days; a record without any is R_SCHEMA."""
    lengths = {"day": "INTERVAL 1 DAY", "hour": "INTERVAL 1 HOUR", "moment": "INTERVAL 0 SECOND"}
    found = f"filter(array({', '.join(values)}), x -> x.sent IS NOT NULL)"
    return (
        rows.selectExpr(
            "*", f"{start} + make_dt_interval(coalesce(sender.shift_days, 0)) AS start_datetime",
            f"{found} AS found",
        )
        .selectExpr("*", "explode_outer(found) AS x")
        .selectExpr(
            "Id AS source_person_id", "x.metric AS metric", "start_datetime",
            f"start_datetime + {lengths[grain]} AS end_datetime", f"'{grain}' AS grain", "x.value AS value", "x.unit AS unit",
            f"cast({worn} AS double) AS worn_minutes", "coalesce(sender.shift_days, 0) AS shift_days",
            f"{modality} AS modality", "coalesce(x.part, 0) AS _part", "_at",
            "array(CASE WHEN start_datetime IS NULL THEN 'R_DATE:time' END, CASE WHEN x IS NULL THEN 'R_SCHEMA:no_value' END, "
            "CASE WHEN x.sent IS NOT NULL AND x.value IS NULL THEN concat('R_TYPE:', x.metric) END) AS _problems",
        )
    )  # fmt: skip


def _read(rows: DataFrame, *columns: str) -> DataFrame:
    return fields(rows, ("Id", *columns), sep=",", quoted=True)


@SOURCE.mapping(kind="dailyActivity", into=SAMPLE)
def daily_activity(days: DataFrame) -> DataFrame:
    """Steps, distance (km → m), active minutes (fairly + very active) and energy of a day, with its wear time."""
    columns = ("VeryActiveMinutes", "FairlyActiveMinutes", "LightlyActiveMinutes", "SedentaryMinutes")
    minutes = [f"try_cast({c} AS double)" for c in columns]
    idle = f"try_cast(TotalSteps AS double) = 0 AND {minutes[3]} >= 1440"
    active = f"cast({minutes[0]} + {minutes[1]} AS string)"
    return _samples(
        _read(days, "ActivityDate", "ActivityDay", "TotalSteps", "TotalDistance", "Calories", *columns),
        _time("ActivityDate", "ActivityDay"), "day",
        _sample(0, "steps", "{steps}", "TotalSteps"), _sample(1, "distance", "m", "TotalDistance", 1000.0),
        _sample(2, "active_minutes", "min", active), _sample(3, "energy", "kcal", "Calories"),
        worn=f"CASE WHEN {idle} THEN 0 ELSE least(1440, {' + '.join(minutes)}) END",
    )  # fmt: skip


def _hour() -> str:
    """SQL of an hour's start: one column with day and hour, or a day and an hour apart."""
    return _time("concat_ws(' ', ActivityDay, ActivityHour)")


@SOURCE.mapping(kind="hourlySteps", into=SAMPLE)
def hourly_steps(hours: DataFrame) -> DataFrame:
    """Steps of an hour."""
    rows = _read(hours, "ActivityDay", "ActivityHour", "StepTotal")
    return _samples(rows, _hour(), "hour", _sample(0, "steps", "{steps}", "StepTotal"))


@SOURCE.mapping(kind="hourlyCalories", into=SAMPLE)
def hourly_calories(hours: DataFrame) -> DataFrame:
    """Energy of an hour."""
    rows = _read(hours, "ActivityDay", "ActivityHour", "Calories")
    return _samples(rows, _hour(), "hour", _sample(0, "energy", "kcal", "Calories"))


@SOURCE.mapping(kind="sleepDay", into=SAMPLE)
def sleep_day(days: DataFrame) -> DataFrame:
    """Minutes asleep and in bed, summed by Fitbit over the sleeps of a day."""
    rows = _read(days, "SleepDay", "TotalMinutesAsleep", "TotalTimeInBed")
    return _samples(
        rows, _time("SleepDay"), "day", _sample(0, "sleep_duration", "min", "TotalMinutesAsleep"),
        _sample(1, "time_in_bed", "min", "TotalTimeInBed"),
    )  # fmt: skip


@SOURCE.mapping(kind="weightLogInfo", into=SAMPLE)
def weight_log(weights: DataFrame) -> DataFrame:
    """Weight, body mass index and body fat at a moment; typed in by hand or from a scale."""
    rows = _read(weights, "Date", "WeightKg", "BMI", "Fat", "IsManualReport")
    return _samples(
        rows, _time("`Date`"), "moment", _sample(0, "body_weight", "kg", "WeightKg"),
        _sample(1, "body_mass_index", "kg/m2", "BMI"), _sample(2, "body_fat", "%", "Fat"),
        modality="CASE WHEN lower(IsManualReport) = 'true' THEN 'self_reported' ELSE 'sensed' END",
    )  # fmt: skip


@SOURCE.mapping(kind="heartrate_seconds", into=SAMPLE)
def heart_rate(moments: DataFrame) -> DataFrame:
    """Heart rate every few seconds."""
    rows = _read(moments, "Time", "Value")
    return _samples(rows, _time("`Time`"), "moment", _sample(0, "heart_rate", "/min", "Value"))
