"""The pipeline: land, conform, link, OMOP, gold, gate, models, publish. What the jobs of the command line share."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from carelake import __version__, history
from carelake.bronze.books import recover
from carelake.bronze.land import land
from carelake.bronze.look import Looked, look
from carelake.bronze.room import refuse_without_room
from carelake.bronze.table import bronze_table
from carelake.catalog import Catalog, catalog
from carelake.core.mark import read_mark, write_mark
from carelake.core.run import Context, StepResult, now, run_plan
from carelake.core.runlog import Published, RunLog
from carelake.core.session import pace
from carelake.core.step import Setting
from carelake.errors import ConfigError, QualityGateError
from carelake.gold.cohorts import site_tasks
from carelake.increment import Increment
from carelake.quality import check
from carelake.silver.affected import LINKS
from carelake.silver.conformed.conform import Member, bytes_read
from carelake.silver.conformed.encounter import ENCOUNTER
from carelake.silver.ledger import conformed_ledger, omop_ledger, reject_conformed, reject_later
from carelake.silver.link.tables import EVENT_LINK, PERSON_HISTORY, PERSON_LINK
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary.cdm_tables import lacking
from carelake.silver.vocabulary.folder import has_vocabulary
from carelake.silver.vocabulary.folder import settings as vocabulary_settings
from carelake.silver.vocabulary.tables import CODE_MAP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pyspark.sql import DataFrame

    from carelake.core.config import Config, Sender
    from carelake.core.lake import DeltaLake
    from carelake.core.part import Part
    from carelake.core.progress import Progress
    from carelake.core.step import Step
    from carelake.core.table import Table

BYTES_LANDED_BY_READ = 2  # as found, often compressed: from 64 MiB of them compiling was seen to win
UNTIL = ("bronze", "silver", "gold", "train", "score")


@dataclass
class Run:
    """One run over one lake, which it holds."""

    config: Config
    lake: DeltaLake
    log: RunLog
    progress: Progress
    given: tuple[Sender, ...]  # the senders named on the command line
    full: bool = False
    as_of: date | None = None
    vocabulary: str | None = None
    catalog: Catalog = field(default_factory=catalog)
    results: list[StepResult] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    before: dict[str, Published] = field(default_factory=dict)
    extract_date: date | None = None
    persons_affected: int = 0
    concepts_changed: dict[str, int] | None = (
        None  # rows per OMOP table; None when codes were not mapped anew
    )
    published_new: bool = False
    _increment: Increment | None = None
    _members: list[Member] | None = None
    _checked: set[str] = field(default_factory=set)

    @property
    def is_sample(self) -> bool:
        """Whether the lake was begun with the bundled sample."""
        return bool(read_mark(self.lake).get("sample"))

    @property
    def members(self) -> list[Member]:
        """The senders that have landed anything, with their formats; asked once, and again after a landing."""
        if self._members is None:
            self._members = self._find_members()
        return self._members

    def _find_members(self) -> list[Member]:
        return [
            Member(name, self.catalog.sources[format_name])
            for name, format_name in sorted({(r["source"], r["format"]) for r in self.log.landed()})
            if self.lake.whole_head(bronze_table(name)) >= 0
        ]

    def senders(self) -> dict[str, Sender]:
        """Configuration of every sender of this lake: the sample's in a lake that began with it, then the given ones."""
        known = {s.name: s for s in self.config.senders}
        if read_mark(self.lake).get("sample"):
            known |= {s.name: s for s in self.config.sample}
        return known | {s.name: s for s in self.given}

    # --- stages ---------------------------------------------------------------------------------------------------

    def bronze(self) -> int:
        """Land what is new of the senders asked for. Returns the records added."""
        todo = self._to_land()
        for s in todo:
            if s.format not in self.catalog.sources:
                known = ", ".join(sorted(self.catalog.sources))
                raise ConfigError(f"source {s.name}: no format {s.format}; there are {known}")
        mine = {m.sender: m.source.format for m in self.members}
        for s in todo:
            if mine.get(s.name, s.format) != s.format:
                raise ConfigError(
                    f"source {s.name}: this lake knows it as {mine[s.name]}: give the new format another name"
                )
        self.catalog.refuse_beside_cdm(mine | {s.name: s.format for s in todo})
        for s in todo:  # before anything lands: it writes in a dead run's name, whose files land no more
            recover(self.lake, self.log, s.name, s.format)
        self.log.flush()

        def looked(s: Sender) -> Looked:
            return look(self.lake, s, self.catalog.sources[s.format])

        with ThreadPoolExecutor(self.config.write_threads, thread_name_prefix="land") as pool:
            found = list(pool.map(looked, todo))
            refuse_without_room(self.lake.root, sum(f.text(self.log) for f in found))
            added = list(pool.map(lambda f: (f.sender, land(self.lake, self.log, f, now())), found))
        fault("bronze:landed")
        self.log.flush()
        self._members = None
        for s, n in added:
            self.progress.step("bronze", f"bronze/{s.name}", n, 0.0)
            self.results.append(
                StepResult(f"bronze/{s.name}", self.lake.head(bronze_table(s.name)), n, 0, 0.0, "", {})
            )
        return sum(n for _, n in added)

    def _to_land(self) -> list[Sender]:
        mark = read_mark(self.lake)
        if self.given:
            if mark.get("sample"):
                raise ConfigError(
                    "this lake was begun with the bundled sample: give other data another --lake"
                )
            todo, sample = list(self.given), False
        else:
            todo = [s for s in self.config.senders if s.path]
            sample = not todo and bool(self.config.sample)
            if sample:
                if mark and not mark.get("sample"):
                    raise ConfigError(
                        "this lake holds other data than the bundled sample: name its sources with --source"
                    )
                todo = list(self.config.sample)
        if not todo:
            raise ConfigError("no source has a path: give --source NAME=PATH or a path in the configuration")
        if not mark:
            write_mark(self.lake, __version__, sample=sample)
        return todo

    def silver(self) -> None:
        """Conformed, link, vocabulary and omop tables, with their ledgers."""
        steps = [s for s in self.plan() if s.name.startswith("silver/")]
        first = [s for s in steps if s.name.startswith("silver/conformed/") or s.name in self.mapped]
        mappings = [x.into for m in self.members for x in m.source.mappings]
        # the longest first, so that none runs alone at the end
        first.sort(key=lambda s: -mappings.count(s.writes))
        early = self._early_settings()
        if self.full:
            self.before = history.without_damaged(self.lake, self.before, [s.writes for s in steps])
        else:
            self.increment.begin(self.members, self.mapped)
        self.pace()
        # what reads no table, such as the vocabulary, fills the gaps
        first += [s for s in steps if s not in first and not s.reads and _asks_only(s, early)]
        done = self._run(first, early)
        if any(
            not r.skipped for r in done if r.table.startswith("silver/conformed/") or r.table in self.mapped
        ):
            conformed_ledger(self.lake, self.log, self.members, self.increment.examined())
            self.log.flush()
        fault("silver:conformed")
        rest = [s for s in steps if s not in first]
        if self.increment.landed:  # whom it concerns is known once it is known who is who
            done += self._run([s for s in rest if s.writes in LINKS], self.settings())
            rest = [s for s in rest if s.writes not in LINKS]
            self.persons_affected = self.increment.find_persons() or 0
        done += self._run(rest, self.settings())
        person = self.catalog.declared["silver/omop/person"]
        if any(not r.skipped for r in done):
            if PERSON_LINK.name in self.before or self.lake.head(PERSON_HISTORY) < 0:
                self.results.append(history.add_person_changes(self.lake, self.log, self.before))
            if self._made(CODE_MAP) and EVENT_LINK.name in self.before:
                result, self.concepts_changed = history.add_concept_changes(self.lake, self.log, self.before)
                self.results.append(result)
            whom = self.increment.affected
            examined = self.increment.examined() if whom else None
            omop_ledger(self.lake, self.log, self.members, person, whom.records if whom else None, examined)
            if not whom and self._made(person):
                self.persons_affected = next(r.rows for r in self.results if r.table == person.name)
            self.log.flush()

    def pace(self) -> None:
        """Let Spark compile expressions or not where no step does it by its own inputs: the ledger and the like look at the whole lake."""
        size = sum(r["bytes"] or 0 for r in self.log.landed())
        pace(self.lake.spark, size // BYTES_LANDED_BY_READ, constraints=not self.brings_cdm)

    def _made(self, table: Table) -> bool:
        return any(r.table == table.name and not r.skipped for r in self.results)

    @property
    def increment(self) -> Increment:
        """What is known of what is new since the last publication."""
        if self._increment is None:
            self._increment = Increment(self.lake, self.before)
        return self._increment

    def gold(self) -> None:
        """Cohorts, measures, features: what does not come after scores."""
        self.pace()
        if self.full:
            gold = [t for n, t in self.catalog.declared.items() if n.startswith("gold/")]
            self.before = history.without_damaged(self.lake, self.before, gold)
        self._run(self._gold(after_scores=False), self.settings())

    def after_scores(self) -> None:
        """The gold tables that are made from scores, such as the worklist."""
        self._run(self._gold(after_scores=True), self.settings())

    def _gold(self, *, after_scores: bool) -> list[Step]:
        later = {"gold/risk_score"}
        for s in self.plan():  # inputs come first, so one pass finds all that follow
            if any(t.name in later for t in s.reads):
                later.add(s.name)
        return [s for s in self.plan() if s.name.startswith("gold/") and (s.name in later) == after_scores]

    def gate(self) -> None:
        """Stop a promotion when a check of a severity of `gate` fails on what this run wrote. Raises QualityGateError."""
        written = {r.table for r in self.results if not r.skipped} - self._checked
        tables = [
            t
            for t in self.catalog.declared.values()
            if t.name in written and t.name.startswith(("silver/", "gold/"))
        ]
        if not tables:
            return
        self._checked |= written
        omop = [t for n, t in self.catalog.declared.items() if n.startswith("silver/omop/")]
        cdm = omop if any(t in omop for t in tables) else []
        found = check(self.lake, self.log, tables, cdm, self.config.quality, claims=not self.brings_cdm)
        failed = found.stopping(self.stops)
        self.log.flush()
        if failed:
            what = sorted(f"{r['check_name']} of {r['table_name']}.{r['field_name'] or '*'}" for r in failed)
            names = ", ".join(what[:10]) + (f" and {len(what) - 10} more" if len(what) > 10 else "")
            raise QualityGateError(
                f"the quality gate failed: {names}; nothing was published, see ops/check_result"
            )

    @property
    def stops(self) -> tuple[str, ...]:
        """The severities of checks that stop a promotion."""
        return self.config.gate_brought if self.brings_cdm else self.config.gate

    def publish(self) -> None:
        """Publish what this run wrote, with what was published before; nothing when nothing is new."""
        wrote = {r.table: Published(r.version, r.fingerprint, r.inputs) for r in self.results}
        if all(self.before.get(n) == p for n, p in wrote.items()):
            return
        fault("publish:before")
        self.log.publish(self.before | wrote)
        fault("publish:after")
        self.published_new = True

    # --- parts ----------------------------------------------------------------------------------------------------

    def plan(self) -> list[Step]:
        """The steps of silver and gold for this lake's senders."""
        return self.catalog.plan(self.members, self._kinds())

    @property
    def mapped(self) -> dict[str, Table]:
        """What mappings write in this lake: the contracts, and of a CDM that came as it is its tables."""
        return self.catalog.mapped(self.members, self._kinds())

    @property
    def brings_cdm(self) -> bool:
        """Whether the CDM of this lake came as it is."""
        return any(m.source.brings_cdm for m in self.members)

    def lacking_vocabulary(self) -> list[str]:
        """Vocabulary files without which a table stays empty. Raises InputError when the vocabulary cannot serve at all."""
        given = vocabulary_settings(self._vocabulary(), self.config.local_maps)
        return lacking(**given)

    def _vocabulary(self) -> str | None:
        """The folder of the vocabulary: as the command line says, else beside a CDM that is brought, else as configured."""
        if self.vocabulary:
            return self.vocabulary
        known = self.given or self.config.senders
        whole = [f for f, source in self.catalog.sources.items() if source.brings_cdm]
        beside = [s.path for s in known if s.path and s.format in whole]
        return next((p for p in beside if has_vocabulary(p)), self.config.vocabulary)

    def settings(self) -> dict[str, Any]:
        """Values that steps may ask for."""
        if self.extract_date is None:
            self.extract_date = self._extract_date()
        return self._early_settings() | {
            "as_of": self.as_of or self.extract_date,
            "extract_date": self.extract_date,
        }

    def _early_settings(self) -> dict[str, Any]:
        """Those that are known before any record is read."""
        return {
            **vocabulary_settings(self._vocabulary(), self.config.local_maps),
            "senders": self._sender_dicts(self.senders()),
            "release": __version__,
            "kinds": self._kinds(),
            "site_tasks": tuple(s.task for s in site_tasks.read(self.config.tasks)),
        }

    def _kinds(self) -> dict[str, frozenset[str]]:
        """The kinds of record that each sender has landed."""
        kinds: dict[str, set[str]] = {m.sender: set() for m in self.members}
        for r in self.log.landed():
            kinds.setdefault(r["source"], set()).update(json.loads(r["units_by_kind"] or "{}"))
        return {s: frozenset(k) for s, k in kinds.items()}

    def _sender_dicts(self, known: Mapping[str, Sender]) -> tuple[dict[str, Any], ...]:
        return tuple(
            known[m.sender].as_dict()
            if m.sender in known
            else {"name": m.sender, "format": m.source.format, "priority": 100}
            for m in self.members
        )

    def _extract_date(self) -> date:
        """The latest extract date of the landings; without any, the latest day on which an encounter began."""
        days: list[date] = [
            r["extract_date"] for r in self.log.landed() if r["status"] == "landed" and r["extract_date"]
        ]
        if days:
            return max(days)
        began = self.lake.read(ENCOUNTER).selectExpr("to_date(max(start_datetime)) AS d").first()
        if self.brings_cdm:
            began = self.lake.read(VISIT_OCCURRENCE).selectExpr("max(visit_start_date) AS d").first()
        if began is None or began["d"] is None:
            raise ConfigError(
                "no file says of which day it speaks: give --as-of, or extract_date in the configuration"
            )
        day: date = began["d"]
        return day

    def _run(self, steps: list[Step], values: dict[str, Any]) -> list[StepResult]:
        members, mapped = self.members, self.mapped
        modules = tuple(sorted({x.transform.__module__ for m in members for x in m.source.mappings}))

        def also(step: Step) -> tuple[str, ...]:
            return modules if step.name in mapped else ()

        def skip(step: Step) -> StepResult | None:
            return None if self.full else self.increment.rests(step, values, also(step))

        def part(step: Step) -> Part | None:
            return None if self.full else self.increment.part(step, values, also(step))

        def quarantine(step: Step, rejected: DataFrame) -> None:
            if step.name in mapped:
                reject_conformed(self.lake, self.log, members, step, rejected)
            else:
                reject_later(self.log, step, rejected)

        sizes = partial(bytes_read, lake=self.lake, members=members)
        context = Context(self.log.run_id, values, quarantine, self.progress, fault, sizes)
        done = run_plan(
            steps, self.lake, context, threads=self.config.write_threads, skip=skip, also=also, part=part
        )
        self.results += done
        return done


def _asks_only(step: Step, known: Mapping[str, Any]) -> bool:
    return all(i.name in known for i in step.inputs.values() if isinstance(i, Setting))


def fault(point: str) -> None:
    """For the kill tests: die at this very point when FAULT names it."""
    if os.environ.get("FAULT") == point:
        os.kill(os.getpid(), signal.SIGKILL)
