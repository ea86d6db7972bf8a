"""A site's own concepts and maps: small files that people make, read and judged line by line.

A map is a CSV in the shape of the CDM's source_to_concept_map, or what Usagi saves. Of both only approved rows count.
A fault names file, line and column, never the value.
"""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING

from carelake.errors import InputError
from carelake.silver.vocabulary.athena import header, unpacked_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from carelake.core.storage import Entry

Row = dict[str, str | None]
FIRST_LOCAL_ID = 2_000_000_000
LAST_OF_OURS = 2_000_000_999  # open/local_concepts.csv
LAST_ID = 2**31 - 1
APPROVED = "APPROVED"
ALWAYS = ("1970-01-01", "2099-12-31")
_CONCEPT = ("concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_class_id", "concept_code")
_MAP = ("source_code", "source_vocabulary_id", "target_concept_id")
_USAGI = ("sourcecode", "mappingstatus", "conceptid")
_USAGI_VOCABULARY = ("add_info:sourcevocabularyid", "sourcevocabularyid")
_USAGI_CONCEPT = "add_info:sourceconceptid"
_TYPES = {
    "": "to", "MAPS_TO": "to", "EVENT": "to", "MAPS_TO_VALUE": "value", "VALUE": "value",
}  # fmt: skip


def concepts(files: Iterable[Entry]) -> list[Row]:
    """Rows of CONCEPT. Raises InputError for an id that is not above two billion, is one of ours, or comes twice."""
    found: dict[int, Row] = {}
    for file in files:
        for line, row in _lines(file, _CONCEPT):
            n = _number(file, line, row, "concept_id")
            if not LAST_OF_OURS < n <= LAST_ID:
                raise InputError(
                    f"{_at(file, line)}: concept_id must be above {LAST_OF_OURS} and below {LAST_ID + 1}: ids up to two "
                    "billion are OHDSI's, the thousand after them carelake's"
                )
            if n in found:
                raise InputError(f"{_at(file, line)}: concept_id was given before: each concept has one line")
            start, end = row.get("valid_start_date") or ALWAYS[0], row.get("valid_end_date") or ALWAYS[1]
            found[n] = row | {"valid_start_date": start, "valid_end_date": end}
    return list(found.values())


def maps(files: Iterable[Entry]) -> list[Row]:
    """Rows of SOURCE_TO_CONCEPT_MAP of all files; of a row that two files give, the first file's."""
    found: dict[tuple[str | None, ...], Row] = {}
    for file in files:
        _, names = header(file)
        usagi = "sourcecode" in names
        if not usagi and "source_code" not in names:
            raise InputError(
                f"vocabulary file {file.path}: is no map; give the columns of source_to_concept_map, or what Usagi saves"
            )
        for row in _usagi(file) if usagi else _plain(file):
            row["_map"] = file.name.split(".")[0]
            found.setdefault(
                tuple(row.get(c) for c in (*_MAP, "valid_end_date")),
                row,
            )
    return list(found.values())


def _plain(file: Entry) -> Iterator[Row]:
    for line, row in _lines(file, _MAP):
        if (row.get("status") or APPROVED).upper() != APPROVED:
            continue
        own = row.get("source_concept_id") and _number(file, line, row, "source_concept_id")
        yield {
            **{c: _needed(file, line, row, c) for c in _MAP[:2]},
            "source_concept_id": str(own or 0),
            "source_code_description": row.get("source_code_description"),
            "target_concept_id": str(_number(file, line, row, "target_concept_id")),
            "target_vocabulary_id": row.get("target_vocabulary_id"),
            "valid_start_date": _iso(row.get("valid_start_date")) or ALWAYS[0],
            "valid_end_date": _iso(row.get("valid_end_date")) or ALWAYS[1],
            "invalid_reason": row.get("invalid_reason"),
            "_value_as_concept_id": row.get("value_as_concept_id"),
            "_equivalence": row.get("equivalence"),
            "_mapped_by": row.get("mapped_by"),
            "_mapped_on": _iso(row.get("mapped_on")),
            "_status": row.get("status"),
        }


