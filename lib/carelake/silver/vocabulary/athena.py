"""Reads vocabulary files: a folder as Athena ships it, or the subset bundled in open/.

Athena's files are separated by tabs, never quoted (a quote is a character of the name), dates are YYYYMMDD. Others
(OHDSI's seeds, Synthea's, the bundled subset) are comma-separated with quotes and ISO dates. The header line tells
which. File names may be upper or lower case, and compressed. A byte that is no UTF-8 becomes U+FFFD: a name's letter is
no reason to go without its concept.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import zlib
from importlib.resources import files
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.errors import InputError
from carelake.silver.vocabulary.folder import END, piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame

    from carelake.core.storage import Entry
    from carelake.core.table import Table
    from carelake.silver.vocabulary.folder import Files

HEAD = 1 << 14  # bytes; a header line is far shorter
# Columns that the CDM lets be empty, not absent: without them nothing tells standard from other, valid from invalid.
VITAL = ("standard_concept", "invalid_reason")


def read(table: Table, folder: Files | None) -> DataFrame:
    """The vocabulary table from `folder`, or from the bundled subset when it is None; a column not given is absent.

    No rows when the folder has no file of the table, see `lacking`. Raises InputError when the file is of another layout
    or was cut.
    """
    name = table.name.rsplit("/", 1)[-1]
    if folder is None:
        return _typed(table, bundled(f"{name.upper()}.csv.gz"))
    file = folder.file(name)
    return _empty(table) if file is None else read_file(table, file)


def read_file(table: Table, file: Entry) -> DataFrame:
    """The rows of one file in the table's columns. Raises InputError when it is of another layout or was cut."""
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StringType, StructField, StructType

    separator, names = _checked(table, file)
    if is_parquet(file):
        rows = SparkSession.active().read.parquet(file.path)
        return _typed(
            table, rows.selectExpr(*[f"{_as_text(c, kind)} AS `{c.lower()}`" for c, kind in rows.dtypes])
        )
    _refuse_cut(file, separator, len(names))
    schema = StructType([StructField(n, StringType()) for n in names])
    reader = SparkSession.active().read.schema(schema).option("header", True).option("encoding", "UTF-8")
    if separator == "\t":
        return _typed(
            table, reader.option("sep", "\t").option("quote", "").option("escape", "").csv(file.path)
        )
    return _typed(
        table, reader.option("quote", '"').option("escape", '"').option("multiLine", True).csv(file.path)
    )


def lacking(tables: Iterable[Table], needed: Iterable[Table], folder: Files) -> list[str]:
    """Names of the files that the folder has not. Raises InputError for a needed one, and for a file of another layout."""
    absent = []
    for table in tables:
        name = table.name.rsplit("/", 1)[-1]
        file = folder.file(name)
        if file is not None:
            _checked(table, file)
        elif table in needed:
            raise InputError(
                f"vocabulary folder {folder.folders[0]}: has no {name.upper()}.csv; download it from Athena with the others"
            )
        else:
            absent.append(f"{name.upper()}.csv")
    return absent


def bundled(file: str) -> DataFrame:
    """A file of the bundled subset, all columns text.

    It travels in the driver's own memory: on a cluster the executors do not see the path of the driver's package.
    """
    from pyarrow import csv as arrow
    from pyspark.sql import SparkSession

    data = (files("carelake.silver.vocabulary") / "open" / file).read_bytes()
    text = gzip.decompress(data) if file.endswith(".gz") else data
    names = text.split(b"\n", 1)[0].decode().strip().split(",")
    options = arrow.ConvertOptions(
        column_types=dict.fromkeys(names, "string"), strings_can_be_null=True, null_values=[""]
    )
    return SparkSession.active().createDataFrame(arrow.read_csv(io.BytesIO(text), convert_options=options))


def _beginning(file: Entry) -> bytes:
    """The beginning of a file's text, as far as its first bytes unpack."""
    data = piece(file, 0, HEAD)
    try:
        if file.name.lower().endswith(".gz"):
            return zlib.decompressobj(wbits=31).decompress(data)
        return bz2.BZ2Decompressor().decompress(data) if file.name.lower().endswith(".bz2") else data
    except (zlib.error, OSError):
        raise InputError(f"vocabulary file {file.path}: cannot be unpacked; download it again") from None


def frame(table: Table, rows: Iterable[Mapping[str, str | None]]) -> DataFrame:
    """Rows of text that the driver has read, in the table's columns and types; a column not given is NULL."""
    import pyarrow as pa
    from pyspark.sql import SparkSession

    schema = pa.schema([(c, pa.string()) for c in table.columns])
    picked = [{c: row.get(c) for c in table.columns} for row in rows]
    return _typed(table, SparkSession.active().createDataFrame(pa.Table.from_pylist(picked, schema)))


