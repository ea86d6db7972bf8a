"""What a list of codings means: which coding counts, its concepts and their domains; and what a unit means.

Both work on the distinct lists and units of the events, some thousands however many events there are, so that the
costly part (spellings of systems, look-up forms, the map itself) is done once for each and not once per event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.silver.conformed.event import DOMAINS
from carelake.silver.vocabulary.codes import code_sql, vocabulary_sql
from carelake.silver.vocabulary.units import VOCABULARY as UCUM
from carelake.silver.vocabulary.units import ucum_sql

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Displays are left out of the key: the same code under many displays is resolved once, and exactly (no hash).
KEY = {"systems": "system", "codes": "code", "selected": "user_selected"}

# SNOMED CT 'Allergy to drug (finding)': what an allergy means whose only code is the drug itself
DRUG_ALLERGY = "416098002"


def same_codings(codings: str, meaning: str) -> str:
    """SQL of the join of a column of codings with the meanings under the alias `meaning`."""
    return " AND ".join(f"{codings}.{field} = {meaning}.{column}" for column, field in KEY.items())


def domain_sql(domain: str) -> str:
    """SQL of the first of the domains that have an event table; the domains without one go to Observation.

    OHDSI puts what has no table of its own into observation (CDM v5.4, OBSERVATION): Meas Value, Spec Anatomic Site,
    Visit, Provider, Race, Unit, Type Concept and so on. Source concepts may have two domains at once
    (`Condition/Meas`): the first is taken unless the event's hint is the second, see `other_domain_sql`.
    """
    return _full(f"split_part({domain}, '/', 1)")


def other_domain_sql(domain: str) -> str:
    """SQL of the second half of a double domain (`Device/Procedure`), else NULL."""
    second = _full(f"split_part({domain}, '/', 2)")
    return f"CASE WHEN {domain} LIKE '%/%' THEN {second} END"


def _full(half: str) -> str:
    return (
        f"CASE WHEN {half} IN {DOMAINS!r} THEN {half} WHEN {half} = 'Meas' THEN 'Measurement' "
        f"WHEN {half} IS NOT NULL THEN 'Observation' END"
    )


def meanings(events: DataFrame, codes: DataFrame) -> DataFrame:
    """One row per distinct list of codings (what happened, coded answers, routes): its key and the struct `m`.

    `m` has source_value (the code verbatim), source_vocabulary_id (`None`, as in OMOP, without a system),
    source_concept_id, pos (from 0), drug_allergy (the concept of an allergy to a drug, NULL when the vocabulary lacks
    it) and targets (array by target number). The coding that counts: the one that the user chose, else the first that
    maps to a standard concept, else the first with a concept of its own, else the first. A coding without a code does
    not count.
    """
    lists = (
        events.selectExpr("explode(array(codings, value_codings, route)) AS c")
        .where("size(c) > 0")
        .selectExpr(*[f"c.{field} AS {column}" for column, field in KEY.items()])
        .distinct()
    )
    each = (
        lists.selectExpr(*KEY, "posexplode(arrays_zip(systems, codes, selected)) AS (pos, c)")
        .where("trim(c.codes) <> ''")
        .selectExpr(
            *KEY,
            "pos",
            "c.systems AS system",
            "c.codes AS source_value",
            "coalesce(c.selected, false) AS chosen",
        )
        # a system that is no vocabulary of OMOP's may be the name of a site's own map
        .selectExpr("*", f"coalesce({vocabulary_sql('system')}, system) AS vocabulary_id")
        .selectExpr("*", f"{code_sql('vocabulary_id', 'source_value')} AS code")
    )
    mapped = each.join(codes.drop("_run", "provenance"), ["vocabulary_id", "code"], how="left").selectExpr(
        "*",
        "CASE WHEN chosen THEN 0 WHEN concept_id <> 0 THEN 1 WHEN source_concept_id <> 0 THEN 2 ELSE 3 END AS rank",
    )
    best = mapped.groupBy(*KEY).agg(
        F.expr(
            "min(struct(rank, pos, source_value, coalesce(vocabulary_id, 'None') AS source_vocabulary_id, "
            "coalesce(source_concept_id, 0) AS source_concept_id)) AS best"
        ),
        F.expr(
            "collect_list(struct(pos, coalesce(target_no, 0) AS target_no, coalesce(concept_id, 0) AS concept_id, "
            f"{domain_sql('coalesce(domain_id, source_domain_id)')} AS domain, "
            f"{other_domain_sql('coalesce(domain_id, source_domain_id)')} AS other_domain, "
            "value_as_concept_id AS value_concept)) AS found"
        ),
    )
    allergy = codes.where(f"vocabulary_id = 'SNOMED' AND code = '{DRUG_ALLERGY}'").selectExpr(
        "max(nullif(concept_id, 0)) AS drug_allergy"
    )
    return best.crossJoin(F.broadcast(allergy)).selectExpr(
        *KEY,
        "struct(best.source_value, best.source_vocabulary_id, best.source_concept_id, best.pos, drug_allergy, "
        "array_sort(transform(filter(found, t -> t.pos = best.pos), t -> struct(t.target_no, t.concept_id, t.domain, "
        "t.other_domain, t.value_concept))) AS targets) AS m",
    )


def unit_meanings(events: DataFrame, codes: DataFrame) -> DataFrame:
    """One row per distinct unit as written: unit, unit_concept_id, unit_source_concept_id (0 when unmapped)."""
    ucum = codes.where(f"vocabulary_id = '{UCUM}' AND target_no = 0").selectExpr(
        "code", "concept_id", "source_concept_id"
    )
    return (
        events.selectExpr(f"{unit_sql()} AS unit")
        .where("unit IS NOT NULL")
        .distinct()
        .selectExpr("unit", f"{ucum_sql('unit')} AS code")
        .join(ucum, "code", how="left")
        .selectExpr(
            "unit",
            "coalesce(concept_id, 0) AS unit_concept_id",
            "coalesce(source_concept_id, 0) AS unit_source_concept_id",
        )
    )


def unit_sql() -> str:
    """SQL of an event's unit as sent: its code, else its text; NULL when both are empty."""
    return "coalesce(nullif(unit_code, ''), nullif(unit_text, ''))"
