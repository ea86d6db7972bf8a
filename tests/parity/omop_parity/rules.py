"""The causes of differences with OHDSI's ETL-Synthea v5.4, each a predicate that looks for its cause in the data.

Read from its SQL (inst/sql/sql_server/cdm_version/v540). Rules of rows come first, rules of columns after them; `why` says
who is right and by what.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from .compare import ColumnRule, RowRule
from .facts import CLASSES_OF_ETL_SYNTHEA, READ_BY_ETL_SYNTHEA, day

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .facts import Facts, Text
    from .read import Row

VISIT_OF_CLASS: Mapping[str, int] = {
    "inpatient": 9201, "emergency": 9203, "ambulatory": 9202, "wellness": 9202, "outpatient": 9202, "urgentcare": 8782,
    "virtual": 5083, "home": 581476, "hospice": 8546, "snf": 8863,
}  # fmt: skip
ER_TO_INPATIENT = 262
SOURCE_VALUE: Mapping[str, str] = {
    "condition_occurrence": "condition_source_value", "drug_exposure": "drug_source_value",
    "procedure_occurrence": "procedure_source_value", "measurement": "measurement_source_value",
    "observation": "observation_source_value", "device_exposure": "device_source_value",
}  # fmt: skip
START: Mapping[str, str] = {
    "condition_occurrence": "condition_start_date", "drug_exposure": "drug_exposure_start_date",
    "procedure_occurrence": "procedure_date", "measurement": "measurement_date", "observation": "observation_date",
    "device_exposure": "device_exposure_start_date", "visit_occurrence": "visit_start_date",
    "visit_detail": "visit_detail_start_date",
}  # fmt: skip


def lost(encounter: Text) -> bool:
    """Whether no statement of AllVisitTable.sql asks for the encounter's class."""
    return encounter["ENCOUNTERCLASS"] not in CLASSES_OF_ETL_SYNTHEA


def visit_of(encounter: Text) -> str:
    """The natural name of the visit that an encounter makes by itself."""
    return f"{day(encounter['START'])}|{VISIT_OF_CLASS[encounter['ENCOUNTERCLASS']]}"


def hospital_stay(encounter: Text, facts: Facts) -> list[Text]:
    """The person's inpatient encounters that an emergency encounter leads into or starts inside, or it is itself one of
    those that an emergency encounter leads into: all encounters of the stay, none when there is no emergency in it."""
    others = facts.encounters_of(encounter["PATIENT"])
    emergencies = [e for e in others if e["ENCOUNTERCLASS"] == "emergency"]
    stays = [e for e in others if e["ENCOUNTERCLASS"] == "inpatient"]
    for stay in stays:
        part = [stay, *(e for e in emergencies if e["START"] <= stay["STOP"] and e["STOP"] >= stay["START"])]
        if len(part) > 1 and any(e["ID"] == encounter["ID"] for e in part):
            return part
    return []


# --- rows: events ---------------------------------------------------------------------------------------------------------


def _source_of(table: str, row: Row, facts: Facts) -> list[tuple[str, Text]]:
    return facts.records(row["person_id"], row[SOURCE_VALUE[table]], row[START[table]])


def _unmapped(table: str, row: Row, facts: Facts) -> bool:
    sources = [(f, r) for f, r in _source_of(table, row, facts) if f in READ_BY_ETL_SYNTHEA]
    return bool(sources) and not any(
        facts.vocabulary.standard(READ_BY_ETL_SYNTHEA[f][0], r["CODE"]) for f, r in sources
    )


def code_unmapped(table: str) -> RowRule:
    """Ours alone: neither vocabulary has a valid standard concept of the code."""
    concept = SOURCE_VALUE[table].replace("_source_value", "_concept_id")
    return RowRule(
        "code_without_standard_concept",
        lambda row, facts: row[concept] == 0 and _unmapped(table, row, facts),
        "ETL-Synthea joins each file to the standard concepts of its codes, so a code without one loses its row. "
        "Ours stays, with concept 0 (OMOP_RULES 5, 7; CDM: what cannot be mapped is 0).",
    )


def code_mapped_by_ours(table: str) -> RowRule:
    """Ours alone: their vocabulary has no valid standard concept of the code, ours has one."""
    concept = SOURCE_VALUE[table].replace("_source_value", "_concept_id")
    return RowRule(
        "code_that_only_our_vocabulary_maps",
        lambda row, facts: row[concept] != 0 and _unmapped(table, row, facts),
        "The code has no valid standard concept in their vocabulary, so ETL-Synthea loses the row. The bundled vocabulary of ours "
        "maps it: published maps beyond theirs, flags mended, local concepts (OMOP_RULES 6).",
    )


