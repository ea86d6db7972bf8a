"""gold/readmission_30d: all-cause readmission within 30 days of discharge, by CMS's rule for transfers.

After CMS's hospital-wide readmission measure (HWR): every discharge alive with 30 days of follow-up is an index discharge,
one that follows another too; an admission to another hospital on the day of or the day after discharge is a transfer, and
the chain is one stay, whose last discharge counts. Unlike HWR: all ages and payers, all conditions, no risk adjustment, and
planned is what the admission itself says, not CMS's list of procedures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import AS_OF, step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.silver.link.tables import VISIT_LINK
from carelake.silver.omop.death import DEATH
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.visit_detail import VISIT_DETAIL
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import Column, DataFrame

FOLLOW_UP_DAYS = 30

READMISSION_30D = Table(
    name="gold/readmission_30d",
    doc="One row per index discharge from hospital: alive, with 30 days of follow-up that are observed and lie before as_of. "
    "The rate is the mean of readmitted. A stay that several senders recorded counts once.",
    fields=(
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field(
            "index_visit_detail_id",
            "bigint",
            "First admission of the stay",
            required=True,
            references="visit_detail.visit_detail_id",
        ),
        Field(
            "index_visit_occurrence_id",
            "bigint",
            "Its visit",
            required=True,
            references="visit_occurrence.visit_occurrence_id",
        ),
        Field("admission_date", "date", "First day of the stay", required=True, phi="DATE"),
        Field(
            "discharge_date", "date", "Last day of the stay, after all transfers", required=True, phi="DATE"
        ),
        Field("length_of_stay_days", "int", "Nights from admission to discharge", required=True),
        Field(
            "care_site_id",
            "bigint",
            "Care site that discharged; NULL unknown",
            references="care_site.care_site_id",
        ),
        Field(
            "admissions",
            "int",
            "Admissions joined by overlap or transfer, of the sender that has most",
            required=True,
        ),
        Field("planned", "boolean", "Whether the admission was elective; NULL when no sender says"),
        Field(
            "readmitted",
            "boolean",
            "Whether the next admission came within 30 days of discharge",
            required=True,
        ),
        Field("days_to_readmission", "int", "Days from discharge to it; NULL when not readmitted"),
        Field(
            "readmission_visit_detail_id",
            "bigint",
            "Its first admission",
            references="visit_detail.visit_detail_id",
        ),
        Field(
            "readmission_planned",
            "boolean",
            "Whether it was elective; NULL when no sender says, or not readmitted",
        ),
    ),
    key=("index_visit_detail_id",),
    checks=(
        Check(
            "days_within_follow_up",
            f"days_to_readmission BETWEEN 0 AND {FOLLOW_UP_DAYS}",
            on_fail=OnFail.STOP,
        ),
        Check("readmitted_has_days", "readmitted = (days_to_readmission IS NOT NULL)", on_fail=OnFail.STOP),
        Check("discharge_not_before_admission", "length_of_stay_days >= 0", on_fail=OnFail.STOP),
    ),
    cluster_by=("person_id",),
)

_BEFORE = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
_SO_FAR = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


@step(
    writes=READMISSION_30D,
    details=VISIT_DETAIL,
    visits=VISIT_LINK,
    deaths=DEATH,
    periods=OBSERVATION_PERIOD,
    as_of=AS_OF,
)
def readmission_30d(
    details: DataFrame, visits: DataFrame, deaths: DataFrame, periods: DataFrame, as_of: date
) -> DataFrame:
    """Index discharges among stays that began before `as_of`.

    visit_detail is read, not visit_occurrence, which merges stays a day apart; details that rolled into a stay (they have
    a parent) are no admissions. Out: stays still open, ended by death (on or after the day of death, or status 20), and
    those whose 30 days are not over before `as_of` or not inside one observation period. The readmission itself may be any stay.
    """
    stays = hospital_stays(details, visits, as_of)
    following = "PARTITION BY person_id ORDER BY admission_date, discharge_date, index_visit_detail_id"
    stays = stays.selectExpr(
        "*", f"lead(admission_date) OVER ({following}) AS _next_date", f"lead(index_visit_detail_id) OVER ({following}) AS _next_id",
        f"lead(planned) OVER ({following}) AS _next_planned", f"date_add(discharge_date, {FOLLOW_UP_DAYS}) AS _followed",
    )  # fmt: skip
    spans = periods.selectExpr(
        "person_id", "observation_period_start_date AS _from", "observation_period_end_date AS _to"
    )
    eligible = (
        stays.where(F.col("_followed") < F.lit(as_of))
        .where("NOT still_open AND NOT died")
        .join(deaths.select("person_id", "death_date"), on="person_id", how="left")
        .where("death_date IS NULL OR death_date > discharge_date")
        .join(
            spans.withColumnRenamed("person_id", "_person"),
            F.expr("person_id = _person AND admission_date >= _from AND _followed <= _to"), how="left_semi",
        )
    )  # fmt: skip
    back = "coalesce(_next_date <= _followed, false)"
    return eligible.selectExpr(
        "person_id", "index_visit_detail_id", "index_visit_occurrence_id", "admission_date", "discharge_date",
        "datediff(discharge_date, admission_date) AS length_of_stay_days", "care_site_id", "admissions", "planned",
        f"{back} AS readmitted", f"CASE WHEN {back} THEN greatest(datediff(_next_date, discharge_date), 0) END AS days_to_readmission",
        f"CASE WHEN {back} THEN _next_id END AS readmission_visit_detail_id",
        f"CASE WHEN {back} THEN _next_planned END AS readmission_planned",
    )  # fmt: skip


def hospital_stays(details: DataFrame, visits: DataFrame, as_of: date) -> DataFrame:
    """One row per stay in hospital that began before `as_of`, transfers and what several senders recorded joined.

    person_id, index_visit_detail_id, index_visit_occurrence_id, admission_date, discharge_date, care_site_id, planned (NULL: no sender says),
    still_open, died, admissions.
    """
    return _joined(_chained(_admissions(details, visits).where(F.col("admission_date") < F.lit(as_of))))


def _admissions(details: DataFrame, visits: DataFrame) -> DataFrame:
    """One row per inpatient encounter."""
    hospital = f"visit_detail_concept_id IN ({C.VISIT_INPATIENT}, {C.VISIT_ER_TO_INPATIENT}) AND parent_visit_detail_id IS NULL"
    return (
        details.where(hospital)
        .join(visits.select("visit_detail_id", "planned"), on="visit_detail_id", how="left")
        .selectExpr(
            "person_id", "_source", "visit_detail_id", "visit_occurrence_id", "care_site_id", "planned",
            "visit_detail_start_datetime AS started", "visit_detail_end_datetime AS ended",
            "visit_detail_start_date AS admission_date", "visit_detail_end_date AS discharge_date",
            f"visit_detail_type_concept_id = {C.STILL_PATIENT} AS still_open",
            "coalesce(discharged_to_source_value = '20', false) AS died",
        )
    )  # fmt: skip


def _chained(admissions: DataFrame) -> DataFrame:
    """One row per stay of a sender: admissions that overlap or touch, and transfers, in a chain.

    Days without times touch when one starts on the day that the other ended: at one hospital CMS joins such bills.
    An unknown care site is no other hospital.
    """
    ordered = "PARTITION BY person_id, _source ORDER BY started, ended, visit_detail_id"
    so_far = admissions.selectExpr(
        "*", f"max(ended) OVER ({ordered} {_BEFORE}) AS _end", f"max(discharge_date) OVER ({ordered} {_BEFORE}) AS _discharged",
        f"max_by(care_site_id, struct(ended, visit_detail_id)) OVER ({ordered} {_BEFORE}) AS _site",
    )  # fmt: skip
    joins = "started <= _end OR (datediff(admission_date, _discharged) <= 1 AND care_site_id <> _site)"
    numbered = so_far.selectExpr("*", f"IF(coalesce({joins}, false), 0, 1) AS _begins").selectExpr(
        "*", f"sum(_begins) OVER ({ordered} {_SO_FAR}) AS _stay"
    )
    return numbered.groupBy("person_id", "_source", "_stay").agg(
        *_first_and_last("struct(started, visit_detail_id)", "struct(ended, visit_detail_id)"),
        F.expr("min_by(planned, struct(started, visit_detail_id))").alias("planned"),
        F.count("*").alias("admissions"),
    )


def _joined(stays: DataFrame) -> DataFrame:
    """One row per stay whoever recorded it: stays of several senders that share a night, or begin on the same day."""
    ordered = "PARTITION BY person_id ORDER BY admission_date, discharge_date, _source, visit_detail_id"
    before = stays.selectExpr(
        "*", f"max(discharge_date) OVER ({ordered} {_BEFORE}) AS _discharged", f"lag(admission_date) OVER ({ordered}) AS _admitted",
        f"lag(_source) OVER ({ordered}) AS _sender",
    )  # fmt: skip
    joins = "admission_date < _discharged OR (admission_date = _admitted AND _source <> _sender)"
    numbered = before.selectExpr("*", f"IF(coalesce({joins}, false), 0, 1) AS _begins").selectExpr(
        "*", f"sum(_begins) OVER ({ordered} {_SO_FAR}) AS _together"
    )
    return (
        numbered.groupBy("person_id", "_together")
        .agg(
            *_first_and_last(
                "struct(admission_date, _source, visit_detail_id)",
                "struct(discharge_date, _source, visit_detail_id)",
            ),
            F.max("planned").alias("planned"),
            F.max("admissions").alias("admissions"),
        )
        .withColumnsRenamed(
            {"visit_detail_id": "index_visit_detail_id", "visit_occurrence_id": "index_visit_occurrence_id"}
        )
    )


def _first_and_last(first: str, last: str) -> list[Column]:
    """What a stay takes from its first part (ids), its last (care site, death) and from all (dates, still open)."""
    by_first = [F.expr(f"min_by({c}, {first})").alias(c) for c in ("visit_detail_id", "visit_occurrence_id")]
    by_last = [F.expr(f"max_by({c}, {last})").alias(c) for c in ("care_site_id", "died")]
    return [
        *by_first, *by_last, F.min("admission_date").alias("admission_date"), F.max("discharge_date").alias("discharge_date"),
        F.max("still_open").alias("still_open"),
    ]  # fmt: skip
