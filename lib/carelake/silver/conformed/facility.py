"""Contract: a place of care or the organisation that runs it."""

from __future__ import annotations

from carelake.core.table import Field, Table
from carelake.silver.conformed.lineage import LINEAGE

FACILITY = Table(
    name="silver/conformed/facility",
    doc="What a record says of a facility: an organisation or one of its locations.",
    fields=(
        Field("source_facility_id", "string", "The sender's own id of the facility", True, reason="R_ID"),
        Field(
            "aliases",
            "array<string>",
            "Other ways in which the sender's records name this facility (`system|value`, NPI, CCN)",
        ),
        Field("name", "string", "Name as sent"),
        Field("facility_kind", "string", "organization or location", required=True),
        Field("part_of", "string", "The sender's id of the organisation that it belongs to"),
        Field("place_of_service", "string", "CMS place of service or type, as sent"),
        Field("address_line", "string", "Street"),
        Field("city", "string", "City"),
        Field("state", "string", "State, two letters in the US"),
        Field("zip", "string", "Postal code, leading zeros kept"),
        Field("country", "string", "Country as sent"),
        Field("latitude", "double", "Degrees north"),
        Field("longitude", "double", "Degrees east"),
        *LINEAGE,
    ),
    key=("_source", "_record", "_part"),
)
