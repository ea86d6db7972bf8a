"""The dashboard's checks over a CDM: counted together, judged as the dashboard judges."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.quality import concepts, references, rows
from carelake.quality.tally import Tally
from carelake.quality.violators import lost_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from pyspark.sql import DataFrame

    from carelake.core.config import Exemption
    from carelake.quality.published import Rule
    from carelake.quality.rows import Count

OVERLAP = "measureObservationPeriodOverlap"
PRESENCE = ("cdmTable", "cdmField")  # told by the schema alone
IMPLEMENTED = frozenset(
    {*rows.ROW_CHECKS, *references.KEY_CHECKS, *concepts.CONCEPT_CHECKS, OVERLAP, *PRESENCE}
)


@dataclass(frozen=True)
class Result:
    """A check and what came out. `status`: pass, fail, not_applicable, error (what it needs beside its own table is not there)."""

    rule: Rule
    violating: int
    about: int
    status: str
    reason: str | None = None  # why it is not applicable, or an error
    seconds: float = 0.0  # its part of the one query: all are counted together
    examples: tuple[int, ...] = ()

    @property
    def share(self) -> float:
        """Of the rows that it is about the part that violates, 0 to 1."""
        return self.violating / self.about if self.about else 0.0


@dataclass(frozen=True)
class Measured:
    """All counts of a CDM."""

    rules: dict[str, Count]  # by Rule.id
    rows: dict[str, int]  # by table
    empty: dict[tuple[str, str], int]  # NULLs by table and field
    common: dict[tuple[str, str], dict[int, int]]  # the commonest concepts of each field
    seconds: float


def measure(
    tables: Mapping[str, DataFrame],
    asked: Sequence[Rule],
    today: date,
    exempt: Sequence[Exemption] = (),
    tally: Tally | None = None,
) -> Measured:
    """Count what the rules ask of the tables that are there, by the CDM's names: one pass over each table.

    `tally` may hold further questions, which the same query answers.
    """
    started = time.monotonic()
    tally = tally or Tally()
    looked_at = {r.table for r in asked}
    for name, frame in sorted(tables.items()):
        tally.table(name, frame)
        for column in frame.columns if name in looked_at else ():
            tally.condition(name, f"`{column}` IS NOT NULL")
    answers: dict[str, Callable[[], Count]] = {}
    for r in asked:
        answer = (
            rows.ask(r, tables, today, tally)
            or references.ask(r, tables, tally)
            or _overlap(r, tables, tally)
        )
        if answer:
            answers[r.id] = answer
    of_concepts = [r for r in asked if concepts.is_asked(r, tables)]
    concepts.ask(of_concepts, tally, tables)
    days = rows.lookups(tables)
    for name in looked_at & set(tables):
        tally.table(name, rows.joined(tables[name], days, tally.asked(name)))
    tally.run(lambda used: concepts.parts(used, of_concepts, tally.fields, tables, exempt))
    found = {i: answer() for i, answer in answers.items()} | concepts.counts(of_concepts, tally)
    lost = [r for r in asked if r.name == "isForeignKey" and r.id in answers and found[r.id][0]]
    found |= {i: (n, found[i][1]) for i, n in lost_rows(tables, lost).items()}
    size = {name: tally.rows(name) for name in looked_at & set(tables)}
    empty = {
        (name, column): size[name] - tally.held(name, f"`{column}` IS NOT NULL")
        for name in size
        for column in tables[name].columns
    }
    return Measured(found, size, empty, concepts.common(tally), time.monotonic() - started)


def _overlap(rule: Rule, tables: Mapping[str, DataFrame], tally: Tally) -> Callable[[], Count] | None:
    """Persons of whom a period overlaps another or begins on the day after its end, of those who have one."""
    if rule.name != OVERLAP or rule.table not in tables:
        return None
    start, end = "to_date(observation_period_start_date)", "to_date(observation_period_end_date)"
    ended = (  # of the person's periods that began before
        f"max({end}) OVER (PARTITION BY person_id ORDER BY {start}, {end}, observation_period_id "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
    touching = tables[rule.table].selectExpr("person_id", f"{start} <= date_add({ended}, 1) AS touches")
    people = "persons with observation periods"
    tally.table(people, touching.groupBy("person_id").agg(F.expr("bool_or(touches)").alias("touches")))
    tally.condition(people, "touches")
    return lambda: (tally.held(people, "touches"), tally.rows(people))


def judge(tables: Mapping[str, Sequence[str]], rules: Sequence[Rule], measured: Measured) -> list[Result]:
    """Every check with its status; `tables` has the columns of those that are there.

    A check fails when more than its threshold of the rows violate it; with no threshold or 0 when any does. What makes a
    check not applicable is the dashboard's own list: no such table or field, an empty table or field, no such concept.
    """
    return [_status(tables, r, measured) for r in rules]


def _status(tables: Mapping[str, Sequence[str]], rule: Rule, measured: Measured) -> Result:
    violating, about = measured.rules.get(rule.id, (0, 0))
    if rule.name in PRESENCE:
        there = rule.table in tables and (rule.field is None or rule.field in tables[rule.table])
        violating, about = int(not there), 1
    result = Result(rule, violating, about, "pass", seconds=measured.seconds / max(1, len(measured.rules)))
    reason = _not_applicable(tables, rule, result, measured)
    if reason:
        return replace(result, status="not_applicable", reason=reason)
    if rule.name not in PRESENCE and rule.id not in measured.rules:
        return replace(result, status="error", reason="a table that it needs beside its own is not there")
    over = violating > 0 if not rule.threshold else 100 * result.share > rule.threshold
    return replace(result, status="fail") if over else result


def _not_applicable(
    tables: Mapping[str, Sequence[str]], rule: Rule, result: Result, measured: Measured
) -> str | None:
    table, field = rule.table.upper(), (rule.field or "").upper()
    if rule.name == "cdmTable":
        return None
    if rule.name == "measureConditionEraCompleteness" and not measured.rows.get("condition_occurrence"):
        return "Table CONDITION_OCCURRENCE is empty."
    if rule.table not in tables:
        return f"Table {table} does not exist."
    if rule.name in ("cdmField", "measurePersonCompleteness", "measureConditionEraCompleteness"):
        return None
    if rule.field is not None and rule.field not in tables[rule.table]:
        return f"Field {table}.{field} does not exist."
    size = measured.rows.get(rule.table, 0)
    if size == 0:
        return f"Table {table} is empty."
    if rule.name == "measureValueCompleteness":
        return None
    if rule.field is not None and measured.empty.get((rule.table, rule.field), 0) == size:
        return f"Field {table}.{field} is not populated."
    if rule.type.level == "CONCEPT" and result.about == 0:
        return f"{field}={rule.concept_id} is missing from the {table} table."
    return None