def domain_not_read(table: str) -> RowRule:
    """Ours alone: the code has a standard concept, of a domain or vocabulary that no statement for its file asks for."""

    def holds(row: Row, facts: Facts) -> bool:
        sources = [(f, r) for f, r in _source_of(table, row, facts) if f in READ_BY_ETL_SYNTHEA]
        mapped = [
            (f, r) for f, r in sources if facts.vocabulary.standard(READ_BY_ETL_SYNTHEA[f][0], r["CODE"])
        ]
        tables = [t for f, _ in sources for t in READ_BY_ETL_SYNTHEA[f][1]]
        return bool(mapped) and not any(
            facts.vocabulary.made_of(f, r["CODE"], t) for f, r in mapped for t in tables
        )

    return RowRule(
        "domain_that_etl_synthea_does_not_read", holds,
        "Each file is read for the domains that it is expected to hold; a concept of another domain or vocabulary is lost. "
        "Ours goes where its domain says (OMOP_RULES 7; CDM: the domain of the standard concept decides).",
    )  # fmt: skip


def file_not_read(table: str) -> RowRule:
    """Ours alone: the record is in a file that ETL-Synthea does not read for events."""

    def holds(row: Row, facts: Facts) -> bool:
        sources = _source_of(table, row, facts)
        return bool(sources) and all(f not in READ_BY_ETL_SYNTHEA for f, _ in sources)

    return RowRule(
        "file_that_etl_synthea_does_not_read", holds,
        "No statement of ETL-Synthea reads supplies, care plans or imaging studies. Supplies are devices (OMOP_RULES 19; CDM "
        "device_exposure).",
    )  # fmt: skip


# --- rows: visits ---------------------------------------------------------------------------------------------------------


def _starts(table: str, row: Row, facts: Facts) -> list[Text]:
    concept = "visit_concept_id" if table == "visit_occurrence" else "visit_detail_concept_id"
    return [
        e
        for e in facts.encounters_on(row["person_id"], row[START[table]])
        if row[concept] in (VISIT_OF_CLASS[e["ENCOUNTERCLASS"]], ER_TO_INPATIENT)
        or (hospital_stay(e, facts) and row[concept] in (9201, 9203))
    ]


def visit_class_lost(table: str) -> RowRule:
    def holds(row: Row, facts: Facts) -> bool:
        return any(lost(e) for e in _starts(table, row, facts))

    return RowRule(
        "visit_of_a_class_that_etl_synthea_loses", holds,
        "AllVisitTable.sql asks for inpatient, emergency, `urgent`, ambulatory, wellness and outpatient; Synthea's urgentcare, "
        "virtual, home, hospice and snf get no visit. All ten classes are visits (OMOP_RULES 1).",
    )  # fmt: skip


def visit_of_a_stay(table: str) -> RowRule:
    def holds(row: Row, facts: Facts) -> bool:
        return any(hospital_stay(e, facts) for e in _starts(table, row, facts))

    return RowRule(
        "emergency_that_leads_to_a_hospital_stay", holds,
        "An emergency encounter that reaches into an inpatient one and that stay are one visit 262 of ours; ETL-Synthea joins "
        "only an emergency encounter that starts on a later day of the stay, so it keeps a 9203 and a 9201 (OMOP_RULES 1; "
        "CDM visit_occurrence: ER visits that lead to an admission are 262).",
    )  # fmt: skip


def detail_rolled_up(table: str = "visit_detail") -> RowRule:
    def holds(row: Row, facts: Facts) -> bool:
        there = _starts(table, row, facts)
        same = [e["ENCOUNTERCLASS"] for e in there]
        inside = any(
            s["ENCOUNTERCLASS"] == "inpatient" and s["ID"] != e["ID"] and s["START"][:10] <= e["START"][:10] <= s["STOP"][:10]
            for e in there
            for s in facts.encounters_of(row["person_id"])
        )  # fmt: skip
        return len(same) > len(set(same)) or inside

    return RowRule(
        "encounter_that_etl_synthea_rolls_up", holds,
        "ETL-Synthea's visit_detail repeats visit_occurrence: encounters of one class and day, or inside a stay, are one row. "
        "Ours has one row per encounter, with its parent (OMOP_RULES 2; CDM visit_detail).",
    )  # fmt: skip


# --- columns: the others are in rules_people, rules_events, rules_spans ------------------------------------------------------


