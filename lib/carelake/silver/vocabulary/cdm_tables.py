"""The vocabulary tables of CDM v5.4, beside the clinical ones so that CDM tools find one schema.

From an Athena folder, or from the bundled open subset when none is given. The subset is small and merged from public
sources (see build_open): it is for trying carelake out, a site brings its own vocabulary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carelake.core.step import VOCABULARY, step
from carelake.core.table import Field
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import athena

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FIRST_LOCAL_ID = 2_000_000_000

CONCEPT = cdm_table("concept", provenance=False)
CONCEPT_RELATIONSHIP = cdm_table(
    "concept_relationship", key=("concept_id_1", "concept_id_2", "relationship_id"), provenance=False
)
CONCEPT_ANCESTOR = cdm_table(
    "concept_ancestor", key=("ancestor_concept_id", "descendant_concept_id"), provenance=False
)
CONCEPT_SYNONYM = cdm_table(
    "concept_synonym", key=("concept_id", "concept_synonym_name", "language_concept_id"), provenance=False
)
VOCABULARY_TABLE = cdm_table("vocabulary", provenance=False)
DOMAIN = cdm_table("domain", provenance=False)
CONCEPT_CLASS = cdm_table("concept_class", provenance=False)
RELATIONSHIP = cdm_table("relationship", provenance=False)
DRUG_STRENGTH = cdm_table(
    "drug_strength", key=("drug_concept_id", "ingredient_concept_id", "valid_start_date"), provenance=False
)
_STCM = cdm_table(
    "source_to_concept_map",
    key=("source_vocabulary_id", "source_code", "target_concept_id", "valid_end_date"),
    provenance=False,
)
SOURCE_TO_CONCEPT_MAP = replace(
    _STCM, fields=(*_STCM.fields, Field("_map", "string", "Name of the map it belongs to"))
)


@step(writes=CONCEPT, vocabulary=VOCABULARY)
def concept(vocabulary: str | None) -> DataFrame:
    """Concepts of the vocabulary; to an Athena folder those are added that carelake writes and it lacks.

    These are the structural concepts (by id) and the local concepts above two billion (by vocabulary and code: an
    official concept wins). OHDSI keeps ids above two billion non-standard. Here they are standard ('S'), against that
    convention and on purpose: a step count or a resting heart rate would otherwise be concept 0 and of no use.
    """
    given = athena.read(CONCEPT, vocabulary)
    if vocabulary is None:
        return given
    ours = athena.read(CONCEPT, None)
    structural = athena.bundled("structural.csv").selectExpr("cast(concept_id AS int) AS concept_id")
    needed = ours.join(structural, "concept_id", how="left_semi").join(given, "concept_id", how="left_anti")
    local = ours.where(f"concept_id > {FIRST_LOCAL_ID}").join(
        given, ["vocabulary_id", "concept_code"], how="left_anti"
    )
    return given.unionByName(needed).unionByName(local.select(needed.columns))


@step(writes=CONCEPT_RELATIONSHIP, vocabulary=VOCABULARY)
def concept_relationship(vocabulary: str | None) -> DataFrame:
    """Relationships between concepts, in both directions as OHDSI ships them."""
    return athena.read(CONCEPT_RELATIONSHIP, vocabulary)


@step(writes=CONCEPT_ANCESTOR, vocabulary=VOCABULARY)
def concept_ancestor(vocabulary: str | None) -> DataFrame:
    """The hierarchy, closed transitively.

    In the bundled subset most drugs reach their ingredient by the ingredient's name alone; their levels of separation
    are not known and written as 1.
    """
    return athena.read(CONCEPT_ANCESTOR, vocabulary)


@step(writes=CONCEPT_SYNONYM, vocabulary=VOCABULARY)
def concept_synonym(vocabulary: str | None) -> DataFrame:
    """Other names of concepts; the bundled subset has none."""
    return athena.read(CONCEPT_SYNONYM, vocabulary)


@step(writes=VOCABULARY_TABLE, vocabulary=VOCABULARY)
def vocabulary_table(vocabulary: str | None) -> DataFrame:
    """Vocabularies; the row `None` carries the version of the whole."""
    return athena.read(VOCABULARY_TABLE, vocabulary)


@step(writes=DOMAIN, vocabulary=VOCABULARY)
def domain(vocabulary: str | None) -> DataFrame:
    """Domains."""
    return athena.read(DOMAIN, vocabulary)


@step(writes=CONCEPT_CLASS, vocabulary=VOCABULARY)
def concept_class(vocabulary: str | None) -> DataFrame:
    """Concept classes."""
    return athena.read(CONCEPT_CLASS, vocabulary)


@step(writes=RELATIONSHIP, vocabulary=VOCABULARY)
def relationship(vocabulary: str | None) -> DataFrame:
    """Kinds of relationships."""
    return athena.read(RELATIONSHIP, vocabulary)


@step(writes=DRUG_STRENGTH, vocabulary=VOCABULARY)
def drug_strength(vocabulary: str | None) -> DataFrame:
    """Amounts of ingredients in drugs; no public source of it is open, so the bundled subset has none."""
    return athena.read(DRUG_STRENGTH, vocabulary)


@step(writes=SOURCE_TO_CONCEPT_MAP, vocabulary=VOCABULARY)
def source_to_concept_map(vocabulary: str | None) -> DataFrame:
    """Local maps: the bundled ones, and those of the folder when it has the file (Athena ships none).

    A map of the folder wins over a bundled one of the same code.
    """
    ours = athena.read(SOURCE_TO_CONCEPT_MAP, None)
    if vocabulary is None or not athena.has(SOURCE_TO_CONCEPT_MAP, vocabulary):
        return ours
    theirs = athena.read(SOURCE_TO_CONCEPT_MAP, vocabulary)
    rest = ours.join(theirs, ["source_vocabulary_id", "source_code"], how="left_anti")
    return theirs.unionByName(rest, allowMissingColumns=True)
