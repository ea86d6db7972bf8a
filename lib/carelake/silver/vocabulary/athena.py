"""Reads vocabulary files: a folder as Athena ships it, or the subset bundled in open/.

Athena's files are separated by tabs, never quoted (a quote is a character of the name), dates are YYYYMMDD. Others
(OHDSI's seeds, Synthea's, the bundled subset) are comma-separated with quotes and ISO dates. The header line tells
which. File names may be upper or lower case, and compressed.
"""

from __future__ import annotations

import gzip
import io
from importlib.resources import files
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from carelake.core.table import Table

_SUFFIXES = (".csv", ".csv.gz", ".csv.bz2")


def read(table: Table, folder: str | None) -> DataFrame:
    """The vocabulary table from `folder`, or from the bundled subset when it is None; a column not given is absent.

    Raises InputError when the folder or the table's file is missing or has no header.
    """
    name = table.name.rsplit("/", 1)[-1].upper()
    return _typed(table, bundled(f"{name}.csv.gz") if folder is None else _from_folder(name, folder))


def has(table: Table, folder: str) -> bool:
    """Whether the folder has a file of this table."""
    return _find(table.name.rsplit("/", 1)[-1].upper(), folder) is not None


def bundled(file: str) -> DataFrame:
    """A file of the bundled subset, all columns text.

    It travels in the driver's own memory: on a cluster the executors do not see the path of the driver's package.
    """
    from pyarrow import csv
    from pyspark.sql import SparkSession

    data = (files("carelake.silver.vocabulary") / "open" / file).read_bytes()
    text = gzip.decompress(data) if file.endswith(".gz") else data
    names = text.split(b"\n", 1)[0].decode().strip().split(",")
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(names, "string"), strings_can_be_null=True, null_values=[""]
    )
    return SparkSession.active().createDataFrame(csv.read_csv(io.BytesIO(text), convert_options=options))


def _find(name: str, folder: str) -> str | None:
    from pyspark.errors import AnalysisException
    from pyspark.sql import SparkSession

    try:  # only names are read: the content column is pruned
        listing = SparkSession.active().read.format("binaryFile").load(folder).select("path").collect()
    except AnalysisException as e:
        raise InputError(f"vocabulary folder {folder}: missing or unreadable") from e
    wanted = [f"{name.lower()}{suffix}" for suffix in _SUFFIXES]
    found = sorted(row.path for row in listing if row.path.rsplit("/", 1)[-1].lower() in wanted)
    return found[0] if found else None


def _from_folder(name: str, folder: str) -> DataFrame:
    from pyspark.sql import SparkSession

    path = _find(name, folder)
    if path is None:
        raise InputError(
            f"vocabulary folder {folder}: has no {name}.csv; download it from Athena with the others"
        )
    spark = SparkSession.active()
    header = spark.read.text(path).first()
    if header is None:
        raise InputError(f"vocabulary file {name}.csv in {folder}: is empty")
    reader = (
        spark.read.option("header", True).option("ignoreLeadingWhiteSpace", False).option("encoding", "UTF-8")
    )
    if "\t" in header[0]:
        return reader.option("sep", "\t").option("quote", "").option("escape", "").csv(path)
    return reader.option("quote", '"').option("escape", '"').option("multiLine", True).csv(path)


def _typed(table: Table, raw: DataFrame) -> DataFrame:
    given = {c.lower().strip("\ufeff"): c for c in raw.columns}
    columns = []
    for field in table.fields:
        if field.name not in given:
            continue
        text = F.col(f"`{given[field.name]}`")
        if field.type == "date":
            value = F.coalesce(F.try_to_date(text, "yyyyMMdd"), F.try_to_date(text, "yyyy-MM-dd"))
        else:
            value = text if field.type == "string" else text.try_cast(field.type)
        columns.append(value.alias(field.name))
    return raw.select(*columns)