def differs(name: str, columns: tuple[str, ...], why: str) -> Callable[[Callable[..., bool]], ColumnRule]:
    """Decorator: a predicate over (column, ours, theirs, facts) as a rule of these columns."""

    def rule(holds: Callable[[str, Row, Row, Facts], bool]) -> ColumnRule:
        return ColumnRule(name, columns, holds, why)

    return rule


def midnight(value: Any) -> bool:
    """Whether a datetime is one without time of day."""
    return isinstance(value, datetime) and value.time() == time()


def constant(table: str, name: str, values: Mapping[str, Any], why: str) -> ColumnRule:
    """Ours is NULL; theirs is what the SQL writes into every row of that column, and every row has it."""
    return ColumnRule(
        name,
        tuple(values),
        lambda column, ours, _, facts: ours[column] is None and facts.always(table, column, values[column]),
        why,
    )


def cut_to_dates(*columns: str) -> ColumnRule:
    def holds(column: str, ours: Row, theirs: Row, _: Facts) -> bool:
        mine, other = ours[column], theirs[column]
        return bool(mine and other) and midnight(other) and mine.date() == other.date()

    return ColumnRule(
        "datetimes_cut_to_dates", columns, holds,
        "ETL-Synthea loads START and STOP into date columns. Ours keeps the clock as sent (OMOP_RULES 1; CDM *_datetime).",
    )  # fmt: skip


def type_concept(column: str, *theirs_may_be: int, ours_may_be: tuple[int, ...] = (32817,)) -> ColumnRule:
    return ColumnRule(
        "another_type_concept", (column,),
        lambda c, ours, theirs, _: ours[c] in ours_may_be and theirs[c] in theirs_may_be,
        "Both come from an EHR: 32817 'EHR' of ours, 32827 'EHR encounter record' of theirs; 38000280 'Observation recorded from "
        "EHR' is not standard since the type concepts were renewed. Vaccines are administrations (32818; OMOP_RULES 10, 21).",
    )  # fmt: skip


def event_visit(table: str) -> ColumnRule:
    def holds(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
        encounters = facts.record_encounters(ours["person_id"], ours[SOURCE_VALUE[table]], ours[START[table]])
        return theirs[column] is None and any(lost(e) and visit_of(e) == ours[column] for e in encounters)

    return ColumnRule(
        "visit_of_a_class_that_etl_synthea_loses", ("visit_occurrence_id", "visit_detail_id"), holds,
        "The event's encounter is of a class that gets no visit of theirs (OMOP_RULES 1).",
    )  # fmt: skip


def event_visit_of_stay(table: str) -> ColumnRule:
    def holds(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
        encounters = facts.record_encounters(ours["person_id"], ours[SOURCE_VALUE[table]], ours[START[table]])
        stays = [hospital_stay(e, facts) for e in encounters]
        return any(
            ours[column]
            in (f"{min(day(p['START']) for p in stay)}|{concept}" for concept in (ER_TO_INPATIENT, 9201))
            and theirs[column] in {visit_of(p) for p in stay}
            for stay in stays
            if stay
        )

    return ColumnRule(
        "emergency_that_leads_to_a_hospital_stay", ("visit_occurrence_id", "visit_detail_id"), holds,
        "The event's encounter is part of one hospital stay of ours (262, or 9201 where both begin at one moment), of a 9203 or 9201 of "
        "theirs (OMOP_RULES 1).",
    )  # fmt: skip


def event_provider(table: str) -> ColumnRule:
    def holds(column: str, ours: Row, theirs: Row, facts: Facts) -> bool:
        encounters = facts.record_encounters(ours["person_id"], ours[SOURCE_VALUE[table]], ours[START[table]])
        return ours[column] is None and theirs[column] in {e["PROVIDER"] for e in encounters}

    return ColumnRule(
        "provider_of_the_encounter", ("provider_id",), holds,
        "No record but the encounter names a provider. ETL-Synthea copies the encounter's onto each event; ours stands in "
        "visit_occurrence and visit_detail alone (CDM: an event's provider may differ from its visit's).",
    )  # fmt: skip


ZERO_FOR_ABSENT = (
    "An optional concept of which the source has no value is NULL (OMOP_RULES 5; CDM: 0 is for a value that cannot be mapped). "
    "ETL-Synthea writes 0."
)


def zero_for_absent(table: str, *columns: str) -> ColumnRule:
    return constant(table, "zero_where_the_source_is_silent", dict.fromkeys(columns, 0), ZERO_FOR_ABSENT)


def days_between(start: date | None, end: date | None) -> int | None:
    """Days from start to end."""
    return (end - start).days if start and end else None


def next_day(value: date) -> date:
    """The day after."""
    return value + timedelta(days=1)
