"""An OMOP CDM that exists already, v5.3 or v5.4: a folder of its tables as CSV or Parquet, named as the CDM names them.

`PERSON.csv`, `person.csv.gz`, `person.parquet` or a folder `person/` of such parts; columns by name in any case and order.
A row is a record and its primary key the record's key, so that a later export is a later version of the same rows. Keys:
OHDSI's field list of CDM v5.4, and where that has no primary key, what the CDM says a row is about. The vocabulary's tables
are no records: they are read from the folder as `--vocabulary` reads them. `silver/omop/brought.py` says what becomes of
the rows.
"""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any, BinaryIO

from carelake.bronze.parts import Divides
from carelake.bronze.source import FileProblem, Source, Unit
from carelake.core.delimited import normal, records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

KEYS: dict[str, tuple[str, ...]] = {
    **{
        name: (f"{name}_id",)
        for name in (
            "person", "observation_period", "visit_occurrence", "visit_detail", "condition_occurrence", "drug_exposure",
            "procedure_occurrence", "device_exposure", "measurement", "observation", "note", "note_nlp", "specimen",
            "location", "care_site", "provider", "payer_plan_period", "cost", "drug_era", "dose_era", "condition_era", "episode",
        )
    },
    "death": ("person_id",),
    "episode_event": ("episode_id", "event_id", "episode_event_field_concept_id"),
    "fact_relationship": (
        "domain_concept_id_1", "fact_id_1", "domain_concept_id_2", "fact_id_2", "relationship_concept_id",
    ),
    "metadata": ("metadata_concept_id", "name"),
    "cdm_source": ("cdm_source_name",),
}  # fmt: skip
_ROWS = 20_000  # of a Parquet file that are in memory at once


def file_name(path: str) -> str:
    """What names a file: `person.csv`, whether it is PERSON.CSV, person.csv or a part in a folder person."""
    base, *folders = reversed(path.lower().split("/"))
    table = (folders[0] if folders else "").split(".")[0]
    if base.split(".")[0] in KEYS or table not in KEYS or base.startswith("_"):
        return base
    endings = (".parquet", ".csv.gz", ".csv")
    return next((f"{table}{e}" for e in endings if base.endswith(e)), base)


def units(stream: BinaryIO, name: str) -> Iterator[Unit]:
    """Rows of one table. A row of a Parquet file is written as a line of CSV below a header of the columns' names."""
    kind = name.lower().split(".")[0]
    if kind not in KEYS:
        raise FileProblem("F_WRONG_FORMAT", "file_name")
    if name.lower().endswith(".parquet"):
        yield from _parquet(stream, kind)
        return
    for record in records(stream, sep=",", quoted=True, columns=KEYS[kind], refuse=FileProblem):
        key = _key(record.values)
        problem = record.problem or (None if key else "R_ID:key_missing")
        yield Unit(kind, key, None, record.raw, record.byte_offset, record.record_no, problem, record.header)


def _key(values: Iterable[str]) -> str | None:
    """The primary key of its columns' values; a whole number is the same whether it was written 6 or 6.0."""
    parts = [v.strip().removesuffix(".0") for v in values]
    return "|".join(parts) if all(parts) else None


def _parquet(stream: BinaryIO, kind: str) -> Iterator[Unit]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(stream)
        names = file.schema_arrow.names
        header, columns = _line(names), [normal(n) for n in names]
        for wanted in KEYS[kind]:
            if normal(wanted) not in columns:
                raise FileProblem("F_HEADER", f"{wanted}_missing")
        places = [columns.index(normal(c)) for c in KEYS[kind]]
        number = 0
        for batch in file.iter_batches(_ROWS):
            for row in zip(*[_texts(c) for c in batch.columns], strict=True):
                raw, key = _line(row), _key(row[p] for p in places)
                problem = None if key else "R_ID:key_missing"
                yield Unit(kind, key, None, raw.encode(), number, number + 1, problem, header)
                number += 1
    except (pa.ArrowException, OSError):
        raise FileProblem("F_BAD_CONTAINER", "parquet_unreadable") from None


def _texts(column: pa.Array) -> list[str]:
    """A column's values as text, NULL as none; a number that is whole without a point, as an id kept as a float is one."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_floating(column.type):
        small = compute.all(compute.less(compute.abs(column), 1e15)).as_py() is not False  # NaN is not small
        if not small or compute.all(compute.equal(compute.floor(column), column)).as_py() is False:
            return [_number(v) for v in column.to_pylist()]
        column = column.cast(pa.int64())
    return [v or "" for v in column.cast(pa.string()).to_pylist()]


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return str(int(value)) if math.isfinite(value) and value.is_integer() else repr(value)


def _line(values: Iterable[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


def dated(stream: BinaryIO, name: str) -> str | None:
    """The day on which the data were taken from the source (cdm_source.source_release_date), else that of the CDM's release."""
    if name.split(".")[0] != "cdm_source":
        return None
    days = []
    for unit in units(stream, name):
        names, values = (next(csv.reader([text])) for text in (unit.header or "", unit.raw.decode()))
        row = dict(zip([normal(n) for n in names], values, strict=False))
        days.append(row.get("SOURCE_RELEASE_DATE") or row.get("CDM_RELEASE_DATE") or "")
    day = max(days, default="")[:10]
    return day if _is_date(day) else None


def _is_date(text: str) -> bool:
    from datetime import date

    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


SOURCE = Source(
    format="omop",
    doc="An OMOP CDM v5.3 or v5.4 as it is: its tables as CSV or Parquet. The lake's only sender.",
    files=tuple(f"{table}.{ending}" for table in KEYS for ending in ("csv", "parquet")),
    units=units,
    kinds=frozenset(KEYS),
    divides=lambda name: None if name.lower().endswith(".parquet") else Divides(head=1, quoted=True),
    file_name=file_name,
    dated=dated,
    brings_cdm=True,
)
