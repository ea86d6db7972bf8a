"""The persons whom a run concerns, and the part of a table that is theirs.

Concerned are those of whom a record came, changed or went; those whose link changed, with all records of the old and the
new person; and those whose records refer to a clinician or a place that is now another. Some tables look different once
the extract date is later (Step.dated): that concerns further persons, and the tables made from these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.sql import functions as F

from carelake.silver.link.tables import FACILITY_LINK, PERSON_LINK, PROVIDER_LINK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.step import Step
    from carelake.core.table import Table

_RECORD = ["source", "source_person_id"]
# What a change of these links means is known by person, as it is not of other tables that are made whole.
REFERENCES: Mapping[Table, tuple[str, str]] = {
    PROVIDER_LINK: ("source_provider_id", "provider_id"),
    FACILITY_LINK: ("source_facility_id", "care_site_id"),
}
LINKS = (PERSON_LINK, *REFERENCES)


@dataclass
class Affected:
    """Persons concerned. `ids`: person_id; `records`: source, source_person_id of all their records, before and now."""

    lake: DeltaLake
    published: DeltaLake
    ids: DataFrame
    records: DataFrame
    # By table made in part: further persons, whose rows changed although nothing of theirs came (None: nobody).
    further: dict[str, DataFrame | None] = field(default_factory=dict)

    def part(self, step: Step, inputs: Iterable[Table], day: date | None) -> OfPersons:
        """The part of a step's table to make anew; `inputs` are those of other versions than published.

        `day` is the extract date of the last publication, where another one is now and the step asks for it.
        """
        further = [p for t in inputs if (p := self.further.get(t.name)) is not None]
        if day is not None:
            further += [
                self._ids(self.published.read(t).where(sql.replace(":day", f"DATE'{day}'")), t)
                for t, sql in step.dated.items()
            ]
        more = reduce(lambda a, b: a.union(b), further).distinct() if further else None
        self.further[step.name] = more
        ids = self.ids if more is None else self.ids.union(more).distinct()
        records = self.records if more is None else self.records.union(self._records(ids)).distinct()
        return OfPersons(self.lake, self.published, step.writes, ids, records)

    def _ids(self, rows: DataFrame, table: Table) -> DataFrame:
        if table.person:
            return rows.selectExpr(f"{table.person} AS person_id").distinct()
        return _linked(rows, table, self.lake.read(PERSON_LINK)).select("person_id").distinct()

    def _records(self, ids: DataFrame) -> DataFrame:
        return self.lake.read(PERSON_LINK).join(ids, "person_id", how="left_semi").select(*_RECORD)


@dataclass(frozen=True)
class OfPersons:
    """The rows of some persons."""

    lake: DeltaLake
    published: DeltaLake
    table: Table
    ids: DataFrame
    records: DataFrame
    settings: ClassVar[Mapping[str, Any]] = {}

    def only(self, table: Table) -> DataFrame:
        """Their rows of a table that says whose a row is, all of another one."""
        rows = self.lake.read(table)
        if table.person:
            return rows.join(self.ids.selectExpr(f"person_id AS {table.person}"), table.person, "left_semi")
        if table.sender_person:
            source, person = table.sender_person
            keys = self.records.selectExpr(f"source AS {source}", f"source_person_id AS {person}")
            return rows.join(keys, [source, person], how="left_semi")
        return rows

    def stay(self) -> DataFrame:
        """The rows of all others. A row that is of nobody stays nowhere: it cannot be in such a table."""
        gone = self.ids.selectExpr(f"person_id AS {self.table.person}")
        return self.published.read(self.table).join(gone, str(self.table.person), how="left_anti")


def affected(
    lake: DeltaLake, published: DeltaLake, seen: Iterable[DataFrame], contracts: Iterable[Table]
) -> Affected:
    """Whom the records in `seen` (source, source_person_id) and the changed links concern. Only after the links were made."""
    old, new = published.read(PERSON_LINK), lake.read(PERSON_LINK)
    links = old.select(*_RECORD, "person_id").union(new.select(*_RECORD, "person_id"))
    moved = _moved(old, new, _RECORD, "person_id")
    records = [*seen, moved]
    for table, (column, target) in REFERENCES.items():
        if lake.version(table) != published.version(table):
            others = lake.keep(
                _moved(published.read(table), lake.read(table), ["source", "reference"], target)
            )
            records += [_referring(lake, c, column, others) for c in contracts if _refers(c, column)]
    told = lake.keep(reduce(lambda a, b: a.union(b), records).distinct())
    ids = lake.keep(links.join(told, _RECORD, how="left_semi").select("person_id").distinct())
    theirs = links.join(ids, "person_id", how="left_semi").select(*_RECORD)
    return Affected(lake, published, ids, lake.keep(theirs.union(told).distinct()))


def _moved(old: DataFrame, new: DataFrame, key: list[str], value: str) -> DataFrame:
    """Keys of which the value is another, or that are new or gone."""
    before = old.select(*key, F.col(value).alias("_before"), F.lit(True).alias("_was"))
    after = new.select(*key, F.col(value).alias("_after"), F.lit(True).alias("_is"))
    both = before.join(after, key, how="full_outer")
    return both.where("_was IS NULL OR _is IS NULL OR _before IS DISTINCT FROM _after").select(*key)


def _refers(contract: Table, column: str) -> bool:
    return column in contract.columns and contract.sender_person is not None


def _referring(lake: DeltaLake, contract: Table, column: str, references: DataFrame) -> DataFrame:
    keys = references.selectExpr("source AS _source", f"reference AS {column}").distinct()
    rows = lake.read(contract).join(keys, ["_source", column], how="left_semi")
    return rows.selectExpr("_source AS source", "source_person_id").distinct()


def _linked(rows: DataFrame, table: Table, links: DataFrame) -> DataFrame:
    source, person = table.sender_person or ("source", "source_person_id")
    keys = links.selectExpr(f"source AS {source}", f"source_person_id AS {person}", "person_id")
    return rows.select(source, person).distinct().join(keys, [source, person], how="inner")
