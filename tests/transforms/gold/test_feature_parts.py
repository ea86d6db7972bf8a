"""The parts of person_features: payer, smoking, care site, cost, wearable variability, LACE, each on its own rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.comorbidity.comorbidity import COMORBIDITY
from carelake.gold.features.care_site import care_site
from carelake.gold.features.costs import cost_of_care
from carelake.gold.features.lace import comorbidity_points_sql, lace, lace_sql
from carelake.gold.features.payer import payer
from carelake.gold.features.smoking import smoking
from carelake.gold.features.wearables import wearables
from carelake.gold.measures.utilisation import dated_costs
from carelake.silver.link.daily_sample import DAILY_SAMPLE
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cost import COST
from carelake.silver.omop.observation import OBSERVATION
from carelake.silver.omop.payer_plan_period import PAYER_PLAN_PERIOD
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary.cdm_tables import CONCEPT
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

INDEX = "2023-01-01"


def asked(spark: SparkSession, persons: int, index_date: str = INDEX) -> DataFrame:
    """Persons 1 to `persons` on one index date."""
    cohort = frame(
        spark,
        TASK_COHORT,
        *({"person_id": n, "index_date": index_date} for n in range(1, persons + 1)),
    )
    return cohort.select("person_id", "index_date")


def visit(person: int, number: int, concept: int, start: str, end: str | None = None) -> dict[str, Any]:
    return {"person_id": person, "visit_occurrence_id": number, "visit_concept_id": concept, "visit_start_date": start,
            "visit_end_date": end or start}  # fmt: skip


def test_the_payer_is_who_paid_on_the_day_before(spark: SparkSession) -> None:
    plans = [
        (1, "Medicare", "2022-01-01", "2023-06-30"),
        (2, "Medicare", "2022-01-01", "2023-06-30"), (2, "Medicaid", "2022-05-01", "2023-06-30"),
        (3, "Dual Eligible", "2022-01-01", "2023-06-30"),
        (4, "Blue Cross Blue Shield", "2022-01-01", "2022-12-31"),
        (5, "NO_INSURANCE", "2022-01-01", "2023-06-30"),
        (6, "Medicare", "2023-01-01", "2023-06-30"),  # begins on the index date: not known before it
        (7, "Medicare", "2022-01-01", "2022-12-30"),  # over two days before
    ]  # fmt: skip
    given = frame(spark, PAYER_PLAN_PERIOD, *(
        {"person_id": p, "payer_source_value": who, "payer_plan_period_start_date": s, "payer_plan_period_end_date": e}
        for p, who, s, e in plans
    ))  # fmt: skip
    assert rows(payer(asked(spark, 8), given), "person_id", "payer") == [
        (1, "medicare"), (2, "medicaid"), (3, "medicaid"), (4, "private"), (5, "none"),
    ]  # fmt: skip


def test_the_care_site_is_that_of_most_visits_of_three_years(spark: SparkSession) -> None:
    visits = [
        (1, "2022-03-01", 70), (1, "2022-04-01", 9), (1, "2022-12-31", 9), (1, INDEX, 70), (1, "2023-02-01", 70),
        (2, "2022-03-01", 70), (2, "2022-04-01", 9),  # as many at both: the lower number, not the lower text
        (3, "2019-12-31", 70), (3, "2019-12-31", 70), (3, "2020-01-01", 9),  # three years ago and a day, and to the day
        (4, "2022-03-01", None), (4, "2022-04-01", None), (4, "2022-05-01", 70),
        (5, "2022-03-01", None), (6, INDEX, 70),
    ]  # fmt: skip
    given = frame(spark, VISIT_OCCURRENCE, *(
        visit(p, n, 9202, day) | {"care_site_id": site} for n, (p, day, site) in enumerate(visits)
    ))  # fmt: skip
    assert rows(care_site(asked(spark, 6), given), "person_id", "care_site") == [
        (1, "9"), (2, "9"), (3, "9"), (4, "70"),
    ]  # fmt: skip


def test_the_last_answer_says_whether_a_person_smokes(spark: SparkSession) -> None:
    concepts = frame(
        spark, CONCEPT,
        {"concept_id": 43054909, "concept_name": "Tobacco smoking status", "vocabulary_id": "LOINC", "concept_code": "72166-2"},
        {"concept_id": 42709996, "concept_name": "Smokes tobacco daily", "vocabulary_id": "SNOMED", "concept_code": "449868002"},
    )  # fmt: skip
    said: list[tuple[int, str, dict[str, Any]]] = [
        (1, "2021-01-01", {"value_as_concept_id": 42709996}),
        (2, "2021-01-01", {"value_as_concept_id": 42709996}), (2, "2022-01-01", {"value_as_string": "Ex-smoker (finding)"}),
        (2, "2022-02-01", {"value_as_string": "declined"}), (2, INDEX, {"value_as_concept_id": 42709996}),
        (3, "2022-02-01", {"value_as_string": "Never smoked tobacco (finding)"}),
        (4, "2022-02-01", {"value_as_string": "smokes", "observation_concept_id": 5}),  # another question
    ]  # fmt: skip
    given = frame(spark, OBSERVATION, *(
        {"observation_id": n, "person_id": p, "observation_concept_id": 43054909, "observation_date": d} | more
        for n, (p, d, more) in enumerate(said)
    ))  # fmt: skip
    assert rows(smoking(asked(spark, 4), given, concepts), "person_id", "smoking", "current_smoker") == [
        (1, "current", 1), (2, "former", 0), (3, "never", 0),
    ]  # fmt: skip


def test_cost_counts_by_the_day_of_service_of_its_visit_or_event(spark: SparkSession) -> None:
    visits = frame(spark, VISIT_OCCURRENCE, visit(1, 1, 9201, "2021-06-01", "2021-06-03"), visit(1, 2, 9202, "2022-01-01"),
                   visit(1, 3, 9202, INDEX), visit(1, 4, 9202, "2019-12-31"))  # fmt: skip
    events = frame(spark, EVENT_LINK, *(
        {"event_id": e, "person_id": 1, "domain_id": "Drug", "start_datetime": f"{d} 00:00:00", "source_claim_id": "c"}
        for e, d in ((7, "2022-03-01"), (8, INDEX))
    ))  # fmt: skip
    costs = frame(spark, COST, *(
        {"cost_id": n, "cost_domain_id": domain, "cost_event_id": event, "total_paid": paid}
        for n, (domain, event, paid) in enumerate((
            ("Visit", 1, 1000.25), ("Visit", 2, 100.0), ("Drug", 7, 30.5), ("Drug", 8, 7.0), ("Visit", 3, 5000.0), ("Cost", 6, 9.0),
            ("Visit", 4, 70.0),
        ))
    ))  # fmt: skip
    out = cost_of_care(asked(spark, 2), dated_costs(visits, costs, events))
    assert [(r.person_id, float(r.cost_1y), float(r.cost_3y)) for r in out.collect()] == [(1, 130.5, 1130.75)]


def test_variation_of_worn_days_and_the_change_of_steps_in_four_weeks(spark: SparkSession) -> None:
    said = [
        (1, "2022-05-01", "steps", 2000.0), (1, "2022-11-20", "steps", 4000.0), (1, "2022-12-03", "steps", 6000.0),
        (1, "2022-12-04", "steps", 7000.0), (1, "2022-12-31", "steps", 11000.0), (1, INDEX, "steps", 90000.0),
        (1, "2022-12-05", "steps", 0.0),  # not worn
        (1, "2022-05-01", "resting_heart_rate", 60.0), (1, "2022-05-02", "resting_heart_rate", 64.0), (2, "2022-05-01", "steps", 2000.0),
    ]  # fmt: skip
    samples = frame(
        spark, DAILY_SAMPLE, *({"person_id": p, "day": d, "metric": m, "value": v} for p, d, m, v in said)
    )
    first, second = wearables(asked(spark, 2), samples).orderBy("person_id").collect()
    # 2000, 4000, 6000, 7000, 11000: mean 6000, squared distances 16 + 4 + 0 + 1 + 25 millions over 4
    assert round(first.wearable_steps_sd, 6) == round((46e6 / 4) ** 0.5, 6)
    # 4 December on (28 days) against 6 November to 3 December
    assert first.wearable_steps_trend == 9000.0 - 5000.0
    assert round(first.wearable_resting_heart_rate_sd, 6) == round(8**0.5, 6)
    assert (second.wearable_steps, second.wearable_steps_sd, second.wearable_steps_trend) == (
        2000.0,
        None,
        None,
    )


def test_lace_is_valued_on_the_day_of_discharge_alone(spark: SparkSession) -> None:
    """van Walraven 2010: L of four nights 4, A acute 3, C as given, E emergency visits of six months before."""
    stay = visit(1, 1, 262, "2022-12-28", INDEX)  # four nights, through the emergency department
    visits = [
        stay,
        visit(1, 2, 9203, "2022-12-27"),  # led to the stay: not counted in E
        visit(1, 3, 9203, "2022-08-01"), visit(1, 4, 9203, "2022-09-01"), visit(1, 5, 9203, "2022-06-01"),
        visit(2, 6, 9201, "2022-12-31", INDEX),  # one night, not acute
        visit(3, 7, 9201, "2022-12-20", "2022-12-31"),  # discharged the day before
        visit(4, 8, 9201, INDEX, INDEX),  # begins on the index date
        visit(1, 9, 9201, INDEX, "2023-01-09"),  # a stay that follows at once tells nothing of the one before
    ]  # fmt: skip
    comorbidity = frame(spark, COMORBIDITY, *(
        {"person_id": p, "index_date": INDEX, "lace_points": c} for p, c in ((1, 2), (2, 0), (3, 5), (4, 5))
    ))  # fmt: skip
    out = lace(asked(spark, 5), frame(spark, VISIT_OCCURRENCE, *visits), comorbidity)
    assert rows(out, "person_id", "lace_score") == [(1, 4 + 3 + 2 + 2), (2, 1)]


def test_points_of_the_length_of_stay_and_the_greatest_index(spark: SparkSession) -> None:
    nights = (0, 1, 2, 3, 4, 6, 7, 13, 14, 60)
    (points,) = (
        spark.sql(f"SELECT array({', '.join(lace_sql(str(n), 'false', '0', '0') for n in nights)})").first()
        or ()
    )
    assert points == [0, 1, 2, 3, 4, 4, 5, 5, 7, 7]
    (most, unknown) = (
        spark.sql(
            f"SELECT {lace_sql('30', 'true', '5', '11')}, {lace_sql('30', 'true', 'NULL', '1')}"
        ).first()
        or ()
    )
    assert (most, unknown) == (19, None)


def test_points_of_the_comorbidities_are_five_from_four_on(spark: SparkSession) -> None:
    groups = ("cast(array() AS array<string>)", "array('dementia')", "array('heart_failure', 'renal')", "array('metastatic', 'aids')",
              "array('peptic_ulcer', 'plegia')")  # fmt: skip
    (points,) = spark.sql(f"SELECT array({', '.join(map(comorbidity_points_sql, groups))})").first() or ()
    assert points == [0, 3, 5, 5, 0]
