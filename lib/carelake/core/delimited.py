"""Delimited text: record boundaries for readers (RFC 4180), and named columns of raw records for transforms."""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import pyspark.sql.functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MAX_RECORD = 16 << 20  # bytes; a longer line is no record of a table
MAX_JOINED = 1000  # lines that one quoted record may span before its opening quote is held to be stray
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_OTHER_FORMATS = (
    b"%PDF",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"MZ",
    b"\x89PNG",
    b"<?xml",
    b"<",
    b"{",
    b"[",
    b"PAR1",
    b"DICM",
)
csv.field_size_limit(MAX_RECORD)

Refuse = Callable[[str, str], Exception]


class Record(NamedTuple):
    """One record: its exact bytes without line end, its values by normalised column name, and what is wrong with it."""

    raw: bytes
    values: dict[str, str]  # empty when the record cannot be split
    byte_offset: int
    record_no: int
    problem: str | None
    header: str


class _Line(NamedTuple):
    offset: int
    text: bytes


def normal(name: str) -> str:
    """A column's name as it is matched: upper case, without blanks and quotes."""
    return name.replace(" ", "").replace('"', "").upper()


def records(
    stream: BinaryIO, *, sep: str, quoted: bool, required: Sequence[str], refuse: Refuse
) -> Iterator[Record]:
    """Split a decompressed stream into records after its header line.

    `required` names columns without which the file is refused; an alternative is written `A|B`. `refuse` makes the
    exception of a file refused whole, from an F_ class and a rule. A record with an odd number of quotes goes on in
    the next line; where that gives no whole record, its line alone is R_SYNTAX and reading goes on after it.
    """
    lines = _lines(stream, refuse)
    first = next((line for line in lines if line.text.strip()), None)
    if first is None:
        raise refuse("F_EMPTY", "no_line")
    header, names = _header(_bare(first.text), sep, quoted, required, refuse)
    number = 0
    found = _joined(lines, sep, len(names)) if quoted else ((n.offset, n.text, None) for n in lines)
    for offset, line, syntax in found:
        raw = _bare(line)
        if not raw.strip():
            continue
        number += 1
        problem, values = (syntax, list[str]()) if syntax else _split(raw, sep, quoted)
        if problem is None and len(values) != len(names):
            problem = "R_FIELD_COUNT:columns"
        named = dict(zip(names, values, strict=False)) if values else {}
        yield Record(raw, named, offset, number, problem, header)


def _lines(stream: BinaryIO, refuse: Refuse) -> Iterator[_Line]:
    """Lines with their ends, without a byte order mark."""
    offset = 0
    while line := stream.readline(MAX_RECORD):
        if len(line) == MAX_RECORD and not line.endswith(b"\n"):
            raise refuse("F_SYNTAX", "line_too_long")
        start = offset
        offset += len(line)
        if start == 0:
            if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise refuse("F_ENCODING", "utf16")
            if line.startswith(codecs.BOM_UTF8):
                line, start = line[3:], 3
        yield _Line(start, line)


def _bare(line: bytes) -> bytes:
    """A line without its end."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _header(
    line: bytes, sep: str, quoted: bool, required: Sequence[str], refuse: Refuse
) -> tuple[str, list[str]]:
    """The header line and the normalised names of its columns."""
    if b"\x00" in line:
        raise refuse("F_ENCODING", "nul_in_header")
    problem, columns = _split(line, sep, quoted)
    if problem is not None:
        reason = "F_ENCODING" if problem.startswith("R_ENCODING") else "F_HEADER"
        raise refuse("F_WRONG_FORMAT" if line.startswith(_OTHER_FORMATS) else reason, "header_unreadable")
    names = [normal(c) for c in columns]
    for wanted in required:
        if not any(normal(w) in names for w in wanted.split("|")):
            if line.startswith(_OTHER_FORMATS):
                raise refuse("F_WRONG_FORMAT", "content")
            raise refuse("F_HEADER", f"{wanted}_missing")
    if len({n for n in names if n}) != len([n for n in names if n]):
        raise refuse("F_HEADER", "column_twice")
    return line.decode(), names


def _split(raw: bytes, sep: str, quoted: bool) -> tuple[str | None, list[str]]:
    """The values of a record, or the problem that keeps it from being split."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "R_ENCODING:utf8", []
    if _CONTROL.search(raw):
        return "R_CONTROL_CHAR:control", text.split(sep)
    if not quoted or '"' not in text:
        return None, text.split(sep)
    try:
        return None, next(csv.reader([text], delimiter=sep, strict=True))
    except csv.Error:
        return "R_SYNTAX:quotes", []


