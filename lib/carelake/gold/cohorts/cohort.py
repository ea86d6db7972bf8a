"""cohort: who is in which cohort of gold/cohort_definition, in the columns of CDM v5.4's results schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.gold.cohorts.cohort_definition import numbered
from carelake.gold.cohorts.task_cohort import SITE_TASKS, TASK_COHORT
from carelake.silver.omop.cdm import cdm_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from carelake.gold.cohorts.task import Task

COHORT = replace(
    cdm_table(
        "cohort",
        key=("cohort_definition_id", "subject_id", "cohort_start_date"),
        provenance=False,
        cluster_by=(),
    ),
    name="gold/cohort",
)


@step(writes=COHORT, asked=TASK_COHORT, site_tasks=SITE_TASKS)
def cohort(asked: DataFrame, site_tasks: tuple[Task, ...]) -> DataFrame:
    """One row per cohort, person and day: the day of a question, and the day of the outcome that followed one.

    Both last that day alone, so that a person's rows in a cohort never overlap, as the CDM asks.
    """
    both = numbered(site_tasks)
    who = " ".join(f"WHEN '{t.name}' THEN {n}" for n, _, t in both)
    event = " ".join(f"WHEN '{t.name}' THEN {n}" for _, n, t in both)
    days = asked.selectExpr(
        f"CASE task {who} END AS cohort_definition_id", "person_id AS subject_id", "index_date AS day"
    ).union(
        asked.where("days_to_event IS NOT NULL").selectExpr(
            f"CASE task {event} END AS cohort_definition_id",
            "person_id AS subject_id",
            "date_add(index_date, days_to_event) AS day",
        )
    )
    return days.distinct().selectExpr(
        "cohort_definition_id", "subject_id", "day AS cohort_start_date", "day AS cohort_end_date"
    )
