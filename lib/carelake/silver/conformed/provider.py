"""Contract: a person who gives care."""

from __future__ import annotations

from carelake.core.table import Field, Table
from carelake.silver.conformed.lineage import CODING, LINEAGE

PROVIDER = Table(
    name="silver/conformed/provider",
    doc="What a record says of a provider (a person). Several records may speak of one (practitioner, role, claim).",
    fields=(
        Field("source_provider_id", "string", "The sender's own id of the provider", True, reason="R_ID"),
        Field(
            "aliases",
            "array<string>",
            "Other ways in which the sender's records name this provider (`system|value`, NPI)",
        ),
        Field("npi", "string", "National provider identifier"),
        Field("name", "string", "Name as sent"),
        Field("sex", "string", "male, female, other, unknown"),
        Field("sex_source_value", "string", "Sex as sent, where the sender has other words than FHIR's"),
        Field("year_of_birth", "int", "Year of birth"),
        Field("specialty", CODING, "Specialty"),
        Field("source_facility_id", "string", "The sender's id of the facility where the provider works"),
        *LINEAGE,
    ),
    key=("_source", "_record", "_part"),
)
