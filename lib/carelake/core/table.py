"""Table, Field and Check: a table is declared once; schema, conforming, checks and docs derive from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, cast

from carelake.errors import DeclarationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

_SCALAR = r"(?:bigint|int|smallint|string|boolean|double|float|date|timestamp|timestamp_ntz|binary|decimal\(\d+,\d+\))"
_TYPE = re.compile(rf"^(?:{_SCALAR}|array<.+>|struct<.+>|map<.+>)$")
_NAME = re.compile(r"^_?[a-z][a-z0-9_]*$")
_TABLE = re.compile(r"^(?:bronze|silver|gold|ops)(?:/[a-z][a-z0-9_]*)+$")


class OnFail(str, Enum):
    """What a failed check does to its row, or to the run."""

    WARN = "warn"
    QUARANTINE = "quarantine"
    STOP = "stop"


@dataclass(frozen=True)
class Check:
    """A rule that each row must hold.

    `holds` is Spark SQL over the table's own columns; NULL passes, since absence is judged by `required` alone.
    `reason` is the class under which a failing row is quarantined (R_DATE, R_TEMPORAL, R_RANGE ...).
    """

    name: str
    holds: str
    on_fail: OnFail = OnFail.QUARANTINE
    reason: str = "R_SCHEMA"


@dataclass(frozen=True)
class Field:
    """One column: name, Spark SQL type, meaning; `phi` names the Safe Harbor class; `references` is `table.column`."""

    name: str
    type: str
    doc: str
    required: bool = False
    phi: str | None = None
    references: str | None = None
    reason: str = "R_SCHEMA"


@dataclass(frozen=True)
class Table:
    """A Delta table of the lake: `name` is its folder below the lake's root, `doc` its grain and meaning.

    `empty_because` says why no row is to be expected of the sources that are known today; NULL where rows are.
    """

    name: str
    doc: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    cluster_by: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    empty_because: str | None = None

    def __post_init__(self) -> None:
        """Refuse a wrong declaration when its module is imported. Raises DeclarationError."""
        names = [f.name for f in self.fields]
        if not _TABLE.match(self.name):
            raise DeclarationError(
                f"table {self.name!r}: the name must be a path below bronze, silver, gold or ops"
            )
        if not self.doc.strip():
            raise DeclarationError(f"table {self.name}: has no doc; say its grain and meaning")
        if len(set(names)) != len(names):
            raise DeclarationError(f"table {self.name}: a field is declared twice")
        for f in self.fields:
            if not _NAME.match(f.name) or not _TYPE.match(f.type):
                raise DeclarationError(f"table {self.name}: field {f.name} has a wrong name or type {f.type}")
            if not f.doc.strip():
                raise DeclarationError(f"table {self.name}: field {f.name} has no doc")
        for role, columns in (
            ("key", self.key),
            ("cluster_by", self.cluster_by),
            ("partition_by", self.partition_by),
        ):
            for name in columns:
                if name not in names:
                    raise DeclarationError(f"table {self.name}: {role} names {name}, which is no field")
        if len({c.name for c in self.checks}) != len(self.checks):
            raise DeclarationError(f"table {self.name}: a check is declared twice")

    @property
    def ddl(self) -> str:
        """The columns as Spark DDL."""
        return ", ".join(f"`{f.name}` {f.type}" for f in self.fields)

    @property
    def person(self) -> str | None:
        """The column that says whose a row is, None when a row is of no one person."""
        return next((c for c in ("person_id", "_person_id") if c in self.columns), None)

    @property
    def sender_person(self) -> tuple[str, str] | None:
        """The columns that name a person as its sender does, None when there are none."""
        source = next((c for c in ("_source", "source") if c in self.columns), None)
        return (source, "source_person_id") if source and "source_person_id" in self.columns else None

    @property
    def schema(self) -> StructType:
        """The columns as a StructType. Needs a Spark session."""
        from pyspark.sql.types import StructType

        return cast("StructType", StructType.fromDDL(self.ddl))

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in declared order."""
        return [f.name for f in self.fields]

    def conform(self, frame: DataFrame) -> DataFrame:
        """Select the declared columns in declared order, cast where the type differs; a column not given is NULL.

        The cast is try_cast: a value that does not fit becomes NULL and is judged by `required`, never printed.
        """
        given = dict(frame.dtypes)
        exprs = []
        for f in self.fields:
            if f.name not in given:
                exprs.append(f"cast(NULL AS {f.type}) AS `{f.name}`")
            elif given[f.name].replace(" ", "") == f.type.replace(" ", ""):
                exprs.append(f"`{f.name}`")
            else:
                exprs.append(f"try_cast(`{f.name}` AS {f.type}) AS `{f.name}`")
        return frame.selectExpr(*exprs)

    def reasons(self) -> str:
        """SQL for an array of `REASON:rule`, one entry for each failed requirement or check that quarantines."""
        parts = [
            f"CASE WHEN `{f.name}` IS NULL THEN '{f.reason}:{f.name}_missing' END"
            for f in self.fields
            if f.required
        ]
        parts += [
            f"CASE WHEN NOT ({c.holds}) THEN '{c.reason}:{c.name}' END"
            for c in self.checks
            if c.on_fail is OnFail.QUARANTINE
        ]
        return f"array_compact(array({', '.join(parts)}))" if parts else "cast(array() AS array<string>)"
