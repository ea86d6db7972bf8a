"""silver/omop/payer_plan_period: who paid for a person, and when (CDM v5.4 PAYER_PLAN_PERIOD)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import EXTRACT_DATE, step
from carelake.core.table import Check, OnFail
from carelake.silver.conformed.coverage import COVERAGE
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.person import PERSON

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

PAYER_PLAN_PERIOD = cdm_table(
    "payer_plan_period",
    checks=(
        Check(
            "end_not_before_start",
            "payer_plan_period_end_date >= payer_plan_period_start_date",
            on_fail=OnFail.STOP,
        ),
    ),
)


@step(
    writes=PAYER_PLAN_PERIOD, coverages=COVERAGE, links=PERSON_LINK, persons=PERSON, extract_date=EXTRACT_DATE,
    dated={PAYER_PLAN_PERIOD: "payer_plan_period_end_date >= :day", COVERAGE: "start_date > :day"},
)  # fmt: skip
def payer_plan_period(
    coverages: DataFrame, links: DataFrame, persons: DataFrame, extract_date: date
) -> DataFrame:
    """Merge coverage of one payer and plan that overlaps or touches; periods of different plans may overlap.

    An open end is the extract date. Payers and plans have no concept in the open vocabulary (SOPT is not in it): 0, or
    NULL where no plan is said; why it stopped is told by the last span of the period.
    """
    spans = (
        coverages.join(
            links.selectExpr("source AS _source", "source_person_id", "person_id"),
            on=["_source", "source_person_id"], how="inner",
        )
        .join(persons.select("person_id"), on="person_id", how="left_semi")
        .withColumn("_end", F.least(F.coalesce("end_date", F.lit(extract_date)), F.lit(extract_date)))
        .where("_end >= start_date")
    )  # fmt: skip
    group = "PARTITION BY person_id, payer, plan ORDER BY start_date, _end, _record, _part ROWS BETWEEN UNBOUNDED PRECEDING AND"
    return (
        spans.withColumn("_new", F.expr(f"coalesce(start_date > date_add(max(_end) OVER ({group} 1 PRECEDING), 1), true)"))
        .withColumn("_period", F.expr(f"sum(int(_new)) OVER ({group} CURRENT ROW)"))
        .groupBy("person_id", "payer", "plan", "_period")
        .agg(
            F.min("start_date").alias("payer_plan_period_start_date"),
            F.max("_end").alias("payer_plan_period_end_date"),
            F.max_by("stop_reason", F.struct("_end", "start_date", "_record", "_part")).alias("stop_reason_source_value"),
            F.array_join(F.array_sort(F.collect_set("_source")), "+").alias("_source"),
            F.min("_record").alias("_record"),
        )
        .selectExpr(
            "*", "payer AS payer_source_value", "plan AS plan_source_value",
            *[
                f"CASE WHEN {value} IS NOT NULL THEN 0 END AS {name}"
                for value, names in (
                    ("payer", ("payer_concept_id", "payer_source_concept_id")),
                    ("plan", ("plan_concept_id", "plan_source_concept_id")),
                    ("stop_reason_source_value", ("stop_reason_concept_id", "stop_reason_source_concept_id")),
                )
                for name in names
            ],
            f"{id_sql('payer_plan_period', 'person_id', 'payer', 'plan', 'payer_plan_period_start_date')} AS payer_plan_period_id",
        )
    )  # fmt: skip
