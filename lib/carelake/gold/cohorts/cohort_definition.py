"""cohort_definition: what each cohort of gold/cohort means, in the columns of CDM v5.4's results schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carelake.core.sql import text_literal
from carelake.core.step import AS_OF, step
from carelake.gold.cohorts.task import COST
from carelake.gold.cohorts.task_cohort import SITE_TASKS, TASK_COHORT
from carelake.gold.cohorts.tasks import TASKS
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

    from carelake.gold.cohorts.task import Task

COHORT_DEFINITION = replace(
    cdm_table("cohort_definition", key=("cohort_definition_id",), provenance=False),
    name="gold/cohort_definition",
)

_SITE = 1000  # ids of a site's own cohorts begin above


def numbered(site_tasks: tuple[Task, ...]) -> list[tuple[int, int, Task]]:
    """Each task with the ids of its two cohorts: who is asked, and whom the outcome befell."""
    own = [(2 * n + 1, 2 * n + 2, t) for n, t in enumerate(TASKS)]
    return own + [(_SITE + 2 * n + 1, _SITE + 2 * n + 2, t) for n, t in enumerate(site_tasks)]


@step(writes=COHORT_DEFINITION, asked=TASK_COHORT, site_tasks=SITE_TASKS, as_of=AS_OF)
def cohort_definition(asked: DataFrame, site_tasks: tuple[Task, ...], as_of: date) -> DataFrame:
    """Two rows per task, with the day on which it was asked. The definition is the declaration of the task.

    Neither the kind of definition nor the domain of the subjects (persons) has a concept that is valid: both are 0.
    """
    named = []
    for who, event, t in numbered(site_tasks):
        named.append(
            (who, f"Asked: {t.name}", f"Persons and index dates of the question: {t.words}. {t.source}.")
        )
        amount = " (the sum over the time at risk is in gold/task_cohort)" if t.outcome.name == COST else ""
        named.append(
            (event, f"Outcome: {t.name}", f"First {t.outcome.words} in an observed time at risk{amount}.")
        )
    rows = ", ".join(
        f"struct({n} AS n, {text_literal(name)} AS name, {text_literal(text)} AS text)"
        for n, name, text in named
    )
    return asked.selectExpr("count(*) AS rows").selectExpr(f"inline(array({rows}))").selectExpr(
        "n AS cohort_definition_id", "name AS cohort_definition_name", "text AS cohort_definition_description",
        f"{C.NO_CONCEPT} AS definition_type_concept_id", f"{C.NO_CONCEPT} AS subject_concept_id",
        f"'{TASK_COHORT.name}' AS cohort_definition_syntax", f"DATE'{as_of.isoformat()}' AS cohort_initiation_date",
    )  # fmt: skip
