"""silver/omop/source_to_concept_map: the bundled maps and the site's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.step import LOCAL_MAPS, step
from carelake.silver.vocabulary import athena
from carelake.silver.vocabulary.cdm_tables import CONCEPT, SOURCE_TO_CONCEPT_MAP
from carelake.silver.vocabulary.codes import code_sql, vocabulary_sql
from carelake.silver.vocabulary.local_rows import maps

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from carelake.silver.vocabulary.folder import Files


@step(writes=SOURCE_TO_CONCEPT_MAP, concepts=CONCEPT, local_maps=LOCAL_MAPS)
def source_to_concept_map(concepts: DataFrame, local_maps: Files) -> DataFrame:
    """Maps of codes that the vocabulary says nothing of: the site's, and of other codes the bundled ones.

    The site's are files `source_to_concept_map*.csv` or `usagi*.csv` beside the vocabulary or in `local_maps` of the
    configuration. Every row bears the name of its map; the site's say besides who approved them, and how near they are.
    """
    ours = athena.read(SOURCE_TO_CONCEPT_MAP, None)
    theirs = athena.frame(SOURCE_TO_CONCEPT_MAP, maps(local_maps.found))
    key = "source_vocabulary_id", "source_code"
    mapped = theirs.selectExpr(look_up_vocabulary("source_vocabulary_id"), "source_code").selectExpr(
        "vocabulary_id", f"{code_sql('vocabulary_id', 'source_code')} AS code"
    )
    rest = (
        ours.selectExpr("*", f"{code_sql(*key)} AS code", "source_vocabulary_id AS vocabulary_id")
        .join(mapped, ["vocabulary_id", "code"], how="left_anti")
        .drop("vocabulary_id", "code")
    )
    every = theirs.unionByName(rest, allowMissingColumns=True)
    targets = F.broadcast(every.selectExpr("target_concept_id AS concept_id").distinct())
    known = concepts.join(targets, "concept_id", how="left_semi").selectExpr(
        "concept_id AS target_concept_id", "vocabulary_id AS found"
    )
    return every.join(known, "target_concept_id", how="left").withColumn(
        "target_vocabulary_id", F.expr("coalesce(target_vocabulary_id, found, 'None')")
    )


def look_up_vocabulary(column: str) -> str:
    """SQL of the vocabulary that a map's rows are for, as `vocabulary_id`: whatever the spelling, else as written."""
    return f"coalesce({vocabulary_sql(column)}, {column}) AS vocabulary_id"
