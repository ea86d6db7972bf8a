"""Small tables in tests: rows as dicts against a declared Table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from carelake.core.table import Table


def frame(spark: SparkSession, table: Table, *rows: dict[str, Any]) -> DataFrame:
    """A DataFrame of `table` (plus `_run`) from dicts; a column that is not given is NULL; strings are cast to the type.

    Structs and arrays are given as Python lists, tuples and dicts. Lineage defaults: `_source` 'ehr', `_kind` 'Test',
    `_record` the row's number, `_part` 0, `_file` 'test', `_byte_offset` the row's number, `_record_no` the row's number.
    """
    from pyspark.sql import types as T

    unknown = {k for r in rows for k in r} - set(table.columns) - {"_run"}
    assert not unknown, f"{table.name} has no column {sorted(unknown)}"
    defaults = {"_source": "ehr", "_kind": "Test", "_part": 0, "_file": "test"}
    filled = []
    for n, row in enumerate(rows, start=1):
        base = {c: defaults.get(c) for c in table.columns if c in defaults}
        base |= {c: n for c in ("_record", "_byte_offset", "_record_no") if c in table.columns}
        filled.append(base | row)
    loose = T.StructType()
    for f in table.schema.fields:
        values = [r.get(f.name) for r in filled if r.get(f.name) is not None]
        text = bool(values) and all(isinstance(v, str) for v in values)
        loose.add(f.name, T.StringType() if text else f.dataType, True)
    data = spark.createDataFrame([tuple(r.get(c) for c in table.columns) for r in filled], loose)
    typed = data.selectExpr(*[f"cast(`{f.name}` AS {f.type}) AS `{f.name}`" for f in table.fields])
    return typed.selectExpr("*", "'run-0' AS _run")


def rows(df: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The rows as sorted tuples of the named columns (all when none is named), dates and times as ISO text."""
    picked = df.select(*columns) if columns else df
    out = [tuple(v.isoformat() if hasattr(v, "isoformat") else v for v in r) for r in picked.collect()]
    return sorted(out, key=lambda r: tuple((v is not None, str(v)) for v in r))
