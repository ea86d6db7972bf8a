"""silver/omop/provider: one row per person who gives care, per sender (CDM v5.4 PROVIDER; the NPI is no key)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import step
from carelake.silver.conformed.provider import PROVIDER as RECORDS
from carelake.silver.link.tables import FACILITY_LINK, PROVIDER_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C
from carelake.silver.vocabulary.codes import code_sql, vocabulary_sql
from carelake.silver.vocabulary.tables import CODE_MAP

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

PROVIDER = cdm_table("provider")


@step(writes=PROVIDER, records=RECORDS, links=PROVIDER_LINK, facilities=FACILITY_LINK, codes=CODE_MAP)
def provider(records: DataFrame, links: DataFrame, facilities: DataFrame, codes: DataFrame) -> DataFrame:
    """Merge the records of a provider: each fact from the smallest record that has it (practitioner, role, claim).

    specialty: the first coding, looked up in the vocabulary of its system; NULL none, 0 unmapped.
    """
    order = F.struct("_record", "_part")
    row = records.join(
        links.selectExpr("source AS _source", "reference AS source_provider_id", "provider_id"),
        on=["_source", "source_provider_id"], how="inner",
    ).withColumn("_code", F.get("specialty", F.lit(0)))  # fmt: skip

    def earliest(column: str, has: str | None = None) -> Column:
        return F.min_by(column, F.when(F.col(has or column).isNotNull(), order)).alias(column)

    merged = row.groupBy("provider_id", "_source").agg(
        *[earliest(c) for c in ("name", "npi", "year_of_birth", "source_facility_id")],
        earliest("sex"), earliest("sex_source_value", "sex"), earliest("_code", "_code.code"),
        F.min("source_provider_id").alias("provider_source_value"),
        F.min("_record").alias("_record"),
    )  # fmt: skip
    coded = merged.withColumn("vocabulary_id", F.expr(vocabulary_sql("_code.system"))).withColumn(
        "code", F.expr(code_sql("vocabulary_id", "_code.code"))
    )
    known = codes.where("target_no = 0").select("vocabulary_id", "code", "concept_id", "source_concept_id")
    sites = facilities.selectExpr("source AS _source", "reference AS source_facility_id", "care_site_id")
    gender = f"CASE sex WHEN 'male' THEN {C.GENDER_MALE} WHEN 'female' THEN {C.GENDER_FEMALE} ELSE 0 END"
    return (
        coded.join(known, on=["vocabulary_id", "code"], how="left")
        .join(sites, on=["_source", "source_facility_id"], how="left")
        .selectExpr(
            "provider_id", "name AS provider_name", "npi", "cast(NULL AS string) AS dea",
            "CASE WHEN _code.code IS NOT NULL THEN coalesce(concept_id, 0) END AS specialty_concept_id", "care_site_id",
            "year_of_birth", f"CASE WHEN sex IS NOT NULL THEN {gender} END AS gender_concept_id", "provider_source_value",
            "_code.code AS specialty_source_value",
            "CASE WHEN _code.code IS NOT NULL THEN coalesce(source_concept_id, 0) END AS specialty_source_concept_id",
            "coalesce(sex_source_value, sex) AS gender_source_value", "CASE WHEN sex IS NOT NULL THEN 0 END AS gender_source_concept_id",
            "_source", "_record",
        )
    )  # fmt: skip
