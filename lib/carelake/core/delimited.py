"""Delimited text: record boundaries for readers (RFC 4180), and named columns of raw records for transforms."""

from __future__ import annotations

import codecs
import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import pyspark.sql.functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MAX_RECORD = 16 << 20  # bytes; a longer line is no record of a table
MAX_JOINED = 1000  # lines that one quoted record may span before its opening quote is held to be stray
_BLOCK = 1 << 20  # bytes that are read at once
_CONTROLS = bytes({*range(0x20)} - {0x09, 0x0A, 0x0D})
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
    """One record: its exact bytes without line end, the values of the columns asked for, and what is wrong with it."""

    raw: bytes
    values: list[str]  # trimmed; blank when the file has no such column or the record cannot be split
    byte_offset: int
    record_no: int
    problem: str | None
    header: str


class _Line(NamedTuple):
    offset: int
    text: bytes  # without its line feed
    clean: bool  # it stands in a block that is UTF-8 without control characters


def normal(name: str) -> str:
    """A column's name as it is matched: upper case, without blanks and quotes."""
    return name.replace(" ", "").replace('"', "").upper()


def records(
    stream: BinaryIO,
    *,
    sep: str,
    quoted: bool,
    columns: Sequence[str],
    refuse: Refuse,
    required: Sequence[str] | None = None,
) -> Iterator[Record]:
    """Split a decompressed stream into records after its header line, with the values of `columns`.

    `required` (default: `columns`) names columns without which the file is refused; alternatives are written `A|B`, the first
    that the file has counts. `refuse` makes the exception of a file refused whole, from an F_ class and a rule. A record with
    an odd number of quotes goes on in the next line; where that gives no whole record, its line alone is R_SYNTAX and reading
    goes on after it.
    """
    again: deque[_Line] = deque()
    lines = _lines(stream, refuse, again)
    first = next((line for line in lines if line is None or line.text.strip()), None)
    if first is None:
        raise refuse("F_EMPTY", "no_line")
    header, names = _header(
        first.text.removesuffix(b"\r"), sep, quoted, columns if required is None else required, refuse
    )
    places = [
        next((names.index(normal(c)) for c in wanted.split("|") if normal(c) in names), None)
        for wanted in columns
    ]
    width, mark = len(names), sep.encode()
    splits = max((p + 1 for p in places if p is not None), default=0)
    number = 0
    for line in lines:
        if line is None:
            return
        offset, raw, clean = line
        problem: str | None = None
        odd = quoted and b'"' in raw
        if odd and raw.count(b'"') % 2:
            raw, problem = _joined(line, lines, again, sep, width)
        if raw.endswith(b"\r"):
            raw = raw[:-1]
        if not raw or raw.isspace():
            continue
        number += 1
        if (
            clean and not odd and raw.count(mark) + 1 == width
        ):  # nearly all: only what is asked for is taken out
            parts = raw.split(mark, splits)
            picked = ["" if p is None else parts[p].decode().strip() for p in places]
            yield Record(raw, picked, offset, number, None, header)
            continue
        values = list[str]()
        if problem is None:
            problem, values = _split(raw, sep, quoted)
        if problem is None and len(values) != width:
            problem = "R_FIELD_COUNT:columns"
        picked = ["" if p is None or p >= len(values) else values[p].strip() for p in places]
        yield Record(raw, picked, offset, number, problem, header)


def _lines(stream: BinaryIO, refuse: Refuse, again: deque[_Line]) -> Iterator[_Line | None]:
    """Lines without a byte order mark, before each next one those that were put back into `again`; None after the last."""
    for offset, block in _blocks(stream, refuse):
        clean = _clean(block)
        for text in block.split(b"\n"):
            yield _Line(offset, text, clean)
            while again:
                yield again.popleft()
            offset += len(text) + 1
    while True:
        yield None
        while again:
            yield again.popleft()


def _blocks(stream: BinaryIO, refuse: Refuse) -> Iterator[tuple[int, bytes]]:
    """Whole lines, some at a time, with their offset; the line feed at the end of a block is left out."""
    offset, rest = 0, b""
    while read := stream.read(_BLOCK):
        begun = not offset and not rest
        rest += read
        if begun:
            if rest.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise refuse("F_ENCODING", "utf16")
            if rest.startswith(codecs.BOM_UTF8):
                offset, rest = 3, rest[3:]
        # Of the lines only the first can have come in many reads.
        if len(rest) >= MAX_RECORD and b"\n" not in rest[:MAX_RECORD]:
            raise refuse("F_SYNTAX", "line_too_long")
        end = rest.rfind(b"\n")
        if end >= 0:
            yield offset, rest[:end]
            offset, rest = offset + end + 1, rest[end + 1 :]
    if rest:
        yield offset, rest


def _clean(block: bytes) -> bool:
    """Whether it is UTF-8 without control characters."""
    if len(block.translate(None, _CONTROLS)) != len(block):
        return False
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


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
    if len(raw.translate(None, _CONTROLS)) != len(raw):
        return "R_CONTROL_CHAR:control", text.split(sep)
    if not quoted or '"' not in text:
        return None, text.split(sep)
    try:
        return None, next(csv.reader([text], delimiter=sep, strict=True))
    except csv.Error:
        return "R_SYNTAX:quotes", []


def _joined(
    line: _Line, lines: Iterator[_Line | None], again: deque[_Line], sep: str, width: int
) -> tuple[bytes, str | None]:
    """A record of quoted text that begins in this line and holds line ends inside quotes; a stray quote spoils its own line only."""
    parts, quotes = [line], line.text.count(b'"')
    while quotes % 2 and len(parts) < MAX_JOINED:
        following = next(lines)
        if following is None:
            break
        parts.append(following)
        quotes += following.text.count(b'"')
    whole = b"\n".join(p.text for p in parts)
    if quotes % 2 == 0 and len(_split(whole.removesuffix(b"\r"), sep, quoted=True)[1]) == width:
        return whole, None
    again.extendleft(reversed(parts[1:]))
    return line.text, "R_SYNTAX:quotes"


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
