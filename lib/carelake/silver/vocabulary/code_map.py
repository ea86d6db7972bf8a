"""code_map: every source code once, with the standard concepts that it means.

OHDSI's rules (CDM conventions, Themis): a code maps by its valid `Maps to` to concepts that are standard and valid, a
standard concept to itself; `Maps to value` gives value_as_concept_id. A concept that reaches none so follows `Concept
replaced by`, its own or that of the target of its `Maps to`, to the nearest concept that does. Where the vocabulary says
nothing, a local map does; its targets are followed in the same way.

A full Athena download has some ten million concepts, so all of it are joins and aggregations of numbers; lists are made
of the local maps alone, which are small and broadcast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import step
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_RELATIONSHIP, SOURCE_TO_CONCEPT_MAP
from carelake.silver.vocabulary.codes import (
    OTHERWISE_SPELLED,
    code_sql,
    known_vocabulary_sql,
    other_spellings_sql,
)
from carelake.silver.vocabulary.tables import CODE_MAP, SUCCESSOR

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_STANDARD = "standard_concept = 'S' AND invalid_reason IS NULL"
# Who gives a code its meaning, as one number of which the least wins: spelled so before otherwise, a concept before a map
# alone, valid before invalid, standard before other, the lowest id.
_ID = 1 << 31
_NOT_STANDARD, _INVALID, _MAP_ALONE, _OTHERWISE = _ID, _ID << 1, _ID << 2, _ID << 3


@step(
    writes=CODE_MAP, concepts=CONCEPT, relationships=CONCEPT_RELATIONSHIP, successors=SUCCESSOR, local=SOURCE_TO_CONCEPT_MAP
)  # fmt: skip
def code_map(
    concepts: DataFrame, relationships: DataFrame, successors: DataFrame, local: DataFrame
) -> DataFrame:
    """One row per code and standard target, numbered by concept id; one row with concept 0 when there is none."""
    standard = concepts.where(_STANDARD).select("concept_id", "domain_id", "concept_class_id")
    valid = relationships.where("invalid_reason IS NULL")
    mapped = _local(local, standard, valid, successors)
    source = concepts.selectExpr("concept_id AS source_concept_id", "domain_id AS source_domain_id")
    official = (
        _codes(concepts, mapped)
        .join(source, "source_concept_id", how="left")
        .join(_targets(valid, standard, successors), "source_concept_id", how="left")
        .join(_values(valid, standard), "source_concept_id", how="left")
    )
    both = official.join(F.broadcast(mapped), ["vocabulary_id", "code"], how="left")
    by_map = "target IS NULL AND map_otherwise <= otherwise AND size(targets) > 0"
    return (
        both.selectExpr(
            "vocabulary_id", "code", "source_domain_id",
            "coalesce(source_concept_id, map_source_id, 0) AS source_concept_id",
            f"CASE WHEN {by_map} THEN map_value ELSE value END AS value_as_concept_id",
            f"CASE WHEN {by_map} THEN provenance ELSE 'vocabulary' END AS provenance",
            f"inline(CASE WHEN {by_map} THEN transform(targets, (t, i) -> struct(t AS t, i AS no)) "
            "ELSE array(struct(target AS t, coalesce(no, 0) AS no)) END) AS (t, target_no)",
        )
        # a map without target, of a code that no vocabulary has, says nothing
        .where("t IS NOT NULL OR source_concept_id <> 0")
        .selectExpr("*", "coalesce(t.concept_id, 0) AS concept_id", "t.domain_id", "t.concept_class_id")
    )  # fmt: skip


def look_up(codes: DataFrame, wanted: DataFrame) -> DataFrame:
    """The rows of CODE_MAP for the vocabularies and codes of `wanted`, which are few.

    They are broadcast, so that a map of millions of codes is read past them and not shuffled.
    """
    keys = F.broadcast(wanted.select("vocabulary_id", "code").distinct())
    return codes.join(keys, ["vocabulary_id", "code"], how="left_semi")


def _codes(concepts: DataFrame, mapped: DataFrame) -> DataFrame:
    """Every code of the vocabulary and of the local maps in look-up form, with the concept that it is (NULL none).

    Another spelling of a code is left out where it might be that of two codes.
    """
    standing = f"CASE WHEN invalid_reason IS NULL THEN 0 ELSE {_INVALID} END"
    flag = f"CASE WHEN standard_concept = 'S' THEN 0 ELSE {_NOT_STANDARD} END"
    own = concepts.where("concept_id <> 0").selectExpr(
        "vocabulary_id",
        f"{code_sql('vocabulary_id', 'concept_code')} AS code",
        f"{standing} + {flag} + concept_id AS rank",
    )
    same = _spelled(own.where("code IS NOT NULL")).selectExpr(
        "*", "original AS least", "original AS greatest"
    )
    local = mapped.selectExpr(
        "vocabulary_id", "code", f"map_otherwise * {_OTHERWISE} + {_MAP_ALONE} AS rank", "least", "greatest"
    )
    every = same.drop("original").unionByName(local)
    return (
        every.groupBy("vocabulary_id", "code")
        .agg(F.expr("min(rank) AS rank"), F.expr("min(least) <> max(greatest) AS doubtful"))
        .where(f"rank < {_OTHERWISE} OR NOT doubtful")
        .selectExpr(
            "vocabulary_id", "code", f"rank DIV {_OTHERWISE} AS otherwise",
            f"CASE WHEN rank & {_MAP_ALONE} = 0 THEN cast(rank & {_ID - 1} AS int) END AS source_concept_id",
        )
    )  # fmt: skip


def _spelled(codes: DataFrame) -> DataFrame:
    """Codes with `rank` as they are, and once more for each other spelling; `original` is a hash of the code itself."""
    marked = codes.selectExpr("*", "xxhash64(vocabulary_id, code) AS original")
    kept = [c for c in marked.columns if c not in ("vocabulary_id", "code", "rank")]
    otherwise = marked.where(f"vocabulary_id IN {OTHERWISE_SPELLED!r}").selectExpr(
        *kept,
        f"rank + {_OTHERWISE} AS rank",
        f"inline({other_spellings_sql('vocabulary_id', 'code')}) AS (code, vocabulary_id)",
    )
    return marked.unionByName(otherwise)


def _direct(valid: DataFrame, standard: DataFrame) -> DataFrame:
    """at, target: standard concepts by `Maps to`, and each standard concept itself."""
    target = "struct(concept_id, domain_id, concept_class_id) AS target"
    maps = _related(valid, "Maps to").where("at <> here").withColumnRenamed("here", "concept_id")
    mapped = maps.join(standard, "concept_id", how="inner").selectExpr("at", target)
    return mapped.union(standard.selectExpr("concept_id AS at", target))


def _targets(valid: DataFrame, standard: DataFrame, successors: DataFrame) -> DataFrame:
    """source_concept_id, target, no: what each concept means; without `Maps to`, what its nearest successor means."""
    stale = _related(valid, "Maps to").join(
        standard.selectExpr("concept_id AS here"), "here", how="left_anti"
    )
    after = successors.selectExpr("concept_id AS at", "successor_concept_id AS here", "steps")
    by_stale = stale.join(
        after.selectExpr("at AS here", "here AS there", "steps"), "here", how="inner"
    ).selectExpr("at", "there AS here", "steps + 1 AS steps")
    direct = _direct(valid, standard)
    followed = (
        after.union(by_stale)
        .join(direct.withColumnRenamed("at", "here"), "here", how="inner")
        .groupBy("at", "target")
        .agg(F.expr("min(steps) AS steps"))
        .select("at", "target", "steps")
    )
    return (
        direct.selectExpr("at", "target", "0 AS steps")
        .union(followed)
        .selectExpr("*", "min(steps) OVER (PARTITION BY at) AS nearest")
        .where("steps = nearest")
        .selectExpr(
            "at AS source_concept_id",
            "target",
            "row_number() OVER (PARTITION BY at ORDER BY target.concept_id) - 1 AS no",
        )
    )


def _related(valid: DataFrame, kind: str) -> DataFrame:
    return valid.where(f"relationship_id = '{kind}'").selectExpr("concept_id_1 AS at", "concept_id_2 AS here")


def _values(valid: DataFrame, standard: DataFrame) -> DataFrame:
    """source_concept_id, value; of several values the lowest id, since OHDSI pairs no value with a target."""
    return (
        _related(valid, "Maps to value")
        .join(standard.selectExpr("concept_id AS here"), "here", how="left_semi")
        .groupBy("at")
        .agg(F.expr("min(here) AS value"))
        .withColumnRenamed("at", "source_concept_id")
    )


def _local(local: DataFrame, standard: DataFrame, valid: DataFrame, successors: DataFrame) -> DataFrame:
    """One row per code of the local maps: targets in order, map_value, map_source_id, provenance; map_otherwise is 1
    where it is another spelling of the map's code, least and greatest are of the hashes of these.
    """
    rows = (
        local.where("invalid_reason IS NULL")
        .selectExpr("*", f"{known_vocabulary_sql('source_vocabulary_id')} AS vocabulary_id")
        .selectExpr(
            "vocabulary_id",
            f"{code_sql('vocabulary_id', 'source_code')} AS code",
            "target_concept_id AS at",
            "nullif(source_concept_id, 0) AS own_id",
            "_value_as_concept_id AS own_value",
            "coalesce(_map, 'source_to_concept_map') AS name",
            "0L AS rank",
        )
        .where("code IS NOT NULL")
    )
    few = rows.select("at").distinct()
    after = successors.selectExpr("concept_id AS at", "successor_concept_id AS here", "steps")
    ways = few.selectExpr("at", "at AS here", "0 AS steps").union(
        after.join(F.broadcast(few), "at", how="left_semi")
    )
    reached = F.broadcast(ways.selectExpr("here AS at").distinct())
    direct = _direct(valid, standard).join(reached, "at", how="left_semi").withColumnRenamed("at", "here")
    meant = (
        ways.join(direct, "here", how="inner")
        .selectExpr("*", "min(steps) OVER (PARTITION BY at) AS nearest")
        .where("steps = nearest")
        .select("at", "target")
    )
    said = rows.join(meant, "at", how="left")
    return (
        _spelled(said)
        .groupBy("vocabulary_id", "code")
        .agg(
            F.expr("min(rank) AS nearest"),
            F.expr("collect_list(struct(rank, target, own_id, own_value, name, original)) AS all"),
        )
        .selectExpr("vocabulary_id", "code", f"nearest DIV {_OTHERWISE} AS map_otherwise", "filter(all, a -> a.rank = nearest) AS all")
        .selectExpr(
            "vocabulary_id", "code", "map_otherwise", "array_min(all.original) AS least", "array_max(all.original) AS greatest",
            "array_sort(array_distinct(array_compact(all.target))) AS targets",
            "array_max(all.own_id) AS map_source_id",
            "array_min(all.own_value) AS map_value",
            "array_min(transform(filter(all, a -> a.target IS NOT NULL), a -> a.name)) AS provenance",
        )
    )  # fmt: skip
