"""cohort: who is in which cohort of gold/cohort_definition, in the columns of CDM v5.4's results schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.gold.cohorts.acute_care_1y import COHORT_ACUTE_CARE_1Y
from carelake.gold.cohorts.cohort_definition import ACUTE_CARE, ASKED
from carelake.silver.omop.cdm import cdm_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COHORT = replace(
    cdm_table(
        "cohort",
        key=("cohort_definition_id", "subject_id", "cohort_start_date"),
        provenance=False,
        cluster_by=(),
    ),
    name="gold/cohort",
)


@step(writes=COHORT, asked=COHORT_ACUTE_CARE_1Y)
def cohort(asked: DataFrame) -> DataFrame:
    """One row per cohort, person and day: the day of a question, and the day of the acute care that followed one.

    Both last that day alone, so that a person's rows in a cohort never overlap, as the CDM asks.
    """
    days = asked.selectExpr(f"{ASKED} AS cohort_definition_id", "person_id AS subject_id", "index_date AS day").union(
        asked.where("days_to_event IS NOT NULL").selectExpr(
            f"{ACUTE_CARE} AS cohort_definition_id", "person_id AS subject_id", "date_add(index_date, days_to_event) AS day"
        )
    )  # fmt: skip
    return days.distinct().selectExpr(
        "cohort_definition_id", "subject_id", "day AS cohort_start_date", "day AS cohort_end_date"
    )
