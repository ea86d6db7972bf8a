"""Which concepts belong to which value sets, by id, by ancestor, by name."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import pyspark.sql.functions as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from carelake.gold.features.value_sets import Numeric, ValueSet


def members(
    sets: Sequence[ValueSet], domains: Sequence[str], concepts: DataFrame, ancestors: DataFrame
) -> DataFrame:
    """One row per concept of any set: concept_id and `sets`, the names of those to which it belongs.

    `domains` (OMOP domain ids) bound what matches by name. What a set excludes, by name or by id, holds for descendants too.
    """
    found = [_by_name(sets, domains, concepts)]
    if any(s.anchors for s in sets):
        found.append(_by_anchor(sets, concepts, ancestors))
    if any(s.ids or s.below for s in sets):
        found.append(_by_id(sets, "ids", "below", concepts, ancestors))
    every = reduce(lambda a, b: a.unionByName(b), found)
    if any(s.without_ids or s.without_below for s in sets):
        every = every.join(
            _by_id(sets, "without_ids", "without_below", concepts, ancestors),
            ["concept_id", "name"],
            how="left_anti",
        )
    return every.groupBy("concept_id").agg(F.collect_set("name").alias("sets"))


def _by_name(sets: Sequence[ValueSet], domains: Sequence[str], concepts: DataFrame) -> DataFrame:
    named = ", ".join(
        f"CASE WHEN lower(concept_name) RLIKE r'{s.names}' AND NOT lower(concept_name) RLIKE r'{s.but_not}' THEN '{s.name}' END"
        for s in sets
    )
    listed = ", ".join(f"'{d}'" for d in domains)
    return concepts.where(f"domain_id IN ({listed})").selectExpr(
        "concept_id", f"explode(array_compact(array({named}))) AS name"
    )


def _by_anchor(sets: Sequence[ValueSet], concepts: DataFrame, ancestors: DataFrame) -> DataFrame:
    """Concepts below the SNOMED CT codes of each set, the code itself among them (concept_ancestor has each as its own)."""
    veto = " OR ".join(
        f"(name = '{s.name}' AND lower(concept_name) RLIKE r'{s.but_not}')" for s in sets if s.anchors
    )
    anchors = concepts.where("vocabulary_id = 'SNOMED'").selectExpr(
        "concept_id AS ancestor_concept_id",
        f"explode(CASE concept_code {_cases(sets, 'anchors', quote=True)} END) AS name",
    )
    below = ancestors.join(F.broadcast(anchors), "ancestor_concept_id", how="inner").selectExpr(
        "descendant_concept_id AS concept_id", "name"
    ).unionByName(anchors.withColumnRenamed("ancestor_concept_id", "concept_id"))  # fmt: skip
    return (
        below.join(concepts.select("concept_id", "concept_name"), "concept_id", how="inner")
        .where(f"NOT ({veto})")
        .select("concept_id", "name")
    )


def _by_id(
    sets: Sequence[ValueSet], ids: str, below: str, concepts: DataFrame, ancestors: DataFrame
) -> DataFrame:
    direct = concepts.selectExpr("concept_id", f"explode(CASE concept_id {_cases(sets, ids)} END) AS name")
    tops = concepts.selectExpr(
        "concept_id AS ancestor_concept_id", f"explode(CASE concept_id {_cases(sets, below)} END) AS name"
    )
    deep = ancestors.join(F.broadcast(tops), "ancestor_concept_id", how="inner").selectExpr(
        "descendant_concept_id AS concept_id", "name"
    )
    return direct.unionByName(deep).unionByName(tops.withColumnRenamed("ancestor_concept_id", "concept_id"))


def _cases(sets: Sequence[ValueSet], which: str, *, quote: bool = False) -> str:
    """WHEN parts of a CASE over a code or id: the names of the sets that list it."""
    mark = "'" if quote else ""
    listed: dict[Any, list[str]] = {}
    for s in sets:
        for key in getattr(s, which):
            listed.setdefault(key, []).append(f"'{s.name}'")
    if not listed:
        return "WHEN NULL THEN array('')"
    return " ".join(
        f"WHEN {mark}{key}{mark} THEN array({', '.join(names)})" for key, names in sorted(listed.items())
    )


def canonical_sql(numeric: Numeric, value: str = "value_as_number", unit: str = "unit") -> str:
    """SQL double: the value in the set's canonical unit; NULL in a unit that has no conversion or outside the plausible range."""
    cases = " ".join(
        f"WHEN '{u}' THEN {value} * {factor!r}D + {dict(numeric.offsets).get(u, 0.0)!r}D"
        for u, factor in {numeric.unit: 1.0, **dict(numeric.factors)}.items()
    )
    converted = f"(CASE {unit} {cases} END)"
    return f"CASE WHEN {converted} BETWEEN {numeric.low} AND {numeric.high} THEN {converted} END"
