"""score_history: what was said of whom on which day, kept until it can be told whether it was right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.table import Check, Field, OnFail, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCORE_HISTORY = Table(
    name="gold/score_history",
    doc="One row per person, model and index date that was ever scored: the score that was published last for that day. `gold/risk_score` holds "
    "the last scoring alone. Against these rows the outcomes are held that become known later (`gold/model_monitor`). It cannot be made "
    "anew from bronze.",
    fields=(
        Field("person_id", "bigint", "The person, by the id of that day", required=True),
        Field("model", "string", "Name of the risk model", required=True),
        Field("model_version", "string", "Version in the MLflow registry", required=True),
        Field("index_date", "date", "The day of the question", required=True),
        Field("score", "double", "Calibrated probability of the outcome, 0 to 1", required=True),
        Field("scored_at", "timestamp", "When it was scored", required=True),
    ),
    key=("person_id", "model", "index_date"),
    checks=(Check("score_is_probability", "score BETWEEN 0 AND 1", on_fail=OnFail.STOP, reason="R_RANGE"),),
    cluster_by=("person_id",),
)  # fmt: skip


def score_history(scores: DataFrame, published: DataFrame) -> DataFrame:
    """What was published, with the scores of this run in place of those of the same model and day. Both as declared."""
    new = scores.select(*SCORE_HISTORY.columns)
    same = new.select("model", "index_date").distinct()
    stay = published.select(*SCORE_HISTORY.columns).join(same, ["model", "index_date"], how="left_anti")
    return stay.unionByName(new)
