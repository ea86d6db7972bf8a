"""Enrolment of device accounts: a CSV that says which account of one sender is which patient of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from carelake.bronze.source import FileProblem, Source, Unit
from carelake.core.delimited import fields, records
from carelake.silver.conformed.clock import bad_date, day
from carelake.silver.conformed.enrollment import ENROLLMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

_KEY = ("account_source", "account_id", "person_source", "person_id")


def units(stream: BinaryIO, name: str) -> Iterator[Unit]:
    """Statements of an enrolment file; the key is account, patient and first day (an account may change hands)."""
    for record in records(
        stream, sep=",", quoted=True, columns=(*_KEY, "start_date"), required=_KEY, refuse=FileProblem
    ):
        *parts, begun = record.values
        problem = record.problem or (None if all(parts) else "R_ID:key_missing")
        key = "|".join([*parts, begun]) if all(parts) else None
        yield Unit(
            "enrollment", key, None, record.raw, record.byte_offset, record.record_no, problem, record.header
        )


SOURCE = Source(
    format="enrollment",
    doc="Enrolment CSV: account_source, account_id, person_source, person_id[, start_date, end_date].",
    files=("*enrollment*.csv", "*enrolment*.csv"),
    units=units,
    kinds=frozenset({"enrollment"}),
)


@SOURCE.mapping(kind="enrollment", into=ENROLLMENT)
def enrollment(statements: DataFrame) -> DataFrame:
    """One row per statement; days are ISO 8601."""
    return fields(statements, (*_KEY, "start_date", "end_date"), sep=",", quoted=True).selectExpr(
        "account_source", "account_id", "person_source", "person_id AS source_person_id",
        f"{day('start_date')} AS start_date", f"{day('end_date')} AS end_date",
        f"array({bad_date('start_date', 'start_date')}, {bad_date('end_date', 'end_date')}) AS _problems", "_at",
    )  # fmt: skip
