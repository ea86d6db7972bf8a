"""Permutation importance: what the AUROC of the test side loses when one feature's values are shuffled among its rows."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyspark.sql.functions as F
from pyspark.ml import PipelineModel
from pyspark.ml.classification import GBTClassificationModel
from pyspark.ml.functions import array_to_vector, vector_to_array

from carelake.ml.estimators import slopes, weights
from carelake.ml.evaluate import auroc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

    from carelake.ml.evaluate import Floats

    Part = tuple[frozenset[int], Callable[[Floats], Floats]]

REPEATS = 10
_SPARK_ROWS, _SPARK_REPEATS = 1_000, 3  # where rows x features x repeats have to go through Spark
_NODES = 20_000  # of trees at most that are brought to the driver


@dataclass(frozen=True)
class Importance:
    """The mean loss of AUROC over the shuffles of a feature, and the 2.5th and 97.5th percentile of them."""

    feature: str
    drop: float
    lower: float
    upper: float


def margin_parts(stages: Sequence[Any]) -> list[Part] | None:
    """The margin, but for a constant, as a sum of functions of an array (rows x features); None when only Spark can tell it.

    Each part comes with the columns that it reads: one for each slope, one for each tree, one for all trees of XGBoost, which
    are quick.
    """
    linear = slopes(stages)
    if linear is not None:
        return [(frozenset([j]), _line(j, w)) for j, w in enumerate(linear) if w]
    boosted = next((s for s in stages if hasattr(s, "get_booster")), None)
    if boosted is not None:
        return [_boosted(boosted)]
    ensemble = next((s for s in stages if hasattr(s, "treeWeights")), None)
    if ensemble is None or ensemble.totalNumNodes > _NODES:
        return None
    votes = not isinstance(ensemble, GBTClassificationModel)
    trees = [_tree(t._java_obj.rootNode(), votes) for t in ensemble.trees]
    scale = [1.0 / len(trees)] * len(trees) if votes else ensemble.treeWeights
    return [(_columns(t), _scaled(t, w)) for w, t in zip(scale, trees, strict=True)]


def _line(column: int, slope: float) -> Callable[[Floats], Floats]:
    return lambda x: np.asarray(slope * x[:, column])


def _scaled(tree: tuple[Any, ...], scale: float) -> Callable[[Floats], Floats]:
    return lambda x: scale * _walk(tree, x)


def _boosted(stage: Any) -> Part:
    missing = stage.getOrDefault(stage.missing)
    booster = stage.get_booster()
    read = frozenset(int(name[1:]) for name in booster.get_score(importance_type="weight"))
    return read, lambda x: np.asarray(
        booster.inplace_predict(x, predict_type="margin", missing=missing), dtype=np.float64
    )


def _columns(tree: tuple[Any, ...]) -> frozenset[int]:
    return frozenset() if len(tree) == 1 else frozenset([tree[0]]) | _columns(tree[2]) | _columns(tree[3])


def _tree(root: Any, votes: bool) -> tuple[Any, ...]:
    """A tree of Spark's as (feature, threshold, left, right), and (value,) for a leaf: its share of events, or its prediction."""
    if root.getClass().getSimpleName() == "LeafNode":
        if not votes:
            return (float(root.prediction()),)
        none, event = root.impurityStats().stats()
        return (float(event / (none + event)),)
    split = root.split()
    return (
        int(split.featureIndex()), float(split.threshold()), _tree(root.leftChild(), votes), _tree(root.rightChild(), votes)
    )  # fmt: skip


def _walk(tree: tuple[Any, ...], x: Floats) -> Floats:
    if len(tree) == 1:
        return np.full(len(x), tree[0])
    feature, threshold, left, right = tree
    at = x[:, feature] <= threshold
    out = np.empty(len(x))
    out[at], out[~at] = _walk(left, x[at]), _walk(right, x[~at])
    return out


