"""silver/link/facility: from the ways in which a sender names a facility to one care site and its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import step
from carelake.silver.conformed.facility import FACILITY
from carelake.silver.link.names import normal_name
from carelake.silver.link.place import ADDRESS, PLACE, with_location
from carelake.silver.link.references import same_thing
from carelake.silver.link.tables import FACILITY_LINK

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_OWN = (*ADDRESS, "latitude", "longitude")


@step(writes=FACILITY_LINK, facilities=FACILITY)
def facility(facilities: DataFrame) -> DataFrame:
    """Give every reference to a facility its care site: a place, its kind and its name (CDM: CARE_SITE).

    An organisation and its location at one address under one name are one care site, also for two senders that name
    it alike; a facility without an address is a care site of its sender's own.
    """
    nature = "coalesce(name_key, concat('\\u0001', source, '\\u0001', first))"
    placed = (
        f"CASE WHEN location_id IS NOT NULL THEN {id_sql('care_site', 'location_id', 'kind_key', nature)}"
    )
    alone = f"ELSE {id_sql('care_site', 'source', 'first')} END"
    return described(facilities).select(
        "source", "reference", F.expr(f"{placed} {alone}").alias("care_site_id"), "location_id"
    )


def _address() -> Column:
    """Any part of an address, of this record; NULL when it has none."""
    return F.coalesce(*PLACE)


def described(facilities: DataFrame) -> DataFrame:
    """One row per (source, reference): first, facts of the facility (its own, else those of the organisation that it
    belongs to), location_id, kind_key and name_key (the parts of a care site's key)."""
    facilities = facilities.withColumn("county", F.lit(None).cast("string"))  # no sender names a facility's
    same = same_thing(facilities, "source_facility_id", F.col("aliases"))
    ids = same.withColumnRenamed("reference", "source_facility_id").withColumnRenamed("source", "_source")
    order = F.struct("_record", "_part")

    def earliest(column: str, given: Column | None = None) -> Column:
        """The column of the first record that gives it, or for which `given` is not NULL."""
        return F.min_by(column, F.when((F.col(column) if given is None else given).isNotNull(), order)).alias(
            column
        )

    facts = (
        facilities.join(F.broadcast(ids), on=["_source", "source_facility_id"], how="inner")
        .groupBy(F.col("_source").alias("source"), "first")
        .agg(
            earliest("name"), earliest("place_of_service"), earliest("part_of"),
            *[earliest(c, _address()) for c in _OWN],
            F.min("_record").alias("_record"),
        )
    )  # fmt: skip
    upper = same.select("source", F.col("reference").alias("part_of"), F.col("first").alias("parent"))
    above = facts.select(
        "source", F.col("first").alias("parent"), F.struct("place_of_service", *_OWN).alias("above")
    )
    whole = (
        facts.join(upper, on=["source", "part_of"], how="left").join(above, on=["source", "parent"], how="left")
    ).select(
        "source", "first", "name", "_record",
        F.coalesce(F.col("place_of_service"), F.col("above.place_of_service")).alias("place_of_service"),
        *[F.when(_address().isNotNull(), F.col(c)).otherwise(F.col(f"above.{c}")).alias(c) for c in _OWN],
    )  # fmt: skip
    keyed = with_location(whole).withColumns({
        "kind_key": F.upper(F.trim("place_of_service")), "name_key": normal_name(F.col("name")),
    })  # fmt: skip
    return same.join(keyed, on=["source", "first"], how="inner")
