"""Bronze rows as the engine hands them to a mapping, from text or from files."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from carelake.bronze.source import Source, Unit

SCHEMA = (
    "raw string, header string, record_key string, version_at timestamp, is_latest boolean, extract_date date, "
    "kind string, sender struct<name:string,time_zone:string,shift_days:int,type_concept_id:int>, "
    "_at struct<source:string,kind:string,record:bigint,file:string,byte_offset:bigint,record_no:bigint>"
)


def units(source: Source, text: bytes, name: str) -> list[Unit]:
    """All units that the source's reader finds in `text`."""
    return list(source.units(io.BytesIO(text), name))


def bronze(
    spark: SparkSession,
    source: Source,
    files: dict[str, bytes],
    *,
    extract: date | None = None,
    shift_days: int = 0,
    time_zone: str = "America/New_York",
    later: tuple[str, ...] = (),
) -> DataFrame:
    """The sound records of some files; a key that a later record has again is not the latest (files named in `later`)."""
    found: list[tuple[str, Unit]] = [
        (n, u) for n, t in files.items() for u in units(source, t, n) if u.problem is None
    ]
    newer = {(u.kind, u.key) for n, u in found if n in later}
    rows: list[tuple[Any, ...]] = []
    for number, (name, u) in enumerate(found, start=1):
        latest = name in later or (u.kind, u.key) not in newer
        sender = (source.format, time_zone, shift_days, None)
        at = (source.format, u.kind, number, name, u.byte_offset, u.record_no)
        rows.append((u.raw.decode(), u.header, u.key, None, latest, extract, u.kind, sender, at))
    return spark.createDataFrame(rows, SCHEMA)


def folder(path: Path) -> dict[str, bytes]:
    """The files of a folder by name, decompressed."""
    plain = {p.name: p.read_bytes() for p in sorted(path.iterdir()) if p.suffix == ".csv"}
    return plain | {
        p.stem: gzip.decompress(p.read_bytes()) for p in sorted(path.iterdir()) if p.suffix == ".gz"
    }


def mapped(source: Source, name: str, records: DataFrame) -> DataFrame:
    """The mapping of that name, given the records of its kinds."""
    (mapping,) = [m for m in source.mappings if m.name == name]
    return mapping.transform(records.where(records.kind.isin([*mapping.kinds, *mapping.beside])))
