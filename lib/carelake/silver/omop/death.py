"""silver/omop/death: at most one row per person (CDM v5.4 DEATH)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from carelake.core.step import SENDERS, step
from carelake.core.table import Field
from carelake.silver.conformed.encounter import ENCOUNTER
from carelake.silver.conformed.event import EVENT
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.person import priority
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.omop.person import PERSON
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame

_DEATH = cdm_table("death")
DEATH = replace(
    _DEATH,
    fields=(
        *_DEATH.fields,
        Field(
            "_suspect",
            "boolean",
            "True when something began more than 60 days after this death: the person may have lived",
            required=True,
        ),
    ),
)
LATE_DAYS = 60  # bills and results come after a death, care does not

# Most reliable first: who certifies, who treats, who registers, who pays. Any other type comes after these.
RELIABLE = (C.TYPE_DEATH_CERTIFICATE, C.TYPE_EHR, C.TYPE_REGISTRY, C.TYPE_GOVERNMENT_REPORT)


@step(
    writes=DEATH, patients=PATIENT, links=PERSON_LINK, persons=PERSON, encounters=ENCOUNTER, events=EVENT,
    senders=SENDERS,
)  # fmt: skip
def death(
    patients: DataFrame,
    links: DataFrame,
    persons: DataFrame,
    encounters: DataFrame,
    events: DataFrame,
    senders: Iterable[Mapping[str, Any]],
) -> DataFrame:
    """Choose among a person's deaths the most reliable (RELIABLE, then one with its time of day), then the latest.

    Without a date there is no row. No sender gives a cause yet. The type is the record's, EHR when it says none. A death
    that an encounter or event follows by more than 60 days stays and is marked as suspect.
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
    first = told.selectExpr("*", f"row_number() OVER (PARTITION BY person_id ORDER BY {order}) AS _n").where(
        "_n = 1"
    )
    return first.join(_last_seen(first, links, encounters, events), on="person_id", how="left").selectExpr(
        "*", f"coalesce(datediff(last_seen, death_date) > {LATE_DAYS}, false) AS _suspect"
    )


def _last_seen(dead: DataFrame, links: DataFrame, encounters: DataFrame, events: DataFrame) -> DataFrame:
    """person_id, last_seen: the last day on which an encounter or event of someone who died began."""
    who = links.join(dead.select("person_id"), on="person_id", how="left_semi").selectExpr(
        "source AS _source", "source_person_id", "person_id"
    )
    days = ("_source", "source_person_id", "to_date(start_datetime) AS day")
    seen = encounters.selectExpr(*days).union(events.selectExpr(*days))
    return (
        seen.join(F.broadcast(who), on=["_source", "source_person_id"], how="inner")
        .groupBy("person_id")
        .agg(F.max("day").alias("last_seen"))
    )
