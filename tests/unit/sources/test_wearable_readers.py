"""Readers of the sources of wearables: record boundaries, kinds, keys and refusals."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from carelake.bronze.source import FileProblem, Source, Unit
from carelake.sources import enrollment, fitbit, open_mhealth

if TYPE_CHECKING:
    from pathlib import Path


def read(source: Source, text: bytes, name: str) -> list[Unit]:
    return list(source.units(io.BytesIO(text), name))


def point(number: int = 1, name: str = "heart-rate", version: str = "1.0", **header: object) -> bytes:
    head = {
        "id": f"p{number}",
        "user_id": "u1",
        "schema_id": {"namespace": "omh", "name": name, "version": version},
    }
    return json.dumps(
        {"header": head | header, "body": {"heart_rate": {"value": 70, "unit": "beats/min"}}}
    ).encode()


def test_an_array_and_lines_give_the_same_data_points_with_their_offsets() -> None:
    one, two = point(1), point(2)
    array = b"[" + one + b",\n " + two + b"]\n"
    for text in (array, one + b"\n\n" + two):
        found = read(open_mhealth.SOURCE, text, "x.json")
        assert [(u.kind, u.key, u.record_no, u.problem) for u in found] == [
            ("heart-rate", "p1", 1, None),
            ("heart-rate", "p2", 2, None),
        ]
        assert [text[u.byte_offset : u.byte_offset + len(u.raw)] for u in found] == [one, two]


def test_brackets_commas_and_quotes_in_text_end_no_data_point() -> None:
    odd = point(1, note='a"],}{[\\')
    assert [u.raw for u in read(open_mhealth.SOURCE, b"[" + odd + b"," + point(2) + b"]", "x.json")] == [
        odd,
        point(2),
    ]


def test_an_array_longer_than_the_buffer_is_read_whole() -> None:
    many = b"[" + b",\n".join(point(n) for n in range(1000)) + b"]"
    assert len({u.key for u in read(open_mhealth.SOURCE, many, "x.json")}) == 1000
    assert all(u.problem is None for u in read(open_mhealth.SOURCE, many, "x.json"))


def test_an_array_cut_in_a_data_point_keeps_those_before_it() -> None:
    found = read(open_mhealth.SOURCE, b"[" + point(1) + b"," + point(2)[:50], "x.json")
    assert [u.problem for u in found] == [None, "R_TRUNCATED:cut_by_end_of_file"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "F_EMPTY"),
        (b" \n", "F_EMPTY"),
        (b"[" + point(1), "F_TRUNCATED_CONTAINER"),
        ("[]".encode("utf-16"), "F_ENCODING"),
        (b"[" + b'{"a":[' * 200, "F_TOO_DEEP"),
        (b"<xml/>", "F_WRONG_FORMAT"),
        (b'{\n  "header": {}\n}\n', "F_WRONG_FORMAT"),
    ],
)
def test_a_file_of_data_points_is_refused_whole(text: bytes, reason: str) -> None:
    with pytest.raises(FileProblem) as refused:
        read(open_mhealth.SOURCE, text, "x.json")
    assert refused.value.reason == reason


def test_an_empty_array_is_a_legal_empty_file() -> None:
    assert read(open_mhealth.SOURCE, b"[]\n", "x.json") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (point(name="aura-level"), "R_UNKNOWN_TYPE:schema_id"),
        (point(version="9.0"), "R_VERSION:schema_id"),
        (point(user_id=None), "R_ID:user_id"),
        (point(id=None), "R_ID:id"),
        (b'"text"', "R_NOT_OBJECT:data_point"),
        (b"{}", "R_SCHEMA:header_or_body_missing"),
    ],
)
def test_a_data_point_that_is_none_is_named(text: bytes, problem: str) -> None:
    assert [u.problem for u in read(open_mhealth.SOURCE, text, "x.json")] == [problem]


def test_two_contents_under_one_id_have_the_same_version_time() -> None:
    found = read(open_mhealth.SOURCE, point(1, a=1) + b"\n" + point(1, a=2), "x.json")
    assert len({(u.key, u.version_at) for u in found}) == 1


def test_the_malformed_corpus_is_read_as_expected_where_the_reader_decides(data: Path) -> None:
    folder = data / "malformed" / "wearable_json"
    wanted: dict[str, list[str]] = {}
    for row in csv.DictReader((folder / "expected_rows.csv").open()):
        reader_decides = row["reason"].startswith(
            (
                "F_",
                "R_TRUNCATED",
                "R_ID",
                "R_UNKNOWN_TYPE",
                "R_VERSION",
                "R_ENCODING",
                "R_CONTROL_CHAR",
                "R_SYNTAX",
            )
        )
        wanted.setdefault(row["file"], []).append(row["reason"] if reader_decides else "")
    wanted["datapoints_012.json"] = ["F_ENCODING"]  # UTF-16: the other accepted outcome
    for file, expected in wanted.items():
        try:
            got = [
                (u.problem or "").split(":")[0]
                for u in read(open_mhealth.SOURCE, (folder / file).read_bytes(), file)
            ]
        except FileProblem as refused:
            got = [refused.reason]
        assert got == expected, file


@pytest.mark.parametrize(
    ("name", "header", "row", "key"),
    [
        (
            "hourlyCalories_merged.csv",
            "Id,Activity Day,ActivityHour,Calories",
            "1,4/12/2016,1:00:00,81",
            "1|4/12/2016 1:00:00",
        ),
        (
            "hourlySteps_merged.csv",
            "Id,ActivityHour,StepTotal",
            "1,4/12/2016 1:00:00 AM,3",
            "1|4/12/2016 1:00:00 AM",
        ),
        ("dailyActivity_merged.csv", "Id,ActivityDate,TotalSteps", "1,4/12/2016,3", "1|4/12/2016"),
        (
            "heartrate_seconds_merged.csv",
            "Id,Time,Value",
            "1,4/12/2016 7:21:00 AM,97",
            "1|4/12/2016 7:21:00 AM",
        ),
    ],
)
def test_a_fitabase_row_is_known_by_account_and_time(name: str, header: str, row: str, key: str) -> None:
    (unit,) = read(fitbit.SOURCE, f"{header}\n{row}\n".encode(), name)
    assert (unit.kind, unit.key, unit.problem) == (name.removesuffix("_merged.csv"), key, None)
    assert fitbit.SOURCE.reads(name)


def test_a_fitabase_row_without_account_or_time_is_named() -> None:
    found = read(
        fitbit.SOURCE, b"Id,SleepDay,TotalMinutesAsleep\n,4/12/2016,3\n1,,3\n", "sleepDay_merged.csv"
    )
    assert [u.problem for u in found] == ["R_ID:Id_missing", "R_DATE:time_missing"]


def test_the_real_fitabase_export_repeats_two_sleep_rows(data: Path) -> None:
    path = data / "fitabase" / "sleepDay_merged.csv"
    found = read(fitbit.SOURCE, path.read_bytes(), path.name)
    assert (len(found), len({u.key for u in found}), {u.problem for u in found}) == (244, 242, {None})


def test_an_enrolment_row_is_known_by_account_patient_and_first_day() -> None:
    text = b"account_source,account_id,person_source,person_id,start_date\nfitbit,7,fhir,p1,2020-01-01\nfitbit,,fhir,p1,\n"
    found = read(enrollment.SOURCE, text, "enrollment.csv")
    assert [(u.key, u.problem) for u in found] == [
        ("fitbit|7|fhir|p1|2020-01-01", None),
        (None, "R_ID:key_missing"),
    ]


def test_an_enrolment_file_without_a_required_column_is_refused() -> None:
    with pytest.raises(FileProblem) as refused:
        read(enrollment.SOURCE, b"account_source,account_id,person_source\na,b,c\n", "enrollment.csv")
    assert refused.value.reason == "F_HEADER"
