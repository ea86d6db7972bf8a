"""Contacts with care before an index date, each once, and for how long each kind of data was watching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.care_episodes import care_episodes
from carelake.gold.features.before import before
from carelake.silver.vocabulary import structural as v

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CARE = (("ed", "emergency", "emergency visits"), ("inpatient", "inpatient", "hospital stays"),
        ("urgent_care", "urgent_care", "urgent care visits"), ("outpatient", "outpatient", "outpatient visits"))  # fmt: skip
_EHR_TYPES = (v.TYPE_EHR, v.TYPE_EHR_ENCOUNTER)  # every other type of a visit detail is a claim's


def contacts(asked: DataFrame, visits: DataFrame) -> DataFrame:
    """Contacts by kind, days in hospital, and days since the last contact."""
    episodes = care_episodes(visits).withColumnRenamed("start_date", "date")
    known = before(asked, episodes).where("end_date >= add_months(index_date, -36)")
    year, three = "date >= add_months(index_date, -12)", "date >= add_months(index_date, -36)"
    counts = [
        F.expr(f"count_if(care = '{care}' AND {window})").alias(f"{name}_{label}")
        for name, care, _ in CARE
        for label, window in (("1y", year), ("3y", three))
    ]
    days = [
        F.expr(
            "sum(CASE WHEN care = 'inpatient' THEN greatest(0, datediff(least(date_add(end_date, 1), index_date), "
            f"greatest(date, add_months(index_date, -{months})))) END)"
        ).alias(f"inpatient_days_{label}")
        for label, months in (("1y", 12), ("3y", 36))
    ]
    return known.groupBy("person_id", "index_date").agg(
        *counts,
        *days,
        F.expr(f"count_if(care = 'post_acute' AND {three})").alias("post_acute_3y"),
        F.expr("datediff(any_value(index_date), max(date))").alias("days_since_visit"),
        F.expr("datediff(any_value(index_date), max(date) FILTER (WHERE care = 'emergency'))").alias(
            "days_since_ed"
        ),
    )


def watched(asked: DataFrame, details: DataFrame, plans: DataFrame) -> DataFrame:
    """For how many days of three years EHR and claims were watching."""
    first = (
        details.where(f"visit_detail_type_concept_id IN {_EHR_TYPES}")
        .groupBy("person_id")
        .agg(F.min("visit_detail_start_date").alias("_first"))
    )
    # each enrolled day once, whatever the plans overlap
    covered = (
        asked.join(plans, "person_id", how="inner")
        .selectExpr(
            "person_id", "index_date",
            "greatest(payer_plan_period_start_date, add_months(index_date, -36)) AS _from",
            "least(payer_plan_period_end_date, date_sub(index_date, 1)) AS _to",
        )
        .where("_from <= _to")
        .selectExpr("person_id", "index_date", "explode(sequence(_from, _to)) AS day")
        .groupBy("person_id", "index_date")
        .agg(F.count_distinct("day").alias("claims_days_3y"))
    )  # fmt: skip
    return (
        asked.join(first, "person_id", how="left")
        .join(covered, ["person_id", "index_date"], how="left")
        .selectExpr(
            "person_id", "index_date", "claims_days_3y",
            "greatest(0, datediff(index_date, greatest(_first, add_months(index_date, -36)))) AS ehr_days_3y",
        )
    )  # fmt: skip


def counted(asked: DataFrame, records: DataFrame, name: str) -> DataFrame:
    """`name`: records of the last year."""
    return before(asked, records.select("person_id", "date"), 12).groupBy("person_id", "index_date").agg(
        F.count("date").alias(name)
    )  # fmt: skip
