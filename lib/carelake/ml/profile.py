"""What a model was trained on, as shares of bins: the reference against which drift is told. No value of one person's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyspark.sql.functions as F

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

SCORE = "score"
BINS = 10
SMALL = 11  # persons; a bin of fewer is joined with its neighbour
ABSENT = -1  # the bin of what is missing
# By value: bin -> (rows, persons)
Counts = dict[str, dict[int, tuple[int, int]]]


def training_profile(pipeline: PipelineModel, fit_on: DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """The profile of the rows a model was fit on: of the named features, and of the score that the model gives these rows."""
    scored = pipeline.transform(fit_on).withColumn(SCORE, F.col("prediction"))
    return profile(scored, [SCORE, *names])


def profile(rows: DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """{"rows", "persons", "values": {name: {"edges", "shares", "missing"}}} of numeric columns; `rows` has person_id too.

    A bin holds what is above the edge before it and not above its own; the last has no edge. Edges are deciles, rounded to three
    digits so that none is the value of a record; every bin stands for 11 persons or more, and what fewer lack is lacking to nobody.
    """
    edges = _deciles(rows, names)
    found = counted(rows, edges)
    size = rows.agg(F.count("*"), F.count_distinct("person_id")).first()
    total, persons = (int(size[0]), int(size[1])) if size else (0, 0)
    values = {}
    for name in names:
        bins = found.get(name, {})
        absent, lacking = bins.get(ABSENT, (0, 0))
        kept, sizes = joined(edges[name], [bins.get(i, (0, 0)) for i in range(len(edges[name]) + 1)])
        if lacking < SMALL:
            absent = 0
        here = sum(sizes) + absent
        values[name] = {
            "edges": kept,
            "shares": [n / here if here else 0.0 for n in sizes],
            "missing": absent / here if here else 0.0,
        }
    return {"rows": total, "persons": persons, "values": values}


def counted(rows: DataFrame, edges: Mapping[str, Sequence[float]]) -> Counts:
    """Rows and persons in each bin of each value, in one pass."""
    names = list(edges)
    if not names:
        return {}
    limits = ", ".join(
        f"cast(array({', '.join(f'{e!r}D' for e in edges[n])}) AS array<double>)" for n in names
    )
    found = (
        rows.select("person_id", F.posexplode(F.array(*[F.col(n).cast("double") for n in names])).alias("_j", "_value"))
        .selectExpr(
            "person_id", "_j",
            f"CASE WHEN _value IS NULL OR isnan(_value) THEN {ABSENT} "
            f"ELSE size(filter(array({limits})[_j], e -> _value > e)) END AS _bin",
        )
        .groupBy("_j", "_bin")
        .agg(F.count("*").alias("rows"), F.count_distinct("person_id").alias("persons"))
    )  # fmt: skip
    out: Counts = {n: {} for n in names}
    for r in found.collect():
        out[names[r["_j"]]][int(r["_bin"])] = (int(r["rows"]), int(r["persons"]))
    return out


def joined(edges: Sequence[float], bins: Sequence[tuple[int, int]]) -> tuple[list[float], list[int]]:
    """Edges and rows of bins of 11 persons or more each: a smaller one is joined with the next, the last with the one before.

    Persons of two bins may be the same, so that bins together count as the larger of them.
    """
    kept: list[float] = []
    sizes: list[int] = []
    rows, persons = 0, 0
    for i, (n, of) in enumerate(bins):
        rows, persons = rows + n, max(persons, of)
        if persons >= SMALL and i < len(edges):
            kept.append(float(edges[i]))
            sizes.append(rows)
            rows, persons = 0, 0
    if persons < SMALL and sizes:
        kept.pop()
        sizes[-1] += rows
    else:
        sizes.append(rows)
    return kept, sizes


def _deciles(rows: DataFrame, names: Iterable[str]) -> dict[str, list[float]]:
    """The distinct deciles of each column, rounded to three digits."""
    listed = list(names)
    at = ", ".join(str(i / BINS) for i in range(1, BINS))
    found = (
        rows.select(F.posexplode(F.array(*[F.col(n).cast("double") for n in listed])).alias("_j", "_value"))
        .where("_value IS NOT NULL AND NOT isnan(_value)")
        .groupBy("_j")
        .agg(F.expr(f"percentile_approx(_value, array({at}))").alias("_deciles"))
    )
    known = {listed[r["_j"]]: r["_deciles"] for r in found.collect()}
    return {n: sorted({float(f"{x:.3g}") for x in known.get(n, ())}) for n in listed}
