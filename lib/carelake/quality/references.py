"""The dashboard's checks of keys: unique, found in the table that they point to; persons and source values of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import DataFrame

    from carelake.quality.published import Rule
    from carelake.quality.rows import Count
    from carelake.quality.tally import Tally

    Tables = Mapping[str, DataFrame]
    Answer = Callable[[], Count]


def _primary(rule: Rule, tables: Tables, tally: Tally) -> Answer:
    """Rows whose key is another row's too."""
    space = tally.own(rule.table, [str(rule.field)])
    return lambda: (tally.keys(space).repeated, tally.rows(rule.table))


def _foreign(rule: Rule, tables: Tables, tally: Tally) -> Answer | None:
    """Keys that the other table does not have; how many rows bear them is asked only when there are any."""
    other, column = rule.given["fkTableName"].lower(), rule.given["fkFieldName"].lower()
    if other not in tables or column not in tables[other].columns:
        return None
    space = tally.own(other, [column])
    place = tally.refer(space, rule.table, str(rule.field))
    return lambda: (tally.keys(space).lost[place], tally.rows(rule.table))


def _source_value(rule: Rule, tables: Tables, tally: Tally) -> Answer | None:
    """Different source values (NULL is one) of which some row has concept 0, among all."""
    concept = rule.given["standardConceptFieldName"].lower()
    if concept not in tables[rule.table].columns:
        return None
    space = tally.values(rule.table, str(rule.field), f"`{concept}` = 0")
    return lambda: (tally.keys(space).named, tally.keys(space).keys)


def _person(rule: Rule, tables: Tables, tally: Tally) -> Answer | None:
    """Persons without a row in the table."""
    if "person" not in tables:
        return None
    space = tally.own("person", ["person_id"])
    place = tally.refer(space, rule.table, "person_id")
    return lambda: (tally.keys(space).absent[place], tally.keys(space).rows)


def _era(rule: Rule, tables: Tables, tally: Tally) -> Answer | None:
    """Persons with a mapped condition and no era, among those with a mapped condition."""
    if "condition_occurrence" not in tables:
        return None
    space = tally.own(rule.table, ["person_id"])
    place = tally.refer(space, "condition_occurrence", "person_id", "condition_concept_id <> 0")
    return lambda: (tally.keys(space).lost[place], tally.keys(space).named)


KEY_CHECKS: Mapping[str, Callable[[Rule, Tables, Tally], Answer | None]] = {
    "isPrimaryKey": _primary,
    "isForeignKey": _foreign,
    "sourceValueCompleteness": _source_value,
    "measurePersonCompleteness": _person,
    "measureConditionEraCompleteness": _era,
}


def is_of_concepts(rule: Rule) -> bool:
    """Whether a foreign key points to the vocabulary: those are told by concepts.py."""
    return rule.name == "isForeignKey" and rule.given["fkTableName"] == "CONCEPT"


def ask(rule: Rule, tables: Tables, tally: Tally) -> Answer | None:
    """Put the question of a rule of KEY_CHECKS; what gives the counts when the tally has run, None when it cannot be asked."""
    there = rule.table in tables and (rule.field is None or rule.field in tables[rule.table].columns)
    if not there or rule.name not in KEY_CHECKS or is_of_concepts(rule):
        return None
    return KEY_CHECKS[rule.name](rule, tables, tally)