def _usagi(file: Entry) -> Iterator[Row]:
    """Approved rows; a MAPS_TO_VALUE is put beside the targets of its code, or alone beside target 0."""
    _, names = header(file)
    vocabulary = next((c for c in _USAGI_VOCABULARY if c in names), None)
    if vocabulary is None:
        raise InputError(
            f"vocabulary file {file.path}: does not say of which vocabulary its codes are; add the column "
            "ADD_INFO:sourceVocabularyId, or export it from Usagi as source_to_concept_map"
        )
    targets: dict[tuple[str, str], list[Row]] = {}
    values: dict[tuple[str, str], int] = {}
    for line, row in _lines(file, _USAGI):
        if (row.get("mappingstatus") or "").upper() != APPROVED:
            continue
        code = _needed(file, line, row, vocabulary), _needed(file, line, row, "sourcecode")
        kind = _TYPES.get((row.get("mappingtype") or "").upper())
        target = _number(file, line, row, "conceptid")
        if kind == "value":
            values[code] = min(target, values.get(code, target))
        if kind in ("to", "value"):
            own = row.get(_USAGI_CONCEPT) and _number(file, line, row, _USAGI_CONCEPT)
            made = _usagi_row(code, row, target if kind == "to" else 0) | {"source_concept_id": str(own or 0)}
            mine = targets.setdefault(code, [])
            if kind == "to" or not mine:
                mine.append(made)
    for code, mine in targets.items():
        real = [r for r in mine if r["target_concept_id"] != "0"] or mine[:1]
        for made in real:
            yield made | {"_value_as_concept_id": str(values[code]) if code in values else None}


def _usagi_row(code: tuple[str, str], row: Row, target: int) -> Row:
    return {
        "source_code": code[1],
        "source_vocabulary_id": code[0],
        "source_code_description": row.get("sourcename"),
        "target_concept_id": str(target),
        "target_vocabulary_id": None,
        "valid_start_date": ALWAYS[0],
        "valid_end_date": ALWAYS[1],
        "invalid_reason": None,
        "_equivalence": row.get("equivalence"),
        "_mapped_by": row.get("statussetby") or row.get("createdby"),
        "_mapped_on": _day(row.get("statusseton")) or _day(row.get("createdon")),
        "_status": APPROVED,
    }


def _lines(file: Entry, needed: Iterable[str]) -> Iterator[tuple[int, Row]]:
    """Line numbers and rows by column in small letters; empty text is None."""
    separator, names = header(file)
    missing = [c for c in needed if c not in names]
    if missing:
        raise InputError(f"vocabulary file {file.path}: lacks the columns {', '.join(missing)}")
    text = io.StringIO(unpacked_whole(file).decode("utf-8-sig", errors="replace"), newline="")
    reader = csv.reader(text, delimiter=separator)
    next(reader, None)
    for fields in reader:
        if not any(f.strip() for f in fields):
            continue
        if len(fields) != len(names):
            raise InputError(f"{_at(file, reader.line_num)}: has not as many columns as the first line")
        yield reader.line_num, {n: f.strip() or None for n, f in zip(names, fields, strict=True)}


def _at(file: Entry, line: int) -> str:
    return f"vocabulary file {file.path}, line {line}"


def _needed(file: Entry, line: int, row: Row, column: str) -> str:
    value = row[column]
    if value is None:
        raise InputError(f"{_at(file, line)}: {column} is empty")
    return value


def _number(file: Entry, line: int, row: Row, column: str) -> int:
    text = row[column] or ""
    if not text.isascii() or not text.isdigit() or int(text) > LAST_ID:
        raise InputError(f"{_at(file, line)}: {column} must be a concept id")
    return int(text)


def _iso(text: str | None) -> str | None:
    """A date of either form as ISO."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if text and len(text) == 8 and text.isdigit() else text


def _day(milliseconds: str | None) -> str | None:
    """The day of Usagi's time, in milliseconds since 1970; 0 is none."""
    if not milliseconds or not milliseconds.isdigit() or int(milliseconds) == 0:
        return None
    try:
        found: date = datetime.fromtimestamp(int(milliseconds) / 1000, timezone.utc).date()
    except (OverflowError, OSError, ValueError):
        return None
    return found.isoformat()
