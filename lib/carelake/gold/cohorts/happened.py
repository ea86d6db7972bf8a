"""What happened to whom on which day: the events that tasks ask about, in one long table."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.gold.care_episodes import care_episodes, within_periods
from carelake.gold.cohorts.task import ACUTE_CARE, ADMISSION, DEATH, Event, Records
from carelake.gold.concept_sets import canonical_sql, members

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame

# domain of a task: concept, date and domain ids of the concepts that may match by name
_COLUMNS = {
    "condition": ("condition_concept_id", "condition_start_date", ("Condition", "Observation")),
    "drug": ("drug_concept_id", "drug_exposure_start_date", ("Drug",)),
    "procedure": ("procedure_concept_id", "procedure_date", ("Procedure",)),
    "measurement": ("measurement_concept_id", "measurement_date", ("Measurement",)),
    "observation": ("observation_concept_id", "observation_date", ("Observation", "Condition")),
    "device": ("device_concept_id", "device_exposure_start_date", ("Device",)),
}


def happened(
    events: Sequence[Event],
    tables: Mapping[str, DataFrame],
    periods: DataFrame,
    derived: Mapping[str, DataFrame],
    concepts: DataFrame,
    ancestors: DataFrame,
) -> DataFrame:
    """One row per event, person and day: what (name of the event), person_id, date, each within an observation period.

    `tables` maps a domain to its OMOP table, `derived` a derived event to its person_id and date.
    """
    found = [
        derived[name].selectExpr(f"'{name}' AS what", "person_id", "date")
        for name in sorted({e.name for e in events if not e.records})
    ]
    wanted: dict[str, dict[str, list[Records]]] = {}
    for e in events:
        for r in e.records:
            wanted.setdefault(r.domain, {}).setdefault(e.name, []).append(r)
    for domain, by_name in sorted(wanted.items()):
        concept, date, domains = _COLUMNS[domain]
        records = tables[domain].withColumnsRenamed({concept: "concept_id", date: "date"})
        seen = within_periods(records, "date", periods)
        sets = [replace(r.concepts, name=n) for n, rs in by_name.items() for r in rs if r.concepts]
        if sets:
            known = F.broadcast(members(sets, domains, concepts, ancestors))
            found.append(
                seen.select("person_id", "date", "concept_id")
                .join(known, "concept_id", how="inner")
                .selectExpr("explode(sets) AS what", "person_id", "date")
            )
        results = [(n, r) for n, rs in by_name.items() for r in rs if r.result]
        if results:
            found.append(_measured(results, seen, domain, concepts))
    if not found:  # amounts alone
        found = [
            periods.selectExpr(
                "cast(NULL AS string) AS what", "person_id", "observation_period_start_date AS date"
            ).where("false")
        ]
    once = ", ".join(f"'{e.name}'" for e in events if e.first)
    days = reduce(lambda a, b: a.unionByName(b), found).distinct()
    if not once:
        return days
    first = days.where(f"what IN ({once})").groupBy("what", "person_id").agg(F.min("date").alias("date"))
    return days.where(f"what NOT IN ({once})").unionByName(first)


def _measured(
    results: Sequence[tuple[str, Records]], records: DataFrame, domain: str, concepts: DataFrame
) -> DataFrame:
    """Results within the bounds of each event, by LOINC code; a non-standard code counts by its source concept."""
    loinc = {code for _, r in results if r.result for code in r.result.loinc}
    listed = ", ".join(f"'{c}'" for c in sorted(loinc))
    codes = concepts.where(f"vocabulary_id = 'LOINC' AND concept_code IN ({listed})").select(
        "concept_id", "concept_code"
    )
    units = concepts.where("vocabulary_id = 'UCUM'").selectExpr(
        "concept_id AS unit_concept_id", "concept_code AS ucum"
    )
    tests = []
    for name, r in results:
        if r.result is None:
            continue
        value = canonical_sql(r.result)
        bounds = [f"{value} < {r.below!r}"] if r.below is not None else []
        bounds += [f"{value} >= {r.at_least!r}"] if r.at_least is not None else []
        named = ", ".join(f"'{c}'" for c in r.result.loinc)
        tests.append(
            f"CASE WHEN concept_code IN ({named}) AND {' AND '.join(bounds) or f'{value} IS NOT NULL'} THEN '{name}' END"
        )
    return (
        records.withColumn(
            "concept_id", F.expr(f"coalesce(nullif(concept_id, 0), {domain}_source_concept_id)")
        )
        .join(F.broadcast(codes), "concept_id", how="inner")
        .join(F.broadcast(units), "unit_concept_id", how="left")
        .withColumn("unit", F.expr("coalesce(ucum, unit_source_value)"))
        .selectExpr(f"explode(array_compact(array({', '.join(tests)}))) AS what", "person_id", "date")
    )


def derived(
    visits: DataFrame,
    links: DataFrame,
    stays: DataFrame,
    planned_care: DataFrame,
    deaths: DataFrame,
    periods: DataFrame,
) -> dict[str, DataFrame]:
    """person_id and date of what gold makes of visits and deaths.

    acute_care: an emergency visit, or an admission that a sender calls unplanned and none calls planned. unplanned_admission: the first day of
    a stay (`stays`, transfers joined) that no sender calls planned and in which nothing of `planned_care` (person_id, date) was done.
    death: as OMOP has it.
    """
    within = (F.col("person_id") == F.col("_person")) & F.expr(
        "_done BETWEEN admission_date AND discharge_date"
    )
    planned = planned_care.selectExpr("person_id AS _person", "date AS _done")
    return {
        ACUTE_CARE: _acute(within_periods(visits, "visit_start_date", periods), links),
        ADMISSION: within_periods(
            stays.where("NOT coalesce(planned, false)")
            .join(planned, within, how="left_anti")
            .selectExpr("person_id", "admission_date AS date"),
            "date",
            periods,
        ),
        DEATH: deaths.selectExpr("person_id", "death_date AS date").where("date IS NOT NULL"),
    }  # fmt: skip


def _acute(visits: DataFrame, links: DataFrame) -> DataFrame:
    said = (
        links.where("planned IS NOT NULL")
        .groupBy("visit_occurrence_id")
        .agg(F.expr("NOT bool_or(planned)").alias("unplanned"))
    )
    episodes = care_episodes(visits)
    emergency = episodes.where("care = 'emergency'").selectExpr("person_id", "start_date AS date")
    unplanned = (
        episodes.where("care = 'inpatient'")
        .selectExpr("person_id", "start_date", "explode(visit_occurrence_ids) AS visit_occurrence_id")
        .join(said, "visit_occurrence_id", how="inner")
        .groupBy("person_id", "start_date")
        .agg(F.expr("bool_and(unplanned)").alias("unplanned"))
        .where("unplanned")
        .selectExpr("person_id", "start_date AS date")
    )
    return emergency.unionByName(unplanned).distinct()
