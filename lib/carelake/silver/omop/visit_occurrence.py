"""silver/omop/visit_occurrence: one row per visit (OMOP_RULES 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import step
from carelake.core.table import Check
from carelake.silver.link.tables import VISIT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.visit_detail import VISIT_DETAIL
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

VISIT_OCCURRENCE = cdm_table(
    "visit_occurrence",
    checks=(
        Check(
            "end_not_before_start",
            "visit_end_date >= visit_start_date AND visit_end_datetime >= visit_start_datetime",
            reason="R_TEMPORAL",
        ),
    ),
)

_FROM_FIRST = ("visit_detail_type_concept_id", "provider_id", "care_site_id", "visit_detail_source_value", "admitted_from_concept_id",
               "admitted_from_source_value")  # fmt: skip
_FROM_LAST = ("discharged_to_concept_id", "discharged_to_source_value")


@step(writes=VISIT_OCCURRENCE, details=VISIT_DETAIL, visits=VISIT_LINK)
def visit_occurrence(details: DataFrame, visits: DataFrame) -> DataFrame:
    """One row per visit of visit_detail.

    Provider, care site, class, type and origin come from the first detail by (start, id) that did not roll in (of a
    hospital stay: the first inpatient one), the discharge from the last of those by (end, start, id). The type is 32220
    where any detail was still open at the extract (CDM: "still patient"; it is no type concept, see the ADR).
    preceding_visit_occurrence_id is the person's visit before by (start, end, id).
    """
    spans = visits.select("visit_detail_id", "visit_concept_id", "visit_start_datetime", "visit_end_datetime")
    rows = details.join(spans, on="visit_detail_id", how="inner")
    rolled = F.col("parent_visit_detail_id").isNotNull()
    first = F.struct(rolled, "visit_detail_start_datetime", "visit_detail_id")
    last = F.struct(~rolled, "visit_detail_end_datetime", "visit_detail_start_datetime", "visit_detail_id")
    # one struct each, so that all columns come from the same detail, their NULLs too
    grouped = rows.groupBy("visit_occurrence_id").agg(
        F.min_by(F.struct(*_FROM_FIRST), first).alias("first"),
        F.max_by(F.struct(*_FROM_LAST), last).alias("last"),
        F.max(F.col("visit_detail_type_concept_id") == F.lit(C.STILL_PATIENT)).alias("open"),
        *[
            F.min(c).alias(c)
            for c in ("person_id", "visit_concept_id", "visit_start_datetime", "_source", "_record")
        ],
        F.max("visit_end_datetime").alias("visit_end_datetime"),
    )
    before = "PARTITION BY person_id ORDER BY visit_start_datetime, visit_end_datetime, visit_occurrence_id"
    return grouped.selectExpr(
        "visit_occurrence_id", "person_id", "visit_concept_id",
        "to_date(visit_start_datetime) AS visit_start_date", "visit_start_datetime",
        "to_date(visit_end_datetime) AS visit_end_date", "visit_end_datetime",
        f"IF(open, {C.STILL_PATIENT}, first.visit_detail_type_concept_id) AS visit_type_concept_id",
        "first.provider_id", "first.care_site_id", "first.visit_detail_source_value AS visit_source_value",
        "cast(NULL AS int) AS visit_source_concept_id", "first.admitted_from_concept_id", "first.admitted_from_source_value",
        "last.discharged_to_concept_id", "last.discharged_to_source_value",
        f"lag(visit_occurrence_id) OVER ({before}) AS preceding_visit_occurrence_id", "_source", "_record",
    )  # fmt: skip
