"""silver/omop/person: one row per person, identity resolved before (CDM v5.4 PERSON; OMOP_RULES: race and ethnicity)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from carelake.core.step import SENDERS, step
from carelake.core.table import Check
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.person import priority
from carelake.silver.link.place import ADDRESS, PLACE, with_location
from carelake.silver.link.tables import FACILITY_LINK, PERSON_LINK, PROVIDER_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyspark.sql import Column, DataFrame

PERSON = cdm_table(
    "person",
    checks=(
        Check("birth_in_range", "year_of_birth BETWEEN 1850 AND 2200", reason="R_RANGE"),
        Check("birth_month_is_a_month", "month_of_birth BETWEEN 1 AND 12", reason="R_DATE"),
    ),
)
_BIRTH = ("birth_date", "year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime")
_MIDNIGHT = (
    "try_cast(concat(year_of_birth, '-', month_of_birth, '-', coalesce(day_of_birth, 1)) AS timestamp_ntz)"
)
_RACES = {  # CDC race codes
    "2106-3": C.RACE_WHITE, "2054-5": C.RACE_BLACK, "2028-9": C.RACE_ASIAN, "1002-5": C.RACE_AMERICAN_INDIAN,
    "2076-8": C.RACE_PACIFIC_ISLANDER,
}  # fmt: skip


@step(
    writes=PERSON,
    patients=PATIENT,
    links=PERSON_LINK,
    providers=PROVIDER_LINK,
    facilities=FACILITY_LINK,
    senders=SENDERS,
)
def person(
    patients: DataFrame,
    links: DataFrame,
    providers: DataFrame,
    facilities: DataFrame,
    senders: Iterable[Mapping[str, Any]],
) -> DataFrame:
    """Take each fact from the first record that has it; a person whose year of birth nobody knows is quarantined.

    A birth without a time of day is at midnight, without a day on the first of its month (THEMIS 93);
    of a year alone birth_datetime is NULL.
    Sex at birth is 8507, 8532 or 0; race 0 unless one of the CDC's five; ethnicity 0 unless said. The source value and
    its concept come from the same record. person_source_value is the id of the person's first record at its sender.
    """
    facts = with_location(chosen(patients, links, senders))
    care = facilities.select(
        F.col("source").alias("_facility_source"),
        F.col("reference").alias("source_facility_id"),
        "care_site_id",
    )
    who = providers.select(
        F.col("source").alias("_provider_source"),
        F.col("reference").alias("source_provider_id"),
        "provider_id",
    )
    gender = f"CASE sex WHEN 'male' THEN {C.GENDER_MALE} WHEN 'female' THEN {C.GENDER_FEMALE} ELSE 0 END"
    races = " ".join(f"WHEN '{code}' THEN {concept}" for code, concept in _RACES.items())
    ethnicity = (
        f"CASE ethnicity WHEN 'hispanic' THEN {C.ETHNICITY_HISPANIC} "
        f"WHEN 'not_hispanic' THEN {C.ETHNICITY_NOT_HISPANIC} ELSE 0 END"
    )
    return (
        facts.join(who, on=["_provider_source", "source_provider_id"], how="left")
        .join(care, on=["_facility_source", "source_facility_id"], how="left")
        .selectExpr(
            "person_id", f"{gender} AS gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth",
            f"coalesce(birth_datetime, {_MIDNIGHT}) AS birth_datetime",
            f"CASE race {races} ELSE 0 END AS race_concept_id", f"{ethnicity} AS ethnicity_concept_id",
            "location_id", "provider_id", "care_site_id", "person_source_value",
            *[
                part
                for name, source_value in (("gender", "sex"), ("race", "race"), ("ethnicity", "ethnicity"))
                for part in (
                    f"{source_value}_source_value AS {name}_source_value",
                    f"CASE WHEN {source_value}_source_value IS NOT NULL THEN 0 END AS {name}_source_concept_id",
                )
            ],
            "_source", "_record",
        )
    )  # fmt: skip


def chosen(patients: DataFrame, links: DataFrame, senders: Iterable[Mapping[str, Any]]) -> DataFrame:
    """One row per person with the facts of PATIENT, each from the first latest record that has it.

    Order: sender's priority, sender, then later periods and versions before earlier ones. Facts that belong together
    (the parts of a birth date, of an address; a value and its source value) come from one record.
    """
    records = (
        patients.where("is_latest")
        .join(
            links.selectExpr("source AS _source", "source_person_id", "person_id"),
            on=["_source", "source_person_id"], how="inner",
        )
        .withColumn("_rank", priority(F.col("_source"), tuple(senders)))
    )  # fmt: skip
    # min_by wants one ascending order: records are numbered by it first
    numbered = records.selectExpr(
        "*",
        "row_number() OVER (PARTITION BY person_id ORDER BY _rank, _source, period DESC NULLS LAST, "
        "version_at DESC NULLS LAST, source_person_id, _record DESC, _part) AS _order",
    )

    def first(columns: Sequence[str], has: str, better: str = "true") -> list[Column]:
        """The columns of the first record that `has` them, one for which `better` holds before the others."""
        order = F.expr(f"CASE WHEN {has} THEN struct(NOT coalesce({better}, false), _order) END")
        return [F.min_by(c, order).alias(c) for c in columns]

    def coded(fact: str, better: str) -> list[Column]:
        return first(
            (fact, f"{fact}_source_value"), f"coalesce({fact}, {fact}_source_value) IS NOT NULL", better
        )

    rows = numbered.withColumns({"_provider_source": F.col("_source"), "_facility_source": F.col("_source")}).groupBy("person_id").agg(
        *first(_BIRTH, "coalesce(year_of_birth, year(birth_date)) IS NOT NULL"),
        *coded("sex", "sex IN ('male', 'female')"),
        *coded("race", "race IS NOT NULL"),
        *coded("ethnicity", "ethnicity IS NOT NULL"),
        *first((*ADDRESS, "latitude", "longitude"), f"coalesce({', '.join(PLACE)}) IS NOT NULL"),
        *first(("source_provider_id", "_provider_source"), "source_provider_id IS NOT NULL"),
        *first(("source_facility_id", "_facility_source"), "source_facility_id IS NOT NULL"),
        F.min_by("source_person_id", F.struct("_rank", "_source", "source_person_id")).alias("person_source_value"),
        F.array_join(F.array_sort(F.collect_set("_source")), "+").alias("_source"),
        F.min("_record").alias("_record"),
    )  # fmt: skip
    return rows.withColumns({
        "year_of_birth": F.coalesce("year_of_birth", F.year("birth_date")),
        "month_of_birth": F.coalesce("month_of_birth", F.month("birth_date")),
        "day_of_birth": F.coalesce("day_of_birth", F.day("birth_date")),
    })  # fmt: skip
