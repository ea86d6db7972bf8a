"""The test side as arrays: labels, scores, baselines, groups, and the feature vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyspark.sql.functions as F
from pyspark.ml.functions import vector_to_array

from carelake.ml.baselines import baseline_scores
from carelake.ml.evaluate import HeldOut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from carelake.ml.evaluate import Floats
    from carelake.ml.model import RiskModel

VECTORS, CELLS = 10_000, 20_000_000  # rows, and numbers in them, of which vectors come to the driver


def held_out(
    model: RiskModel,
    pipeline: PipelineModel,
    train: DataFrame,
    test: DataFrame,
    width: int,
    champion: PipelineModel | None,
) -> tuple[HeldOut, Floats, Floats]:
    """The test side by person and index date, and of about VECTORS of its rows the feature vectors (of `width`) and labels.

    Baselines are fit on `train`; one with a column that the examples lack is left out. `champion` scores the same rows.
    """
    share = min(1.0, min(VECTORS, CELLS / width) / max(1, test.count()))
    baselines = {name: b for name, b in model.baselines.items() if set(b) <= set(test.columns)}
    columns = list(dict.fromkeys(c for b in baselines.values() for c in b))
    seen = train.select("label", *columns).toArrow()
    scored = pipeline.transform(test).withColumn("score", F.col("prediction"))
    kept = ["person_id", "index_date", "label", "score", *columns, *(f"group_{g}" for g in model.groups)]
    if "days_to_event" in test.columns:
        kept.append("days_to_event")
    picked = F.expr(f"pmod(xxhash64('carelake vectors', person_id, index_date), 1000000) < {share * 1e6:.0f}")
    vectors = F.when(picked, vector_to_array(F.col("features"))).alias("_x")
    table = scored.select(*kept, vectors).orderBy("person_id", "index_date").drop("index_date").toArrow()
    arrays: dict[str, Any] = {c: table[c].to_numpy() for c in kept if c != "index_date"}
    x = np.concatenate([c.flatten().to_numpy() for c in table["_x"].chunks] or [np.empty(0)]).reshape(
        -1, width
    )
    x_label = _floats(arrays["label"])[table["_x"].is_valid().to_numpy()]
    other = None
    if champion is not None:
        theirs = champion.transform(test).select(
            "person_id", "index_date", F.col("prediction").alias("score")
        )
        other = theirs.orderBy("person_id", "index_date").toArrow()["score"].to_numpy()
    return HeldOut(
        person=arrays["person_id"].astype(np.int64), label=_floats(arrays["label"]), score=_floats(arrays["score"]),
        baselines=baseline_scores(baselines, {c: _floats(seen[c].to_numpy()) for c in ("label", *columns)}, {c: _floats(arrays[c]) for c in ("label", *columns)}),
        groups={g: arrays[f"group_{g}"].astype(str) for g in model.groups},
        lead_days=_floats(arrays["days_to_event"]) if "days_to_event" in arrays else None,
        champion=None if other is None else _floats(other),
    ), x, x_label  # fmt: skip


def _floats(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


def places(columns: Sequence[str], names: Sequence[str]) -> Mapping[str, Sequence[int]]:
    """Where in the vector each feature is: its value, and that it is missing; each covariate stands for itself."""
    at = {name: i for i, name in enumerate(columns)}
    dense = {n: [at[n], *([at[f"{n}_missing"]] if f"{n}_missing" in at else [])] for n in names}
    inside = {i for where in dense.values() for i in where}
    return dense | {c: [i] for c, i in at.items() if i not in inside}
