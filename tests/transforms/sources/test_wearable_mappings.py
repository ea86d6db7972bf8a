"""Mappings of Fitbit, Open mHealth and enrolment into the contracts."""

from __future__ import annotations

import csv
import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pyspark.sql.functions as F

from carelake.silver.conformed.conform import placed
from carelake.silver.conformed.enrollment import ENROLLMENT
from carelake.silver.conformed.sample import SAMPLE
from carelake.sources import enrollment, fitbit, open_mhealth
from tests.helpers.bronze import bronze, folder, mapped
from tests.helpers.tables import rows

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession


def judged(df: DataFrame, table: Any = SAMPLE) -> DataFrame:
    """The contract's rows with all reasons against them, those of the mapping and of the contract."""
    own = placed(df)
    extra = [c for c in ("_problems", "_excluded") if c in own.columns]
    return (
        table.conform(own)
        .withColumn("_reasons", F.expr(table.reasons()))
        .join(own.selectExpr("_record", "_part", *extra), ["_record", "_part"], how="left")
    )


def reasons(df: DataFrame) -> list[tuple[Any, ...]]:
    """(record, classes of reasons) of each row."""
    classes = (
        "array_distinct(transform(concat(_reasons, array_compact(_problems)), x -> split_part(x, ':', 1)))"
    )
    return rows(judged(df).selectExpr("_record", f"array_join(array_sort({classes}), ' ') AS r").distinct())


def test_a_fitbit_day_gives_a_sample_of_each_measure_with_its_wear_time(spark: SparkSession) -> None:
    text = (
        b"Id,ActivityDate,TotalSteps,TotalDistance,VeryActiveMinutes,FairlyActiveMinutes,LightlyActiveMinutes,"
        b"SedentaryMinutes,Calories\n7,4/12/2016,13162,8.5,25,13,328,728,1985\n7,4/13/2016,0,0,0,0,0,1440,1347\n"
    )
    records = bronze(spark, fitbit.SOURCE, {"dailyActivity_merged.csv": text}, shift_days=10)
    out = judged(mapped(fitbit.SOURCE, "daily_activity", records)).where("size(_reasons) = 0")
    assert rows(
        out, "start_datetime", "metric", "value", "unit", "worn_minutes", "grain", "shift_days", "_part"
    ) == [
        ("2016-04-22T00:00:00", "active_minutes", 38.0, "min", 1094.0, "day", 10, 2),
        ("2016-04-22T00:00:00", "distance", 8500.0, "m", 1094.0, "day", 10, 1),
        ("2016-04-22T00:00:00", "energy", 1985.0, "kcal", 1094.0, "day", 10, 3),
        ("2016-04-22T00:00:00", "steps", 13162.0, "{steps}", 1094.0, "day", 10, 0),
        ("2016-04-23T00:00:00", "active_minutes", 0.0, "min", 0.0, "day", 10, 2),
        ("2016-04-23T00:00:00", "distance", 0.0, "m", 0.0, "day", 10, 1),
        ("2016-04-23T00:00:00", "energy", 1347.0, "kcal", 0.0, "day", 10, 3),
        ("2016-04-23T00:00:00", "steps", 0.0, "{steps}", 0.0, "day", 10, 0),
    ]


def test_an_hour_is_read_from_one_column_or_from_two(spark: SparkSession) -> None:
    apart = b"Id,Activity Day,ActivityHour,Calories\n7,4/12/2016,13:00:00,81\n"
    joined = b"Id,ActivityHour,Calories\n7,4/12/2016 1:00:00 PM,82\n7,4/12/2016 12:00:00 AM,83\n"
    records = bronze(spark, fitbit.SOURCE, {"hourlyCalories.csv": apart, "hourlyCalories_merged.csv": joined})
    out = mapped(fitbit.SOURCE, "hourly_calories", records)
    assert rows(out, "value", "start_datetime", "end_datetime") == [
        (81.0, "2016-04-12T13:00:00", "2016-04-12T14:00:00"),
        (82.0, "2016-04-12T13:00:00", "2016-04-12T14:00:00"),
        (83.0, "2016-04-12T00:00:00", "2016-04-12T01:00:00"),
    ]


def test_a_weight_is_a_moment_and_says_who_measured(spark: SparkSession) -> None:
    text = b"Id,Date,WeightKg,WeightPounds,Fat,BMI,IsManualReport,LogId\n7,5/2/2016 11:59:59 PM,52.5,115.7,,22.5,True,1\n"
    out = mapped(fitbit.SOURCE, "weight_log", bronze(spark, fitbit.SOURCE, {"weightLogInfo.csv": text}))
    assert rows(out, "metric", "value", "end_datetime", "modality", "_part") == [
        ("body_mass_index", 22.5, "2016-05-02T23:59:59", "self_reported", 1),
        ("body_weight", 52.5, "2016-05-02T23:59:59", "self_reported", 0),
    ]


