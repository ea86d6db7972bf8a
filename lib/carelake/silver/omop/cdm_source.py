"""silver/omop/cdm_source: what this CDM is, when it was made and with which vocabulary (CDM v5.4 CDM_SOURCE)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from carelake.core.step import EXTRACT_DATE, RELEASE, SENDERS, step
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C
from carelake.silver.vocabulary.cdm_tables import VOCABULARY_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from pyspark.sql import DataFrame

CDM_SOURCE = cdm_table("cdm_source", provenance=False)


@step(
    writes=CDM_SOURCE,
    vocabularies=VOCABULARY_TABLE,
    senders=SENDERS,
    extract_date=EXTRACT_DATE,
    release=RELEASE,
)
def cdm_source(
    vocabularies: DataFrame, senders: Iterable[Mapping[str, Any]], extract_date: date, release: str
) -> DataFrame:
    """Write the one row. Both dates are the extract's, never the clock's; the vocabulary's version is that of its row
    'None', as OHDSI publishes it."""
    names = ", ".join(sorted(str(s["name"]) for s in senders))
    version = F.max(F.when(F.col("vocabulary_id") == "None", F.col("vocabulary_version")))
    return vocabularies.agg(F.coalesce(version, F.lit("unknown")).alias("vocabulary_version")).select(
        F.lit("carelake").alias("cdm_source_name"),
        F.lit("carelake").alias("cdm_source_abbreviation"),
        F.lit("not stated").alias("cdm_holder"),
        F.lit(f"Harmonised from: {names}").alias("source_description"),
        F.lit(f"carelake {release}").alias("cdm_etl_reference"),
        F.lit(extract_date).cast("date").alias("source_release_date"),
        F.lit(extract_date).cast("date").alias("cdm_release_date"),
        F.lit("v5.4").alias("cdm_version"),
        F.lit(C.CDM_VERSION).alias("cdm_version_concept_id"),
        F.left("vocabulary_version", F.lit(20)).alias("vocabulary_version"),
    )
