"""cohort_definition: what each cohort of gold/cohort means, in the columns of CDM v5.4's results schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carelake.core.step import AS_OF, step
from carelake.gold.cohorts.acute_care_1y import COHORT_ACUTE_CARE_1Y
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

COHORT_DEFINITION = replace(
    cdm_table("cohort_definition", key=("cohort_definition_id",), provenance=False),
    name="gold/cohort_definition",
)

ASKED, ACUTE_CARE = 1, 2
DEFINITIONS = {
    ASKED: (
        "Asked for acute care within twelve months",
        "Persons and days of the question of gold/cohort_acute_care_1y: alive, with a visit in the three years before.",
    ),
    ACUTE_CARE: (
        "Acute care within twelve months of being asked",
        "First emergency visit or unplanned admission in the twelve months after a day of the question, where those "
        "twelve months were observed.",
    ),
}


@step(writes=COHORT_DEFINITION, asked=COHORT_ACUTE_CARE_1Y, as_of=AS_OF)
def cohort_definition(asked: DataFrame, as_of: date) -> DataFrame:
    """One row per cohort that gold has, with the day on which it was asked. The definition is carelake's own code.

    Neither the kind of definition nor the domain of the subjects (persons) has a concept that is valid: both are 0.
    """
    rows = ", ".join(
        f"struct({n} AS n, {name!r} AS name, {text!r} AS text)" for n, (name, text) in DEFINITIONS.items()
    )
    return asked.selectExpr("count(*) AS rows").selectExpr(f"inline(array({rows}))").selectExpr(
        "n AS cohort_definition_id", "name AS cohort_definition_name", "text AS cohort_definition_description",
        f"{C.NO_CONCEPT} AS definition_type_concept_id", f"{C.NO_CONCEPT} AS subject_concept_id",
        f"'{COHORT_ACUTE_CARE_1Y.name}' AS cohort_definition_syntax", f"DATE'{as_of.isoformat()}' AS cohort_initiation_date",
    )  # fmt: skip
