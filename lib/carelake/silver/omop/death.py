"""silver/omop/death: at most one row per person (CDM v5.4 DEATH)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from carelake.core.step import SENDERS, step
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.person import priority
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.person import PERSON
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame

DEATH = cdm_table("death")

# Most reliable first: who certifies, who treats, who registers, who pays. Any other type comes after these.
RELIABLE = (C.TYPE_DEATH_CERTIFICATE, C.TYPE_EHR, C.TYPE_REGISTRY, C.TYPE_GOVERNMENT_REPORT)


@step(writes=DEATH, patients=PATIENT, links=PERSON_LINK, persons=PERSON, senders=SENDERS)
def death(
    patients: DataFrame, links: DataFrame, persons: DataFrame, senders: Iterable[Mapping[str, Any]]
) -> DataFrame:
    """Choose among a person's deaths the most reliable (RELIABLE, then one with its time of day), then the latest.

    Without a date there is no row. No sender gives a cause yet. The type is the record's, EHR when it says none.
    """
    kind = f"coalesce(death_type_concept_id, {C.TYPE_EHR})"
    trust = f"coalesce(nullif(array_position(array({', '.join(map(str, RELIABLE))}), {kind}), 0), 99)"
    told = (
        patients.where("is_latest AND coalesce(death_date, to_date(death_datetime)) IS NOT NULL")
        .join(
            links.selectExpr("source AS _source", "source_person_id", "person_id"),
            on=["_source", "source_person_id"], how="inner",
        )
        .join(persons.select("person_id"), on="person_id", how="left_semi")
        .withColumn("_rank", priority(F.col("_source"), tuple(senders)))
        .selectExpr(
            "person_id", "coalesce(death_date, to_date(death_datetime)) AS death_date", "death_datetime",
            f"{kind} AS death_type_concept_id", "_source", "_record", "_rank", f"{trust} AS _trust", "_part",
        )
    )  # fmt: skip
    order = "_trust, death_datetime IS NULL, death_date DESC, death_datetime DESC NULLS LAST, _rank, _source, _record, _part"
    return told.selectExpr("*", f"row_number() OVER (PARTITION BY person_id ORDER BY {order}) AS _n").where(
        "_n = 1"
    )
