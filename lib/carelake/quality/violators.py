"""The rows that violate a check, by record id: for examples and for the query that the dashboard shows.

One text of SQL for each check over tables of the CDM's names. Counting goes another way (one pass for all checks of a
table); this is asked of checks that failed.
"""

from __future__ import annotations

import re
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from carelake.quality.concepts import SEX
from carelake.quality.published import all_rules
from carelake.quality.rows import DAYS, ROW_CHECKS, lookups

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyspark.sql import DataFrame

    from carelake.core.config import Exemption
    from carelake.quality.published import Rule

SHOWN = 5  # examples of a check
AT_ONCE = 40  # checks whose examples are looked up; the severest first
_SEVERITY = ("fatal", "convention", "characterization")
_LOOKUPS = {"person_id": "days_of_person", "visit_occurrence_id": "days_of_visit"}


def record_id(table: str) -> str | None:
    """The column that names a record of a CDM table: its primary key, else the person; None for a table without either."""
    fields = {r.field: r for r in all_rules() if r.table == table and r.name == "cdmField"}
    primary = [r.field for r in all_rules() if r.table == table and r.name == "isPrimaryKey"]
    if primary and fields[primary[0]].given["cdmDatatype"] == "integer":
        return primary[0]
    return "person_id" if "person_id" in fields else None


def query(rule: Rule, today: date, exempt: Iterable[Exemption] = (), kind: str = "int") -> str | None:
    """SQL for the ids (`id`) of the records that violate a check, tables as {names}; None where no record does.

    `kind` is the type of the field's column.
    """
    t, f, column = f"{{{rule.table}}}", f"`{rule.field}`", record_id(rule.table)
    picked = f"t.`{column}` AS id" if column else "cast(NULL AS bigint) AS id"
    if rule.name in ROW_CHECKS:
        condition = ROW_CHECKS[rule.name](rule, kind, today).violates
        text = condition.format(**DAYS)
        joins = "".join(
            f" LEFT JOIN {{{name}}} USING ({key})"
            for key, name in _LOOKUPS.items()
            if f"_{name.removeprefix('days_of_')}[" in text
        )
        return f"SELECT {picked} FROM {t} t{joins} WHERE {text}"
    given = rule.given
    if rule.name == "isPrimaryKey":
        return f"SELECT {picked} FROM {t} t JOIN (SELECT {f} FROM {t} GROUP BY {f} HAVING count(*) > 1) USING ({f})"
    if rule.name == "isForeignKey":
        other, key = given["fkTableName"].lower(), given["fkFieldName"].lower()
        return f"SELECT {picked} FROM {t} t LEFT ANTI JOIN {{{other}}} o ON t.{f} = o.`{key}` WHERE t.{f} IS NOT NULL"
    if rule.name == "sourceValueCompleteness":
        return f"SELECT {picked} FROM {t} t WHERE t.`{given['standardConceptFieldName'].lower()}` = 0"
    if rule.name == "measurePersonCompleteness":
        return f"SELECT person_id AS id FROM {{person}} LEFT ANTI JOIN {t} USING (person_id)"
    if rule.name == "measureConditionEraCompleteness":
        return f"SELECT DISTINCT person_id AS id FROM {{condition_occurrence}} LEFT ANTI JOIN {t} USING (person_id) WHERE condition_concept_id <> 0"
    if rule.name == "measureObservationPeriodOverlap":
        return (
            f"SELECT DISTINCT a.person_id AS id FROM {t} a JOIN {t} b ON a.person_id = b.person_id "
            "AND a.observation_period_id <> b.observation_period_id "
            "AND a.observation_period_start_date <= date_add(b.observation_period_end_date, 1) "
            "AND b.observation_period_start_date <= date_add(a.observation_period_end_date, 1)"
        )
    return _of_concepts(rule, f"SELECT {picked} FROM {t} t", exempt)


