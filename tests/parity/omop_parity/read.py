"""An OMOP folder as rows: whatever its format, typed as the CDM says, ids replaced by what they stand for.

A folder holds Delta tables (`<lake>/silver/omop`), or CSV, CSV.gz or Parquet files named after the CDM's tables, in any
case. Ids differ between two builds of the same data, so a row loses its own id and each reference becomes the natural
name of the row that it points at (NAMES): a person's `person_id` is the source's id of the person.
"""

from __future__ import annotations

import csv
import gzip
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from carelake.errors import DeclarationError
from carelake.silver.omop.cdm import cdm_table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from carelake.core.table import Field

Row = dict[str, Any]
Tables = dict[str, list[Row]]

# The columns that together name a row for people; a name need not be unique (two visits of a class on a day).
NAMES: Mapping[str, tuple[str, ...]] = {
    "person": ("person_source_value",),
    "visit_occurrence": ("visit_start_date", "visit_concept_id"),
    "visit_detail": ("visit_detail_start_date", "visit_detail_concept_id"),
    "provider": ("provider_source_value",),
    "care_site": ("care_site_source_value",),
    "location": ("address_1", "city", "state", "zip"),
    "payer_plan_period": ("payer_plan_period_start_date", "payer_source_value"),
    "condition_occurrence": ("condition_source_value", "condition_start_date"),
    "drug_exposure": ("drug_source_value", "drug_exposure_start_date"),
    "procedure_occurrence": ("procedure_source_value", "procedure_date"),
    "measurement": ("measurement_source_value", "measurement_date"),
    "observation": ("observation_source_value", "observation_date"),
    "device_exposure": ("device_source_value", "device_exposure_start_date"),
}
# Where cost_event_id points, by domain; the CDM declares no reference for it.
COST_EVENTS: Mapping[str, str] = {
    "Visit": "visit_occurrence", "Drug": "drug_exposure", "Procedure": "procedure_occurrence", "Device": "device_exposure",
    "Condition": "condition_occurrence", "Measurement": "measurement", "Observation": "observation",
}  # fmt: skip
# References that OHDSI's field list forgets.
UNDECLARED: Mapping[tuple[str, str], str] = {("cost", "payer_plan_period_id"): "payer_plan_period"}
DANGLING = "points at no row"


@cache
def columns(table: str) -> dict[str, Field]:
    """The CDM's columns of a table by name, in order; none when the CDM has no such table."""
    try:
        return {f.name: f for f in cdm_table(table, provenance=False).fields}
    except DeclarationError:
        return {}


@cache
def own_id(table: str) -> str | None:
    """The table's surrogate key, which means nothing outside its build; none where a row is known by its person."""
    first = next(iter(columns(table).values()))
    return first.name if first.name == f"{table}_id" and first.type == "bigint" else None


def tables(folder: Path, only: Collection[str] | None = None) -> Tables:
    """The CDM tables in `folder` (`only` those), typed, ids as they are. What is not named after a CDM table is left out."""
    found: Tables = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower().split(".", 1)[0]
        rows = _rows(path) if columns(name) and (only is None or name in only) else None
        if rows is not None:
            found[name] = [typed(name, row) for row in rows]
    return found


def _rows(path: Path) -> Iterable[Mapping[str, Any]] | None:
    if (path / "_delta_log").is_dir():
        from deltalake import DeltaTable

        return list(DeltaTable(str(path)).to_pyarrow_table().to_pylist())
    if path.name.lower().endswith(".parquet"):
        from pyarrow import parquet

        return list(parquet.read_table(path).to_pylist())
    if path.name.lower().endswith((".csv", ".csv.gz")):
        return text_rows(path)
    return None


def text_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a comma-separated file, inside its gzip when it is one."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    return list(csv.DictReader(text.splitlines(keepends=True)))


def _day(value: Any) -> date:
    return datetime.fromisoformat(value).date() if isinstance(value, str) else value  # type: ignore[no-any-return]


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=None)  # type: ignore[no-any-return]


_PARSE: Mapping[str, Callable[[Any], Any]] = {
    "int": lambda v: int(float(v)),
    "bigint": lambda v: int(v),
    "double": float,
    "date": _day,
    "timestamp_ntz": _moment,
    "string": str,
}


def typed(table: str, row: Mapping[str, Any]) -> Row:
    """The CDM's columns of a row, of whatever case, each as its type; what is not there or blank is None."""
    given = {k.lower(): v for k, v in row.items()}
    return {
        name: None if given.get(name) in (None, "") else _PARSE[field.type](given[name])
        for name, field in columns(table).items()
    }


def named(found: Tables) -> Tables:
    """Each table without its own id, its references replaced by names."""
    keys = {name: own_id(name) for name in found}
    plain = {t: {r[keys[t]]: r for r in rows} for t, rows in found.items() if t in NAMES and keys[t]}

    def name_of(table: str, key: Any) -> str | None:
        if key is None:
            return None
        row = plain.get(table, {}).get(key)
        return DANGLING if row is None else "|".join(_text(row[c]) for c in NAMES[table])

    def renamed(table: str, row: Row) -> Row:
        new = {c: v for c, v in row.items() if c != keys[table]}
        for column, field in columns(table).items():
            target = (field.references or UNDECLARED.get((table, column), "")).split(".")[0]
            if column in new and target in NAMES:
                new[column] = name_of(target, row[column])
        if table == "cost":
            new["person"], new["cost_event_id"] = _cost_event(row, plain, name_of)
        return new

    return {table: [renamed(table, row) for row in rows] for table, rows in found.items()}


def _cost_event(
    row: Row, plain: Mapping[str, Mapping[Any, Row]], name_of: Callable[[str, Any], str | None]
) -> tuple[str | None, str | None]:
    """Whose cost it is and of what: the CDM's cost knows both through its event alone."""
    target = COST_EVENTS.get(row["cost_domain_id"], "")
    event = plain.get(target, {}).get(row["cost_event_id"])
    return (name_of("person", event["person_id"]) if event else None), name_of(target, row["cost_event_id"])


def _text(value: Any) -> str:
    return "" if value is None else value.isoformat() if isinstance(value, date) else str(value)
