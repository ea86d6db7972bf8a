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
FEW = 1000  # so many persons are named in a query; more are joined


@dataclass(frozen=True)
class People:
    """Some persons by person_id: named in the query when they are few, else joined."""

    few: tuple[int, ...] | None
    ids: DataFrame | None = None  # person_id; when they are more

    def count(self) -> int:
        """How many they are."""
        return len(self.few or ()) if self.ids is None else self.ids.count()

    def of(self, rows: DataFrame, person: str) -> DataFrame:
        """The rows of these persons."""
        if self.few is not None:
            return rows.where(F.col(person).isin(*self.few))
        return rows.join(self._ids(person), person, how="left_semi")

    def but(self, rows: DataFrame, person: str) -> DataFrame:
        """The rows of all others. A row that is of nobody stays nowhere: it cannot be in a table that names a person."""
        if self.few is not None:
            return rows.where(~F.col(person).isin(*self.few))
        return rows.join(self._ids(person), person, how="left_anti")

    def _ids(self, person: str) -> DataFrame:
        if self.ids is None:
            raise AssertionError("few persons are named, not joined")
        return self.ids.selectExpr(f"person_id AS {person}")


def people(lake: DeltaLake, ids: DataFrame) -> People:
    """The persons of `ids` (person_id, repeated or not), computed now."""
    kept = lake.keep(ids.distinct())
    some = kept.limit(FEW + 1).collect()
    if len(some) <= FEW:
        return People(tuple(sorted(r["person_id"] for r in some)))
    return People(None, kept)


def _together(lake: DeltaLake, some: list[People]) -> People:
    few = sorted({i for p in some for i in p.few or ()})
    frames = [p.ids for p in some if p.ids is not None]
    if not frames and len(few) <= FEW:
        return People(tuple(few))
    frames.append(lake.spark.createDataFrame([(i,) for i in few], "person_id bigint"))
    return people(lake, reduce(lambda a, b: a.union(b), frames))


@dataclass
class Affected:
    """Persons concerned. `records`: source, source_person_id of all their records, before and now."""

    lake: DeltaLake
    published: DeltaLake
    people: People
    records: DataFrame
    # By table made in part: further persons, whose rows changed although nothing of theirs came.
    further: dict[str, People] = field(default_factory=dict)

    def part(self, step: Step, inputs: Iterable[Table], day: date | None) -> OfPersons:
        """The part of a step's table to make anew; `inputs` are those of other versions than published.

        `day` is the extract date of the last publication, where another one is now and the step asks for it.
        """
        further = [self.further[t.name] for t in inputs if t.name in self.further]
        if day is not None and step.dated:
            parts = [
                self._ids(self.published.read(t).where(sql.replace(":day", f"DATE'{day}'")), t)
                for t, sql in step.dated.items()
            ]
            further.append(people(self.lake, reduce(lambda a, b: a.union(b), parts)))
        more = _together(self.lake, further)
        if more.few == ():
            return OfPersons(self.lake, self.published, step.writes, self.people, self.records)
        self.further[step.name] = more
        all_of_them = _together(self.lake, [self.people, more])
        theirs = all_of_them.of(self.lake.read(PERSON_LINK), "person_id").select(*_RECORD)
        records = self.records.union(theirs).distinct()
        return OfPersons(self.lake, self.published, step.writes, all_of_them, records)

    def _ids(self, rows: DataFrame, table: Table) -> DataFrame:
        if table.person:
            return rows.selectExpr(f"{table.person} AS person_id").distinct()
        return _linked(rows, table, self.lake.read(PERSON_LINK)).select("person_id").distinct()


@dataclass(frozen=True)
class OfPersons:
    """The rows of some persons."""

    lake: DeltaLake
    published: DeltaLake
    table: Table
    people: People
    records: DataFrame
    settings: ClassVar[Mapping[str, Any]] = {}

    def only(self, table: Table) -> DataFrame:
        """Their rows of a table that says whose a row is, all of another one."""
        rows = self.lake.read(table)
        if table.person:
            return self.people.of(rows, table.person)
        if table.sender_person:
            source, person = table.sender_person
            keys = self.records.selectExpr(f"source AS {source}", f"source_person_id AS {person}")
            return rows.join(keys, [source, person], how="left_semi")
        return rows

    def gone(self, rows: DataFrame) -> DataFrame:
        """Those of these persons."""
        return self.people.of(rows, str(self.table.person))

    def stay(self) -> DataFrame:
        """The rows of all others, as they were published."""
        return self.people.but(self.published.read(self.table), str(self.table.person))


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
    whom = people(lake, links.join(told, _RECORD, how="left_semi").select("person_id"))
    theirs = whom.of(links, "person_id").select(*_RECORD)
    return Affected(lake, published, whom, lake.keep(theirs.union(told).distinct()))


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
