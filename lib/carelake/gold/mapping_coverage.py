"""gold/mapping_coverage: the share of events and of codes that reach a standard concept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import step
from carelake.core.table import Field, Table
from carelake.gold.unmapped_code import TEXT_ONLY
from carelake.silver.link.tables import EVENT_LINK

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MAPPING_COVERAGE = Table(
    name="gold/mapping_coverage",
    doc="One row per sender, vocabulary and domain: how many events and distinct codes there are, and how many of them "
    "have a standard concept. An event that maps to several concepts counts once, in the domain of the first.",
    fields=(
        Field("source", "string", "Sender", required=True),
        Field(
            "vocabulary_id",
            "string",
            "OMOP vocabulary of the codes, else their system as sent; '(text only)'",
            required=True,
        ),
        Field("domain_id", "string", "Domain in which the events are", required=True),
        Field("n_rows", "bigint", "Number of events", required=True),
        Field("n_rows_mapped", "bigint", "Number of events with a standard concept", required=True),
        Field("n_codes", "bigint", "Number of distinct codes; 0 for words alone", required=True),
        Field("n_codes_mapped", "bigint", "Number of distinct codes with a standard concept", required=True),
    ),
    key=("source", "vocabulary_id", "domain_id"),
)


@step(writes=MAPPING_COVERAGE, events=EVENT_LINK)
def mapping_coverage(events: DataFrame) -> DataFrame:
    """Events and codes with and without standard concept, over the events that are in an OMOP table."""
    coded = "source_vocabulary_id IS NOT NULL"
    by_code = (
        events.where("target_no = 0 AND excluded IS NULL")
        .selectExpr(
            "_source AS source", f"coalesce(source_vocabulary_id, '{TEXT_ONLY}') AS vocabulary_id", "domain_id",
            f"CASE WHEN {coded} THEN source_value END AS code", "concept_id <> 0 AS mapped",
        )
        .groupBy("source", "vocabulary_id", "domain_id", "code")
        .agg(F.expr("count(*) AS n"), F.expr("count_if(mapped) AS n_mapped"))
    )  # fmt: skip
    return by_code.groupBy("source", "vocabulary_id", "domain_id").agg(
        F.expr("sum(n) AS n_rows"),
        F.expr("sum(n_mapped) AS n_rows_mapped"),
        F.expr("count(code) AS n_codes"),
        F.expr("count_if(code IS NOT NULL AND n_mapped > 0) AS n_codes_mapped"),
    )
