"""OMOP CDM v5.4 as OHDSI publishes it (the field and table lists beside this file) turned into Tables."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from carelake.core.table import Check, Field, Table
from carelake.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVENANCE = (
    Field(
        "_source",
        "string",
        "Sender of the record that this row comes from; several joined by + in alphabetical order",
    ),
    Field("_record", "bigint", "Bronze record id of that record; the smallest when several made the row"),
)
# Of a table in which OHDSI names no person though its rows are a person's: that they can be made anew with the person.
OF_PERSON = Field("_person_id", "bigint", "The person whose row it is")
_TYPES: Mapping[str, str] = MappingProxyType(
    {"integer": "int", "float": "double", "date": "date", "datetime": "timestamp_ntz"}
)
_PHI: Mapping[str, str] = MappingProxyType({
    "person_source_value": "MRN", "birth_datetime": "DATE", "month_of_birth": "DATE", "day_of_birth": "DATE",
    "address_1": "GEO", "address_2": "GEO", "city": "GEO", "zip": "GEO", "county": "GEO", "latitude": "GEO",
    "longitude": "GEO", "note_text": "FREE_TEXT", "unique_device_id": "DEVICE", "production_id": "DEVICE",
})  # fmt: skip
# Tables that are present and have no row, since no source that carelake reads has the fact. A test on the whole sample
# keeps this list true.
_EMPTY: Mapping[str, str] = MappingProxyType({
    "concept_synonym": "the bundled subset has none; an Athena download fills it",
    "dose_era": "needs drug_strength, which the bundled subset has not; with an Athena download it is filled",
    "drug_strength": "OHDSI publishes no open copy of it; an Athena download fills it",
    "note_nlp": "filled when notes are read",
    "specimen": "no source has samples: Synthea writes no Specimen, claims and wearables know none",
})  # fmt: skip


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    with (files("carelake.silver.omop") / f"OMOP_CDMv5.4_{name}_Level.csv").open(encoding="utf-8-sig") as f:
        return tuple(csv.DictReader(f))


def _type(name: str, declared: str) -> str:
    kind = declared.lower()
    if kind.startswith("varchar"):
        return "string"
    if (
        kind == "integer"
        and name.endswith("_id")
        and not name.endswith("concept_id")
        and "concept_id_" not in name
    ):
        return "bigint"  # hashed 63-bit keys do not fit OHDSI's integer: see the ADR on ids
    return _TYPES[kind]


def cdm_table(
    name: str,
    *,
    key: tuple[str, ...] | None = None,
    checks: tuple[Check, ...] = (),
    types: Mapping[str, str] = MappingProxyType({}),
    cluster_by: tuple[str, ...] | None = None,
    provenance: bool = True,
    of_person: bool = False,
) -> Table:
    """The CDM v5.4 table `name` with OHDSI's columns, types, required marks and references, then the provenance columns.

    `types` overrides a column's type; `of_person` adds whose row it is to a table without person_id. Raises DeclarationError when OHDSI's list has no such table.
    """
    rows = [r for r in _rows("Field") if r["cdmTableName"].lower() == name]
    if not rows:
        raise DeclarationError(f"OMOP CDM v5.4 has no table {name}")
    meaning = next(
        (r for r in _rows("Table") if r["cdmTableName"].lower() == name), {"tableDescription": name}
    )
    fields = tuple(
        Field(
            name=r["cdmFieldName"].lower().strip('"'),
            type=types.get(r["cdmFieldName"].lower(), _type(r["cdmFieldName"].lower(), r["cdmDatatype"])),
            doc=" ".join((r["userGuidance"] if r["userGuidance"] != "NA" else r["etlConventions"]).split())[
                :400
            ]
            or r["cdmFieldName"],
            required=r["isRequired"].lower() == "yes",
            phi=_PHI.get(r["cdmFieldName"].lower()),
            references=f"{r['fkTableName'].lower()}.{r['fkFieldName'].lower()}"
            if r["isForeignKey"] == "Yes"
            else None,
        )
        for r in rows
    )
    names = [f.name for f in fields]
    primary = tuple(r["cdmFieldName"].lower() for r in rows if r["isPrimaryKey"] == "Yes")
    return Table(
        name=f"silver/omop/{name}",
        doc=" ".join(meaning["tableDescription"].split()),
        fields=fields + (PROVENANCE if provenance else ()) + ((OF_PERSON,) if of_person else ()),
        key=key or primary or (names[0],),
        checks=checks,
        cluster_by=cluster_by if cluster_by is not None else (("person_id",) if "person_id" in names else ()),
        empty_because=_EMPTY.get(name),
    )
