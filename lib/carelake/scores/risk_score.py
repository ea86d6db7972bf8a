"""risk_score: who is at which risk, by which version of which model, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyspark.sql.functions as F
from pyspark.sql import Window

from carelake.core.table import Check, Field, OnFail, Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pyspark.sql import DataFrame

RISK_SCORE = Table(
    name="gold/risk_score",
    doc="One row per person, model and index date: the score of the model's champion, or of its newest candidate while no version has "
    "passed its gates (`approved` false: such scores must not steer care).",
    fields=(
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("model", "string", "Name of the risk model", required=True),
        Field("model_version", "string", "Version in the MLflow registry", required=True),
        Field("approved", "boolean", "Whether that version passed its gates", required=True),
        Field("index_date", "date", "The day of the question", required=True),
        Field("score", "double", "Calibrated probability of the outcome, 0 to 1", required=True),
        Field(
            "rank",
            "int",
            "1 = highest score of the model in this scoring; ties by person id, then index date",
            required=True,
        ),
        Field(
            "reasons",
            "array<string>",
            "What raises this score most, strongest first; names features and directions, no values",
        ),
        Field("scored_at", "timestamp", "When it was scored", required=True),
        Field("run_id", "string", "MLflow run of the version"),
        Field("tables", "string", "JSON: version of each table that was read"),
    ),
    key=("person_id", "model", "model_version", "index_date"),
    checks=(Check("score_is_probability", "score BETWEEN 0 AND 1", on_fail=OnFail.STOP, reason="R_RANGE"),),
    cluster_by=("person_id",),
)


def risk_score(predictions: DataFrame, *, scored_at: datetime, tables: Mapping[str, int]) -> DataFrame:
    """The rows of RISK_SCORE from what `carelake.ml.train.predict` returns, ranked within the model, whose index dates may be several."""
    order = Window.partitionBy("model").orderBy(
        F.col("score").desc(), "person_id", F.col("index_date").desc()
    )
    return predictions.select(
        "*",
        F.row_number().over(order).alias("rank"),
        F.lit(scored_at).cast("timestamp").alias("scored_at"),
        F.lit(json.dumps(dict(sorted(tables.items())))).alias("tables"),
    )
