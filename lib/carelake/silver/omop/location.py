"""silver/omop/location: one row per address of a person or a facility (CDM v5.4 LOCATION: addresses are unique)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from carelake.core.step import SENDERS, step
from carelake.silver.conformed.facility import FACILITY
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.facility import described
from carelake.silver.link.place import ADDRESS, with_location
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.person import chosen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame

LOCATION = cdm_table("location")


@step(writes=LOCATION, patients=PATIENT, links=PERSON_LINK, facilities=FACILITY, senders=SENDERS)
def location(
    patients: DataFrame, links: DataFrame, facilities: DataFrame, senders: Iterable[Mapping[str, Any]]
) -> DataFrame:
    """Write each address once: the one that a person has now, and those of the facilities.

    Words are those of the smallest record id; coordinates are those of the first record that has them (a facility's
    before a person's, whose are of the town). state is varchar(2) in the CDM: a longer one stays in location_source_value
    alone. country_concept_id is 0: the open vocabulary has no geography.
    """
    columns = (*ADDRESS, "latitude", "longitude", "_source", "_record", "location_id")
    people = with_location(chosen(patients, links, senders)).select(*columns, F.lit(1).alias("_rank"))
    places = (
        described(facilities).withColumnRenamed("source", "_source").select(*columns, F.lit(0).alias("_rank"))
    )
    order = F.struct("_rank", "_record", "_source")
    here = F.expr("latitude IS NOT NULL AND longitude IS NOT NULL")
    spot = F.min_by(F.struct("latitude", "longitude"), F.when(here, order))
    return (
        people.unionByName(places)
        .where("location_id IS NOT NULL")
        .groupBy("location_id")
        .agg(
            *[F.min_by(c, F.when(F.col(c).isNotNull(), order)).alias(c) for c in ADDRESS],
            spot.alias("_spot"),
            F.array_join(F.array_sort(F.array_distinct(F.flatten(F.collect_list(F.split("_source", r"\+"))))), "+").alias("_source"),
            F.min("_record").alias("_record"),
        )
        .selectExpr(
            "location_id", "address_line AS address_1", "city", "CASE WHEN length(state) <= 2 THEN state END AS state",
            "left(regexp_replace(zip, '[^0-9A-Za-z]', ''), 9) AS zip", "county",
            "left(concat_ws('|', address_line, city, state, zip, county), 50) AS location_source_value",
            "CASE WHEN country IS NOT NULL THEN 0 END AS country_concept_id", "country AS country_source_value",
            "_spot.latitude AS latitude", "_spot.longitude AS longitude", "_source", "_record",
        )
    )  # fmt: skip
