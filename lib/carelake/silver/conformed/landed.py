"""What came since the last publication, and the records that have to be mapped anew because of it.

Records are versions of one thing when they share sender, kind and key, and are mapped together when Source.together says
so (the lines of a claim). A new record puts its whole group in question: which version counts, and what becomes of it.
A new record that only repeats what is there changes nothing but the ledger. Bronze is only ever appended to, so that
what is new is what stands in the files added since.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.sql import functions as F

from carelake.bronze.table import bronze_table
from carelake.core.part import file_names
from carelake.core.step import KINDS
from carelake.silver.conformed.version import COUNTS, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table
    from carelake.silver.conformed.conform import Member

_PLACE = ("source", "file", "byte_offset", "ingested_at")
_RECORD = ("_source", "_record")
_NARROW = (
    "kind", "record_key", "content_hash", "version_at", "extract_date", "record_id", "file", "byte_offset", "record_no",
    "problem", "ingested_at", "_run",
)  # fmt: skip


@dataclass(frozen=True)
class Landed:
    """New records of the senders in `since` (bronze version that silver has seen, -1 = none) and their groups."""

    lake: DeltaLake
    published: DeltaLake
    members: tuple[Member, ...]
    since: Mapping[str, int]

    @cached_property
    def groups(self) -> DataFrame:
        """One row per bronze record in question: _NARROW, `source`, `g` (its group), `is_new`, `path` (its file in bronze)."""
        new = {m.sender: self.lake.added(bronze_table(m.sender), self.since[m.sender]) for m in self.members}
        parts = [self._group(m, new[m.sender]) for m in self.members if new[m.sender]]
        return self.lake.keep(
            reduce(lambda a, b: a.unionByName(b), parts or [self._group(self.members[0], [])])
        )

    def _group(self, member: Member, names: list[str]) -> DataFrame:
        table = bronze_table(member.sender)
        group = _group_sql(member)
        fresh = self.lake.read_files(table, names).selectExpr("kind", "_run", f"{group} AS g")
        told = fresh.selectExpr("collect_set(kind) AS kinds", "collect_set(_run) AS runs").first()
        kinds, runs = (told["kinds"], told["runs"]) if told else ([], [])
        return (
            self.lake.read(table)
            .where(F.col("kind").isin(kinds))
            .selectExpr(
                f"'{member.sender}' AS source", *_NARROW, f"{group} AS g", "_metadata.file_path AS path"
            )
            .join(fresh.select("g").distinct(), "g", how="left_semi")
            .withColumn("is_new", F.col("_run").isin(runs))
        )

    @cached_property
    def changed(self) -> DataFrame:
        """The groups with a new record that is no repetition. Only after the versions were written."""
        repeated = self.lake.read(VERSION).where("state = 'duplicate'").select(*_PLACE)
        told = self.groups.where(f"is_new AND {COUNTS}").join(repeated, list(_PLACE), how="left_anti")
        ways = [w for w in (self._referring(m, told) for m in self.members) if w is not None]
        keys = told.select("source", "g").distinct()
        records = self.groups.where("problem IS NULL").join(keys, ["source", "g"], how="left_semi")
        same = (*_PLACE, "kind", "record_id", "path")
        return self.lake.keep(
            reduce(lambda a, b: a.unionByName(b), [records.select(*same), *[w.select(*same) for w in ways]])
        )

    def _referring(self, member: Member, told: DataFrame) -> DataFrame | None:
        """Records that refer to a changed one: what they say depends on it."""
        parts = []
        for m in member.source.mappings:
            if not m.beside:
                continue
            table = bronze_table(member.sender)
            places = told.where((F.col("source") == member.sender) & F.col("kind").isin(*m.beside))
            if places.isEmpty():
                continue
            own = self.lake.read(table).where(F.col("kind").isin(*m.kinds) & F.col("problem").isNull())
            own = own.withColumn("path", F.col("_metadata.file_path"))
            if m.refers:
                new = self.lake.read_files(table, self.lake.added(table, self.since[member.sender]))
                news = new.where(F.col("kind").isin(*m.beside)).join(
                    places.select(*_PLACE[1:]), list(_PLACE[1:]), how="left_semi"
                )
                own = m.refers(own, news)
            parts.append(own.selectExpr(
                f"'{member.sender}' AS source", "kind", "file", "byte_offset", "ingested_at", "record_id",
                "path",
            ))  # fmt: skip
        return reduce(lambda a, b: a.unionByName(b), parts) if parts else None

    @cached_property
    def kinds(self) -> frozenset[tuple[str, str]]:
        """(sender, kind) of the records that have to be mapped anew."""
        return frozenset(
            (r["source"], r["kind"]) for r in self.changed.select("source", "kind").distinct().collect()
        )

    def examined(self, whole: Iterable[Table] = ()) -> DataFrame:
        """One row per record that this run looks at: its place, `_record`, `mapped`, `path` (its file in bronze).

        These are the new ones, those mapped anew, and all that contracts count which were made whole.
        """
        place = (*_PLACE, "record_id AS _record")
        parts = [
            self.groups.where("is_new").selectExpr(*place, "false AS mapped", "path"),
            self.changed.selectExpr(*place, "true AS mapped", "path"),
        ]
        counted = [
            (m.sender, x.kinds)
            for m in self.members
            for x in m.source.mappings
            if x.counts and x.into in whole
        ]
        for sender in sorted({s for s, _ in counted}):
            kinds = sorted({k for s, some in counted if s == sender for k in some})
            rows = self.lake.read(bronze_table(sender)).where(
                F.col("kind").isin(kinds) & F.col("problem").isNull()
            )
            own = rows.select("*", F.col("_metadata.file_path").alias("path"))
            parts.append(own.selectExpr(f"'{sender}' AS source", *place[1:], "true AS mapped", "path"))
        seen = reduce(lambda a, b: a.union(b), parts)
        return seen.groupBy(*_PLACE, "_record").agg(
            F.max("mapped").alias("mapped"), F.min("path").alias("path")
        )

    def touches(self, contract: Table) -> bool:
        """Whether a record that has to be mapped anew goes into the contract."""
        return any(
            (m.sender, k) in self.kinds
            for m in self.members for x in m.source.mappings if x.into is contract for k in x.kinds
        )  # fmt: skip

    def divides(self, contract: Table) -> bool:
        """Whether the changed rows of the contract can be made without the others."""
        return not any(
            x.whole and any((m.sender, k) in self.kinds for k in x.kinds)
            for m in self.members for x in m.source.mappings if x.into is contract
        )  # fmt: skip


@dataclass(frozen=True)
class OfVersions:
    """The versions of the groups in question."""

    landed: Landed
    settings: ClassVar[Mapping[str, Any]] = {}

    @property
    def published(self) -> DeltaLake:
        """The lake as it was published."""
        return self.landed.published

    def only(self, table: Table) -> DataFrame:
        """The records of the groups, of the sender whose bronze table it is."""
        return self.landed.groups.where(f"source = '{table.name.removeprefix('bronze/')}'")

    def gone(self, rows: DataFrame) -> DataFrame:
        """What was known of the groups."""
        return rows.join(self.landed.groups.select(*_PLACE), list(_PLACE), how="left_semi")

    def stay(self) -> DataFrame:
        """What is known of all other records."""
        return self.published.read(VERSION).join(
            self.landed.groups.select(*_PLACE), list(_PLACE), how="left_anti"
        )


@dataclass(frozen=True)
class OfContract:
    """The rows of a contract that come from records which have to be mapped anew."""

    landed: Landed
    contract: Table

    @property
    def settings(self) -> Mapping[str, Any]:
        """The kinds of the records that have to be mapped anew, by sender."""
        mine = {
            m.sender: frozenset(k for s, k in self.landed.kinds if s == m.sender) for m in self.landed.members
        }
        return {KINDS.name: mine}

    def only(self, table: Table) -> DataFrame:
        """Of a bronze table these records with those that they may refer to; of the versions those of all of them."""
        if table is VERSION:
            known = self.landed.lake.read(VERSION)
            theirs = known.join(self.landed.changed.select(*_PLACE), list(_PLACE), how="left_semi")
            referred = " OR ".join(
                f"(source = '{m.sender}' AND kind = '{k}')"
                for m in self.landed.members
                for k in self._beside(m)
            )
            # without them a duplicate of what is referred to would count beside it
            return theirs.unionByName(known.where(referred)).distinct() if referred else theirs
        member = next(m for m in self.landed.members if bronze_table(m.sender) == table)
        mine = self.landed.changed.where(f"source = '{member.sender}'")
        lake = self.landed.lake
        files = [r["path"] for r in self._current(mine, member).select("path").distinct().collect()]
        records = lake.read_files(table, sorted(file_names(table, files))).join(
            mine.select(*_PLACE[1:]), list(_PLACE[1:]), how="left_semi"
        )
        beside = self._beside(member)
        if not beside:
            return records
        return records.where(~F.col("kind").isin(*beside)).unionByName(
            lake.read(table).where(F.col("kind").isin(*beside))
        )

    def _beside(self, member: Member) -> list[str]:
        """The kinds that the contract's mappings of a sender look up in what they map."""
        return sorted({k for x in member.source.mappings if x.into is self.contract for k in x.beside})

    def _current(self, mine: DataFrame, member: Member) -> DataFrame:
        """Those that a mapping will look at: the others need not be read."""
        kept = sorted(member.source.versions_kept) or [""]
        lost = self.landed.lake.read(VERSION).where(
            F.expr("state <> 'superseded'") | ~F.col("kind").isin(*kept)
        )
        return mine.join(lost.select(*_PLACE), list(_PLACE), how="left_anti")

    @property
    def published(self) -> DeltaLake:
        """The lake as it was published."""
        return self.landed.published

    def gone(self, rows: DataFrame) -> DataFrame:
        """Those of the records that have to be mapped anew."""
        return rows.join(self._records(), list(_RECORD), how="left_semi")

    def stay(self) -> DataFrame:
        """The rows of all other records."""
        return self.published.read(self.contract).join(self._records(), list(_RECORD), how="left_anti")

    def _records(self) -> DataFrame:
        return self.landed.changed.selectExpr("source AS _source", "record_id AS _record").distinct()

    def people(self) -> Iterable[DataFrame]:
        """`source`, `source_person_id` of the rows that go and of those that come."""
        for lake in (self.published, self.landed.lake):
            rows = self.gone(lake.read(self.contract))
            for source, person in _people(self.contract):
                yield (
                    rows.selectExpr(f"{source} AS source", f"{person} AS source_person_id")
                    .where("source_person_id IS NOT NULL")
                    .distinct()
                )


def _people(contract: Table) -> list[tuple[str, str]]:
    """The columns of a contract that name a person as a sender does."""
    if "account_id" in contract.columns:  # an enrolment names two: the account and the patient
        return [("account_source", "account_id"), ("person_source", "source_person_id")]
    if contract.person and not contract.sender_person:  # a table of a CDM that came as it is
        return [("_source", f"cast({contract.person} AS string)")]
    return [contract.sender_person] if contract.sender_person else []


def _group_sql(member: Member) -> str:
    """SQL of the group of a bronze record: 64 bits of kind and key, or of what is mapped together."""
    cases = " ".join(f"WHEN '{k}' THEN {sql}" for k, sql in sorted(member.source.together.items()))
    key = f"CASE kind {cases} ELSE record_key END" if cases else "record_key"
    return f"xxhash64(kind, coalesce({key}, hex(content_hash)))"
