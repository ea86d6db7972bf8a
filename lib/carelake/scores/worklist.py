"""worklist: the people to look at first, why, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import AS_OF, step
from carelake.core.table import Field, Table
from carelake.gold.features.person_features import PERSON_FEATURES
from carelake.scores.risk_score import RISK_SCORE
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

LENGTH = 50

WORKLIST = Table(
    name="gold/worklist",
    doc="One row per model and person among the fifty highest scores of its latest scoring. The next step is chosen by the first rule "
    "that fits, from features alone; it is a suggestion to a care team, no order.",
    fields=(
        Field("model", "string", "Name of the risk model", required=True),
        Field("rank", "int", "1 = first", required=True),
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("index_date", "date", "The day of the question", required=True),
        Field("score", "double", "Calibrated probability of the outcome, 0 to 1", required=True),
        Field(
            "approved",
            "boolean",
            "Whether the model's version passed its gates; when false, do not act on this list",
            required=True,
        ),
        Field("model_version", "string", "Version in the MLflow registry", required=True),
        Field("reasons", "array<string>", "What raises the score most, strongest first"),
        Field("last_visit_date", "date", "Start of the last visit before the index date", phi="DATE"),
        Field("next_step", "string", "What to do next", required=True),
        Field("notice", "string", "Said of every row of a version that has not passed its gates, else NULL"),
    ),
    key=("model", "person_id"),
    cluster_by=("person_id",),
)

# first match wins; SQL over person_features
_STEPS = (
    ("ed_1y >= 2", "Offer care coordination: repeated emergency visits"),
    ("inpatient_1y >= 1 AND days_since_visit <= 30", "Call within a week: follow-up after a hospital stay"),
    ("has_substance_use = 1 OR last_dast10 >= 3", "Offer contact with substance use services"),
    ("took_opioid_1y = 1 AND took_sedative_1y = 1", "Medication review: opioid together with a sedative"),
    ("ingredients_1y >= 10 OR drugs_1y >= 10", "Medication review: ten or more drugs"),
    ("has_diabetes = 1 AND last_hba1c >= 9", "Invite to diabetes review: HbA1c above target"),
    ("last_systolic >= 160", "Invite for a blood pressure check"),
    ("days_since_visit > 365", "Invite for a visit: none for a year"),
    ("has_social_risk = 1", "Ask about social needs"),
)
_DEFAULT = "Review at the next planned visit"
_NOTICE = "Not approved: this version of the model has not passed its gates. Shown for evaluation only, do not act on it."


@step(
    writes=WORKLIST,
    whole=True,
    scores=RISK_SCORE,
    features=PERSON_FEATURES,
    visits=VISIT_OCCURRENCE,
    as_of=AS_OF,
)
def worklist(scores: DataFrame, features: DataFrame, visits: DataFrame, as_of: date) -> DataFrame:
    """The highest ranks of each model, of its latest scoring, with the last visit before the as-of date and the next step."""
    day = F.lit(as_of)
    latest = (
        scores.withColumn("_latest", F.expr("max(scored_at) OVER (PARTITION BY model)"))
        .where("scored_at = _latest")
        .drop("_latest")
        # who was asked on several days (discharges) stands with the highest
        .selectExpr("*", "row_number() OVER (PARTITION BY model, person_id ORDER BY rank) AS _n")
        .where("_n = 1")
        .selectExpr("*", "cast(row_number() OVER (PARTITION BY model ORDER BY rank) AS int) AS _place")
        .where(f"_place <= {LENGTH}")
        .drop("rank", "_n")
        .withColumnRenamed("_place", "rank")
    )
    last = (
        visits.where(F.col("visit_start_date") < day)
        .groupBy("person_id")
        .agg(F.max("visit_start_date").alias("last_visit_date"))
    )
    rules = " ".join(f"WHEN {rule} THEN '{text}'" for rule, text in _STEPS)
    advice = features.selectExpr(
        "person_id", "index_date", f"CASE {rules} ELSE '{_DEFAULT}' END AS next_step"
    )
    return (
        latest.join(last, "person_id", how="left")
        .join(advice, ["person_id", "index_date"], how="left")
        .withColumn("next_step", F.coalesce("next_step", F.lit(_DEFAULT)))
        .withColumn("notice", F.expr(f"CASE WHEN NOT approved THEN '{_NOTICE}' END"))
    )
