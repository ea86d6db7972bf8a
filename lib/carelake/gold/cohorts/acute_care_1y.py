"""cohort_acute_care_1y: who is asked, on which day, whether acute care follows within twelve months, and the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import AS_OF, step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.gold.care_episodes import care_episodes, within_periods
from carelake.silver.link.tables import VISIT_LINK
from carelake.silver.omop.death import DEATH
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.person import PERSON
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

LANDMARK_YEARS = 10
TEST_LANDMARKS = 3
TEST_PERCENT = 40

COHORT_ACUTE_CARE_1Y = Table(
    name="gold/cohort_acute_care_1y",
    doc="One row per person and index date. Index dates are the 1 January of the last ten years and the as-of date. "
    "Asked is everyone alive with a visit that began in the three years before. Acute care is an emergency visit (OMOP 9203, "
    "262) or an unplanned admission (9201 that a sender calls not elective and none calls elective) that begins on or "
    "after the index date and within twelve months. EHRs rarely say whether an admission was planned: a stay of which nobody "
    "says so and that did not come through the emergency department is NOT counted. The answer is observed when the twelve "
    "months end by the as-of date; a record that is silent until then counts as no event, and so does death without acute "
    "care (`died` says so). Landmarks not yet complete are left open even where the event is already known, since only "
    "events, never their absence, would be known there.",
    fields=(
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("index_date", "date", "The day of the question; nothing on or after it is a feature", required=True),
        Field("split", "string", "train, test, unused (a person or landmark of neither side), score (the as-of date)", required=True),
        Field("label", "boolean", "Whether acute care followed; NULL when not observed"),
        Field("label_observed", "boolean", "Whether the twelve months end by the as-of date", required=True),
        Field("followup_days", "int", "Days from the index date to the first of twelve months, death, as-of date", required=True),
        Field("days_to_event", "int", "Days from the index date to the first acute care; NULL without one or not observed"),
        Field("died", "boolean", "Whether the person died within the observed twelve months; NULL when not observed"),
    ),
    key=("person_id", "index_date"),
    checks=(
        Check("label_only_when_observed", "label_observed = (label IS NOT NULL)", on_fail=OnFail.STOP),
        Check("split_known", "split IN ('train', 'test', 'unused', 'score')", on_fail=OnFail.STOP),
    ),
    cluster_by=("person_id",),
)  # fmt: skip


@step(
    writes=COHORT_ACUTE_CARE_1Y, people=PERSON, visits=VISIT_OCCURRENCE, periods=OBSERVATION_PERIOD, deaths=DEATH,
    links=VISIT_LINK, as_of=AS_OF,
)  # fmt: skip
def cohort_acute_care_1y(
    people: DataFrame,
    visits: DataFrame,
    periods: DataFrame,
    deaths: DataFrame,
    links: DataFrame,
    as_of: date,
) -> DataFrame:
    """Landmarks of each eligible person with the outcome and the side of the split.

    Split by time and by person: a fixed hash puts 40 % of the persons on the test side; they are tested at the three
    latest complete landmarks, the others train at landmarks whose twelve months end before those begin.
    """
    today = f"DATE'{as_of.isoformat()}'"
    last = f"trunc(add_months({today}, -12), 'year')"
    first_test = f"add_months({last}, {-12 * (TEST_LANDMARKS - 1)})"
    seen = within_periods(visits, "visit_start_date", periods)
    landmarks = people.join(deaths.select("person_id", "death_date"), "person_id", how="left").selectExpr(
        "person_id", "death_date",
        f"explode(array_distinct(concat(sequence(make_date(year({today}) - {LANDMARK_YEARS - 1}, 1, 1), "
        f"trunc({today}, 'year'), interval 1 year), array({today})))) AS index_date",
    )  # fmt: skip
    known = seen.select("person_id", F.col("visit_start_date").alias("_visit")).distinct()
    eligible = landmarks.where("death_date IS NULL OR death_date >= index_date").join(
        known,
        (landmarks["person_id"] == known["person_id"])
        & F.expr("_visit < index_date AND _visit >= add_months(index_date, -36)"),
        how="left_semi",
    )
    first = (
        eligible.join(_acute(seen, links), "person_id", how="inner")
        .where("event_date >= index_date AND event_date < add_months(index_date, 12)")
        .groupBy("person_id", "index_date")
        .agg(F.min("event_date").alias("event_date"))
    )
    tested = f"pmod(xxhash64('carelake split', person_id), 100) < {TEST_PERCENT}"
    return (
        eligible.join(first, ["person_id", "index_date"], how="left")
        .selectExpr("*", f"add_months(index_date, 12) <= {today} AS label_observed", "add_months(index_date, 12) AS _end")
        .selectExpr(
            "person_id", "index_date", "label_observed",
            f"""CASE WHEN index_date = {today} THEN 'score' WHEN NOT label_observed THEN 'unused'
                WHEN {tested} AND index_date >= {first_test} THEN 'test'
                WHEN NOT ({tested}) AND _end <= {first_test} THEN 'train' ELSE 'unused' END AS split""",
            "CASE WHEN label_observed THEN event_date IS NOT NULL END AS label",
            f"datediff(least(_end, {today}, death_date), index_date) AS followup_days",
            "CASE WHEN label_observed THEN datediff(event_date, index_date) END AS days_to_event",
            "CASE WHEN label_observed THEN coalesce(death_date < _end, false) END AS died",
        )
    )  # fmt: skip


def _acute(visits: DataFrame, links: DataFrame) -> DataFrame:
    """Person and date on which an emergency visit or an unplanned admission began."""
    said = (
        links.where("planned IS NOT NULL")
        .groupBy("visit_occurrence_id")
        .agg(F.expr("NOT bool_or(planned)").alias("unplanned"))
    )
    episodes = care_episodes(visits)
    emergency = episodes.where("care = 'emergency'").selectExpr("person_id", "start_date AS event_date")
    unplanned = (
        episodes.where("care = 'inpatient'")
        .selectExpr("person_id", "start_date", "explode(visit_occurrence_ids) AS visit_occurrence_id")
        .join(said, "visit_occurrence_id", how="inner")
        .groupBy("person_id", "start_date")
        .agg(F.expr("bool_and(unplanned)").alias("unplanned"))
        .where("unplanned")
        .selectExpr("person_id", "start_date AS event_date")
    )
    return emergency.unionByName(unplanned).distinct()
