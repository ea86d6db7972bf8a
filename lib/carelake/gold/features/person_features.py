"""person_features: what was known about a person before an index date, as numbers."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.gold.care_episodes import care_episodes, within_periods
from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.features.value_sets import CONDITIONS, DRUGS, NUMERICS, ValueSet
from carelake.ml.model import Feature, Kind
from carelake.silver.link.daily_sample import DAILY_SAMPLE
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.drug_era import DRUG_ERA
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.omop.measurement import MEASUREMENT
from carelake.silver.omop.observation import OBSERVATION
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.payer_plan_period import PAYER_PLAN_PERIOD
from carelake.silver.omop.person import PERSON
from carelake.silver.omop.procedure_occurrence import PROCEDURE_OCCURRENCE
from carelake.silver.omop.visit_detail import VISIT_DETAIL
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary import structural as v
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_ANCESTOR

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_COUNT, _FLAG, _AMOUNT, _ELAPSED = Kind.COUNT, Kind.FLAG, Kind.AMOUNT, Kind.ELAPSED
_CARE = (("ed", "emergency", "emergency visits"), ("inpatient", "inpatient", "hospital stays"),
         ("urgent_care", "urgent_care", "urgent care visits"), ("outpatient", "outpatient", "outpatient visits"))  # fmt: skip
_EHR_TYPES = (v.TYPE_EHR, v.TYPE_EHR_ENCOUNTER)  # every other type of a visit detail is a claim's
NEVER = 1096.0  # days since something that is not within the three years

UTILISATION = (
    *(
        Feature(f"{n}_{y}", f"{w} in the last {t}", _COUNT)
        for n, _, w in _CARE
        for y, t in (("1y", "year"), ("3y", "three years"))
    ),
    Feature("inpatient_days_1y", "days in hospital in the last year", _COUNT, "d"),
    Feature("inpatient_days_3y", "days in hospital in the last three years", _COUNT, "d"),
    Feature("post_acute_3y", "spells of nursing, hospice or home care in the last three years", _COUNT),
    Feature("days_since_visit", "last visit of any kind", _ELAPSED, "d"),
    Feature("days_since_ed", "last emergency visit", _ELAPSED, "d"),
    Feature("ehr_days_3y", "days under observation of the EHR", _COUNT, "d"),
    Feature("claims_days_3y", "days of insurance cover known from claims", _COUNT, "d"),
    Feature("procedures_1y", "procedures in the last year", _COUNT),
)
PREDICTORS = (
    Feature("age_years", "age", _AMOUNT, "a"),
    Feature("female", "female sex", _FLAG),
    *UTILISATION,
    Feature("conditions_active", "active problems", _COUNT),
    Feature("conditions_new_1y", "problems recorded in the last year", _COUNT),
    *(Feature(f"has_{c.name}", c.words, _FLAG) for c in CONDITIONS),
    Feature("drugs_1y", "different drugs in the last year", _COUNT),
    Feature("ingredients_1y", "different ingredients in the last year", _COUNT),
    *(Feature(f"took_{d.name}_1y", f"{d.words} in the last year", _FLAG) for d in DRUGS),
    Feature("results_1y", "measurements in the last year", _COUNT),
    *(Feature(f"last_{m.name}", m.words, _AMOUNT, m.unit) for m in NUMERICS),
    Feature("wearable_days_1y", "days with a worn activity tracker in the last year", _COUNT, "d"),
    Feature("wearable_steps", "daily steps", _AMOUNT, "{steps}/d"),
    Feature("wearable_sleep", "minutes asleep a night", _AMOUNT, "min"),
    Feature("wearable_resting_heart_rate", "resting heart rate", _AMOUNT, "/min"),
)
_UNKNOWN = {
    Kind.COUNT: "0 = none on record", Kind.FLAG: "1 yes, 0 not on record", Kind.AMOUNT: "last value before the index date, NULL = unknown",
    Kind.ELAPSED: "1096 = not in three years",
}  # fmt: skip


def _doc(f: Feature) -> str:
    return f"{f.words[0].upper()}{f.words[1:]}{f' ({f.unit})' if f.unit else ''}; {_UNKNOWN[f.kind]}"


PERSON_FEATURES = Table(
    name="gold/person_features",
    doc="One row per person and index date that any task asks about: what was known before that day, over lookbacks of one and three "
    "years that end the day before. Disease flags look at the whole record (injuries and severe infections at three years), laboratory values at three years. "
    "A contact known to EHR and claims counts once; `ehr_days_3y` and `claims_days_3y` say for how long each was watching. "
    "Sex, race and ethnicity as words are for the fairness audit, not predictors. A value in a unit that has no conversion, or outside its plausible "
    "range, is unknown.",
    fields=(
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("index_date", "date", "Everything is from before this day", required=True),
        *(Field(f.name, "double", _doc(f)) for f in PREDICTORS),
        Field("sex", "string", "female, male, unknown"),
        Field("race", "string", "white, black, asian, other, unknown"),
        Field("ethnicity", "string", "hispanic, not_hispanic, unknown"),
    ),
    key=("person_id", "index_date"),
    checks=(Check("age_in_range", "age_years BETWEEN 0 AND 125", on_fail=OnFail.WARN, reason="R_RANGE"),),
    cluster_by=("person_id",),
)


@step(
    writes=PERSON_FEATURES, cohort=TASK_COHORT, people=PERSON, periods=OBSERVATION_PERIOD, visits=VISIT_OCCURRENCE,
    details=VISIT_DETAIL, plans=PAYER_PLAN_PERIOD, conditions=CONDITION_OCCURRENCE, observations=OBSERVATION,
    procedures=PROCEDURE_OCCURRENCE, drugs=DRUG_EXPOSURE, eras=DRUG_ERA, measurements=MEASUREMENT, samples=DAILY_SAMPLE,
    concepts=CONCEPT, ancestors=CONCEPT_ANCESTOR,
)  # fmt: skip
def person_features(
    cohort: DataFrame,
    people: DataFrame,
    periods: DataFrame,
    visits: DataFrame,
    details: DataFrame,
    plans: DataFrame,
    conditions: DataFrame,
    observations: DataFrame,
    procedures: DataFrame,
    drugs: DataFrame,
    eras: DataFrame,
    measurements: DataFrame,
    samples: DataFrame,
    concepts: DataFrame,
    ancestors: DataFrame,
) -> DataFrame:
    """Each cohort row with its features; every input row is cut at its index date before anything is counted."""
    asked = cohort.select("person_id", "index_date").distinct()
    problems = within_periods(
        conditions.selectExpr(
            "person_id",
            "condition_concept_id AS concept_id",
            "condition_start_date AS date",
            "condition_end_date AS until",
        ),
        "date",
        periods,
    )
    findings = within_periods(
        observations.selectExpr(
            "person_id",
            "observation_concept_id AS concept_id",
            "observation_date AS date",
            "observation_date AS until",
        ),
        "date",
        periods,
    )
    exposures = within_periods(drugs, "drug_exposure_start_date", periods)
    parts = (
        _people(asked, people),
        _utilisation(asked, within_periods(visits, "visit_start_date", periods)),
        _watched(asked, details, plans),
        _counted(asked, within_periods(procedures, "procedure_date", periods).withColumnRenamed("procedure_date", "date"), "procedures_1y"),
        _problem_counts(asked, problems),
        _flags(asked, problems.unionByName(findings), concepts, ancestors),
        _drugs(asked, exposures, concepts, ancestors),
        _ingredients(asked, eras),
        _numbers(asked, within_periods(measurements, "measurement_date", periods),
                 within_periods(observations, "observation_date", periods), concepts),
        _wearables(asked, samples),
    )  # fmt: skip
    # stacked and folded, not joined ten times: a chain of left joins over a hundred columns costs the optimizer more than
    # the work itself. Each column comes from one part, with one row per key, so max only skips the NULLs of the others.
    stacked = reduce(lambda above, below: above.unionByName(below, allowMissingColumns=True), parts, asked)
    columns = [c for c in stacked.columns if c not in ("person_id", "index_date")]
    joined = stacked.groupBy("person_id", "index_date").agg(*[F.max(c).alias(c) for c in columns])
    zero = {f.name for f in PREDICTORS if f.kind in (Kind.COUNT, Kind.FLAG) and f.name != "female"}
    filled = [
        f"cast(coalesce(`{f.name}`, 0) AS double) AS `{f.name}`" if f.name in zero
        else f"cast(coalesce(`{f.name}`, {NEVER}) AS double) AS `{f.name}`" if f.kind is Kind.ELAPSED
        else f"cast(`{f.name}` AS double) AS `{f.name}`"
        for f in PREDICTORS
    ]  # fmt: skip
    return joined.selectExpr("person_id", "index_date", *filled, "sex", "race", "ethnicity")


def _before(asked: DataFrame, records: DataFrame, months: int | None = None) -> DataFrame:
    """Each record with the index dates that it precedes (within `months`); `records` has person_id and date."""
    since = "" if months is None else f" AND date >= add_months(index_date, -{months})"
    return asked.join(records, "person_id", how="inner").where(f"date < index_date{since}")


def _last_year(value: str = "1") -> Column:
    return F.expr(f"CASE WHEN date >= add_months(index_date, -12) THEN {value} END")


def _people(asked: DataFrame, people: DataFrame) -> DataFrame:
    born = "make_date(year_of_birth, coalesce(month_of_birth, 7), coalesce(day_of_birth, 1))"
    return asked.join(people, "person_id", how="inner").selectExpr(
        "person_id", "index_date",
        f"round(months_between(index_date, coalesce(cast(birth_datetime AS date), {born})) / 12, 2) AS age_years",
        f"CASE gender_concept_id WHEN {v.GENDER_FEMALE} THEN 1D WHEN {v.GENDER_MALE} THEN 0D END AS female",
        f"CASE gender_concept_id WHEN {v.GENDER_FEMALE} THEN 'female' WHEN {v.GENDER_MALE} THEN 'male' ELSE 'unknown' END AS sex",
        f"CASE race_concept_id WHEN {v.RACE_WHITE} THEN 'white' WHEN {v.RACE_BLACK} THEN 'black' "
        f"WHEN {v.RACE_ASIAN} THEN 'asian' WHEN 0 THEN 'unknown' ELSE 'other' END AS race",
        f"CASE ethnicity_concept_id WHEN {v.ETHNICITY_HISPANIC} THEN 'hispanic' "
        f"WHEN {v.ETHNICITY_NOT_HISPANIC} THEN 'not_hispanic' ELSE 'unknown' END AS ethnicity",
    )  # fmt: skip


def _utilisation(asked: DataFrame, visits: DataFrame) -> DataFrame:
    episodes = care_episodes(visits).withColumnRenamed("start_date", "date")
    known = _before(asked, episodes).where("end_date >= add_months(index_date, -36)")
    year, three = "date >= add_months(index_date, -12)", "date >= add_months(index_date, -36)"
    counts = [
        F.expr(f"count_if(care = '{care}' AND {window})").alias(f"{name}_{label}")
        for name, care, _ in _CARE
        for label, window in (("1y", year), ("3y", three))
    ]
    days = [
        F.expr(
            "sum(CASE WHEN care = 'inpatient' THEN greatest(0, datediff(least(date_add(end_date, 1), index_date), "
            f"greatest(date, add_months(index_date, -{months})))) END)"
        ).alias(f"inpatient_days_{label}")
        for label, months in (("1y", 12), ("3y", 36))
    ]
    return known.groupBy("person_id", "index_date").agg(
        *counts,
        *days,
        F.expr(f"count_if(care = 'post_acute' AND {three})").alias("post_acute_3y"),
        F.expr("datediff(any_value(index_date), max(date))").alias("days_since_visit"),
        F.expr("datediff(any_value(index_date), max(date) FILTER (WHERE care = 'emergency'))").alias(
            "days_since_ed"
        ),
    )


def _watched(asked: DataFrame, details: DataFrame, plans: DataFrame) -> DataFrame:
    first = (
        details.where(f"visit_detail_type_concept_id IN {_EHR_TYPES}")
        .groupBy("person_id")
        .agg(F.min("visit_detail_start_date").alias("_first"))
    )
    # each enrolled day once, whatever the plans overlap
    covered = (
        asked.join(plans, "person_id", how="inner")
        .selectExpr(
            "person_id", "index_date",
            "greatest(payer_plan_period_start_date, add_months(index_date, -36)) AS _from",
            "least(payer_plan_period_end_date, date_sub(index_date, 1)) AS _to",
        )
        .where("_from <= _to")
        .selectExpr("person_id", "index_date", "explode(sequence(_from, _to)) AS day")
        .groupBy("person_id", "index_date")
        .agg(F.count_distinct("day").alias("claims_days_3y"))
    )  # fmt: skip
    return (
        asked.join(first, "person_id", how="left")
        .join(covered, ["person_id", "index_date"], how="left")
        .selectExpr(
            "person_id", "index_date", "claims_days_3y",
            "greatest(0, datediff(index_date, greatest(_first, add_months(index_date, -36)))) AS ehr_days_3y",
        )
    )  # fmt: skip


def _counted(asked: DataFrame, records: DataFrame, name: str) -> DataFrame:
    return _before(asked, records.select("person_id", "date"), 12).groupBy("person_id", "index_date").agg(
        F.count("date").alias(name)
    )  # fmt: skip


def _problem_counts(asked: DataFrame, problems: DataFrame) -> DataFrame:
    """Active: not ended before the index date. That a problem ends later is not looked at."""
    active = F.expr("CASE WHEN until IS NULL OR until >= index_date THEN concept_id END")
    return _before(asked, problems.where("concept_id <> 0")).groupBy("person_id", "index_date").agg(
        F.count_distinct(active).alias("conditions_active"),
        F.count_distinct(_last_year("concept_id")).alias("conditions_new_1y"),
    )  # fmt: skip


def _members(
    sets: tuple[ValueSet, ...], domains: str, concepts: DataFrame, ancestors: DataFrame
) -> DataFrame:
    """concept_id and `sets`, the names of the value sets to which the concept belongs."""
    anchored = [f"WHEN '{a}' THEN '{s.name}'" for s in sets for a in s.anchors]
    named = ", ".join(
        f"CASE WHEN lower(concept_name) RLIKE r'{s.names}' AND NOT lower(concept_name) RLIKE r'{s.but_not}' THEN '{s.name}' END"
        for s in sets
    )
    by_name = concepts.where(f"domain_id IN ({domains})").selectExpr(
        "concept_id", f"explode(array_compact(array({named}))) AS name"
    )
    if not anchored:
        found = by_name
    else:
        # the regular expressions that exclude hold for descendants too
        veto = " OR ".join(
            f"(name = '{s.name}' AND lower(concept_name) RLIKE r'{s.but_not}')" for s in sets if s.anchors
        )
        anchors = (
            concepts.where("vocabulary_id = 'SNOMED'")
            .selectExpr(
                "concept_id AS ancestor_concept_id", f"CASE concept_code {' '.join(anchored)} END AS name"
            )
            .where("name IS NOT NULL")
        )
        below = ancestors.join(F.broadcast(anchors), "ancestor_concept_id", how="inner").selectExpr(
            "descendant_concept_id AS concept_id", "name"
        )
        found = by_name.unionByName(
            below.join(concepts.select("concept_id", "concept_name"), "concept_id", how="inner")
            .where(f"NOT ({veto})")
            .select("concept_id", "name")
        )
    return found.groupBy("concept_id").agg(F.collect_set("name").alias("sets"))


def _flags(asked: DataFrame, problems: DataFrame, concepts: DataFrame, ancestors: DataFrame) -> DataFrame:
    members = _members(CONDITIONS, "'Condition', 'Observation'", concepts, ancestors)
    known = problems.select("person_id", "concept_id", "date").join(
        F.broadcast(members), "concept_id", how="inner"
    )
    acute = {"injury", "infection_severe"}
    three = "date >= add_months(index_date, -36)"
    return _before(asked, known).groupBy("person_id", "index_date").agg(*[
        F.expr(f"max(cast(array_contains(sets, '{c.name}'){f' AND {three}' if c.name in acute else ''} AS int))").alias(f"has_{c.name}")
        for c in CONDITIONS
    ])  # fmt: skip


def _drugs(asked: DataFrame, drugs: DataFrame, concepts: DataFrame, ancestors: DataFrame) -> DataFrame:
    members = _members(DRUGS, "'Drug'", concepts, ancestors)
    exposures = drugs.selectExpr(
        "person_id",
        "drug_concept_id AS concept_id",
        "drug_exposure_start_date AS date",
        "drug_source_value AS code",
    )
    known = exposures.join(F.broadcast(members), "concept_id", how="left")
    return _before(asked, known, 12).groupBy("person_id", "index_date").agg(
        F.expr("count(DISTINCT CASE WHEN concept_id <> 0 THEN cast(concept_id AS string) ELSE code END)").alias("drugs_1y"),
        *[F.expr(f"max(cast(array_contains(sets, '{d.name}') AS int))").alias(f"took_{d.name}_1y") for d in DRUGS],
    )  # fmt: skip


def _ingredients(asked: DataFrame, eras: DataFrame) -> DataFrame:
    """An era that began earlier and reaches into the year counts: gaps over 30 days split eras, so it was taken in it."""
    known = eras.selectExpr(
        "person_id", "drug_concept_id", "drug_era_start_date AS date", "drug_era_end_date AS until"
    )
    return _before(asked, known).where("until >= add_months(index_date, -12)").groupBy("person_id", "index_date").agg(
        F.count_distinct("drug_concept_id").alias("ingredients_1y")
    )  # fmt: skip


def _numbers(
    asked: DataFrame, measurements: DataFrame, observations: DataFrame, concepts: DataFrame
) -> DataFrame:
    """Last value of each test in three years, in its canonical unit; a non-standard code counts by its source concept."""
    shared = "person_id, {d}_date AS date, {d}_datetime AS at, {d}_id AS id, value_as_number, unit_concept_id, unit_source_value"
    results = measurements.selectExpr(
        *shared.format(d="measurement").split(", "),
        "coalesce(nullif(measurement_concept_id, 0), measurement_source_concept_id) AS concept_id",
    ).unionByName(
        observations.selectExpr(
            *shared.format(d="observation").split(", "),
            "coalesce(nullif(observation_concept_id, 0), observation_source_concept_id) AS concept_id",
        )
    )
    units = concepts.where("vocabulary_id = 'UCUM'").selectExpr(
        "concept_id AS unit_concept_id", "concept_code AS ucum"
    )
    test = " ".join(f"WHEN '{code}' THEN '{m.name}'" for m in NUMERICS for code in m.loinc)
    tests = (
        concepts.where("vocabulary_id = 'LOINC'")
        .selectExpr("concept_id", f"CASE concept_code {test} END AS test")
        .where("test IS NOT NULL")
    )
    canonical, plausible = [], []
    for m in NUMERICS:
        for unit, factor in {m.unit: 1.0, **dict(m.factors)}.items():
            offset = dict(m.offsets).get(unit, 0.0)
            canonical.append(
                f"WHEN test = '{m.name}' AND unit = '{unit}' THEN value_as_number * {factor!r}D + {offset!r}D"
            )
        plausible.append(f"(test = '{m.name}' AND value BETWEEN {m.low} AND {m.high})")
    known = (
        results.join(F.broadcast(tests), "concept_id", how="inner")
        .join(F.broadcast(units), "unit_concept_id", how="left")
        .selectExpr("*", "coalesce(ucum, unit_source_value) AS unit")
        .selectExpr("person_id", "date", "at", "id", "test", f"CASE {' '.join(canonical)} END AS value")
        .where(" OR ".join(plausible))
    )
    return _before(asked, known, 36).groupBy("person_id", "index_date").agg(
        F.count(_last_year()).alias("results_1y"),
        *[F.expr(f"max_by(value, struct(date, at, id)) FILTER (WHERE test = '{m.name}')").alias(f"last_{m.name}") for m in NUMERICS],
    )  # fmt: skip


def _wearables(asked: DataFrame, samples: DataFrame) -> DataFrame:
    """Means over worn days of the last year: a day without wear is missing, never a zero."""
    worn = "metric = 'steps' AND value > 0 AND coalesce(worn_minutes, 1) > 0"
    known = samples.withColumnRenamed("day", "date")
    return _before(asked, known, 12).groupBy("person_id", "index_date").agg(
        F.expr(f"count(DISTINCT date) FILTER (WHERE {worn})").alias("wearable_days_1y"),
        F.expr(f"avg(value) FILTER (WHERE {worn})").alias("wearable_steps"),
        F.expr("avg(value) FILTER (WHERE metric = 'sleep_duration' AND value > 0)").alias("wearable_sleep"),
        F.expr("avg(value) FILTER (WHERE metric = 'resting_heart_rate' AND value > 0)").alias("wearable_resting_heart_rate"),
    )  # fmt: skip
