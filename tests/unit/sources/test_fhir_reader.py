"""FHIR NDJSON: where records begin, what kind they are, and which are refused."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from carelake.bronze.source import FileProblem, Unit
from carelake.sources.fhir import SOURCE
from carelake.sources.fhir_reader import RESOURCES, extract_date, units

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b'{"resourceType":"Patient","id":"p1"}'


def read(text: bytes, name: str = "Patient.ndjson") -> list[Unit]:
    return list(units(io.BytesIO(text), name))


def refused(text: bytes) -> str:
    with pytest.raises(FileProblem) as caught:
        read(text)
    return caught.value.reason


def test_a_unit_carries_kind_key_version_and_place() -> None:
    line = b'{"id":"a-1.B","resourceType":"Condition","meta":{"lastUpdated":"2024-03-02T10:00:00.1-05:00"}}'
    assert read(b"\n" + line + b"\r\n" + GOOD, "all.ndjson") == [
        Unit("Condition", "a-1.B", "2024-03-02T10:00:00.1-05:00", line, 1, 1),
        Unit("Patient", "p1", None, GOOD, 1 + len(line) + 2, 2),
    ]


def test_a_bundle_of_deletions_gives_a_deletion_of_each_resource_at_its_own_place() -> None:
    first, second = (
        b'{"request":{"method":"DELETE","url":"Patient/p1"}}',
        b'{"request":{"url":"Observation/o-2","method":"DELETE"}}',
    )
    head = '{"resourceType":"Bundle","id":"b","x":"é","meta":{"lastUpdated":"2024-09-02T00:00:00Z"},"type":"transaction","entry":[ '
    line = head.encode() + first + b" , " + second + b"]}"
    at = len(head.encode())
    assert read(GOOD + b"\n" + line + b"\n" + GOOD, "deleted.ndjson")[1:3] == [
        Unit("Patient", "p1", "2024-09-02T00:00:00Z", first, 37 + at, 2, "R_RETRACTED:deleted"),
        Unit(
            "Observation",
            "o-2",
            "2024-09-02T00:00:00Z",
            second,
            37 + at + len(first) + 3,
            2,
            "R_RETRACTED:deleted",
        ),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        b'{"request":{"method":"PUT","url":"Patient/p1"}}',
        b'{"request":{"method":"DELETE","url":"Patient?identifier=1"}}',
        b'{"resource":{"resourceType":"Patient"},"request":{"method":"DELETE","url":"Patient/p1"}}',
    ],
)
def test_a_bundle_of_anything_else_stays_one_record(entry: bytes) -> None:
    good = b'{"request":{"method":"DELETE","url":"Patient/p1"}}'
    line = b'{"resourceType":"Bundle","id":"b","entry":[' + good + b"," + entry + b"]}"
    assert [(u.kind, u.key, u.raw) for u in read(line)] == [("Bundle", "b", line)]


def test_offsets_are_those_of_the_decompressed_stream() -> None:
    packed = gzip.compress(GOOD + b"\n\n" + GOOD + b"\n")
    with gzip.open(io.BytesIO(packed)) as stream:
        found = list(units(stream, "Patient.ndjson.gz"))
    assert [(u.byte_offset, u.record_no) for u in found] == [(0, 1), (38, 2)]


def test_a_byte_order_mark_and_crlf_are_not_part_of_the_record() -> None:
    assert [(u.raw, u.byte_offset, u.problem) for u in read(b"\xef\xbb\xbf" + GOOD + b"\r\n")] == [
        (GOOD, 3, None)
    ]


@pytest.mark.parametrize(
    ("line", "kind", "problem"),
    [
        (b'{"resourceType":"Patient"}', "Patient", "R_ID:id_missing"),
        (b'{"resourceType":"Patient","id":""}', "Patient", "R_ID:id_illegal"),
        (b'{"resourceType":"Patient","id":7}', "Patient", "R_ID:id_illegal"),
        (b'{"resourceType":"Patient","id":"' + b"x" * 65 + b'"}', "Patient", "R_ID:id_illegal"),
        (b'{"resourceType":"Patient","id":"a b"}', "Patient", "R_ID:id_illegal"),
        (b'{"resourceType":"Patiant","id":"a"}', "unknown", "R_UNKNOWN_TYPE:resource_type"),
        (b'{"id":"a"}', "unknown", "R_UNKNOWN_TYPE:resource_type"),
        (b'{"resourceType":"OperationOutcome"}', "OperationOutcome", "R_UNKNOWN_TYPE:resource_type"),
        (b'"words"', "Patient", "R_NOT_OBJECT:not_an_object"),
        (b"null", "Patient", "R_NOT_OBJECT:not_an_object"),
        (b"[1]", "Patient", "R_NOT_OBJECT:not_an_object"),
        (b'{"resourceType":"Patient","id":"a","id":"a"}', "Patient", "R_SYNTAX:duplicate_key"),
        (b'{"resourceType":"Patient","id":"a"},', "Patient", "R_SYNTAX:not_json"),
        (b'{"resourceType":"Patient","id":"Jos\xe9"}', "Patient", "R_ENCODING:not_utf8"),
        (b'{"resourceType":"Patient","id":"a","x":"\\u0000"}', "Patient", "R_CONTROL_CHAR:escaped"),
        (
            b'{"resourceType":"Basic","id":"a","x":' + b"[" * 100 + b"]" * 100 + b"}",
            "Basic",
            "R_TOO_DEEP:nesting",
        ),
    ],
)
def test_a_bad_line_is_named_and_the_next_one_still_read(line: bytes, kind: str, problem: str) -> None:
    bad, good = read(line + b"\n" + GOOD + b"\n")
    assert (bad.kind, bad.problem, bad.raw) == (kind, problem, line)
    assert (good.key, good.problem) == ("p1", None)


def test_only_the_cut_last_line_is_truncated() -> None:
    assert [u.problem for u in read(GOOD + b"\n" + GOOD[:-9])] == [None, "R_TRUNCATED:cut_by_end_of_file"]
    assert [u.problem for u in read(GOOD + b"\n" + GOOD[:-9] + b"\n")] == [None, "R_SYNTAX:not_json"]
    assert [u.problem for u in read(GOOD + b"\n" + GOOD)] == [None, None]


def test_a_time_that_is_none_gives_no_version() -> None:
    line = b'{"resourceType":"Patient","id":"a","meta":{"lastUpdated":"%s"}}'
    for text in (b"2024-02-30T00:00:00Z", b"2024-02-01", b"2024-02-01T25:00:00Z", b"yesterday"):
        assert read(line % text)[0].version_at is None


def test_a_file_of_another_kind_is_refused_whole() -> None:
    assert refused(b"") == refused(b" \n\r\n") == "F_EMPTY"
    assert refused((GOOD + b"\n").decode().encode("utf-16")) == "F_ENCODING"
    assert refused(b"[" + GOOD + b",\n" + GOOD + b"]\n") == "F_WRONG_FORMAT"
    assert refused(b"[" + GOOD + b"," + GOOD + b"]") == "F_WRONG_FORMAT"
    assert refused(b'{\n  "resourceType": "Bundle",\n  "type": "batch"\n}\n') == "F_WRONG_FORMAT"
    assert refused(b'<Patient xmlns="http://hl7.org/fhir"/>\n') == "F_WRONG_FORMAT"
    assert refused(b"Id,BIRTHDATE\n1,1969-10-14\n") == "F_WRONG_FORMAT"
    assert refused(b"%PDF-1.7\n\x00\n") == "F_WRONG_FORMAT"


def test_the_file_name_gives_the_extract_date_when_it_holds_epoch_milliseconds() -> None:
    assert extract_date("in/Location.1725148800000.ndjson.gz", "") == "2024-09-01"
    assert extract_date("in/Location.000.ndjson", "") is None


def test_what_belongs_to_an_export_but_holds_no_records_is_not_read() -> None:
    assert SOURCE.reads("Patient.ndjson.gz") and SOURCE.reads("Patient.000.NDJSON")
    for name in ("log.ndjson", "log.ndjson.gz", "parameters.json", "manifest.json", "error.000.ndjson"):
        assert not SOURCE.reads(name)
    assert len(RESOURCES) == 146  # R4's 148 names less the two abstract ones


def test_no_two_mappings_count_a_kind_and_other_types_land_without_one() -> None:
    counted = Counter(k for m in SOURCE.mappings for k in m.kinds if m.counts)
    read = {k for m in SOURCE.mappings for k in (*m.kinds, *m.beside)}
    assert set(counted.values()) == {1} and len(read) == 18
    assert read - set(counted) == {"Medication"}  # it says what orders refer to, and is no fact of its own
    assert {"ExplanationOfBenefit", "ImagingStudy", "unknown"} <= SOURCE.kinds - set(counted)


# Of the corpus of malformed files: reader alone, so these classes are for the mappings and the engine.
LATER = {
    "R_DATE",
    "R_TEMPORAL",
    "R_TYPE",
    "R_SCHEMA",
    "R_REF",
    "R_RANGE",
    "R_RETRACTED",
    "R_MODIFIER",
    "R_CONFLICT_DUP",
}


def test_the_malformed_corpus_is_told_apart_by_class_and_record(data: Path) -> None:
    folder = data / "malformed" / "ndjson_fhir"
    with (folder / "expected.csv").open() as f:
        files = {r["file"]: r for r in csv.DictReader(f)}
    with (folder / "expected_rows.csv").open() as f:
        records = [r for r in csv.DictReader(f) if r["record"].isdigit()]
    expected = {
        (r["file"], int(r["record"])): r["reason"]
        for r in records
        if r["expected"] == "Q"
        and r["reason"] not in LATER
        and files[r["file"]]["outcome"] != "file_rejected"
    }
    found: dict[tuple[str, int], str] = {}
    rejected: dict[str, str] = {}
    for name, row in files.items():
        opener = gzip.open if name.endswith(".gz") else open
        try:
            with opener(folder / name, "rb") as stream:
                read_units = list(units(stream, name))
        except FileProblem as problem:
            rejected[name] = problem.reason
            continue
        except (EOFError, zlib.error):
            rejected[name] = "F_TRUNCATED_CONTAINER"  # landing's, which opens the container
            continue
        assert len(read_units) == int(row["rows_in"]), name
        found |= {(name, u.record_no): u.problem.split(":")[0] for u in read_units if u.problem}
    assert rejected == {n: r["reason"] for n, r in files.items() if r["outcome"] == "file_rejected"}
    assert found == expected and len(found) == 12
