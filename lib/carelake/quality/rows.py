"""Checks that one row decides, by itself or with its person's and visit's days: two conditions each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from pyspark.sql import DataFrame

    from carelake.quality.published import Rule
    from carelake.quality.tally import Tally

Count = tuple[int, int]  # rows that violate, rows that the check is about
WHOLE = ("tinyint", "smallint", "int", "bigint")
GRACE_AFTER_DEATH = 60  # days
AROUND_VISIT = 7  # days
# An optional concept that is NULL although its source value is there was not mapped: it counts as 0. Of these stems alone.
UNMAPPED_IF_NULL = frozenset({
    "unit", "admitted_from", "discharged_to", "condition_status", "route", "modifier", "qualifier", "cause", "anatomic_site",
    "disease_status", "country", "place_of_service", "specialty", "payer", "plan", "sponsor", "stop_reason",
})  # fmt: skip
# The same for the concept of the source.
UNMAPPED_SOURCE_IF_NULL = frozenset({"unit", "cause", "specialty", "payer", "plan", "sponsor", "stop_reason"})
# Days that a condition may use, and where they stand in the joined arrays (as days since 1970).
DAYS = {
    "born": "date_from_unix_date(_person[0])", "born_or_june": "date_from_unix_date(_person[1])",
    "died": "date_from_unix_date(_person[2])", "began": "date_from_unix_date(_visit[0])",
    "ended": "date_from_unix_date(_visit[1])",
}  # fmt: skip
LOOKED_UP = {"_person": "person", "_visit": "visit_occurrence"}
SEX = "_person[3]"  # the person's gender_concept_id


@dataclass(frozen=True)
class Counted:
    """Conditions of a check as SQL over the table's row, with {born} and the like for DAYS."""

    violates: str
    about: str = "true"