def bundled_rows(file: str) -> list[dict[str, str]]:
    """The lines of a plain file of the bundled subset."""
    with (files("carelake.silver.vocabulary") / "open" / file).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def unpacked_whole(file: Entry) -> bytes:
    """All of a file's text; for the small files of a site's own. Raises InputError when it does not unpack to its end."""
    data = piece(file)
    try:
        if file.name.lower().endswith(".gz"):
            return gzip.decompress(data)
        return bz2.decompress(data) if file.name.lower().endswith(".bz2") else data
    except (EOFError, OSError, ValueError, zlib.error):
        raise InputError(f"vocabulary file {file.path}: is damaged or was cut; download it again") from None


def is_parquet(file: Entry) -> bool:
    """Whether a file is Parquet, by its name."""
    return file.name.lower().endswith(".parquet")


def header(file: Entry) -> tuple[str, list[str]]:
    """The separator of a file ("" of Parquet) and its columns' names in small letters. Raises InputError when it has none."""
    if is_parquet(file):
        return "", _parquet_columns(file)
    text = _beginning(file).decode("utf-8-sig", errors="replace").lstrip("\r\n")
    line = text.splitlines()[0] if text else ""
    if not line.strip():
        raise InputError(f"vocabulary file {file.path}: is empty; download it again")
    separator = "\t" if "\t" in line else ","
    return separator, [n.strip().lower() for n in _fields(line, separator)]


def _parquet_columns(file: Entry) -> list[str]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        return [c.lower() for c in SparkSession.active().read.parquet(file.path).columns]
    except (PySparkException, Py4JError):
        raise InputError(f"vocabulary file {file.path}: is damaged or no Parquet; export it again") from None


def _fields(line: str, separator: str) -> list[str]:
    return line.split("\t") if separator == "\t" else next(csv.reader([line]), [])


def _checked(table: Table, file: Entry) -> tuple[str, list[str]]:
    separator, names = header(file)
    missing = [f.name for f in table.fields if (f.required or f.name in VITAL) and f.name not in names]
    if missing:
        raise InputError(
            f"vocabulary file {file.path}: lacks the columns {', '.join(missing)}, so its layout is not that of CDM 5; "
            "download the vocabularies anew from Athena for version 5"
        )
    return separator, names


def _refuse_cut(file: Entry, separator: str, width: int) -> None:
    """Raises InputError when the last line has not all columns, or a compressed file does not unpack to its end."""
    if file.name.lower().endswith((".gz", ".bz2")):
        _refuse_damaged(file)
        return
    end = piece(file, max(0, file.size - END)).decode("utf-8", errors="replace")
    line = next((x for x in reversed(end.splitlines()) if x.strip()), "")
    if len(_fields(line, separator)) != width:
        raise InputError(f"vocabulary file {file.path}: ends in the middle of a line; download it again")


def _refuse_damaged(file: Entry) -> None:
    """Damage of a compressed file shows only where it is met: it is unpacked once before any of it is loaded."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        SparkSession.active().read.text(file.path).agg(F.sum(F.length("value"))).collect()
    except (PySparkException, Py4JError):
        raise InputError(f"vocabulary file {file.path}: is damaged or was cut; download it again") from None


def _empty(table: Table) -> DataFrame:
    from pyspark.sql import SparkSession

    return SparkSession.active().createDataFrame([], table.schema)


def _typed(table: Table, raw: DataFrame) -> DataFrame:
    columns = [
        f"{_value_sql(f'`{field.name}`', field.type)} AS `{field.name}`"
        for field in table.fields
        if field.name in raw.columns
    ]
    return raw.selectExpr(*columns)


def _value_sql(column: str, kind: str) -> str:
    """SQL of a column's value in its type; NULL when it is empty, `\\N` (as dumps of some databases write NULL) or no such value."""
    if (
        kind == "date"
    ):  # a cast of ISO text is far cheaper than a parse by pattern, and there are millions of rows
        plain = " || '-' || ".join(f"substr({column}, {at}, {n})" for at, n in ((1, 4), (5, 2), (7, 2)))
        return f"try_cast(CASE WHEN length({column}) = 8 THEN {plain} ELSE {column} END AS date)"
    if kind in ("int", "bigint"):
        return f"try_cast({whole(column)} AS {kind})"
    if kind != "string":
        return f"try_cast({column} AS {kind})"
    return f"CASE WHEN {column} NOT IN ('', '\\\\N') THEN {column} END"


def _as_text(column: str, kind: str) -> str:
    """SQL of a Parquet column's text; of a large id kept as a float its digits, which Spark would write as 2.1E9."""
    if kind not in ("double", "float"):
        return f"cast(`{column}` AS string)"
    number = f"try_cast(`{column}` AS bigint)"
    return (
        f"CASE WHEN `{column}` = {number} THEN cast({number} AS string) ELSE cast(`{column}` AS string) END"
    )


def whole(text: str) -> str:
    """SQL of a whole number's text: 8507 of 8507.0, as ids come from a database that kept them as floats.

    Tried as it is it would fail, and each failed cast costs Spark an exception.
    """
    return f"CASE WHEN {text} LIKE '%.0' THEN left({text}, length({text}) - 2) ELSE {text} END"
