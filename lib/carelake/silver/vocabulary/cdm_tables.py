"""The vocabulary tables of CDM v5.4, beside the clinical ones so that CDM tools find one schema.

From an Athena folder, or from the bundled open subset when none is given. The subset is small and merged from public
sources (see build_open): it is for trying carelake out, a site brings its own vocabulary. Of a folder CONCEPT and
CONCEPT_RELATIONSHIP are needed; a table whose file it lacks is there without rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import LOCAL_CONCEPTS, LOCAL_MAPS, VOCABULARY, step
from carelake.core.table import Field
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import athena
from carelake.silver.vocabulary.codes import code_sql, known_vocabulary_sql
from carelake.silver.vocabulary.local_rows import FIRST_LOCAL_ID, concepts, maps
from carelake.silver.vocabulary.tables import SUCCESSOR

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from carelake.core.table import Table
    from carelake.silver.vocabulary.folder import Files


def _table(name: str, empty: str = "", key: tuple[str, ...] | None = None) -> Table:
    """A vocabulary table; `empty` says when it has no rows, and why."""
    made = cdm_table(name, key=key, provenance=False)
    return replace(made, doc=f"{made.doc} {empty}".strip())


def _lacks(file: str) -> str:
    return f"Empty when the vocabulary folder has no {file}.csv; Athena ships it in every download."


CONCEPT = _table("concept")
CONCEPT_RELATIONSHIP = _table("concept_relationship", key=("concept_id_1", "concept_id_2", "relationship_id"))
CONCEPT_ANCESTOR = _table(
    "concept_ancestor", _lacks("CONCEPT_ANCESTOR"), ("ancestor_concept_id", "descendant_concept_id")
)
CONCEPT_SYNONYM = _table(
    "concept_synonym",
    "Empty with the bundled open subset, for which no open source has synonyms, and when the vocabulary folder has no "
    "CONCEPT_SYNONYM.csv.",
    ("concept_id", "concept_synonym_name", "language_concept_id"),
)
VOCABULARY_TABLE = _table("vocabulary", _lacks("VOCABULARY"))
DOMAIN = _table("domain", _lacks("DOMAIN"))
CONCEPT_CLASS = _table("concept_class", _lacks("CONCEPT_CLASS"))
RELATIONSHIP = _table("relationship", _lacks("RELATIONSHIP"))
DRUG_STRENGTH = _table(
    "drug_strength",
    "Empty with the bundled open subset, since OHDSI publishes no part of it openly, and when the vocabulary folder has "
    "no DRUG_STRENGTH.csv.",
    ("drug_concept_id", "ingredient_concept_id", "valid_start_date"),
)
_STCM = _table(
    "source_to_concept_map",
    key=("source_vocabulary_id", "source_code", "target_concept_id", "valid_end_date"),
)
SOURCE_TO_CONCEPT_MAP = replace(
    _STCM,
    fields=(
        *_STCM.fields,
        Field("_map", "string", "Name of the map it belongs to: of a bundled map, or of the site's file"),
        Field("_target_given", "int", "The target that the map names, when the vocabulary has replaced it"),
        Field(
            "_value_as_concept_id",
            "int",
            "Concept of the value that the code says besides (Usagi's MAPS_TO_VALUE)",
        ),
        Field(
            "_equivalence",
            "string",
            "How near the target is, in the words of who mapped (Usagi: EQUAL, WIDER ...)",
        ),
        Field("_mapped_by", "string", "Who approved the row, as the site's file says"),
        Field("_mapped_on", "date", "When it was approved, as the site's file says"),
        Field(
            "_status", "string", "Status in the site's file; a row with any other than APPROVED is left out"
        ),
    ),
)
# Without these two no code has a meaning; the other tables may be absent.
NEEDED = (CONCEPT, CONCEPT_RELATIONSHIP)
FROM_FOLDER = (
    *NEEDED, CONCEPT_ANCESTOR, CONCEPT_SYNONYM, VOCABULARY_TABLE, DOMAIN, CONCEPT_CLASS, RELATIONSHIP, DRUG_STRENGTH,
)  # fmt: skip


def lacking(vocabulary: Files | None, local_concepts: Files, local_maps: Files) -> list[str]:
    """Names of the files without which a table stays empty. Raises InputError when what is given cannot serve at all."""
    concepts(local_concepts.found)
    maps(local_maps.found)
    return [] if vocabulary is None else athena.lacking(FROM_FOLDER, NEEDED, vocabulary)


@step(writes=CONCEPT, vocabulary=VOCABULARY, local_concepts=LOCAL_CONCEPTS)
def concept(vocabulary: Files | None, local_concepts: Files) -> DataFrame:
    """Concepts of the vocabulary, and those of ours and of the site's own that it lacks.

    Ours are the structural concepts that carelake writes (by id) and the local ones above two billion (by vocabulary and
    code: an official concept wins). OHDSI keeps ids above two billion non-standard. Here they are standard ('S'), against
    that convention and on purpose: a step count or a resting heart rate would otherwise be concept 0 and of no use. CPT
    concepts have no name until Athena's cpt.sh has been run with a UMLS key, and lie in a file of their own
    (CONCEPT_CPT4): they are named by their code, so that codes map without it.
    """
    own = athena.frame(CONCEPT, concepts(local_concepts.found))
    bundled = athena.read(CONCEPT, None)
    if vocabulary is None:
        return _named(bundled.unionByName(own, allowMissingColumns=True))
    given = _with_cpt(athena.read(CONCEPT, vocabulary), vocabulary)
    ids = ", ".join(r["concept_id"] for r in athena.bundled_rows("structural.csv"))
    codes = ", ".join(
        f"'{r['vocabulary_id']}|{r['concept_code']}'" for r in athena.bundled_rows("local_concepts.csv")
    )
    is_local = f"concept_id > {FIRST_LOCAL_ID}"
    # One pass over millions of rows finds which of some hundreds are there.
    there = given.where(f"concept_id IN ({ids}) OR vocabulary_id || '|' || concept_code IN ({codes})")
    needed = bundled.where(f"concept_id IN ({ids})").join(there, "concept_id", how="left_anti")
    local = bundled.where(is_local).join(there, ["vocabulary_id", "concept_code"], how="left_anti")
    more = needed.unionByName(local).unionByName(own, allowMissingColumns=True)
    return _named(given.unionByName(more, allowMissingColumns=True))


def _with_cpt(given: DataFrame, vocabulary: Files) -> DataFrame:
    """With the CPT concepts that are in a file of their own as long as Athena's cpt.sh has not moved them over."""
    file = vocabulary.file("concept_cpt4")
    if file is None:
        return given
    apart = athena.read_file(
        replace(CONCEPT, fields=tuple(f for f in CONCEPT.fields if f.name != "concept_name")), file
    )
    moved = given.where("vocabulary_id = 'CPT4'").select("concept_id")
    return given.unionByName(apart.join(moved, "concept_id", how="left_anti"), allowMissingColumns=True)


