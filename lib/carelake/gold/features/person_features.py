"""person_features: what was known about a person before an index date, as numbers."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.gold.care_episodes import within_periods
from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.comorbidity.comorbidity import COMORBIDITY
from carelake.gold.features.area_vulnerability import AREA_VULNERABILITY
from carelake.gold.features.care_site import care_site
from carelake.gold.features.contacts import CARE, contacts, counted, watched
from carelake.gold.features.costs import cost_of_care
from carelake.gold.features.demographics import demographics
from carelake.gold.features.lace import lace
from carelake.gold.features.medication import ingredients, medication
from carelake.gold.features.numbers import numbers
from carelake.gold.features.payer import payer
from carelake.gold.features.problems import flags, problem_counts
from carelake.gold.features.smoking import smoking
from carelake.gold.features.value_sets import CONDITIONS, DRUGS, NUMERICS
from carelake.gold.features.wearables import wearables
from carelake.gold.measures.utilisation import dated_costs
from carelake.ml.model import Feature, Kind
from carelake.silver.link.daily_sample import DAILY_SAMPLE
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.cost import COST
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
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_ANCESTOR

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_COUNT, _FLAG, _AMOUNT, _ELAPSED = Kind.COUNT, Kind.FLAG, Kind.AMOUNT, Kind.ELAPSED
NEVER = 1096.0  # days since something that is not within the three years

UTILISATION = (
    *(
        Feature(f"{n}_{y}", f"{w} in the last {t}", _COUNT)
        for n, _, w in CARE
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
    Feature("cost_1y", "cost of care in the last year", _AMOUNT, "USD"),
    Feature("cost_3y", "cost of care in the last three years", _AMOUNT, "USD"),
)
PREDICTORS = (
    Feature("age_years", "age", _AMOUNT, "a"),
    Feature("female", "female sex", _FLAG),
    *UTILISATION,
    Feature("conditions_active", "active problems", _COUNT),
    Feature("conditions_new_1y", "problems recorded in the last year", _COUNT),
    *(Feature(f"has_{c.name}", c.words, _FLAG) for c in CONDITIONS),
    Feature("charlson_score", "Charlson comorbidity score", _AMOUNT),
    Feature("elixhauser_score", "Elixhauser comorbidity score", _AMOUNT),
    Feature("frailty_score", "hospital frailty score", _AMOUNT),
    Feature("current_smoker", "smoking", _FLAG),
    Feature("drugs_1y", "different drugs in the last year", _COUNT),
    Feature("ingredients_1y", "different ingredients in the last year", _COUNT),
    *(Feature(f"took_{d.name}_1y", f"{d.words} in the last year", _FLAG) for d in DRUGS),
    Feature("results_1y", "measurements in the last year", _COUNT),
    *(Feature(f"last_{m.name}", m.words, _AMOUNT, m.unit) for m in NUMERICS),
    Feature("wearable_days_1y", "days with a worn activity tracker in the last year", _COUNT, "d"),
    Feature("wearable_steps", "daily steps", _AMOUNT, "{steps}/d"),
    Feature("wearable_steps_sd", "variation of daily steps", _AMOUNT, "{steps}/d"),
    Feature("wearable_steps_trend", "change of daily steps in four weeks", _AMOUNT, "{steps}/d"),
    Feature("wearable_sleep", "minutes asleep a night", _AMOUNT, "min"),
    Feature("wearable_resting_heart_rate", "resting heart rate", _AMOUNT, "/min"),
    Feature("wearable_resting_heart_rate_sd", "variation of resting heart rate", _AMOUNT, "/min"),
)
# of index dates that are days of discharge alone: what a model of readmission is compared with
LACE = Feature("lace_score", "LACE score", _AMOUNT)
# words for the fairness audit and for rules; no predictors
WORDS = {
    "sex": "female, male, unknown",
    "race": "white, black, asian, other, unknown",
    "ethnicity": "hispanic, not_hispanic, unknown",
    "payer": "medicaid, medicare, private, none, unknown: who paid on the day before the index date; of several the first of these",
    "smoking": "current, former, never, unknown: as the last answer said",
    "svi_quartile": "q1 (least vulnerable) to q4, unknown: of the county where the person lives now, not on the index date (gold/area_vulnerability)",
    "care_site": "care_site_id of most visits that began in the three years before the index date, of several the lowest; unknown without one",
}
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
    "Words are for the fairness audit, not predictors; `svi_quartile` alone is as of now, since the CDM keeps one address. Costs are paid amounts by day of service, unknown where no day of claims was "
    "observed; Charlson's and Elixhauser's (van Walraven) scores look at the whole record (gold/comorbidity). A value in a unit that has no conversion, or outside its plausible "
    "range, is unknown.",
    fields=(
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("index_date", "date", "Everything is from before this day", required=True),
        *(Field(f.name, "double", _doc(f)) for f in PREDICTORS),
        Field(
            LACE.name,
            "double",
            "LACE index (0 to 19) where the index date is a day of discharge from hospital; else NULL",
        ),
        *(Field(name, "string", doc) for name, doc in WORDS.items()),
    ),
    key=("person_id", "index_date"),
    checks=(Check("age_in_range", "age_years BETWEEN 0 AND 125", on_fail=OnFail.WARN, reason="R_RANGE"),),
    cluster_by=("person_id",),
)


@step(
    writes=PERSON_FEATURES, cohort=TASK_COHORT, people=PERSON, periods=OBSERVATION_PERIOD, visits=VISIT_OCCURRENCE,
    details=VISIT_DETAIL, plans=PAYER_PLAN_PERIOD, conditions=CONDITION_OCCURRENCE, comorbidity=COMORBIDITY,
    observations=OBSERVATION, procedures=PROCEDURE_OCCURRENCE, drugs=DRUG_EXPOSURE, eras=DRUG_ERA, measurements=MEASUREMENT,
    samples=DAILY_SAMPLE, costs=COST, events=EVENT_LINK, areas=AREA_VULNERABILITY, concepts=CONCEPT,
    ancestors=CONCEPT_ANCESTOR,
)  # fmt: skip
def person_features(
    cohort: DataFrame,
    people: DataFrame,
    periods: DataFrame,
    visits: DataFrame,
    details: DataFrame,
    plans: DataFrame,
    conditions: DataFrame,
    comorbidity: DataFrame,
    observations: DataFrame,
    procedures: DataFrame,
    drugs: DataFrame,
    eras: DataFrame,
    measurements: DataFrame,
    samples: DataFrame,
    costs: DataFrame,
    events: DataFrame,
    areas: DataFrame,
    concepts: DataFrame,
    ancestors: DataFrame,
) -> DataFrame:
    """Each person and index date of the cohort with its features; every input row is cut at its index date before anything is counted."""
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
    said = within_periods(observations, "observation_date", periods)
    findings = said.selectExpr(
        "person_id",
        "observation_concept_id AS concept_id",
        "observation_date AS date",
        "observation_date AS until",
    )
    exposures = within_periods(drugs, "drug_exposure_start_date", periods)
    seen = within_periods(visits, "visit_start_date", periods)
    parts = (
        demographics(asked, people),
        contacts(asked, seen),
        watched(asked, details, plans),
        counted(asked, within_periods(procedures, "procedure_date", periods).withColumnRenamed("procedure_date", "date"), "procedures_1y"),
        problem_counts(asked, problems),
        flags(asked, problems.unionByName(findings), concepts, ancestors),
        comorbidity.selectExpr("person_id", "index_date", "charlson_score", "elixhauser_van_walraven AS elixhauser_score",
                               "hospital_frailty AS frailty_score"),
        medication(asked, exposures, concepts, ancestors),
        ingredients(asked, eras),
        numbers(asked, within_periods(measurements, "measurement_date", periods), said, concepts),
        wearables(asked, samples),
        cost_of_care(asked, within_periods(dated_costs(visits, costs, events), "day", periods)),
        payer(asked, plans),
        smoking(asked, said, concepts),
        lace(asked, seen, comorbidity),
        care_site(asked, seen),
        asked.join(areas.select("person_id", "svi_quartile"), "person_id", how="inner"),
    )  # fmt: skip
    # stacked and folded, not joined ten times: a chain of left joins over a hundred columns costs the optimizer more than
    # the work itself. Each column comes from one part, with one row per key, so max only skips the NULLs of the others.
    stacked = reduce(lambda above, below: above.unionByName(below, allowMissingColumns=True), parts, asked)
    columns = [c for c in stacked.columns if c not in ("person_id", "index_date")]
    joined = stacked.groupBy("person_id", "index_date").agg(*[F.max(c).alias(c) for c in columns])
    # where claims were watching, no cost on record is none
    spent = joined.withColumns(
        {c: F.expr(f"IF(claims_days_3y > 0, coalesce({c}, 0), {c})") for c in ("cost_1y", "cost_3y")}
    )
    zero = {f.name for f in PREDICTORS if f.kind in (Kind.COUNT, Kind.FLAG) and f.name != "female"}
    filled = [
        f"cast(coalesce(`{f.name}`, 0) AS double) AS `{f.name}`" if f.name in zero
        else f"cast(coalesce(`{f.name}`, {NEVER}) AS double) AS `{f.name}`" if f.kind is Kind.ELAPSED
        else f"cast(`{f.name}` AS double) AS `{f.name}`"
        for f in (*PREDICTORS, LACE)
    ]  # fmt: skip
    words = [f"coalesce({name}, 'unknown') AS {name}" for name in WORDS]
    return spent.selectExpr("person_id", "index_date", *filled, *words)
