"""Columns and fields that come, go, move or change their type: what is extra is ignored and kept, what is lacking has a reason."""

from __future__ import annotations

import io
import json

import pytest

from carelake.bronze.source import FileProblem
from carelake.core.lake import DeltaLake
from carelake.core.table import Field, Table
from carelake.sources import fhir, synthea_csv
from tests.helpers.bronze import bronze, mapped

HEADER = "Id,BIRTHDATE,RACE,GENDER,STATE,ZIP"
ROW = "p1,1950-02-03,white,F,Ohio,02101"
# What the sender changed → birth date, race, state and ZIP of the person, and the reasons of the row.
COLUMNS = {
    "as it was": ((HEADER, ROW), ("1950-02-03", "2106-3", "OH", "02101"), []),
    "added": ((f"{HEADER},INCOME", f"{ROW},64000"), ("1950-02-03", "2106-3", "OH", "02101"), []),
    "in another order": (("ZIP,STATE,GENDER,RACE,BIRTHDATE,Id", "02101,Ohio,F,white,1950-02-03,p1"), ("1950-02-03", "2106-3", "OH", "02101"), []),
    "in another case": ((HEADER.lower(), ROW), ("1950-02-03", "2106-3", "OH", "02101"), []),
    "widened": ((HEADER, ROW.replace("02101", "02101-1234-5678")), ("1950-02-03", "2106-3", "OH", "02101-1234-5678"), []),
    "renamed": ((HEADER.replace("RACE", "RACE_CODE"), ROW), ("1950-02-03", None, "OH", "02101"), []),
    "dropped": (("Id,BIRTHDATE,GENDER", "p1,1950-02-03,F"), ("1950-02-03", None, None, None), []),
    "retyped": ((HEADER, ROW.replace("1950-02-03", "18296")), (None, "2106-3", "OH", "02101"), ["R_DATE"]),
}  # fmt: skip


@pytest.mark.parametrize("change", COLUMNS)
def test_csv_columns_of_a_sender_that_changes_its_export(spark, change):
    lines, expected, reasons = COLUMNS[change]
    rows = bronze(spark, synthea_csv.SOURCE, {"patients.csv": "\n".join(lines).encode()})
    assert rows.first()["raw"] == lines[1], "bronze keeps the record as sent"
    (made,) = mapped(synthea_csv.SOURCE, "patients", rows).collect()
    born = str(made["birth_date"]) if made["birth_date"] else None
    assert (born, made["race"], made["state"], made["zip"]) == expected
    assert [p.split(":")[0] for p in made["_problems"] if p] == reasons
    print(f"{change}: {expected} {reasons}")


@pytest.mark.parametrize("header", ["Identifier,BIRTHDATE", "BIRTHDATE,RACE"], ids=["renamed", "dropped"])
def test_a_csv_file_without_the_column_of_its_key_is_refused_with_a_reason(header):
    text = io.BytesIO(f"{header}\n1,2\n".encode())
    with pytest.raises(FileProblem, match="F_HEADER:ID_missing"):
        list(synthea_csv.SOURCE.units(text, "patients.csv"))


def test_rows_with_more_or_fewer_values_than_columns_are_refused_one_by_one():
    text = io.BytesIO(f"{HEADER}\n{ROW},more\n{ROW}\np2,1950\n".encode())
    found = [u.problem for u in synthea_csv.SOURCE.units(text, "patients.csv")]
    assert found == ["R_FIELD_COUNT:columns", None, "R_FIELD_COUNT:columns"]


PERSON = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-02-03"}
FIELDS = {
    "as it was": ({}, ("1950-02-03", "female"), []),
    "added": ({"income": {"value": 1}, "_birthDate": {"id": "x"}}, ("1950-02-03", "female"), []),
    "renamed": ({"gender": None, "sex": "female"}, ("1950-02-03", None), []),
    "dropped": ({"gender": None}, ("1950-02-03", None), []),
    "retyped to a number": ({"birthDate": 18296}, (None, "female"), ["R_DATE"]),
    "retyped to an object": ({"gender": {"code": "female"}}, ("1950-02-03", None), []),
}  # fmt: skip


@pytest.mark.parametrize("change", FIELDS)
def test_fields_of_a_json_sender_that_changes_its_export(spark, change):
    more, expected, reasons = FIELDS[change]
    sent = {k: v for k, v in (PERSON | more).items() if v is not None}
    rows = bronze(spark, fhir.SOURCE, {"Patient.ndjson": json.dumps(sent).encode()})
    assert json.loads(rows.first()["raw"]) == sent, "bronze keeps the record as sent"
    (name,) = [m.name for m in fhir.SOURCE.mappings if m.counts and "Patient" in m.kinds]
    (made,) = mapped(fhir.SOURCE, name, rows).collect()
    born = str(made["birth_date"]) if made["birth_date"] else None
    assert (born, made["sex"]) == expected
    assert [p.split(":")[0] for p in made["_problems"] if p] == reasons
    print(f"{change}: {expected} {reasons}")


OLD = Table(
    name="ops/some", doc="One row per number.", key=("n",),
    fields=(Field("n", "bigint", "The number"), Field("word", "string", "A word")),
)  # fmt: skip
NEW = Table(
    name=OLD.name, doc=OLD.doc, key=OLD.key,
    fields=(OLD.fields[0], Field("day", "date", "Declared by a later release"), OLD.fields[1]),
)  # fmt: skip


@pytest.mark.parametrize("checksum", [True, False], ids=["by its checksum", "by its log"])
def test_a_table_of_an_older_release_is_read_appended_to_and_replaced_by_a_newer_one(
    spark, tmp_path, checksum
):
    lake = DeltaLake(spark, str(tmp_path / "lake"))
    lake.append(OLD, spark.createDataFrame([(1, "one", "r")], f"{OLD.ddl}, `_run` string"), {})
    if not checksum:
        lake.storage.delete(f"{OLD.name}/_delta_log/{0:020d}.crc")
    assert [tuple(r) for r in lake.read(NEW).collect()] == [(1, None, "one", "r")]
    assert lake.read(NEW).columns == [*NEW.columns, "_run"]
    two = spark.createDataFrame([(2, "two", "r")], "n bigint, word string, _run string")
    wider = two.selectExpr("n", "DATE'2024-01-02' AS day", "word", "_run")
    assert lake.append(NEW, wider, {}).rows == 1
    assert sorted((r["n"], str(r["day"]), r["word"]) for r in lake.read(NEW).collect()) == [
        (1, "None", "one"),
        (2, "2024-01-02", "two"),
    ]
    assert lake.at({OLD.name: 0}).read(NEW).collect()[0]["day"] is None
    assert lake.replace(NEW, wider, {}).rows == 1
    assert [r["n"] for r in lake.read(NEW).collect()] == [2]
    # and an older release reads what the newer one wrote
    assert lake.read(OLD).columns == [*OLD.columns, "_run"]
