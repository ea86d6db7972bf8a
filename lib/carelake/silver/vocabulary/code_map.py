"""code_map: every source code once, with the standard concepts that it means.

OHDSI's rules (CDM conventions, Themis): a code maps by its valid `Maps to` to concepts that are standard and valid, a
standard concept to itself; `Maps to value` gives value_as_concept_id. A concept that reaches none so follows `Concept
replaced by`, or a `Maps to` whose target has lost its standing, to the nearest concept that does. Where the vocabulary
says nothing, a local map does; its targets are followed in the same way. All of it are distributed joins on numbers: a
full Athena download has some ten million concepts. Only `look_up` brings codes of records into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import step
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_RELATIONSHIP, SOURCE_TO_CONCEPT_MAP
from carelake.silver.vocabulary.codes import code_sql, other_spellings_sql
from carelake.silver.vocabulary.local_maps import look_up_vocabulary
from carelake.silver.vocabulary.tables import CODE_MAP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DOUBLINGS = 3  # of the steps followed: 2^3 replacements; also what ends a circle of them
_STANDARD = "standard_concept = 'S' AND invalid_reason IS NULL"
_TARGET = "struct(concept_id, domain_id, concept_class_id)"


@step(writes=CODE_MAP, concepts=CONCEPT, relationships=CONCEPT_RELATIONSHIP, local=SOURCE_TO_CONCEPT_MAP)
def code_map(concepts: DataFrame, relationships: DataFrame, local: DataFrame) -> DataFrame:
    """One row per code and standard target, numbered by concept id; one row with concept 0 when there is none."""
    standard = concepts.where(_STANDARD).selectExpr("concept_id", f"{_TARGET} AS target")
    meant = _meanings(_ends(relationships, standard), standard)
    said = _by_vocabulary(concepts, meant).unionByName(_by_map(local, meant))
    spelled = said.selectExpr(
        "*",
        f"inline(concat(array(struct(code AS as_code, vocabulary_id AS as_vocabulary, 0 AS other)), {other_spellings_sql('vocabulary_id', 'code')}))",
    )
    one = spelled.groupBy("as_vocabulary", "as_code").agg(
        # A struct orders by its fields: exact before other spelling, valid before invalid, standard first, lowest id.
        F.expr(
            "min(struct(other, invalid, not_standard, source_concept_id, source_domain_id, targets, value)) "
            "FILTER (WHERE NOT is_map) AS concept"
        ),
        F.expr("min(other) AS other"),
        F.expr("min(code) <> max(code) AS doubtful"),
        F.expr(
            "collect_list(struct(other, source_concept_id, targets, value, provenance)) FILTER (WHERE is_map) AS maps"
        ),
    )
    decided = one.where("other = 0 OR NOT doubtful").selectExpr(
        "as_vocabulary AS vocabulary_id",
        "as_code AS code",
        "CASE WHEN concept.other = other THEN concept END AS concept",
        "filter(maps, m -> m.other = other) AS maps",
    )
    chosen = decided.selectExpr(
        "*",
        "coalesce(size(concept.targets), 0) > 0 AS official",
        "array_sort(array_distinct(flatten(transform(maps, m -> m.targets)))) AS by_map",
    ).selectExpr(
        "vocabulary_id",
        "code",
        "coalesce(concept.source_concept_id, array_max(transform(maps, m -> m.source_concept_id)), 0) AS source_concept_id",
        "concept.source_domain_id AS source_domain_id",
        "CASE WHEN official THEN concept.targets ELSE by_map END AS targets",
        "CASE WHEN official OR size(by_map) = 0 THEN concept.value ELSE array_min(transform(maps, m -> m.value)) END "
        "AS value_as_concept_id",
        "CASE WHEN official OR size(by_map) = 0 THEN 'vocabulary' ELSE array_min(transform(filter(maps, m -> size(m.targets) > 0), m -> m.provenance)) END AS provenance",
    )
    # A map without target, of a code that the vocabulary does not know, says nothing
    return chosen.where("size(targets) > 0 OR source_concept_id <> 0").selectExpr(
        "vocabulary_id", "code", "source_concept_id", "source_domain_id", "value_as_concept_id", "provenance",
        "posexplode_outer(targets) AS (pos, target)",
    ).selectExpr(
        "vocabulary_id", "code", "source_concept_id", "source_domain_id", "value_as_concept_id", "provenance",
        "coalesce(target.concept_id, 0) AS concept_id", "target.domain_id AS domain_id",
        "target.concept_class_id AS concept_class_id", "coalesce(pos, 0) AS target_no",
    )  # fmt: skip


def look_up(codes: DataFrame, wanted: DataFrame) -> DataFrame:
    """The rows of CODE_MAP for the vocabularies and codes of `wanted`, which are few.

    They are broadcast, so that a map of millions of codes is read past them and not shuffled.
    """
    keys = F.broadcast(wanted.select("vocabulary_id", "code").distinct())
    return codes.join(keys, ["vocabulary_id", "code"], how="left_semi")


def _ends(relationships: DataFrame, standard: DataFrame) -> DataFrame:
    """One row per concept that leads anywhere: targets, value, and the concepts that come after it (`next`).

    Of several values the lowest id, since OHDSI pairs no value with a target.
    """
    return (
        relationships.where(
            "invalid_reason IS NULL AND relationship_id IN ('Maps to', 'Maps to value', 'Concept replaced by')"
        )
        .selectExpr("concept_id_1 AS at", "concept_id_2 AS concept_id", "relationship_id AS kind")
        .join(standard, "concept_id", how="left")
        .groupBy("at")
        .agg(
            F.expr("collect_set(target) FILTER (WHERE kind = 'Maps to') AS targets"),
            F.expr("min(concept_id) FILTER (WHERE kind = 'Maps to value' AND target IS NOT NULL) AS value"),
            F.expr(
                "collect_set(concept_id) FILTER (WHERE kind = 'Concept replaced by' OR kind = 'Maps to' AND target IS NULL) "
                "AS next"
            ),
        )
    )


def _meanings(ends: DataFrame, standard: DataFrame) -> DataFrame:
    """source_concept_id, targets (sorted, perhaps none), value: of every concept that has a target or a value."""
    own = (
        ends.join(standard.withColumnRenamed("concept_id", "at"), "at", how="full_outer")
        .selectExpr(
            "at", "value", "next",
            "array_union(coalesce(targets, array()), CASE WHEN target IS NOT NULL THEN array(target) ELSE array() END) AS targets",
        )
    )  # fmt: skip
    hops = own.where("size(targets) = 0 AND size(next) > 0").selectExpr(
        "at", "explode(next) AS here", "1 AS steps"
    )
    for _ in range(DOUBLINGS):
        further = hops.selectExpr("at AS here", "here AS there", "steps AS more")
        hops = hops.join(further, "here", how="left").selectExpr(
            "at", "coalesce(there, here) AS here", "steps + coalesce(more, 0) AS steps"
        )
    found = own.where("size(targets) > 0").selectExpr("at AS here", "targets")
    followed = (
        hops.join(found, "here", how="inner")
        .groupBy("at")
        .agg(F.expr("collect_list(struct(steps, targets)) AS all"), F.expr("min(steps) AS nearest"))
        .selectExpr(
            "at", "flatten(transform(filter(all, a -> a.steps = nearest), a -> a.targets)) AS followed"
        )
    )
    return own.join(followed, "at", how="left").selectExpr(
        "at AS source_concept_id",
        "array_sort(array_distinct(concat(targets, coalesce(followed, array())))) AS targets",
        "value",
    )


def _by_vocabulary(concepts: DataFrame, meant: DataFrame) -> DataFrame:
    """What the vocabulary says of each of its codes."""
    return (
        concepts.selectExpr(
            "vocabulary_id",
            f"{code_sql('vocabulary_id', 'concept_code')} AS code",
            "concept_id AS source_concept_id",
            "domain_id AS source_domain_id",
            "invalid_reason IS NOT NULL AS invalid",
            "coalesce(standard_concept, '') <> 'S' AS not_standard",
        )
        .where("code IS NOT NULL AND source_concept_id <> 0")
        .join(meant, "source_concept_id", how="left")
        .selectExpr(
            "vocabulary_id", "code", "false AS is_map", "invalid", "not_standard", "source_concept_id",
            "source_domain_id", "coalesce(targets, array()) AS targets", "value", "'vocabulary' AS provenance",
        )
    )  # fmt: skip


def _by_map(local: DataFrame, meant: DataFrame) -> DataFrame:
    """What the local maps say, row by row, as far as their targets lead to a standard concept."""
    rows = (
        local.where("invalid_reason IS NULL")
        .selectExpr("*", look_up_vocabulary("source_vocabulary_id"))
        .selectExpr(
            "vocabulary_id",
            f"{code_sql('vocabulary_id', 'source_code')} AS code",
            "target_concept_id",
            "nullif(source_concept_id, 0) AS own_id",
            "_value_as_concept_id AS own_value",
            "coalesce(_map, 'source_to_concept_map') AS provenance",
        )
        .where("code IS NOT NULL")
    )
    few = F.broadcast(rows.selectExpr("target_concept_id AS source_concept_id").distinct())
    known = meant.join(few, "source_concept_id", how="left_semi").selectExpr(
        "source_concept_id AS target_concept_id", "targets"
    )
    return rows.join(known, "target_concept_id", how="left").selectExpr(
        "vocabulary_id", "code", "true AS is_map", "false AS invalid", "false AS not_standard",
        "own_id AS source_concept_id", "cast(NULL AS string) AS source_domain_id",
        "coalesce(targets, array()) AS targets", "own_value AS value", "provenance",
    )  # fmt: skip
