"""The bronze table of a sender."""

from __future__ import annotations

from functools import cache

from carelake.core.table import Field, Table


@cache
def bronze_table(sender: str) -> Table:
    """`bronze/<sender>`: one row per record exactly as sent."""
    return Table(
        name=f"bronze/{sender}",
        doc=f"One row per record that {sender} sent, exactly as sent; append-only.",
        fields=(
            Field("record_id", "bigint", "Id from sender, kind, key, version and content", required=True),
            Field("record_key", "string", "The record's own key within sender and kind", phi="MRN"),
            Field("version_at", "timestamp", "The sender's own time of this version"),
            Field("extract_date", "date", "The day that the file speaks of"),
            Field("content_hash", "binary", "First 16 bytes of the record's SHA-256"),
            Field("file", "string", "Path below the path given"),
            Field(
                "byte_offset",
                "bigint",
                "First byte in the decompressed file; NULL = the whole file was refused",
            ),
            Field("record_no", "bigint", "Number in the file, from 1"),
            Field("header", "string", "Header line of a delimited file"),
            Field("raw", "string", "The record as sent", phi="RECORD"),
            Field("problem", "string", "REASON:rule when it is structurally bad"),
            Field("ingested_at", "timestamp", "When it was landed"),
            Field("kind", "string", "Kind of record", required=True),
        ),
        key=("record_id", "file", "byte_offset"),
        partition_by=("kind",),
    )
