"""silver/omop/care_site: one row per place and its kind (CDM v5.4 CARE_SITE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import step
from carelake.silver.conformed.facility import FACILITY
from carelake.silver.link.facility import described
from carelake.silver.link.tables import FACILITY_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary.codes import code_sql
from carelake.silver.vocabulary.tables import CODE_MAP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CARE_SITE = cdm_table("care_site")
_VOCABULARY = "CMS Place of Service"


@step(writes=CARE_SITE, facilities=FACILITY, links=FACILITY_LINK, codes=CODE_MAP)
def care_site(facilities: DataFrame, links: DataFrame, codes: DataFrame) -> DataFrame:
    """Write each care site of `silver/link/facility` once, in the words of its smallest record.

    place_of_service_concept_id: two digits are CMS place-of-service codes and looked up; any other kind is 0, no kind NULL.
    care_site_source_value is the smallest sender's id of the site, of the sender first by name.
    """
    sites = described(facilities).join(
        links.select("source", "reference", "care_site_id"), on=["source", "reference"], how="inner"
    )
    order = F.struct("_record", "source", "first")
    rows = sites.groupBy("care_site_id", "location_id").agg(
        F.min_by("name", F.when(F.col("name").isNotNull(), order)).alias("name"),
        F.min_by("place_of_service", F.when(F.col("place_of_service").isNotNull(), order)).alias(
            "place_of_service"
        ),
        F.min_by("first", F.struct("source", "first")).alias("care_site_source_value"),
        F.array_join(F.array_sort(F.collect_set("source")), "+").alias("_source"),
        F.min("_record").alias("_record"),
    )
    places = codes.where(f"vocabulary_id = '{_VOCABULARY}' AND target_no = 0").selectExpr(
        "code AS _code", "concept_id AS _concept"
    )
    two_digits = f"CASE WHEN place_of_service RLIKE '^[0-9]{{2}}$' THEN {code_sql(repr(_VOCABULARY), 'place_of_service')} END"
    return rows.withColumn("_code", F.expr(two_digits)).join(F.broadcast(places), on="_code", how="left").selectExpr(
        "care_site_id", "name AS care_site_name",
        "CASE WHEN place_of_service IS NOT NULL THEN coalesce(_concept, 0) END AS place_of_service_concept_id",
        "location_id", "care_site_source_value", "place_of_service AS place_of_service_source_value", "_source", "_record",
    )  # fmt: skip
