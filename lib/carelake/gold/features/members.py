"""Which concepts belong to a value set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from carelake.gold.features.value_sets import ValueSet


def members(sets: tuple[ValueSet, ...], domains: str, concepts: DataFrame, ancestors: DataFrame) -> DataFrame:
    """concept_id and `sets`, the names of the value sets to which the concept belongs."""
    below_anchor: dict[str, list[str]] = {}
    for s in sets:
        for a in s.anchors:
            below_anchor.setdefault(a, []).append(s.name)
    anchored = [f"WHEN '{a}' THEN array({', '.join(map(repr, names))})" for a, names in below_anchor.items()]
    named = ", ".join(
        f"CASE WHEN lower(concept_name) RLIKE r'{s.names}' AND NOT lower(concept_name) RLIKE r'{s.but_not}' THEN '{s.name}' END"
        for s in sets
    )
    by_name = concepts.where(f"domain_id IN ({domains})").selectExpr(
        "concept_id", f"explode(array_compact(array({named}))) AS name"
    )
    if not anchored:
        found = by_name
    else:
        # the regular expressions that exclude hold for descendants too
        veto = " OR ".join(
            f"(name = '{s.name}' AND lower(concept_name) RLIKE r'{s.but_not}')" for s in sets if s.anchors
        )
        anchors = concepts.where("vocabulary_id = 'SNOMED'").selectExpr(
            "concept_id AS ancestor_concept_id",
            f"explode(CASE concept_code {' '.join(anchored)} END) AS name",
        )
        below = ancestors.join(F.broadcast(anchors), "ancestor_concept_id", how="inner").selectExpr(
            "descendant_concept_id AS concept_id", "name"
        )
        found = by_name.unionByName(
            below.join(concepts.select("concept_id", "concept_name"), "concept_id", how="inner")
            .where(f"NOT ({veto})")
            .select("concept_id", "name")
        )
    return found.groupBy("concept_id").agg(F.collect_set("name").alias("sets"))