def _joined(lines: Iterator[_Line], sep: str, width: int) -> Iterator[tuple[int, bytes, str | None]]:
    """Records of quoted text, which may hold line ends inside quotes; a stray quote spoils its own line only."""
    waiting: deque[_Line] = deque()
    while (line := waiting.popleft() if waiting else next(lines, None)) is not None:
        if line.text.count(b'"') % 2 == 0:
            yield line.offset, line.text, None
            continue
        parts, quotes = [line], line.text.count(b'"')
        while quotes % 2 and len(parts) < MAX_JOINED:
            following = waiting.popleft() if waiting else next(lines, None)
            if following is None:
                break
            parts.append(following)
            quotes += following.text.count(b'"')
        whole = b"".join(p.text for p in parts)
        if quotes % 2 == 0 and len(_split(_bare(whole), sep, quoted=True)[1]) == width:
            yield line.offset, whole, None
        else:
            yield line.offset, line.text, "R_SYNTAX:quotes"
            waiting.extendleft(reversed(parts[1:]))


def fields(records: DataFrame, columns: Sequence[str], *, sep: str, quoted: bool) -> DataFrame:
    """Add the named columns of `raw` by their place in `header`; a blank value or a column not there is NULL.

    Columns are matched by `normal`; the values are trimmed text. Files with other columns, or another order, work.
    """
    apart = _pattern(sep)
    names = f"split(upper(translate(header, ' \"', '')), '{apart}', -1)"
    values = "_plain"
    if quoted:  # more values than names: some hold the separator between quotes
        value = f'{sep}("[^"]*(?:""[^"]*)*"|[^{sep}]*)'
        exact = f"regexp_extract_all(concat('{sep}', raw), '{value}', 1)"
        values = f"CASE WHEN size(_plain) = _width THEN _plain ELSE {exact} END"
    # Looking a column up in its header costs more than all else, so it is done once per header, not per record.
    places = ", ".join(f"cast(array_position(_names, '{normal(c)}') AS int) - 1" for c in columns)
    headers = records.select("header").distinct().selectExpr("header AS _header", f"{names} AS _names")
    placed = records.join(
        F.broadcast(headers.selectExpr("_header", f"array({places}) AS _places", "size(_names) AS _width")),
        F.col("header") == F.col("_header"),
        how="left",
    ).selectExpr("*", f"split(raw, '{apart}', -1) AS _plain")
    read = placed.selectExpr("*", f"{values} AS _values")
    picked = [
        f"nullif(trim({_bare_sql(f'get(_values, get(_places, {n}))', quoted)}), '') AS `{c}`"
        for n, c in enumerate(columns)
    ]
    return read.selectExpr("*", *picked).drop("_header", "_places", "_width", "_plain", "_values")


def _pattern(sep: str) -> str:
    """The separator as a regular expression in SQL text, of the short forms that Java splits by without one."""
    return sep if sep in ",;\t" else f"\\\\{sep}"


def _bare_sql(value: str, quoted: bool) -> str:
    """SQL of a value without its quotes."""
    if not quoted:
        return value
    return f"CASE WHEN startswith({value}, '\"') THEN replace(substr({value}, 2, length({value}) - 2), '\"\"', '\"') ELSE {value} END"
