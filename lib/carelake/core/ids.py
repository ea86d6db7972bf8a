"""Deterministic 63-bit ids, as SQL text so that any module may build them before a session exists."""

from __future__ import annotations

MAX_ID = (1 << 63) - 1


def id_sql(table: str, *columns: str) -> str:
    """SQL of a non-negative BIGINT from the table's name and natural-key columns; NULL parts count as a mark of their own.

    A collision of two natural keys has probability n²/2⁶⁴ (3e-6 at ten million rows); the uniqueness check of each
    key reports it.
    """
    parts = ", ".join(f"coalesce(cast({c} AS string), '\\u0001')" for c in columns)
    return f"(xxhash64('{table}', {parts}) & {MAX_ID}L)"
