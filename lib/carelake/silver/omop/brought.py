"""Tables of a CDM that came as it is: rows of its files typed to CDM v5.4, in the stead of the steps that would make them.

What a file lacks is NULL; what it has beyond v5.4 stays in bronze. A table that the folder has not, or has without rows, is
made by its own step: eras from the brought events, all others without rows. Ids stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.bronze.source import Mapping as Mapped
from carelake.core.delimited import fields
from carelake.core.ids import id_sql
from carelake.core.step import Step
from carelake.core.table import OnFail, Table
from carelake.silver.conformed import clock
from carelake.silver.conformed.lineage import LINEAGE
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.person import PERSON
from carelake.silver.vocabulary import structural as C
from carelake.silver.vocabulary.athena import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyspark.sql import DataFrame

    from carelake.core.table import Field

_ADMITTED = {
    "admitted_from_concept_id": "admitting_source_concept_id", "admitted_from_source_value": "admitting_source_value",
    "discharged_to_concept_id": "discharge_to_concept_id", "discharged_to_source_value": "discharge_to_source_value",
}  # fmt: skip
# Columns by the names that they had in CDM v5.3 (OHDSI, "Changes from CDM v5.3 to CDM v5.4"); what v5.4 added is NULL.
FORMER: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "visit_occurrence": _ADMITTED,
    "visit_detail": {**_ADMITTED, "parent_visit_detail_id": "visit_detail_parent_id"},
    "procedure_occurrence": {"modifier_source_value": "qualifier_source_value"},  # before v5.3.1
    "cost": {"revenue_code_source_value": "reveue_code_source_value"},  # so spelled in the lists of v5.3
})  # fmt: skip
_DAY = "coalesce({}, extract_date)"
# What v5.4 requires and v5.3 has not or lets be absent: SQL over the columns.
FILLED: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "metadata": {"metadata_id": f"coalesce(metadata_id, {id_sql('silver/omop/metadata', 'record_key')})"},
    "cdm_source": {
        "cdm_source_abbreviation": "coalesce(cdm_source_abbreviation, left(cdm_source_name, 25))",
        "cdm_holder": "coalesce(cdm_holder, 'not stated')",
        "source_release_date": _DAY.format("source_release_date"),
        "cdm_release_date": _DAY.format("coalesce(cdm_release_date, source_release_date)"),
        "cdm_version": "'v5.4'",  # that of these tables; as sent it stays in bronze
        "cdm_version_concept_id": str(C.CDM_VERSION),
        "vocabulary_version": "coalesce(vocabulary_version, 'unknown')",
    },
})  # fmt: skip
# Others refer to their ids, so that of two rows with one id nothing says which is meant.
REFERRED = (
    "person", "visit_occurrence", "visit_detail", "provider", "care_site", "location", "episode", "note",
)  # fmt: skip
_COST_OF = {
    "Visit": "visit_occurrence", "Condition": "condition_occurrence", "Drug": "drug_exposure", "Procedure": "procedure_occurrence",
    "Device": "device_exposure", "Measurement": "measurement", "Observation": "observation", "Specimen": "specimen",
}  # fmt: skip
# How tools write that a number or date is not there.
_ABSENT = ("NA", "NaN", "nan", "NULL", "null", "<NA>", "None")


def as_brought(table: Table) -> Table:
    """The table with the lineage of its rows; what it would stop a run for is a fault of the data here and is quarantined."""
    own = tuple(
        replace(f, required=False) if f.name == "_suspect" else f
        for f in table.fields
        if f.name not in ("_source", "_record")
    )
    checks = tuple(
        replace(c, on_fail=OnFail.QUARANTINE) if c.on_fail is OnFail.STOP else c for c in table.checks
    )
    return replace(table, fields=own + LINEAGE, checks=checks)


def mappings(kinds: Iterable[str], tables: Mapping[str, Table]) -> list[Mapped]:
    """The mapping of each kind into the CDM's table of that name; `tables` are the declared ones by name."""
    people = as_brought(tables["silver/omop/person"])
    found = []
    for kind in sorted(kinds):
        table = as_brought(tables[f"silver/omop/{kind}"])
        of_people = "person_id" in table.columns and kind != "person"
        beside = ("person",) if of_people else tuple(_COST_OF.values()) if kind == "cost" else ()
        transform = _transform(kind, table, people if of_people else None)
        found.append(Mapped((kind,), table, transform, counts=True, beside=beside, refers=_of_people if of_people else None))  # fmt: skip
    return found


