"""silver/omop/observation_period: when events of a person could have been seen (CDM v5.4 OBSERVATION_PERIOD, THEMIS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import EXTRACT_DATE, step
from carelake.core.table import Check, OnFail
from carelake.silver.conformed.coverage import COVERAGE
from carelake.silver.conformed.encounter import ENCOUNTER
from carelake.silver.conformed.event import EVENT
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.death import DEATH
from carelake.silver.omop.person import PERSON
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

OBSERVATION_PERIOD = cdm_table(
    "observation_period",
    checks=(
        Check(
            "end_not_before_start",
            "observation_period_end_date >= observation_period_start_date",
            on_fail=OnFail.STOP,
        ),
    ),
)
GAP_DAYS = 548  # an EHR that is silent for so long may have lost the person
AFTER_DEATH_DAYS = 60
AFTER_EVENT_DAYS = 60
CLAIM_TYPES = (
    C.TYPE_CLAIM, C.TYPE_FACILITY_CLAIM, C.TYPE_FACILITY_CLAIM_DETAIL, C.TYPE_FACILITY_CLAIM_HEADER, C.TYPE_INPATIENT_CLAIM,
    C.TYPE_INPATIENT_CLAIM_DETAIL, C.TYPE_INPATIENT_CLAIM_HEADER, C.TYPE_OUTPATIENT_CLAIM, C.TYPE_OUTPATIENT_CLAIM_DETAIL,
    C.TYPE_OUTPATIENT_CLAIM_HEADER, C.TYPE_PHARMACY_CLAIM, C.TYPE_PROFESSIONAL_CLAIM, C.TYPE_PROFESSIONAL_CLAIM_DETAIL,
    C.TYPE_PROFESSIONAL_CLAIM_HEADER,
)  # fmt: skip


@step(
    writes=OBSERVATION_PERIOD, persons=PERSON, links=PERSON_LINK, deaths=DEATH, coverages=COVERAGE, encounters=ENCOUNTER,
    events=EVENT, extract_date=EXTRACT_DATE,
    dated={
        OBSERVATION_PERIOD: "observation_period_end_date >= :day",  # was cut there
        COVERAGE: "start_date > :day", ENCOUNTER: "to_date(start_datetime) > :day", EVENT: "to_date(start_datetime) > :day",
    },
)  # fmt: skip
def observation_period(
    persons: DataFrame,
    links: DataFrame,
    deaths: DataFrame,
    coverages: DataFrame,
    encounters: DataFrame,
    events: DataFrame,
    extract_date: date,
) -> DataFrame:
    """Merge the claims enrolment spans and the EHR spans of each person; periods never overlap nor touch.

    Enrolment: from its first to its last covered day, not past death or the extract; being uninsured is no enrolment.
    EHR: from the first event to the first of (last event + 60 days, death + 60 days, extract date); a silence of 548
    days or more splits it. Encounters and events count, those of claims only for a person who has neither enrolment nor
    EHR, so that whoever has events has a period. Nothing starts before birth; spans after the extract or long after
    death are left out. Type: 32813 when enrolment alone made the period, else 32882.
    """
    people = persons.selectExpr(
        "person_id", "coalesce(to_date(birth_datetime), make_date(year_of_birth, coalesce(month_of_birth, 1), "
        "coalesce(day_of_birth, 1))) AS _birth",
    ).join(deaths.select("person_id", "death_date"), on="person_id", how="left")  # fmt: skip
    who = (
        links.selectExpr("source AS _source", "source_person_id", "person_id")
        .join(people, on="person_id", how="inner")
        .withColumn("_extract", F.lit(extract_date).cast("date"))
    )
    key = ["_source", "source_person_id"]
    enrolled = (
        coverages.where("payer_type IS DISTINCT FROM 'self_pay'")
        .join(who, on=key, how="inner")
        .selectExpr(
            "person_id", "_birth", "_source", "_record", "start_date AS _start",
            "least(coalesce(end_date, _extract), _extract, death_date) AS _end", "true AS _enrolled", "true AS _counts",
        )
    )  # fmt: skip
    seen = _spans(_days(encounters, events).join(F.broadcast(who), on=key, how="inner"))
    return _merged(
        enrolled.unionByName(seen)
        .withColumn("_start", F.greatest("_start", "_birth"))
        .where("_end >= _start")
    )


def _days(encounters: DataFrame, events: DataFrame) -> DataFrame:
    """Days on which a sender saw a person: _start, _end (NULL = still open), _claim, and their smallest record."""
    claim = f"type_concept_id IN {CLAIM_TYPES!r} AS _claim"
    stays = encounters.selectExpr(
        "_source",
        "source_person_id",
        "_record",
        claim,
        "to_date(start_datetime) AS _start",
        "to_date(end_datetime) AS _end",
    )
    moments = events.selectExpr(
        "_source",
        "source_person_id",
        "_record",
        claim,
        "to_date(start_datetime) AS _start",
        "to_date(start_datetime) AS _end",
    )
    return (
        stays.unionByName(moments)
        .groupBy("_source", "source_person_id", "_start", "_end", "_claim")
        .agg(F.min("_record").alias("_record"))
    )


def _spans(days: DataFrame) -> DataFrame:
    """EHR spans, and claims spans (`_counts` false) that stand in where a person has nothing else."""
    known = days.withColumn("_end", F.least(F.coalesce("_end", "_extract"), F.col("_extract"))).where(
        "_start <= _extract"
    )
    before = "PARTITION BY person_id, _claim ORDER BY _start, _end ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    upto = "PARTITION BY person_id, _claim ORDER BY _start, _end ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    return (
        known.withColumn("_new", F.expr(f"coalesce(datediff(_start, max(_end) OVER ({before})) >= {GAP_DAYS}, true)"))
        .withColumn("_island", F.expr(f"sum(int(_new)) OVER ({upto})"))
        .groupBy("person_id", "_birth", "death_date", "_extract", "_claim", "_island")
        .agg(
            F.min("_start").alias("_start"), F.max("_end").alias("_last"), F.min("_record").alias("_record"),
            F.array_join(F.array_sort(F.collect_set("_source")), "+").alias("_source"),
        )
        .selectExpr(
            "person_id", "_birth", "_source", "_record", "_start",
            f"least(date_add(_last, {AFTER_EVENT_DAYS}), date_add(death_date, {AFTER_DEATH_DAYS}), _extract) AS _end",
            "false AS _enrolled", "NOT _claim AS _counts",
        )
    )  # fmt: skip


def _merged(spans: DataFrame) -> DataFrame:
    """Union of a person's spans that overlap or touch; stand-ins only where a person has no other."""
    before = "PARTITION BY person_id ORDER BY _start, _end ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    upto = "PARTITION BY person_id ORDER BY _start, _end ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    return (
        spans.selectExpr("*", "max(_counts) OVER (PARTITION BY person_id) AS _other")
        .where("_counts OR NOT _other")
        .withColumn("_new", F.expr(f"coalesce(_start > date_add(max(_end) OVER ({before}), 1), true)"))
        .withColumn("_period", F.expr(f"sum(int(_new)) OVER ({upto})"))
        .groupBy("person_id", "_period")
        .agg(
            F.min("_start").alias("observation_period_start_date"),
            F.max("_end").alias("observation_period_end_date"),
            F.when(F.min("_enrolled"), C.TYPE_CLAIM_ENROLMENT)
            .otherwise(C.TYPE_ALGORITHM_EHR)
            .alias("period_type_concept_id"),
            F.array_join(
                F.array_sort(F.array_distinct(F.flatten(F.collect_list(F.split("_source", r"\+"))))), "+"
            ).alias("_source"),
            F.min("_record").alias("_record"),
        )
        .withColumn(
            "observation_period_id",
            F.expr(id_sql("observation_period", "person_id", "observation_period_start_date")),
        )
    )
