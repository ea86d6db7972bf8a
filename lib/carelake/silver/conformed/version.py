"""Which bronze records are not the version that counts.

A record that says of another one that it is deleted is a version too, the last until a later one comes; it is itself
refused at landing (R_RETRACTED), so that nothing counts as long as it is the last.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.table import Field, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

VERSION = Table(
    name="silver/conformed/version",
    doc="One row per bronze record that is not the latest version of its key: a duplicate of the version before it, "
    "superseded by a later one, or in conflict (same key and version time, other content: all copies).",
    fields=(
        Field("source", "string", "Sender", required=True),
        Field("kind", "string", "Kind of record", required=True),
        Field("record_id", "bigint", "Bronze record id", required=True),
        Field("file", "string", "File below the landed path", required=True),
        Field("byte_offset", "bigint", "First byte of the record", required=True),
        Field("record_no", "bigint", "Number of the record in its file"),
        # one name may be landed day by day with other content, so that file and offset alone do not tell
        Field("ingested_at", "timestamp", "When it was landed", required=True),
        Field("state", "string", "duplicate, superseded, conflict", required=True),
    ),
    key=("source", "file", "byte_offset", "ingested_at"),
)

COUNTS = "(problem IS NULL OR problem LIKE 'R_RETRACTED:%')"  # as a version

# The order of versions (DESIGN, Versions): the sender's own time, else the extract date, else the content.
# File and offset only make the choice among byte-identical copies definite.
_TIME = "coalesce(version_at, cast(extract_date AS timestamp)) ASC NULLS FIRST"
_ORDER = f"{_TIME}, content_hash, _run, file, byte_offset"
# An export of a CDM that came as it is: what one run landed. Its date may be that of the export before, which it replaces.
_ORDER_OF_EXPORTS = f"{_TIME}, _run, content_hash, file, byte_offset"


def versions(bronze: dict[str, DataFrame], exports: frozenset[str] = frozenset()) -> DataFrame:
    """Rows of VERSION from the bronze tables by sender. Reads no payload.

    `exports`: senders of whole tables. Different records with one key in one export are no versions of each other.
    """
    return reduce(
        lambda a, b: a.unionByName(b),
        [_of(sender, frame, export=sender in exports) for sender, frame in sorted(bronze.items())],
    )


def _of(sender: str, records: DataFrame, *, export: bool) -> DataFrame:
    narrow = records.where(COUNTS).selectExpr(
        f"'{sender}' AS source", "kind", "record_id", "file", "byte_offset", "record_no", "version_at", "extract_date",
        "content_hash", "_run", "ingested_at", "problem", "xxhash64(kind, coalesce(record_key, hex(content_hash))) AS k",
    )  # fmt: skip
    several = narrow.groupBy("k").count().where("count > 1").select("k")
    seen = narrow.join(several, "k", how="left_semi")
    order = _ORDER_OF_EXPORTS if export else _ORDER
    if export:
        among = "dense_rank() OVER (PARTITION BY k, _run ORDER BY content_hash)"
        seen = seen.withColumn("k", F.expr(f"xxhash64(k, {among})"))
    marked = seen.selectExpr(
        "*",
        "version_at IS NOT NULL AND size(collect_set(content_hash) OVER (PARTITION BY k, version_at)) > 1 AS conflict",
        f"lag(content_hash) OVER (PARTITION BY k ORDER BY {order}) AS before",
    )
    judged = marked.selectExpr(
        "*", "CASE WHEN conflict THEN 'conflict' WHEN before = content_hash THEN 'duplicate' END AS early"
    )
    numbered = judged.selectExpr("*", f"row_number() OVER (PARTITION BY k, early IS NULL ORDER BY {order}) AS n",
                                 "count(*) OVER (PARTITION BY k, early IS NULL) AS total")  # fmt: skip
    states = numbered.selectExpr("*", "coalesce(early, CASE WHEN n < total THEN 'superseded' END) AS state")
    return states.where("state IS NOT NULL AND problem IS NULL").select(
        "source", "kind", "record_id", "file", "byte_offset", "record_no", "ingested_at", "state"
    )