def test_a_fitbit_row_with_a_bad_time_or_number_or_without_a_value_is_named(spark: SparkSession) -> None:
    text = b"Id,ActivityDay,ActivityHour,StepTotal\n7,2/30/2016,1:00:00,5\n7,2/3/2016,1:00:00,many\n7,2/3/2016,2:00:00,\n"
    out = mapped(fitbit.SOURCE, "hourly_steps", bronze(spark, fitbit.SOURCE, {"hourlySteps.csv": text}))
    assert rows(out.selectExpr("array_join(_problems, ' ')")) == [
        ("R_DATE:time",),
        ("R_SCHEMA:no_value",),
        ("R_TYPE:steps",),
    ]


def test_the_real_fitabase_export_conforms_whole(spark: SparkSession, data: Path) -> None:
    files = {n: t for n, t in folder(data / "fitabase").items() if not n.startswith("hourly")}
    records = bronze(spark, fitbit.SOURCE, files)
    names = ("daily_activity", "sleep_day", "weight_log")
    out = {n: judged(mapped(fitbit.SOURCE, n, records)) for n in names}
    assert {n: df.where("size(_reasons) > 0").count() for n, df in out.items()} == dict.fromkeys(names, 0)
    days = out["daily_activity"].where("metric = 'steps'")
    lines = list(csv.DictReader(files["dailyActivity_merged.csv"].decode().splitlines()))
    assert days.selectExpr("sum(value)").first()[0] == sum(float(r["TotalSteps"]) for r in lines)
    idle = sum(r["TotalSteps"] == "0" and r["SedentaryMinutes"] == "1440" for r in lines)
    assert idle > 0
    assert days.where("worn_minutes = 0").count() == idle


def point(name: str, body: dict[str, Any], when: Any = "2024-02-01T08:11:00-05:00", **header: Any) -> bytes:
    head = {
        "id": f"{name}-{json.dumps(body)}-{when}",
        "user_id": "u1",
        "schema_id": {"name": name, "version": "1.0"},
    }
    frame = when if isinstance(when, dict) else {"date_time": when}
    return json.dumps({"header": head | header, "body": body | {"effective_time_frame": frame}}).encode()


def samples(spark: SparkSession, *points: bytes, **options: Any) -> DataFrame:
    return mapped(
        open_mhealth.SOURCE,
        "data_point",
        bronze(spark, open_mhealth.SOURCE, {"x.json": b"\n".join(points)}, **options),
    )


def test_units_are_converted_to_the_canonical_one(spark: SparkSession) -> None:
    out = samples(
        spark,
        point("body-weight", {"body_weight": {"value": 100, "unit": "lb"}}),
        point("body-height", {"body_height": {"value": 6, "unit": "ft"}}),
        point("body-temperature", {"body_temperature": {"value": 98.6, "unit": "F"}}),
        point("blood-glucose", {"blood_glucose": {"value": 5, "unit": "mmol/L"}}),
        point("heart-rate", {"heart_rate": {"value": 1.2, "unit": "Hz"}}),
        point("sleep-duration", {"sleep_duration": {"value": 6.5, "unit": "h"}}),
        point("step-count", {"step_count": 600}),
    )
    assert rows(out.selectExpr("metric", "round(value, 4)", "unit", "array_join(_problems, '')")) == [
        ("blood_glucose", 90.08, "mg/dL", ""),
        ("body_height", 182.88, "cm", ""),
        ("body_temperature", 37.0, "Cel", ""),
        ("body_weight", 45.3592, "kg", ""),
        ("heart_rate", 72.0, "/min", ""),
        ("sleep_duration", 390.0, "min", ""),
        ("steps", 600.0, "{steps}", ""),
    ]


def test_a_blood_pressure_is_two_samples(spark: SparkSession) -> None:
    body = {
        "systolic_blood_pressure": {"value": 120, "unit": "mmHg"},
        "diastolic_blood_pressure": {"value": 80, "unit": "mmHg"},
    }
    out = samples(spark, point("blood-pressure", body, acquisition_provenance={"modality": "self-reported"}))
    assert rows(out, "metric", "value", "unit", "_part", "modality") == [
        ("diastolic", 80.0, "mm[Hg]", 1, "self_reported"),
        ("systolic", 120.0, "mm[Hg]", 0, "self_reported"),
    ]


def test_a_time_frame_is_a_moment_or_an_interval_in_four_forms(spark: SparkSession) -> None:
    begin, end, length = "2024-02-01T22:00:00-05:00", "2024-02-02T06:00:00-05:00", {"value": 8, "unit": "h"}
    frames: list[Any] = [
        begin,
        {"time_interval": {"start_date_time": begin, "end_date_time": end}},
        {"time_interval": {"start_date_time": begin, "duration": length}},
        {"time_interval": {"end_date_time": end, "duration": length}},
        {"time_interval": {"date": "2024-02-01", "part_of_day": "evening"}},
    ]
    out = samples(
        spark, *[point("heart-rate", {"heart_rate": {"value": 60, "unit": "beats/min"}}, f) for f in frames]
    )
    assert rows(out, "_at.record_no", "start_datetime", "end_datetime", "start_at", "grain") == [
        (1, "2024-02-01T22:00:00", "2024-02-01T22:00:00", "2024-02-02T03:00:00", "moment"),
        (2, "2024-02-01T22:00:00", "2024-02-02T06:00:00", "2024-02-02T03:00:00", "session"),
        (3, "2024-02-01T22:00:00", "2024-02-02T06:00:00", "2024-02-02T03:00:00", "session"),
        (4, "2024-02-01T22:00:00", "2024-02-02T06:00:00", "2024-02-02T03:00:00", "session"),
        (5, "2024-02-01T18:00:00", "2024-02-02T00:00:00", None, "session"),
    ]


