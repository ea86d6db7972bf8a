"""A large file is read in parts: the same records, offsets and numbers as in one piece."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from carelake.bronze import look, parts
from carelake.bronze.land import Piece, pieces, read_units
from carelake.bronze.look import inspect
from carelake.catalog import catalog
from carelake.core.storage import Entry

if TYPE_CHECKING:
    from pathlib import Path

    from carelake.bronze.found import Found
    from carelake.bronze.source import Source, Unit

HEADER = "Id,CLAIMID,AMOUNT,NOTE"
ROWS = [f"{n},c{n},{n}.5,x" for n in range(40)]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 60)
    monkeypatch.setattr(look, "PART", 60)


def found(folder: Path, name: str, text: bytes, source: Source, chunk: int) -> Found:
    """The file, inspected as if it were read so many bytes at a time."""
    path = folder / name
    path.write_bytes(text)
    seen = inspect(Entry(str(path), name, len(text)), source, None)
    cutter = parts.Cutter(source.divides(name) or pytest.fail("it does not divide"))
    for at in range(0, len(text), chunk):
        cutter.feed(text[at : at + chunk])
    return replace(seen, cuts=cutter.cuts)


def both(folder: Path, name: str, text: bytes, form: str, chunk: int = 7) -> tuple[int, list[Unit]]:
    """The number of parts and their units, which have to be those of the whole."""
    source = catalog().sources[form]
    file = found(folder, name, text, source, chunk)
    whole = list(read_units(Piece(replace(file, cuts=())), source))
    divided = pieces([file])
    assert [u for piece in divided for u in read_units(piece, source)] == whole
    assert sum(p.size for p in divided) == len(text)
    return len(divided), whole


def table(*rows: str, end: str = "\n") -> bytes:
    return end.join([HEADER, *rows, ""]).encode()


@pytest.mark.parametrize("chunk", [1, 7, 64, 4096])
def test_rows_of_a_table_are_the_same_however_it_is_read(tmp_path: Path, chunk: int) -> None:
    n, units = both(tmp_path, "claims_transactions.csv", table(*ROWS), "synthea_csv", chunk)
    assert n > (5 if chunk < 4096 else 0) and [u.record_no for u in units] == list(range(1, 41))


@pytest.mark.parametrize(
    ("text", "divided"),
    [
        (table(*ROWS, end="\r\n"), True),
        (b"\n \n" + table(*[r + ("\n\n \t" if n % 5 == 0 else "") for n, r in enumerate(ROWS)]), True),
        (b"\xef\xbb\xbf" + table(*ROWS), True),
        (b"\xef\xbb\xbf\n" + table(*ROWS), True),
        (table(*ROWS).rstrip(b"\n"), True),
        (table(*ROWS) + b"\n\n\n", True),
        (table(*[f'{n},"c, {n}",1,"\u00e9"' for n in range(40)]), True),
        (table(*ROWS[:20], "20,only two", "21,\x01,1,x", *ROWS[22:]), True),
        (table(*ROWS[:20], '20,c,1,"stray', *ROWS[21:]), False),
        (table(*ROWS[:20], '20,c,1,"two\nlines"', *ROWS[21:]), False),
        (b"Other,Columns\n" + b"1,2\n" * 60, True),
        (b"\xff\xfe" + table(*ROWS), True),
    ],
)  # fmt: skip
def test_blank_lines_marks_quotes_and_bad_rows_change_nothing(
    tmp_path: Path, text: bytes, divided: bool
) -> None:
    n, units = both(tmp_path, "claims.csv", text, "synthea_csv")
    assert (n > 1) is divided and units


def test_quotes_mean_nothing_in_claims_of_cms(tmp_path: Path) -> None:
    rows = [f'{n}|c{n}|1|"' if n == 3 else f"{n}|c{n}|1|" for n in range(40)]
    text = "\n".join(["BENE_ID|CLM_ID|LINE_NUM|X", *rows, ""]).encode()
    assert both(tmp_path, "carrier.csv", text, "cms_rif")[0] > 5


def test_resources_are_the_same_and_those_of_the_beginning_come_once(tmp_path: Path) -> None:
    lines = [json.dumps({"resourceType": "Patient", "id": f"p{n}"}) for n in range(60)]
    lines[30:33] = ["{bad", "", "[]"]
    n, units = both(tmp_path, "Patient.ndjson", "\n".join(lines).encode(), "fhir")
    assert n > 5 and len(units) == 59
    assert [u.problem for u in units if u.problem] == [
        "R_SYNTAX:not_json",
        "R_NOT_OBJECT:not_an_object",
    ]


def test_a_file_that_is_no_ndjson_is_refused_once(tmp_path: Path) -> None:
    n, units = both(tmp_path, "Patient.ndjson", b"no json at all\n" * 60, "fhir")
    assert n > 1 and [(u.byte_offset, u.problem) for u in units] == [(-1, "F_WRONG_FORMAT:not_json")]


def test_rows_that_are_numbered_by_those_before_them_stay_in_one_piece() -> None:
    assert catalog().sources["synthea_csv"].divides("observations.csv") is None


def test_a_line_without_end_keeps_the_file_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_LINE", 100)
    cutter = parts.Cutter(parts.Divides(head=1, quoted=True))
    for chunk in (table(*ROWS), b"x" * 101, b"\n" + table(*ROWS)):
        cutter.feed(chunk)
    assert cutter.cuts == ()