def _transform(kind: str, table: Table, people: Table | None) -> Callable[[DataFrame], DataFrame]:
    def brought(rows: DataFrame) -> DataFrame:
        """Rows of one table of the CDM; those of a person who is not there, or is refused, are refused with it."""
        read = own = typed(rows.where(f"kind = '{kind}'"), kind, table)
        if kind == "cost":
            own = _with_person(own, rows)
        if people is not None:
            known = sound(typed(rows.where("kind = 'person'"), "person", people), people)
            own = own.join(known, F.expr("person_id <=> _person"), how="left").withColumn(
                "_problems", F.expr("array_append(_problems, CASE WHEN person_id IS NOT NULL AND _known IS NULL THEN 'R_REF:person_id' END)")
            ).drop("_known", "_person")  # fmt: skip
        return _told_apart(own, read, kind, table)

    brought.__name__ = kind
    return brought


def typed(rows: DataFrame, kind: str, table: Table) -> DataFrame:
    """Bronze rows of one kind in the table's columns, with `_problems`, `record_key`, `_content` (a hash) and `_at`."""
    columns = [f for f in table.fields if not f.name.startswith("_")]
    former = FORMER.get(kind, {})
    names = [n for f in columns for n in (f.name, former.get(f.name)) if n]
    texts = fields(rows, names, sep=",", quoted=True).selectExpr(
        "extract_date",
        "record_key",
        "_at",
        "xxhash64(raw) AS _content",
        *[f"{_text(f, former.get(f.name))} AS `{f.name}`" for f in columns],
    )
    bad = ", ".join(_wrong(f) for f in columns if f.type != "string") or "cast(NULL AS string)"
    # A plain name is no alias: of each alias Spark keeps what it knows of both names, which grows beyond bounds.
    read = texts.selectExpr(
        "extract_date", "record_key", "_at", "_content", f"array({bad}) AS _problems",
        *[f"`{f.name}`" if f.type == "string" else f"{_value(f)} AS `{f.name}`" for f in columns],
    )  # fmt: skip
    filled = FILLED.get(kind, {})
    return read.selectExpr(
        "record_key", "_at", "_content", "_problems",
        *[f"{filled[f.name]} AS `{f.name}`" if f.name in filled else f"`{f.name}`" for f in columns],
    )  # fmt: skip


def _text(field: Field, former: str | None) -> str:
    text = f"coalesce(`{field.name}`, `{former}`)" if former else f"`{field.name}`"
    absent = ", ".join(f"'{a}'" for a in (() if field.type == "string" else _ABSENT))
    return f"CASE WHEN {text} NOT IN ({absent}{', ' if absent else ''}r'\\N') THEN {text} END"


def _value(field: Field) -> str:
    """SQL of a text's value; NULL when it is none of the type. A whole number may have come as 6.0."""
    text = f"`{field.name}`"
    if field.type in ("int", "bigint"):
        return f"try_cast({whole(text)} AS {field.type})"
    if field.type == "date":
        return f"CASE WHEN {text} RLIKE '^[0-9]{{8}}$' THEN cast(try_to_timestamp({text}, 'yyyyMMdd') AS date) ELSE {clock.day(text)} END"
    if field.type == "timestamp_ntz":
        return clock.local(text)
    return text if field.type == "string" else f"try_cast({text} AS {field.type})"


def _wrong(field: Field) -> str:
    reason = "R_DATE" if field.type in ("date", "timestamp_ntz") else "R_TYPE"
    return (
        f"CASE WHEN `{field.name}` IS NOT NULL AND ({_value(field)}) IS NULL THEN '{reason}:{field.name}' END"
    )


def _without_lineage(table: Table) -> Table:
    return replace(table, fields=tuple(f for f in table.fields if not f.name.startswith("_")))


def sound(rows: DataFrame, table: Table) -> DataFrame:
    """`_person`, `_known`: the persons whose row will be written.

    What makes a row sound is no filter, and rows are joined to it by <=>, which asks for no key that is not NULL: Spark
    would push such a condition below the columns, work each of them out many times, and plan for minutes.
    """
    judged = rows.selectExpr(
        "person_id AS _person",
        f"size(array_compact(_problems)) = 0 AND size({_without_lineage(table).reasons()}) = 0 AS _ok",
    )
    return (
        judged.groupBy("_person")
        .agg(F.expr("count(*) = 1 AND bool_and(_ok)").alias("_known"))
        .where("_known")
    )