def test_an_epoch_is_the_senders_local_time(spark: SparkSession) -> None:
    out = samples(
        spark, point("heart-rate", {"heart_rate": {"value": 60, "unit": "beats/min"}}, 1706793000000)
    )
    assert rows(out, "start_datetime", "start_at") == [("2024-02-01T08:10:00", "2024-02-01T13:10:00")]


def test_a_data_point_that_cannot_be_meant_is_named(spark: SparkSession) -> None:
    beats = {"heart_rate": {"value": 60, "unit": "beats/min"}}
    out = samples(
        spark,
        point("heart-rate", {}),
        point("heart-rate", {"heart_rate": {"value": 60, "unit": "beat/min"}}),
        point("heart-rate", {"heart_rate": {"value": 60}}),
        point("heart-rate", {"heart_rate": {"value": "60", "unit": "beats/min"}}),
        point("step-count", {"step_count": "6000"}),
        point("heart-rate", beats, "2024-02-30T08:00:00Z"),
        point("heart-rate", beats, {}),
        point("heart-rate", beats, "2099-01-01T00:00:00Z"),
        extract=date(2024, 9, 1),
    )
    assert rows(out.selectExpr("_at.record_no", "array_join(_problems, ' ')")) == [
        (1, "R_SCHEMA:value_missing"),
        (2, "R_UNIT:unit"),
        (3, "R_UNIT:unit"),
        (4, "R_TYPE:value"),
        (5, "R_TYPE:value"),
        (6, "R_DATE:effective_time_frame"),
        (7, "R_SCHEMA:effective_time_frame_missing"),
        (8, "R_TEMPORAL:future"),
    ]


def test_a_statistic_over_a_time_frame_is_no_sample(spark: SparkSession) -> None:
    body = {"heart_rate": {"value": 60, "unit": "beats/min"}, "descriptive_statistic": "average"}
    assert rows(samples(spark, point("heart-rate", body)), "_excluded") == [("descriptive_statistic",)]


def test_the_malformed_corpus_is_mapped_as_expected(spark: SparkSession, data: Path) -> None:
    where = data / "malformed" / "wearable_json"
    for file, expected in {
        "datapoints_001.json": ["", "", ""],
        "datapoints_003.json": ["", "", ""],
        "datapoints_004.json": ["", "", ""],
        "datapoints_005.json": ["R_TEMPORAL", "R_TEMPORAL", ""],
        "datapoints_006.json": ["R_RANGE", "R_RANGE", "R_TYPE", ""],
        "datapoints_007.json": ["R_UNIT", ""],
    }.items():
        records = bronze(spark, open_mhealth.SOURCE, {file: (where / file).read_bytes()})
        assert [r for _, r in reasons(mapped(open_mhealth.SOURCE, "data_point", records))] == expected, file


def test_a_year_of_data_points_conforms_whole(spark: SparkSession, data: Path) -> None:
    records = bronze(spark, open_mhealth.SOURCE, {"1yr.json": (data / "omh-1yr" / "1yr.json").read_bytes()})
    out = judged(mapped(open_mhealth.SOURCE, "data_point", records)).cache()
    assert out.where("size(_reasons) + size(array_compact(_problems)) > 0").count() == 0
    assert rows(out.groupBy("metric").count()) == [
        ("active_minutes", 380 + 374),
        ("body_weight", 378),
        ("diastolic", 350),
        ("distance", 374),
        ("heart_rate", 363),
        ("steps", 351),
        ("systolic", 350),
    ]


def test_an_enrolment_names_account_and_patient(spark: SparkSession) -> None:
    text = b'person_id,account_source,account_id,person_source,start_date\n"p,1",fitbit,7,fhir,2020-01-01\np2,fitbit,8,fhir,1/2/20\n'
    out = mapped(enrollment.SOURCE, "enrollment", bronze(spark, enrollment.SOURCE, {"enrollment.csv": text}))
    picked = ENROLLMENT.conform(placed(out)).select(
        "source_person_id", "account_id", "start_date", "end_date"
    )
    assert rows(picked) == [("p,1", "7", "2020-01-01", None), ("p2", "8", None, None)]
    assert rows(out.selectExpr("array_join(_problems, ' ')")) == [("",), ("R_DATE:start_date",)]
