"""gold/covariate_ref: what each covariate of gold/covariate means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import step
from carelake.core.table import Field, Table
from carelake.gold.features.analyses import ANALYSES, EVENTS, in_words
from carelake.gold.features.covariate import COVARIATE
from carelake.silver.vocabulary.cdm_tables import CONCEPT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COVARIATE_REF = Table(
    name="gold/covariate_ref",
    doc="One row per covariate that someone has: its concept, and the declared analysis that made it.",
    fields=(
        Field("covariate_id", "bigint", "concept_id * 1000 + analysis_id", required=True),
        Field("covariate_name", "string", "What it is in words, and the name of the concept", required=True),
        Field("analysis_name", "string", "Name of the analysis as FeatureExtraction has it", required=True),
        Field("analysis_id", "int", "Number of the analysis (OHDSI's FeatureExtraction, or carelake's own)", required=True),
        Field("concept_id", "int", "The concept", required=True, references="concept.concept_id"),
        Field("domain_id", "string", "Domain of the table of events", required=True),
        Field("start_day", "int", "First day of the window, counted from the index date; NULL any time before"),
        Field("end_day", "int", "Last day of the window: -1, the day before the index date", required=True),
        Field("value_kind", "string", "present, count (days), last, trend, abnormal", required=True),
    ),
    key=("covariate_id",),
)  # fmt: skip


@step(writes=COVARIATE_REF, covariates=COVARIATE, concepts=CONCEPT)
def covariate_ref(covariates: DataFrame, concepts: DataFrame) -> DataFrame:
    """The distinct ids, taken apart."""
    domains = {e.name: e.domain_id for e in EVENTS}
    declared = ", ".join(
        f"struct({a.analysis_id} AS analysis_id, '{a.name}' AS analysis_name, '{in_words(a)}' AS words, '{domains[a.table]}' AS domain_id, "
        f"{'cast(NULL AS int)' if a.start_day is None else a.start_day} AS start_day, {a.end_day} AS end_day, "
        f"'{a.value.value}' AS value_kind)"
        for a in ANALYSES
    )
    ids = covariates.select("covariate_id").distinct()
    analyses = ids.limit(1).selectExpr(f"inline(array({declared}))")
    return (
        ids.selectExpr("covariate_id", "cast(covariate_id % 1000 AS int) AS analysis_id", "cast(covariate_id DIV 1000 AS int) AS concept_id")
        .join(F.broadcast(analyses), "analysis_id", how="inner")
        .join(concepts.select("concept_id", "concept_name"), "concept_id", how="left")
        .selectExpr(
            "*", "concat(words, ': ', coalesce(concept_name, concat('concept ', cast(concept_id AS string)))) AS covariate_name"
        )
    )  # fmt: skip