def _told_apart(rows: DataFrame, read: DataFrame, kind: str, table: Table) -> DataFrame:
    """Different rows of one export that share an id are different facts: all but one get an id of their own, and it is noted.

    Where others refer to the id all of them are refused; of what a person or a CDM can have once, all but one. Rows are told
    apart by their content, so that the same one keeps the id in the next export.
    """
    order = "PARTITION BY record_key ORDER BY _content, _record"
    narrow = read.selectExpr("record_key", "_content", "_at.record AS _record").selectExpr(
        "_record", f"row_number() OVER ({order}) AS _n", "count(*) OVER (PARTITION BY record_key) AS _of"
    )
    several = narrow.where("_of > 1").select("_record", "_n").distinct()
    marked = (
        rows.withColumn("_record", F.col("_at.record"))
        .join(F.broadcast(several), "_record", how="left")
        .drop("_record", "_content")
    )
    own_id = table.key == (f"{kind}_id",)
    if kind in REFERRED or not own_id:
        which = "IS NOT NULL" if kind in REFERRED else "> 1"
        same = f"CASE WHEN _n {which} THEN 'R_CONFLICT_DUP:same_key_other_content' END"
        return marked.withColumn("_problems", F.expr(f"array_append(_problems, {same})")).drop(
            "_n", "record_key"
        )
    (key,) = table.key
    twice = marked.selectExpr(
        *[c for c in (f"`{x}`" for x in marked.columns) if c not in (f"`{key}`", "`_problems`")],
        f"CASE WHEN _n > 1 THEN {id_sql(table.name, 'record_key', '_n')} ELSE `{key}` END AS `{key}`",
        "_problems",
        "explode(CASE WHEN _n > 1 THEN array(0, 1) ELSE array(0) END) AS _part",
    )
    noted = "CASE WHEN _part = 1 THEN array('R_CONFLICT_DUP:id_given_anew') ELSE _problems END"
    return twice.withColumn("_problems", F.expr(noted)).drop("_n", "record_key")


def _with_person(costs: DataFrame, rows: DataFrame) -> DataFrame:
    """Costs with the person of the event that they are for: the CDM does not say it in the row."""
    kinds = {kind: domain for domain, kind in _COST_OF.items()}
    events = fields(
        rows.where(f"kind IN {tuple(kinds)}"),
        (*(f"{k}_id" for k in kinds), "person_id"),
        sep=",",
        quoted=True,
    )
    domain = " ".join(f"WHEN '{k}' THEN '{d}'" for k, d in kinds.items())
    event = " ".join(f"WHEN '{k}' THEN `{k}_id`" for k in kinds)
    one = (
        events.selectExpr("person_id", f"CASE kind {domain} END AS _domain", f"CASE kind {event} END AS _event")
        .selectExpr(
            "_domain", f"try_cast({whole('_event')} AS bigint) AS _of_event",
            f"try_cast({whole('person_id')} AS bigint) AS _person_id",
        )
        .groupBy("_domain", "_of_event").agg(F.min("_person_id").alias("_person_id"))
    )  # fmt: skip
    same = F.expr("cost_domain_id <=> _domain AND cost_event_id <=> _of_event")
    return costs.join(one, same, how="left").drop("_domain", "_of_event")


def _of_people(own: DataFrame, changed: DataFrame) -> DataFrame:
    """Records of the persons among the changed records."""
    people = changed.selectExpr("record_key AS _changed").distinct()
    told = fields(own, ("person_id",), sep=",", quoted=True).selectExpr(
        "*", f"{whole('person_id')} AS _person"
    )
    return told.join(F.broadcast(people), F.expr("_person <=> _changed"), how="left_semi").select(
        *own.columns
    )


def person_link() -> Step:
    """The step of silver/link/person of a CDM that was brought: each person is one already."""

    def transform(persons: DataFrame) -> DataFrame:
        """One row per person."""
        return persons.selectExpr(
            "_source AS source", "cast(person_id AS string) AS source_person_id", "person_id", "'self' AS rule",
            "1D AS score",
        )  # fmt: skip

    return Step(PERSON_LINK, {"persons": PERSON}, transform, "Each person of the CDM as it is.", whole=True)