def _named(concepts: DataFrame) -> DataFrame:
    """A concept without name or class is one all the same: the CDM requires both, and merged folders leave them out."""
    return concepts.withColumns(
        {
            "concept_name": F.expr("coalesce(concept_name, vocabulary_id || ' ' || concept_code)"),
            "concept_class_id": F.expr("coalesce(concept_class_id, 'Undefined')"),
        }
    )


@step(writes=CONCEPT_RELATIONSHIP, vocabulary=VOCABULARY)
def concept_relationship(vocabulary: Files | None) -> DataFrame:
    """Relationships between concepts, in both directions as OHDSI ships them."""
    return athena.read(CONCEPT_RELATIONSHIP, vocabulary)


@step(writes=CONCEPT_ANCESTOR, vocabulary=VOCABULARY)
def concept_ancestor(vocabulary: Files | None) -> DataFrame:
    """The hierarchy, closed transitively.

    In the bundled subset most drugs reach their ingredient by the ingredient's name alone; their levels of separation
    are not known and written as 1.
    """
    return athena.read(CONCEPT_ANCESTOR, vocabulary)


@step(writes=CONCEPT_SYNONYM, vocabulary=VOCABULARY)
def concept_synonym(vocabulary: Files | None) -> DataFrame:
    """Other names of concepts; the bundled subset has none."""
    return athena.read(CONCEPT_SYNONYM, vocabulary)


@step(writes=VOCABULARY_TABLE, vocabulary=VOCABULARY)
def vocabulary_table(vocabulary: Files | None) -> DataFrame:
    """Vocabularies; the row `None` carries the version of the whole."""
    return athena.read(VOCABULARY_TABLE, vocabulary)


@step(writes=DOMAIN, vocabulary=VOCABULARY)
def domain(vocabulary: Files | None) -> DataFrame:
    """Domains."""
    return athena.read(DOMAIN, vocabulary)


