"""Contract: what a sender says of a person."""

from __future__ import annotations

from carelake.core.table import Check, Field, Table
from carelake.silver.conformed.lineage import LINEAGE

PATIENT = Table(
    name="silver/conformed/patient",
    doc="One row per version of a patient record of a sender. A sender may hold several records of one person "
    "(a yearly enrolment file has one a year); all versions stay, because links are judged on every one of them.",
    fields=(
        Field(
            "source_person_id", "string", "The sender's own id of the person", True, phi="MRN", reason="R_ID"
        ),
        Field(
            "period",
            "string",
            "What part of the sender's data this record speaks for, such as a reference year; NULL = all",
        ),
        Field(
            "is_latest",
            "boolean",
            "Latest version of this record (same key) by the sender's order",
            required=True,
        ),
        Field("version_at", "timestamp", "The sender's own time of this version"),
        Field(
            "identifiers",
            "array<struct<system:string,value:string>>",
            "Identifiers with their systems, only those that name a person across senders",
            phi="OTHER_ID",
        ),
        Field("family_name", "string", "Family name as sent", phi="NAME"),
        Field("given_name", "string", "First given name as sent", phi="NAME"),
        Field("birth_date", "date", "Day of birth", phi="DATE"),
        Field(
            "birth_datetime",
            "timestamp_ntz",
            "Moment of birth, local clock, when the sender knows it",
            phi="DATE",
        ),
        Field("year_of_birth", "int", "Year of birth, also when the day is not known"),
        Field("month_of_birth", "int", "Month of birth when known"),
        Field("day_of_birth", "int", "Day of the month of birth when known"),
        Field("sex", "string", "Sex at birth: male, female, other, unknown"),
        Field("sex_source_value", "string", "Sex as sent"),
        Field("race", "string", "Race as a code of the CDC set (2106-3 ...) or NULL"),
        Field("race_source_value", "string", "Race as sent"),
        Field("ethnicity", "string", "hispanic, not_hispanic or NULL"),
        Field("ethnicity_source_value", "string", "Ethnicity as sent"),
        Field("death_date", "date", "Day of death", phi="DATE"),
        Field(
            "death_datetime",
            "timestamp_ntz",
            "Moment of death, local clock, when the sender knows it",
            phi="DATE",
        ),
        Field("death_type_concept_id", "int", "Where the fact of death comes from (OMOP type concept)"),
        Field("address_line", "string", "Street", phi="GEO"),
        Field("city", "string", "City", phi="GEO"),
        Field("state", "string", "State or province, two letters in the US", phi="GEO"),
        Field("zip", "string", "Postal code as sent, leading zeros kept", phi="GEO"),
        Field("county", "string", "County as sent", phi="GEO"),
        Field("country", "string", "Country as sent"),
        Field("latitude", "double", "Degrees north", phi="GEO"),
        Field("longitude", "double", "Degrees east", phi="GEO"),
        Field("language", "string", "Preferred language, BCP 47"),
        Field("source_provider_id", "string", "The sender's id of the person's usual provider"),
        Field("source_facility_id", "string", "The sender's id of the person's usual facility"),
        *LINEAGE,
    ),
    key=("_source", "_record", "_part"),
    checks=(
        Check("birth_in_range", "year_of_birth BETWEEN 1850 AND 2200", reason="R_RANGE"),
        Check("death_not_before_birth", "death_date >= birth_date", reason="R_TEMPORAL"),
    ),
    cluster_by=("_source", "source_person_id"),
)
