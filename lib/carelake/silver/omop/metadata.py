"""silver/omop/metadata: facts about this CDM that cdm_source has no column for (OMOP_RULES 17; CDM v5.4 METADATA)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import EXTRACT_DATE, RELEASE, SENDERS, step
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C
from carelake.silver.vocabulary.cdm_tables import VOCABULARY_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from pyspark.sql import DataFrame

METADATA = cdm_table("metadata", provenance=False)

_VALUES = {
    "name": "string",
    "value_as_string": "string",
    "value_as_concept_id": "int",
    "value_as_number": "double",
}


@step(
    writes=METADATA,
    vocabularies=VOCABULARY_TABLE,
    senders=SENDERS,
    extract_date=EXTRACT_DATE,
    release=RELEASE,
)
def metadata(
    vocabularies: DataFrame, senders: Iterable[Mapping[str, Any]], extract_date: date, release: str
) -> DataFrame:
    """One row per fact, named: the release that made it, the CDM's version (as a concept too), the extract date, the
    version of each vocabulary that has one, and each sender with its time zone, and its
    priority (lower wins) as a number.

    What a row is about is its name: no concept says it (0). The date is the extract's, never the clock's.
    """
    told = [
        ("carelake release", release, None, None),
        ("CDM version", "v5.4", C.CDM_VERSION, None),
        ("extract date", extract_date.isoformat(), None, None),
        *[
            (f"sender {s['name']}", str(s.get("time_zone") or "UTC"), None, float(s["priority"]))
            for s in senders
        ],
    ]
    rows = F.array(*[
        F.struct(*[F.lit(v).cast(t).alias(c) for v, (c, t) in zip(fact, _VALUES.items(), strict=True)]) for fact in told
    ])  # fmt: skip
    facts = vocabularies.agg(rows.alias("facts")).selectExpr("inline(facts)")
    versions = vocabularies.where("vocabulary_version IS NOT NULL").selectExpr(
        "CASE vocabulary_id WHEN 'None' THEN 'vocabulary version' ELSE concat('vocabulary version ', vocabulary_id) END AS name",
        "left(vocabulary_version, 250) AS value_as_string", "cast(NULL AS int) AS value_as_concept_id",
        "cast(NULL AS double) AS value_as_number",
    )  # fmt: skip
    return facts.unionByName(versions).selectExpr(
        f"{id_sql(METADATA.name, 'name')} AS metadata_id",
        f"{C.NO_CONCEPT} AS metadata_concept_id",
        f"{C.TYPE_ALGORITHM} AS metadata_type_concept_id",
        "*",
        f"DATE'{extract_date:%Y-%m-%d}' AS metadata_date",
    )
