"""The engine of the conformed stage: all mappings into a contract, united and written once; the stage's ledger."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import Observation
from pyspark.sql import functions as F

from carelake.bronze.table import bronze_table
from carelake.core.step import KINDS, SENDERS, Step
from carelake.silver.conformed.version import VERSION, versions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame

    from carelake.bronze.source import Mapping, Source
    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table

PLACE = ("file", "byte_offset", "ingested_at")  # where a record of a sender stands
SENDER_DDL = "struct<name:string,time_zone:string,shift_days:int,type_concept_id:int>"


@dataclass(frozen=True)
class Member:
    """A sender that has landed records, with its format."""

    sender: str
    source: Source


def version_step(members: list[Member]) -> Step:
    """The step that finds duplicates, superseded versions and conflicts."""
    tables = {f"bronze_{m.sender}": bronze_table(m.sender) for m in members}
    exports = frozenset(m.sender for m in members if m.source.brings_cdm)

    def transform(**bronze: DataFrame) -> DataFrame:
        """Versions of every sender's records."""
        return versions({name.removeprefix("bronze_"): frame for name, frame in bronze.items()}, exports)

    return Step(VERSION, tables, transform, "Which records are not the version that counts.")


def contract_step(contract: Table, members: list[Member]) -> Step:
    """The step that unites every mapping into `contract`, of every sender."""
    used = [m for m in members if any(x.into is contract for x in m.source.mappings)]
    inputs: dict[str, Any] = {f"bronze_{m.sender}": bronze_table(m.sender) for m in used}
    inputs |= {"versions": VERSION, "senders": SENDERS, "kinds": KINDS}

    def transform(
        versions: DataFrame,
        senders: tuple[dict[str, Any], ...],
        kinds: dict[str, frozenset[str]],
        **bronze: DataFrame,
    ) -> DataFrame:
        """Rows of the contract from every sender's current records. A mapping of kinds that are not there costs nothing."""
        known = {s["name"]: s for s in senders}
        parts = []
        for m in used:
            mappings = [
                x for x in m.source.mappings if x.into is contract and not kinds[m.sender].isdisjoint(x.kinds)
            ]
            # asked for all its mappings together, which Spark then computes once
            old = versions.where(
                _of_kinds(sorted({k for x in mappings for k in (*x.kinds, *x.beside)}), m.sender)
            )
            parts += [
                _mapped(bronze[f"bronze_{m.sender}"], old, m, x, known.get(m.sender, {})) for x in mappings
            ]
        if not parts:
            return versions.where("false")
        united = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), parts)
        # The metrics node keeps what follows above the union: else each mapping would get a copy of every check.
        return united.observe(Observation(), F.expr("count(*)").alias("rows"))

    return Step(contract, inputs, transform, contract.doc)


def bytes_read(step: Step, lake: DeltaLake, members: Iterable[Member]) -> list[int | None]:
    """Bytes of each table that a step reads, of bronze those of the kinds that its mappings read; None where not known. Its own
    table is one of them: of a part what stays is written again.
    """
    mappings = [x for m in members for x in m.source.mappings if x.into is step.writes]
    kinds = {k for x in mappings for k in (*x.kinds, *x.beside)} or None
    return [lake.size(t, kinds) for t in (*step.reads, step.writes)]


def _of_kinds(kinds: Iterable[str], sender: str) -> str:
    names = ", ".join(f"'{k}'" for k in kinds)
    return f"source = '{sender}' AND kind IN ({names or 'NULL'})"


def records(
    bronze: DataFrame, old: DataFrame, member: Member, kinds: tuple[str, ...], sender: dict[str, Any]
) -> DataFrame:
    """What a mapping gets: the current records of some kinds (all versions of those that the source keeps).

    `old` are the sender's versions, of these kinds at least.
    """
    kept = set(kinds) <= member.source.versions_kept
    gone = "duplicate conflict" if kept else "duplicate superseded conflict"
    names = ", ".join(f"'{k}'" for k in kinds)
    losers = old.where(" OR ".join(f"state = '{s}'" for s in gone.split())).select(*PLACE)
    current = bronze.where(f"kind IN ({names}) AND problem IS NULL").join(
        F.broadcast(losers), list(PLACE), how="left_anti"
    )
    if kept:
        superseded = old.where("state = 'superseded'").selectExpr(*PLACE, "false AS is_latest")
        current = current.join(F.broadcast(superseded), list(PLACE), how="left")
    else:
        current = current.selectExpr("*", "true AS is_latest")
    fixed = (
        f"named_struct('name', '{member.sender}', 'time_zone', '{sender.get('time_zone') or 'UTC'}', "
        f"'shift_days', {int(sender.get('shift_days') or 0)}, "
        f"'type_concept_id', {sender.get('type_concept_id') or 'cast(NULL AS int)'})"
    )
    return current.selectExpr(
        "raw", "header", "record_key", "version_at", "coalesce(is_latest, true) AS is_latest", "extract_date", "kind",
        f"cast({fixed} AS {SENDER_DDL}) AS sender",
        f"named_struct('source', '{member.sender}', 'kind', kind, 'record', record_id, 'file', file, "
        "'byte_offset', byte_offset, 'record_no', record_no) AS _at",
    )  # fmt: skip


def placed(mapped: DataFrame) -> DataFrame:
    """A mapping's rows with the lineage columns in place of `_at`."""
    part = "_part" if "_part" in mapped.columns else "0"
    kept = [f"`{c}`" for c in mapped.columns if c not in ("_at", "_part")]
    return mapped.selectExpr(
        *kept, f"cast({part} AS int) AS _part", "_at.source AS _source", "_at.kind AS _kind", "_at.record AS _record",
        "_at.file AS _file", "_at.byte_offset AS _byte_offset", "_at.record_no AS _record_no",
    )  # fmt: skip


def _mapped(
    bronze: DataFrame, old: DataFrame, member: Member, mapping: Mapping, sender: dict[str, Any]
) -> DataFrame:
    out = placed(mapping.transform(records(bronze, old, member, (*mapping.kinds, *mapping.beside), sender)))
    own = {f.name: f.type for f in mapping.into.fields}
    cast = [
        f"`{c}`" if c not in own or kind == own[c] else f"try_cast(`{c}` AS {own[c]}) AS `{c}`"
        for c, kind in out.dtypes
    ]
    # A void column cannot be united with an array or struct of another mapping.
    return out.selectExpr(*cast)
