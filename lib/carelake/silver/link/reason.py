"""What an event was done, ordered or planned for: the sender's own words about it, resolved to other events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.silver.vocabulary.codes import vocabulary_sql

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SAME = ["_source", "person_id"]


def reasons(events: DataFrame) -> DataFrame:
    """One row per event and event of the same person and sender that it was for: event_id, domain_id, reason_id,
    reason_domain_id (Condition or Observation), person_id, and the lineage of the event that has the reason.

    A reference (`reason_ids`) names its record. A code (`reasons`) means the person's diagnosis of that code which
    began last on or before the day of the event and had not ended before it; without such a diagnosis it means nothing
    that is on record. A record that maps to several concepts is several events, each related.
    """
    kept = events.where("excluded IS NULL")
    asking = kept.selectExpr(
        "event_id", "domain_id", "to_date(start_datetime) AS day", *_SAME, "_record", "reason_ids", "reasons"
    )
    found = kept.where("domain_id IN ('Condition', 'Observation')").selectExpr(
        *_SAME, "event_id AS reason_id", "domain_id AS reason_domain_id", "source_event_id", "fact", "source_value",
        "source_vocabulary_id", "to_date(start_datetime) AS began", "to_date(end_datetime) AS ended",
    )  # fmt: skip
    named = (
        asking.where("size(reason_ids) > 0")
        .selectExpr("*", "explode(reason_ids) AS source_event_id")
        .join(found, [*_SAME, "source_event_id"], how="inner")
    )
    coded = (
        asking.where("size(reasons) > 0")
        .selectExpr("*", "explode(reasons) AS r")
        .selectExpr(
            "*",
            "r.code AS source_value",
            f"coalesce({vocabulary_sql('r.system')}, r.system, 'None') AS source_vocabulary_id",
        )
        .join(
            found.where("fact = 'diagnosis'"),
            [*_SAME, "source_value", "source_vocabulary_id"],
            how="inner",
        )
        .where("began <= day AND coalesce(ended >= day, true)")
        .selectExpr(
            "*",
            "rank() OVER (PARTITION BY event_id, source_value, source_vocabulary_id "
            "ORDER BY began DESC, source_event_id) AS nearest",
        )
        .where("nearest = 1")
    )
    columns = ("event_id", "domain_id", "reason_id", "reason_domain_id", "person_id", "_source", "_record")
    return named.select(*columns).union(coded.select(*columns)).where("event_id <> reason_id").distinct()