def lookups(tables: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    """Days and sex of each person, days of each visit, by the column to join on.

    `_person`: birth; birth, or 1 June of its year where only that is known; death; sex. `_visit`: start, end. Arrays, so that
    every table asks for the same columns and Spark broadcasts each once.
    """
    found = {}
    if "person" in tables:
        day = "min(unix_date(coalesce(to_date(birth_datetime), try_cast({} AS date))))"
        first = "concat_ws('-', year_of_birth, coalesce(month_of_birth, 1), coalesce(day_of_birth, 1))"
        people = tables["person"].groupBy("person_id").agg(
            F.expr(day.format(first)).alias("born"), F.expr(day.format("concat(year_of_birth, '-06-01')")).alias("june"),
            F.expr("min(cast(gender_concept_id AS int))").alias("sex"),
        )  # fmt: skip
        died = F.lit(None).cast("int")
        if "death" in tables:
            day = "min(unix_date(to_date(death_date)))"
            people = people.join(
                tables["death"].groupBy("person_id").agg(F.expr(day).alias("died")), "person_id", how="left"
            )
            died = F.col("died")
        found["person_id"] = people.select("person_id", F.array("born", "june", died, "sex").alias("_person"))
    if "visit_occurrence" in tables:
        days = "array(min(unix_date(to_date(visit_start_date))), max(unix_date(to_date(visit_end_date))))"
        visits = tables["visit_occurrence"].groupBy("visit_occurrence_id").agg(F.expr(days).alias("_visit"))
        found["visit_occurrence_id"] = visits
    return found


def _required(rule: Rule, kind: str, today: date) -> Counted:
    return Counted(f"`{rule.field}` IS NULL")


def _datatype(rule: Rule, kind: str, today: date) -> Counted:
    """The dashboard looks at integer fields only; a column of a whole type cannot violate it."""
    if kind in WHOLE:
        return Counted("false")
    number = f"try_cast(`{rule.field}` AS double)"
    return Counted(f"`{rule.field}` IS NOT NULL AND ({number} IS NULL OR {number} <> floor({number}))")


def _completeness(rule: Rule, kind: str, today: date) -> Counted:
    stem = str(rule.field).removesuffix("_concept_id")
    optional = stem.removesuffix("_source") in UNMAPPED_SOURCE_IF_NULL if stem.endswith("_source") else stem in UNMAPPED_IF_NULL  # fmt: skip
    optional |= rule.table == "provider" and stem in ("gender", "gender_source")
    if not optional or rule.table == "dose_era":
        return Counted(f"`{rule.field}` = 0", f"`{rule.field}` IS NOT NULL")
    value = f"{stem.removesuffix('_source')}_source_value"
    return Counted(
        f"`{rule.field}` = 0 OR (`{rule.field}` IS NULL AND `{value}` IS NOT NULL)",
        f"`{rule.field}` IS NOT NULL OR `{value}` IS NOT NULL",
    )


def _limit(text: str, today: date) -> str:
    """A published limit as SQL: a number, a quoted day, or one that hangs on the day of the run."""
    day = re.fullmatch(r"'(\d{4})(\d{2})(\d{2})'", text)
    if day:
        return f"DATE'{day[1]}-{day[2]}-{day[3]}'"
    if text == "DATEADD(dd,1,GETDATE())":
        return f"date_add(DATE'{today}', 1)"
    if text == "YEAR(GETDATE())+1":
        return str(today.year + 1)
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return text
    raise ConfigError(f"quality: the limit {text} is none that is understood")


def _low(rule: Rule, kind: str, today: date) -> Counted:
    value, limit = _value(rule, kind), _limit(rule.given["plausibleValueLow"], today)
    return Counted(f"{value} < {limit}", f"`{rule.field}` IS NOT NULL")


def _high(rule: Rule, kind: str, today: date) -> Counted:
    value, limit = _value(rule, kind), _limit(rule.given["plausibleValueHigh"], today)
    return Counted(f"{value} > {limit}", f"`{rule.field}` IS NOT NULL")


def _value(rule: Rule, kind: str) -> str:
    """The field as a day or a number; text that is neither violates cdmDatatype and has no limits."""
    if rule.given["cdmDatatype"] in ("date", "datetime"):
        return f"try_to_date(`{rule.field}`)" if kind == "string" else f"to_date(`{rule.field}`)"
    return f"try_cast(`{rule.field}` AS double)" if kind == "string" else f"`{rule.field}`"


def _temporal_after(rule: Rule, kind: str, today: date) -> Counted:
    if rule.given["plausibleTemporalAfterTableName"] == "PERSON":
        return Counted(f"{{born_or_june}} > to_date(`{rule.field}`)")
    other = rule.given["plausibleTemporalAfterFieldName"].lower()
    return Counted(f"to_date(`{other}`) > to_date(`{rule.field}`)")


def _during_life(rule: Rule, kind: str, today: date) -> Counted:
    return Counted(f"to_date(`{rule.field}`) > date_add({{died}}, {GRACE_AFTER_DEATH})", "{died} IS NOT NULL")


def _before_death(rule: Rule, kind: str, today: date) -> Counted:
    life = _during_life(rule, kind, today)
    return Counted(life.violates, f"{{died}} IS NOT NULL AND `{rule.field}` IS NOT NULL")


def _after_birth(rule: Rule, kind: str, today: date) -> Counted:
    return Counted(f"to_date(`{rule.field}`) < {{born}}", f"`{rule.field}` IS NOT NULL")


def _start_before_end(rule: Rule, kind: str, today: date) -> Counted:
    end = rule.given["plausibleStartBeforeEndFieldName"].lower()
    return Counted(
        f"to_date(`{rule.field}`) > to_date(`{end}`)", f"`{rule.field}` IS NOT NULL AND `{end}` IS NOT NULL"
    )


def _within_visit(rule: Rule, kind: str, today: date) -> Counted:
    day = f"to_date(`{rule.field}`)"
    return Counted(
        f"{day} < date_add({{began}}, -{AROUND_VISIT}) OR {day} > date_add({{ended}}, {AROUND_VISIT})",
        "{began} IS NOT NULL",
    )


ROW_CHECKS: Mapping[str, Callable[[Rule, str, date], Counted]] = {
    "isRequired": _required,
    "cdmDatatype": _datatype,
    "measureValueCompleteness": _required,
    "standardConceptRecordCompleteness": _completeness,
    "sourceConceptRecordCompleteness": _completeness,
    "plausibleValueLow": _low,
    "plausibleValueHigh": _high,
    "plausibleTemporalAfter": _temporal_after,
    "plausibleDuringLife": _during_life,
    "plausibleBeforeDeath": _before_death,
    "plausibleAfterBirth": _after_birth,
    "plausibleStartBeforeEnd": _start_before_end,
    "withinVisitDates": _within_visit,
}


def ask(rule: Rule, tables: Mapping[str, DataFrame], today: date, tally: Tally) -> Callable[[], Count] | None:
    """Put the question of a rule of ROW_CHECKS; what gives the counts when the tally has run, None when it cannot be asked."""
    kind = dict(tables[rule.table].dtypes).get(str(rule.field)) if rule.table in tables else None
    if kind is None or rule.name not in ROW_CHECKS:
        return None
    counted = ROW_CHECKS[rule.name](rule, kind, today)
    text = f"{counted.violates} {counted.about}".format(**DAYS)
    if any(f"{days}[" in text and table not in tables for days, table in LOOKED_UP.items()):
        return None
    for condition in (counted.violates, counted.about):
        plain = _plain(condition)
        if plain not in ("true", "false"):
            tally.condition(rule.table, plain)

    def count(condition: str) -> int:
        plain = _plain(condition)
        if plain in ("true", "false"):
            return tally.rows(rule.table) if plain == "true" else 0
        held = tally.held(rule.table, plain)
        return tally.rows(rule.table) - held if plain != condition.format(**DAYS) else held

    return lambda: (count(counted.violates), count(counted.about))


def _plain(condition: str) -> str:
    """The condition that is counted: of a field's NULLs and its other rows the latter."""
    found = re.fullmatch(r"(`\w+`) IS NULL", condition)
    return f"{found[1]} IS NOT NULL" if found else condition.format(**DAYS)


def joined(frame: DataFrame, days: Mapping[str, DataFrame], asked: str) -> DataFrame:
    """The rows beside those of `lookups` that some SQL asks for."""
    for key, lookup in days.items():
        if f"{lookup.columns[1]}[" in asked and key in frame.columns:
            frame = frame.join(lookup, on=key, how="left")
    return frame
