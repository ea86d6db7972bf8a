"""An address as a key: the same words give the same location, whoever sent them (OMOP: locations are unique)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PLACE = ("address_line", "city", "state", "zip", "county")
ADDRESS = (*PLACE, "country")


def with_location(frame: DataFrame) -> DataFrame:
    """`frame` (with the columns of ADDRESS) plus location_id; NULL when no part below the country is known.

    The county distinguishes only addresses without a street: senders that know the street often leave it out.
    """

    def normal(name: str) -> str:
        return f"nullif(regexp_replace(upper(trim({name})), '\\\\s+', ' '), '')"

    postal = "nullif(regexp_replace(upper(zip), '[^A-Z0-9]', ''), '')"
    county = f"CASE WHEN {normal('address_line')} IS NULL THEN {normal('county')} END"
    parts = (normal("address_line"), normal("city"), normal("state"), postal, county)
    some = f"coalesce({', '.join(parts)})"
    key = id_sql("location", *parts, normal("country"))
    return frame.withColumn("location_id", F.expr(f"CASE WHEN {some} IS NOT NULL THEN {key} END"))