def _of_concepts(rule: Rule, start: str, exempt: Iterable[Exemption]) -> str | None:
    f = f"t.`{rule.field}`"
    spared = [
        str(e.concept_id)
        for e in exempt
        if (e.check, e.table.lower(), e.field.lower()) == (rule.name, rule.table, rule.field)
    ]
    known = f"{start} JOIN {{concept}} c ON {f} = c.concept_id WHERE c.concept_id NOT IN ({', '.join(['0', *spared])})"
    ids = ", ".join(map(str, rule.concepts))
    if rule.name == "fkDomain":
        return f"{known} AND c.domain_id <> '{rule.given['fkDomain']}'"
    if rule.name == "fkClass":
        return f"{known} AND c.concept_class_id <> '{rule.given['fkClass']}'"
    if rule.name == "isStandardValidConcept":
        return f"{known} AND (c.standard_concept IS NULL OR c.standard_concept <> 'S' OR c.invalid_reason IS NOT NULL)"
    if rule.name == "plausibleUnitConceptIds":
        return f"{start} WHERE {f} = {ids} AND t.unit_concept_id NOT IN (0, {rule.given['plausibleUnitConceptIds']})"
    if rule.name in ("plausibleGender", "plausibleGenderUseDescendants"):
        which = ids if rule.name == "plausibleGender" else (
            f"SELECT descendant_concept_id FROM {{concept_ancestor}} WHERE ancestor_concept_id IN ({ids})"
        )  # fmt: skip
        return f"{start} JOIN {{person}} p ON t.person_id = p.person_id WHERE {f} IN ({which}) AND p.gender_concept_id <> {SEX[rule.given[rule.name]]}"
    return None


def shown(rule: Rule, today: date, exempt: Iterable[Exemption]) -> str:
    """The query for a reader."""
    text = query(rule, today, exempt, "string" if rule.name == "cdmDatatype" else "int")
    return text.replace("{", "").replace("}", "") if text else "-- told by the schema of the table"


def _union(tables: Mapping[str, DataFrame], parts: Sequence[tuple[Rule, str]]) -> DataFrame | None:
    named = {**tables, **{_LOOKUPS[key]: frame for key, frame in lookups(tables).items()}}
    frames = []
    for rule, text in parts:
        names = set(re.findall(r"\{(\w+)\}", text))
        if names <= set(named):
            spark = tables[rule.table].sparkSession
            frames.append(spark.sql(text, None, **{n: named[n] for n in names}))
    return reduce(lambda a, b: a.union(b), frames) if frames else None


def lost_rows(tables: Mapping[str, DataFrame], lost: Sequence[Rule]) -> dict[str, int]:
    """How many rows bear a foreign key that is not there, by Rule.id; asked only of rules that have such keys."""
    parts = [(r, f"SELECT '{r.id}' AS rule, count(*) AS n FROM ({query(r, date(1970, 1, 1))})") for r in lost]
    found = _union(tables, parts)
    return {r["rule"]: int(r["n"]) for r in found.collect()} if found is not None else {}


def examples(
    tables: Mapping[str, DataFrame], failed: Iterable[Rule], today: date, exempt: Sequence[Exemption]
) -> dict[str, tuple[int, ...]]:
    """The smallest record ids that violate, at most SHOWN of each check, by Rule.id; of AT_ONCE checks in one query."""
    parts = []
    for r in sorted(failed, key=lambda r: _SEVERITY.index(r.type.severity)):
        if r.table not in tables or (record_id(r.table) or "") not in tables[r.table].columns:
            continue
        kind = dict(tables[r.table].dtypes).get(r.field or "", "string")
        text = query(r, today, exempt, kind)
        if text:
            parts.append((r, f"SELECT * FROM (SELECT DISTINCT '{r.id}' AS rule, cast(id AS bigint) AS id FROM ({text}) WHERE id IS NOT NULL ORDER BY id LIMIT {SHOWN})"))  # fmt: skip
    found = _union(tables, parts[:AT_ONCE])
    ids: dict[str, list[int]] = {}
    for row in found.collect() if found is not None else []:
        ids.setdefault(row["rule"], []).append(int(row["id"]))
    return {rule: tuple(sorted(some)) for rule, some in ids.items()}