@step(writes=CONCEPT_CLASS, vocabulary=VOCABULARY)
def concept_class(vocabulary: Files | None) -> DataFrame:
    """Concept classes."""
    return athena.read(CONCEPT_CLASS, vocabulary)


@step(writes=RELATIONSHIP, vocabulary=VOCABULARY)
def relationship(vocabulary: Files | None) -> DataFrame:
    """Kinds of relationships."""
    return athena.read(RELATIONSHIP, vocabulary)


@step(writes=DRUG_STRENGTH, vocabulary=VOCABULARY)
def drug_strength(vocabulary: Files | None) -> DataFrame:
    """Amounts of ingredients in drugs; no public source of it is open, so the bundled subset has none."""
    return athena.read(DRUG_STRENGTH, vocabulary)


def _current(rows: DataFrame, concepts: DataFrame, successors: DataFrame) -> DataFrame:
    """The rows with the nearest standard successor of a target that is standard no more, and the target given before."""
    few = F.broadcast(rows.selectExpr("target_concept_id AS concept_id").distinct())
    standard = concepts.where("standard_concept = 'S' AND invalid_reason IS NULL").select("concept_id")
    stale = successors.join(few, "concept_id", how="left_semi").join(standard, "concept_id", how="left_anti")
    reached = standard.withColumnRenamed("concept_id", "successor_concept_id")
    nearest = (
        stale.join(reached, "successor_concept_id", how="left_semi")
        .groupBy("concept_id")
        .agg(F.expr("min(struct(steps, successor_concept_id)).successor_concept_id AS _now"))
        .withColumnRenamed("concept_id", "target_concept_id")
    )
    moved = rows.join(F.broadcast(nearest), "target_concept_id", how="left").withColumns(
        {
            "_target_given": F.expr("CASE WHEN _now IS NOT NULL THEN target_concept_id END"),
            "target_concept_id": F.expr("coalesce(_now, target_concept_id)"),
            "target_vocabulary_id": F.expr("CASE WHEN _now IS NULL THEN target_vocabulary_id END"),
        }
    )
    # two targets of a code may have the same successor
    own = "PARTITION BY source_vocabulary_id, source_code, target_concept_id, valid_end_date ORDER BY _target_given NULLS FIRST"
    return moved.selectExpr("*", f"row_number() OVER ({own}) AS n").where("n = 1").drop("n", "_now")


@step(writes=SOURCE_TO_CONCEPT_MAP, concepts=CONCEPT, successors=SUCCESSOR, local_maps=LOCAL_MAPS)
def source_to_concept_map(concepts: DataFrame, successors: DataFrame, local_maps: Files) -> DataFrame:
    """Maps of codes that the vocabulary says nothing of: the site's, and of other codes the bundled ones.

    The site's are files `source_to_concept_map*.csv` or `usagi*.csv` beside the vocabulary or in `local_maps` of the
    configuration. Every row bears the name of its map; the site's say besides who approved them, and how near they are.
    A target that the vocabulary has replaced gives way to its nearest standard successor.
    """
    ours = athena.read(SOURCE_TO_CONCEPT_MAP, None)
    theirs = athena.frame(SOURCE_TO_CONCEPT_MAP, maps(local_maps.found))
    key = "source_vocabulary_id", "source_code"
    mapped = theirs.selectExpr(
        f"{known_vocabulary_sql('source_vocabulary_id')} AS vocabulary_id", "source_code"
    ).selectExpr("vocabulary_id", f"{code_sql('vocabulary_id', 'source_code')} AS code")
    rest = (
        ours.selectExpr("*", f"{code_sql(*key)} AS code", "source_vocabulary_id AS vocabulary_id")
        .join(mapped, ["vocabulary_id", "code"], how="left_anti")
        .drop("vocabulary_id", "code")
    )
    every = _current(theirs.unionByName(rest, allowMissingColumns=True), concepts, successors)
    targets = F.broadcast(every.selectExpr("target_concept_id AS concept_id").distinct())
    known = concepts.join(targets, "concept_id", how="left_semi").selectExpr(
        "concept_id AS target_concept_id", "vocabulary_id AS found"
    )
    return every.join(known, "target_concept_id", how="left").withColumn(
        "target_vocabulary_id", F.expr("coalesce(target_vocabulary_id, found, 'None')")
    )