def permutation_importance(
    stages: Sequence[Any],
    x: Floats,
    label: Floats,
    places: Mapping[str, Sequence[int]],
    *,
    seed: int,
    spark: SparkSession,
) -> list[Importance]:
    """The importance of each feature, most important first. Breiman (2001), Random Forests, doi:10.1023/A:1010933404324.

    `stages` lead from `features` (rows of `x`) to `margin`; `places` are the columns of `x` that each feature fills (its value and
    that it is missing), shuffled together. The interval is over the shuffles, not over persons. Correlated features share what
    they tell, and each may seem unimportant. Nothing when one class is absent.
    """
    random = np.random.default_rng(seed)
    parts = margin_parts(stages)
    repeats = REPEATS if parts is not None else _SPARK_REPEATS
    if parts is None and len(x) > _SPARK_ROWS:
        at = np.sort(random.choice(len(x), _SPARK_ROWS, replace=False))
        x, label = x[at], label[at]
    if not len(x) or label.min() == label.max():
        return []
    used = weights(stages, x.shape[1]) != 0
    moved = {feature: list(columns) for feature, columns in places.items() if used[list(columns)].any()}
    orders = [random.permutation(len(x)) for _ in range(repeats)]
    margins_of = (
        _on_spark(stages, x, moved, orders, spark) if parts is None else _on_arrays(parts, x, moved, orders)
    )
    whole = auroc(label, next(margins_of))
    found = [Importance(feature, 0.0, 0.0, 0.0) for feature in places if feature not in moved]
    for feature, margins in zip(moved, margins_of, strict=True):
        drops = [whole - auroc(label, m) for m in margins]
        low, high = np.percentile(drops, [2.5, 97.5])
        found.append(Importance(feature, float(np.mean(drops)), float(low), float(high)))
    return sorted(found, key=lambda i: (-i.drop, i.feature))


def _on_arrays(
    parts: Sequence[Part], x: Floats, places: Mapping[str, Sequence[int]], orders: Sequence[Any]
) -> Iterator[Any]:
    """The margins as they are, then for each feature those of each shuffle; only parts that read the feature are asked again."""
    values = [part(x) for _, part in parts]
    usual = np.sum(values, axis=0) if values else np.zeros(len(x))
    yield usual
    shuffled = x.copy()
    for columns in places.values():
        touched = [i for i, (read, _) in enumerate(parts) if not read.isdisjoint(columns)]
        out = []
        for order in orders:
            shuffled[:, columns] = x[np.ix_(order, columns)]
            out.append(usual + sum(parts[i][1](shuffled) - values[i] for i in touched))
        shuffled[:, columns] = x[:, columns]
        yield out


def _on_spark(
    stages: Sequence[Any],
    x: Floats,
    places: Mapping[str, Sequence[int]],
    orders: Sequence[Any],
    spark: SparkSession,
) -> Iterator[Any]:
    """As `_on_arrays`, by one pass over rows x (1 + features x shuffles)."""
    rows = [(i, v.tolist(), [x[o[i]].tolist() for o in orders]) for i, v in enumerate(x)]
    frame = spark.createDataFrame(rows, "row int, x array<double>, other array<array<double>>")
    cases = F.array(
        *[F.struct(F.lit(0).alias("order"), F.array().cast("array<int>").alias("columns"))],
        *[F.struct(F.lit(k).alias("order"), F.array(*map(F.lit, columns)).alias("columns")) for columns in places.values() for k in range(len(orders))],
    )  # fmt: skip
    changed = "transform(x, (v, i) -> if(array_contains(c.columns, i), other[c.order][i], v))"
    asked = (
        frame.select("row", "x", "other", F.posexplode(cases).alias("case", "c"))
        .select("row", "case", array_to_vector(F.expr(changed)).alias("features"))
    )  # fmt: skip
    table = (
        PipelineModel(list(stages)).transform(asked)
        .select("row", "case", vector_to_array(F.col("margin"))[0].alias("margin")).toArrow()
    )  # fmt: skip
    margins = np.empty((1 + len(places) * len(orders), len(x)))
    margins[table["case"].to_numpy(), table["row"].to_numpy()] = table["margin"].to_numpy()
    yield margins[0]
    for j in range(len(places)):
        yield list(margins[1 + j * len(orders) : 1 + (j + 1) * len(orders)])


def write_importances(
    file: Path,
    importances: Sequence[Importance],
    places: Mapping[str, Sequence[int]],
    own: Floats,
    words: Mapping[str, str],
) -> None:
    """A CSV of one line per feature, most important first: in words, the loss of AUROC, and the model's `own` weights of each place.

    `weight` is the slope per standard deviation, or the share of the trees' gain; `missing_weight` that of the value's absence.
    """
    known = {i.feature: i for i in importances}
    order = [*known, *(f for f in places if f not in known)]
    with file.open("w", newline="", encoding="utf-8") as f:
        out = csv.writer(f)
        out.writerow(
            [
                "feature",
                "words",
                "auroc_drop",
                "auroc_drop_lower",
                "auroc_drop_upper",
                "weight",
                "missing_weight",
            ]
        )
        for feature in order:
            i = known.get(feature)
            drops = ["", "", ""] if i is None else [i.drop, i.lower, i.upper]
            weights_of = [float(own[at]) for at in places[feature]]
            out.writerow(
                [feature, words.get(feature, ""), *drops, *weights_of, *[""] * (2 - len(weights_of))]
            )
