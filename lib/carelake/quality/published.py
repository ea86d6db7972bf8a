"""The checks of OHDSI's Data Quality Dashboard for CDM v5.4, read from the lists that OHDSI publishes (beside this file)."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from carelake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carelake.core.config import Quality, Threshold

DQD_VERSION = "2.8.4"  # the release of OHDSI/DataQualityDashboard whose lists these are
LEVELS = ("TABLE", "FIELD", "CONCEPT")
_TERM = re.compile(r"(\w+)\s*(==|!=)\s*'([^']*)'")


@dataclass(frozen=True)
class CheckType:
    """One of the 27 kinds of checks: a row of OMOP_CDMv5.4_Check_Descriptions.csv."""

    name: str
    level: str  # TABLE, FIELD, CONCEPT
    description: str  # with @parameters
    context: str  # Verification, Validation
    category: str  # Conformance, Completeness, Plausibility (Kahn et al. 2016)
    subcategory: str
    sql_file: str  # the dashboard's own query, which is not used here
    filter: str  # which rows of the level's list ask for it
    severity: str  # fatal, convention, characterization


@dataclass(frozen=True)
class Rule:
    """One check of one table, field or concept. Names of tables and fields are in small letters."""

    type: CheckType
    table: str
    field: str | None
    concept_id: str | None  # one id, or several parted by commas
    unit_concept_id: str | None
    given: Mapping[str, str]  # the row of the list
    threshold: float | None  # percent of rows that may violate; None counts as 0
    note: str | None = None  # why the threshold is not OHDSI's

    @property
    def name(self) -> str:
        """The kind of check, such as isRequired."""
        return self.type.name

    @property
    def id(self) -> str:
        """The dashboard's checkId."""
        parts = (self.type.level, self.name, self.table, self.field, self.concept_id, self.unit_concept_id)
        return "_".join(p.replace(" ", "") for p in parts if p).lower()

    @property
    def concepts(self) -> tuple[int, ...]:
        """The concepts that a check of the level CONCEPT is about."""
        return tuple(int(c) for c in (self.concept_id or "").split(",") if c.strip())

    @property
    def description(self) -> str:
        """What the check asks, its parameters filled in as the dashboard does."""

        def fill(found: re.Match[str]) -> str:
            return self.given.get(found[1], found[0]).upper()

        return re.sub(r"@(\w+)", fill, self.type.description)


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    with (files("carelake.quality") / f"OMOP_CDMv5.4_{name}.csv").open(encoding="utf-8-sig") as f:
        return tuple(csv.DictReader(f))


@cache
def check_types() -> dict[str, CheckType]:
    """The kinds of checks by name."""
    return {
        r["checkName"]: CheckType(
            r["checkName"], r["checkLevel"], r["checkDescription"], r["kahnContext"], r["kahnCategory"], r["kahnSubcategory"],
            r["sqlFile"], r["evaluationFilter"], r["severity"],
        )
        for r in _rows("Check_Descriptions")
    }  # fmt: skip


def asks(row: Mapping[str, str], condition: str) -> bool:
    """Whether a row of a list asks for a check, by the published filter (`a=='x' & b!=''`)."""
    return all(
        (row.get(name, "") == value) == (sign == "==") for name, sign, value in _TERM.findall(condition)
    )


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every check that the lists ask for, with OHDSI's thresholds."""
    found = []
    for kind in check_types().values():
        for row in _rows(f"{kind.level.capitalize()}_Level"):
            if asks(row, kind.filter):
                text = row.get(f"{kind.name}Threshold", "")
                found.append(Rule(
                    kind, row["cdmTableName"].lower(), row.get("cdmFieldName", "").lower().strip('"') or None,
                    row.get("conceptId") or None, row.get("unitConceptId") or None, row, float(text) if text else None,
                    row.get(f"{kind.name}Notes") or None,
                ))  # fmt: skip
    return tuple(found)


def rules(site: Quality, vocabulary: str = "") -> list[Rule]:
    """The checks of a site: without the tables that it leaves out, with its thresholds for a version of the vocabulary.

    Raises ConfigError for a table or a check that is not in the lists.
    """
    tables = {r.table for r in all_rules()}
    for name in site.exclude_tables:
        if name.lower() not in tables:
            raise ConfigError(f"quality: exclude_tables names {name}, which is no table of CDM v5.4")
    for e in site.exempt:
        _known(e.check, e.table, e.field)
    own: dict[str, Threshold] = {}
    for t in site.thresholds:
        for r in _known(t.check, t.table, t.field, t.concept_id):
            if vocabulary.startswith(t.vocabulary or ""):
                own[r.id] = t
    left_out = {name.lower() for name in site.exclude_tables}
    return [_with(r, own.get(r.id)) for r in all_rules() if r.table not in left_out]


def _known(check: str, table: str, field: str | None, concept_id: int | None = None) -> list[Rule]:
    found = [
        r
        for r in all_rules()
        if r.name == check and r.table == table.lower() and r.field == (field.lower() if field else None)
        and (concept_id is None or concept_id in r.concepts)
    ]  # fmt: skip
    if not found:
        where = ".".join(x for x in (table, field) if x)
        raise ConfigError(f"quality: the dashboard has no check {check} of {where}")
    return found


def _with(rule: Rule, own: Threshold | None) -> Rule:
    if own is None:
        return rule
    return Rule(
        rule.type, rule.table, rule.field, rule.concept_id, rule.unit_concept_id, rule.given, own.percent, own.reason
    )  # fmt: skip
