"""The two letters of a US state: the CDM's location.state is varchar(2), some senders write the name out."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# US Postal Service, Publication 28, appendix B: states, the district, territories.
LETTERS: Mapping[str, str] = MappingProxyType(dict(
    pair.split(":") for pair in ["alabama:AL", "alaska:AK", "american samoa:AS", "arizona:AZ", "arkansas:AR", "california:CA", "colorado:CO", "connecticut:CT", "delaware:DE", "district of columbia:DC", "federated states of micronesia:FM", "florida:FL", "georgia:GA", "guam:GU", "hawaii:HI", "idaho:ID", "illinois:IL", "indiana:IN", "iowa:IA", "kansas:KS", "kentucky:KY", "louisiana:LA", "maine:ME", "marshall islands:MH", "maryland:MD", "massachusetts:MA", "michigan:MI", "minnesota:MN", "mississippi:MS", "missouri:MO", "montana:MT", "nebraska:NE", "nevada:NV", "new hampshire:NH", "new jersey:NJ", "new mexico:NM", "new york:NY", "north carolina:NC", "north dakota:ND", "northern mariana islands:MP", "ohio:OH", "oklahoma:OK", "oregon:OR", "palau:PW", "pennsylvania:PA", "puerto rico:PR", "rhode island:RI", "south carolina:SC", "south dakota:SD", "tennessee:TN", "texas:TX", "utah:UT", "vermont:VT", "virgin islands:VI", "virginia:VA", "washington:WA", "west virginia:WV", "wisconsin:WI", "wyoming:WY"]
))  # fmt: skip


def letters(text: str) -> str:
    """SQL of the two letters of the state that the SQL `text` names; anything else stays as sent."""
    cases = " ".join(f"WHEN '{name}' THEN '{two}'" for name, two in LETTERS.items())
    return f"CASE lower(trim({text})) {cases} ELSE {text} END"
