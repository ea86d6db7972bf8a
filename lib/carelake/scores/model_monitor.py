"""model_monitor: whether each model still fits those whom it scores."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyspark.sql.functions as F

from carelake.core.table import Check, Field, OnFail, Table
from carelake.ml.monitor import (
    ALARM_PSI,
    ALARM_RATIO,
    WATCH_PSI,
    WATCH_RATIO,
    Matured,
    matured,
    moved,
    proposal,
)
from carelake.ml.profile import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from pyspark.sql import DataFrame

OUTCOME = "outcome"

MODEL_MONITOR = Table(
    name="gold/model_monitor",
    doc="One row per model, version, as-of date and subject. The subject `score` or a feature: the population stability index (PSI) of those scored "
    "on that day against the rows the version was trained on, in bins of deciles, what is missing being one more. The subject `outcome`: the scores "
    "that a version gave on an earlier day against the outcomes that the cohort knows by now for the same person and index date. "
    f"Status `watch`: PSI above {WATCH_PSI:g}, or observed over expected beyond {WATCH_RATIO:g} times either way; `alarm`: above {ALARM_PSI:g}, or "
    f"beyond {ALARM_RATIO:g} times; both only when chance does not explain it (`psi_by_chance`; the 95 % interval). `suppressed`: a count is below 11. "
    "Rows of earlier as-of dates stay.",
    fields=(
        Field("model", "string", "Name of the risk model", required=True),
        Field("model_version", "string", "Version in the MLflow registry that gave the scores", required=True),
        Field("as_of", "date", "The day on which this was looked at", required=True),
        Field("subject", "string", "score, outcome, or the name of a feature", required=True),
        Field("index_date", "date", "The day on which the scores were made: as_of, or an earlier day for outcomes", required=True),
        Field("rows", "int", "Persons scored on the index date; of outcomes those whose outcome is known"),
        Field("psi", "double", "Population stability index against the training rows"),
        Field("psi_by_chance", "double", "What the index of two samples of one population stays below 999 times of 1,000"),
        Field("missing_share", "double", "Share of the rows without a value"),
        Field("missing_at_training", "double", "That share in the training rows"),
        Field("observed", "int", "Events observed"),
        Field("expected", "double", "Events expected: the sum of the scores"),
        Field("observed_expected", "double", "Observed over expected; 1 is ideal"),
        Field("observed_expected_lower", "double", "Lower bound of its 95 % interval"),
        Field("observed_expected_upper", "double", "Upper bound of its 95 % interval"),
        Field("calibration_in_the_large", "double", "Intercept on the logit scale with slope 1; 0 is ideal, above 0 scores are too low"),
        Field("status", "string", "ok, watch, alarm, suppressed", required=True),
        Field("retrain_proposed", "boolean", "Whether what was found of this version on this day proposes a new training", required=True),
        Field("reason", "string", "Why a new training is proposed, else NULL"),
    ),
    key=("model", "model_version", "as_of", "subject", "index_date"),
    checks=(Check("status_known", "status IN ('ok', 'watch', 'alarm', 'suppressed')", on_fail=OnFail.STOP),),
)  # fmt: skip


def watched(
    model: str,
    version: str,
    as_of: date,
    scored: DataFrame,
    reference: Mapping[str, Any],
    outcomes: DataFrame,
) -> list[dict[str, Any]]:
    """Rows of MODEL_MONITOR about one model whose `version` scored on `as_of`.

    `scored` has person_id, `score` and the features; `reference` is `carelake.ml.profile.profile` of the training, empty for a version without
    one; `outcomes` has model_version, index_date, score and label of scores whose outcome is known. Raises nothing for empty frames.
    """
    values = reference.get("values", {})
    there = {n: v["edges"] for n, v in values.items() if n in scored.columns}
    counts = counted(scored, there)
    drift = [moved(n, values[n], counts, reference["persons"]) for n in there]
    known = held_against(outcomes)
    own = [m for (v, _), m in known.items() if v == version]
    why = proposal(drift, own)
    base = {"model": model, "as_of": as_of}
    rows: list[dict[str, Any]] = [
        {**base, **asdict(d), "model_version": version, "index_date": as_of, "retrain_proposed": why is not None, "reason": why}
        for d in drift
    ]  # fmt: skip
    for (v, day), m in sorted(known.items()):
        said = why if v == version else None
        rows.append({
            **base, "model_version": v, "index_date": day, "subject": OUTCOME, "rows": m.rows, "observed": m.observed, "expected": m.expected,
            "observed_expected": m.ratio, "observed_expected_lower": m.lower, "observed_expected_upper": m.upper,
            "calibration_in_the_large": m.in_the_large, "status": m.status, "retrain_proposed": said is not None, "reason": said,
        })  # fmt: skip
    return rows


def held_against(outcomes: DataFrame) -> dict[tuple[str, date], Matured]:
    """Scores against outcomes by version and index date. `outcomes`: model_version, index_date, score, label (boolean)."""
    groups = (
        outcomes.groupBy("model_version", "index_date")
        .agg(F.collect_list(F.struct(F.col("label").cast("double").alias("label"), "score")).alias("pairs"))
        .collect()
    )
    found = {}
    for g in groups:
        pairs = np.array([(p["label"], p["score"]) for p in g["pairs"]], dtype=np.float64)
        pairs = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]  # sums of doubles in one order
        found[(g["model_version"], g["index_date"])] = matured(pairs[:, 0], pairs[:, 1])
    return found


def known_outcomes(history: DataFrame, model: str, cohort: DataFrame, as_of: date) -> DataFrame:
    """Earlier scores of a model with the label that the cohort has now for the same person and index date."""
    earlier = history.where((F.col("model") == model) & (F.col("index_date") < F.lit(as_of)))
    observed = cohort.where("label IS NOT NULL").select("person_id", "index_date", "label")
    return earlier.join(observed, ["person_id", "index_date"], how="inner").select(
        "model_version", "index_date", "score", "label"
    )


def model_monitor(rows: Sequence[Mapping[str, Any]], published: DataFrame, as_of: date) -> DataFrame:
    """What was published of other as-of dates, with the rows of this one."""
    data = [tuple(r.get(c) for c in MODEL_MONITOR.columns) for r in rows]
    new = published.sparkSession.createDataFrame(data, MODEL_MONITOR.schema)
    return published.select(*MODEL_MONITOR.columns).where(F.col("as_of") != F.lit(as_of)).unionByName(new)
