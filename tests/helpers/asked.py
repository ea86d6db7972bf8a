"""gold/task_cohort of a few people: the tables that are not given are empty."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from carelake.gold.cohorts.task_cohort import TASK_COHORT, cohorts
from carelake.gold.cohorts.tasks import TASKS
from carelake.silver.link.tables import EVENT_LINK, VISIT_LINK
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.cost import COST
from carelake.silver.omop.death import DEATH
from carelake.silver.omop.device_exposure import DEVICE_EXPOSURE
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.omop.measurement import MEASUREMENT
from carelake.silver.omop.observation import OBSERVATION
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.person import PERSON
from carelake.silver.omop.procedure_occurrence import PROCEDURE_OCCURRENCE
from carelake.silver.omop.visit_detail import VISIT_DETAIL
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_ANCESTOR
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from carelake.gold.cohorts.task import Task

AS_OF = date(2024, 9, 1)
_TABLES = {
    "visit": VISIT_OCCURRENCE, "visit_detail": VISIT_DETAIL, "death": DEATH, "condition": CONDITION_OCCURRENCE,
    "drug": DRUG_EXPOSURE, "procedure": PROCEDURE_OCCURRENCE, "measurement": MEASUREMENT, "observation": OBSERVATION,
    "device": DEVICE_EXPOSURE, "cost": COST, "concept_ancestor": CONCEPT_ANCESTOR, "event_link": EVENT_LINK,
}  # fmt: skip
CONCEPTS = (
    (201826, "Type 2 diabetes mellitus", "Condition", "SNOMED", "44054006"),
    (201254, "Type 1 diabetes mellitus", "Condition", "SNOMED", "46635009"),
    (443767, "Disorder of eye due to type 2 diabetes mellitus", "Condition", "SNOMED", "422034002"),
    (4058243, "Gestational diabetes mellitus", "Condition", "SNOMED", "11687002"),
    (316139, "Heart failure", "Condition", "SNOMED", "84114007"),
    (4229440, "Chronic congestive failure", "Condition", "SNOMED", "88805009"),  # only the ancestor tells
    (4139268, "Combined chemotherapy and radiation therapy", "Procedure", "SNOMED", "703423002"),
    (3004501, "Glucose [Mass/volume] in Serum or Plasma", "Measurement", "LOINC", "2345-7"),
    (8840, "milligram per deciliter", "Unit", "UCUM", "mg/dL"),
    (8753, "millimole per liter", "Unit", "UCUM", "mmol/L"),
)


def visit(number: int, person: int, concept: int, start: str, end: str | None = None) -> dict[str, Any]:
    """A row of visit_occurrence."""
    return {
        "visit_occurrence_id": number, "person_id": person, "visit_concept_id": concept, "visit_start_date": start,
        "visit_end_date": end or start,
    }  # fmt: skip


def stay(number: int, person: int, start: str, end: str, **more: Any) -> dict[str, Any]:
    """A row of visit_detail: an admission to hospital."""
    return {
        "visit_detail_id": number, "visit_occurrence_id": number, "person_id": person, "visit_detail_concept_id": 9201,
        "visit_detail_type_concept_id": 32817, "visit_detail_start_date": start, "visit_detail_end_date": end,
        "visit_detail_start_datetime": f"{start} 08:00:00", "visit_detail_end_datetime": f"{end} 12:00:00", "care_site_id": 1,
    } | more  # fmt: skip


def asked(
    spark: SparkSession,
    task: str,
    *,
    planned: dict[int, bool | None] | None = None,
    period: tuple[str, str] = ("2010-01-01", "2024-09-01"),
    site_tasks: tuple[Task, ...] = (),
    born: int = 1950,
    **tables: list[dict[str, Any]],
) -> DataFrame:
    """The rows of `task`; `planned` says of visits (ids of visit and detail are the same) what their sender said."""
    people = sorted({r["person_id"] for rows in tables.values() for r in rows if "person_id" in r})
    links = [
        {
            "source": "ehr",
            "source_encounter_id": f"e{v}",
            "visit_occurrence_id": v,
            "visit_detail_id": v,
            "planned": p,
        }
        for v, p in (planned or {}).items()
    ]
    spans = [
        {"observation_period_id": p, "person_id": p, "observation_period_start_date": period[0], "observation_period_end_date": period[1]}
        for p in people
    ]  # fmt: skip
    concepts = [
        {"concept_id": i, "concept_name": n, "domain_id": d, "vocabulary_id": v, "concept_code": c} for i, n, d, v, c in CONCEPTS
    ]  # fmt: skip
    made: dict[str, DataFrame] = {n: frame(spark, table, *tables.get(n, [])) for n, table in _TABLES.items()}
    made |= {
        "person": frame(spark, PERSON, *({"person_id": p, "year_of_birth": born} for p in people)),
        "observation_period": frame(spark, OBSERVATION_PERIOD, *spans), "visit_link": frame(spark, VISIT_LINK, *links),
        "concept": frame(spark, CONCEPT, *concepts),
    }  # fmt: skip
    declared = [t for t in (*TASKS, *site_tasks) if t.name == task]
    return TASK_COHORT.conform(cohorts(declared, made, AS_OF))
