"""An OMOP CDM's files: which are read, what a row is, and what is refused. No Spark."""

from __future__ import annotations

import gzip
import io
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from carelake.bronze.source import FileProblem
from carelake.sources.omop import KEYS, SOURCE, dated, file_name, units

PERSON = "PERSON_ID,gender_concept_id,Year_Of_Birth\n1,8507,1960\n2.0,8532.0,1971.0\n"


def of_csv(text: str, name: str) -> list[Any]:
    return list(units(io.BytesIO(text.encode()), name))


def as_parquet(**columns: Any) -> io.BytesIO:
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    out.seek(0)
    return out


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("PERSON.csv", "person.csv"),
        ("export/Visit_Occurrence.CSV.gz", "visit_occurrence.csv.gz"),
        ("person/part-00000-1f2e.snappy.parquet", "person.parquet"),
        ("cdm/death.parquet/part-0.parquet", "death.parquet"),
        ("drug_exposure/data_0.csv", "drug_exposure.csv"),
    ],
)
def test_a_file_is_named_by_its_table_or_by_the_folder_of_its_parts(path: str, name: str):
    assert file_name(path) == name
    assert SOURCE.reads(name)
    assert SOURCE.kind_of_file(name) == name.split(".")[0]


@pytest.mark.parametrize(
    "path", ["concept.csv", "CONCEPT_ANCESTOR.parquet", "cohort.csv", "person/_SUCCESS", "notes.txt"]
)
def test_the_vocabulary_and_what_is_no_table_are_no_records(path: str):
    assert not SOURCE.reads(file_name(path))


def test_a_row_of_csv_is_kept_as_sent_and_known_by_its_primary_key():
    one, two = of_csv(PERSON, "person.csv")
    assert (one.kind, one.key, one.raw, one.record_no) == ("person", "1", b"1,8507,1960", 1)
    assert one.header == "PERSON_ID,gender_concept_id,Year_Of_Birth"
    assert one.byte_offset == len("PERSON_ID,gender_concept_id,Year_Of_Birth\n")
    assert two.key == "2"  # as a database writes that kept ids as floats


def test_a_table_without_a_primary_key_is_known_by_what_a_row_is_about():
    text = "person_id,death_date,death_type_concept_id\n7,2019-03-01,32817\n"
    assert [u.key for u in of_csv(text, "death.csv")] == ["7"]
    text = ",".join(KEYS["fact_relationship"]) + "\n19,1,19,2,44818790\n"
    assert [u.key for u in of_csv(text, "fact_relationship.csv")] == ["19|1|19|2|44818790"]


def test_a_row_without_its_key_or_with_too_many_values_is_a_bad_record():
    found = of_csv("person_id,year_of_birth\n,1960\n3,1961,7\n4,1962\n", "person.csv")
    assert [u.problem for u in found] == ["R_ID:key_missing", "R_FIELD_COUNT:columns", None]


def test_a_file_without_the_key_in_its_header_is_refused_whole():
    with pytest.raises(FileProblem, match="F_HEADER:person_id_missing"):
        of_csv("id,year_of_birth\n1,1960\n", "person.csv")
    with pytest.raises(FileProblem, match="F_HEADER:person_id_missing"):
        list(units(as_parquet(year_of_birth=[1960]), "person.parquet"))


def test_a_row_of_parquet_is_a_line_of_csv_below_the_columns_names():
    stream = as_parquet(
        note_id=pa.array([5, 6], pa.int64()),
        note_date=[date(2019, 3, 1), None],
        note_datetime=[datetime(2019, 3, 1, 8, 30), None],
        note_text=['said "no",\nthen left', ""],
        score=[0.25, 3.0],
    )
    one, two = units(stream, "note.parquet")
    assert one.header == two.header == "note_id,note_date,note_datetime,note_text,score"
    assert one.raw == b'5,2019-03-01,2019-03-01 08:30:00.000000,"said ""no"",\nthen left",0.25'
    assert two.raw == b"6,,,,3"
    assert [(u.key, u.byte_offset, u.record_no) for u in (one, two)] == [("5", 0, 1), ("6", 1, 2)]


def test_an_id_kept_as_a_float_is_the_same_record_as_a_whole_one():
    (floating,) = units(as_parquet(person_id=[6.0], year_of_birth=[1963.0]), "person.parquet")
    (whole,) = units(as_parquet(person_id=[6], year_of_birth=[1963]), "person.parquet")
    assert (floating.key, floating.raw) == (whole.key, whole.raw) == ("6", b"6,1963")


def test_a_number_that_is_none_is_absent():
    rows = units(
        as_parquet(measurement_id=[1, 2, 3], value_as_number=[float("nan"), 1.5, None]), "measurement.parquet"
    )
    assert [u.raw for u in rows] == [b"1,", b"2,1.5", b"3,"]


def test_a_cut_parquet_file_is_refused_whole():
    whole = as_parquet(person_id=[1, 2]).getvalue()
    with pytest.raises(FileProblem, match="F_BAD_CONTAINER:parquet_unreadable"):
        list(units(io.BytesIO(whole[:-20]), "person.parquet"))


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("cdm_source_name,source_release_date,cdm_release_date\nours,2019-05-25,2019-06-01\n", "2019-05-25"),
        ("cdm_source_name,source_release_date,cdm_release_date\nours,,2019-06-01\n", "2019-06-01"),
        ("cdm_source_name,source_release_date,cdm_release_date\nours,soon,2019-06-01\n", None),
        ("cdm_source_name\nours\n", None),
    ],
)
def test_the_extract_date_is_that_on_which_the_source_was_released(text: str, day: str | None):
    assert dated(io.BytesIO(text.encode()), "cdm_source.csv") == day
    assert dated(io.BytesIO(gzip.compress(text.encode())), "person.csv.gz") is None


def test_parquet_tells_the_extract_date_too():
    stream = as_parquet(cdm_source_name=["ours"], source_release_date=[date(2019, 5, 25)])
    assert dated(stream, "cdm_source.parquet") == "2019-05-25"
