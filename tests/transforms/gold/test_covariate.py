"""covariate: declared analyses over windows before the index date, ids as OHDSI builds them, one shuffle by person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.core.table import Field, Table
from carelake.gold.cohorts.task_cohort import TASK_COHORT
from carelake.gold.features.analyses import ANALYSES, EVENTS, in_words
from carelake.gold.features.covariate import COVARIATE, covariate, covariates, days, stacked
from carelake.gold.features.covariate_ref import COVARIATE_REF, covariate_ref
from carelake.silver.omop.condition_occurrence import CONDITION_OCCURRENCE
from carelake.silver.omop.device_exposure import DEVICE_EXPOSURE
from carelake.silver.omop.drug_era import DRUG_ERA
from carelake.silver.omop.drug_exposure import DRUG_EXPOSURE
from carelake.silver.omop.measurement import MEASUREMENT
from carelake.silver.omop.note import NOTE
from carelake.silver.omop.note_nlp import NOTE_NLP
from carelake.silver.omop.observation import OBSERVATION
from carelake.silver.omop.observation_period import OBSERVATION_PERIOD
from carelake.silver.omop.procedure_occurrence import PROCEDURE_OCCURRENCE
from carelake.silver.omop.visit_occurrence import VISIT_OCCURRENCE
from carelake.silver.vocabulary.cdm_tables import CONCEPT
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TABLES = {
    "condition_occurrence": CONDITION_OCCURRENCE, "drug_exposure": DRUG_EXPOSURE, "drug_era": DRUG_ERA,
    "procedure_occurrence": PROCEDURE_OCCURRENCE, "device_exposure": DEVICE_EXPOSURE, "measurement": MEASUREMENT,
    "observation": OBSERVATION, "visit_occurrence": VISIT_OCCURRENCE, "note": NOTE, "note_nlp": NOTE_NLP,
}  # fmt: skip
CONCEPTS = [
    {
        "concept_id": 3004410,
        "concept_name": "Hemoglobin A1c",
        "vocabulary_id": "LOINC",
        "concept_code": "4548-4",
    },
    {
        "concept_id": 201826,
        "concept_name": "Type 2 diabetes mellitus",
        "vocabulary_id": "SNOMED",
        "concept_code": "44054006",
    },
    {"concept_id": 8554, "concept_name": "percent", "vocabulary_id": "UCUM", "concept_code": "%"},
    {
        "concept_id": 9579,
        "concept_name": "millimole per mole",
        "vocabulary_id": "UCUM",
        "concept_code": "mmol/mol",
    },
]
INDEX = "2023-01-01"
Found = dict[tuple[str, int], float]


def frames(spark: SparkSession, **tables: list[dict[str, Any]]) -> dict[str, DataFrame]:
    return {
        name: frame(spark, table, *({"person_id": 1} | r if "person_id" in table.columns else r for r in tables.get(name, [])))
        for name, table in TABLES.items()
    }  # fmt: skip


def built(
    spark: SparkSession, index_dates: tuple[str, ...] = (INDEX,), **tables: list[dict[str, Any]]
) -> DataFrame:
    """The covariates of person 1."""
    return COVARIATE.conform(covariate(
        cohort=frame(spark, TASK_COHORT, *({"person_id": 1, "index_date": d} for d in (*index_dates, index_dates[0]))),
        periods=frame(spark, OBSERVATION_PERIOD, {"person_id": 1, "observation_period_start_date": "2010-01-01",
                                                  "observation_period_end_date": "2024-12-31"}),
        concepts=frame(spark, CONCEPT, *CONCEPTS),
        **frames(spark, **tables),
    ))  # fmt: skip


def found(out: DataFrame) -> Found:
    """Value by index date and covariate id."""
    rows = out.collect()
    by_key = {(r.index_date.isoformat(), r.covariate_id): r.covariate_value for r in rows}
    assert len(by_key) == len(rows)  # the key is one
    return by_key


def condition(day: str, concept: int = 201826) -> dict[str, Any]:
    return {"condition_concept_id": concept, "condition_start_date": day}


def result(number: int, day: str, value: float | None, unit: int = 8554, **more: Any) -> dict[str, Any]:
    return {"measurement_id": number, "measurement_concept_id": 3004410, "measurement_date": day, "value_as_number": value,
            "unit_concept_id": unit} | more  # fmt: skip


def test_windows_end_the_day_before_and_begin_30_180_and_365_days_before(spark: SparkSession) -> None:
    """Ids 101 to 104 of FeatureExtraction: any time, long, medium, short; 151 counts the days of a year."""
    out = found(built(spark, condition_occurrence=[
        condition("2022-12-31", 1), condition("2022-12-02", 2), condition("2022-12-01", 3), condition("2022-07-05", 4),
        condition("2022-07-04", 5), condition("2022-01-01", 6), condition("2021-12-31", 7), condition(INDEX, 8),
    ]))  # fmt: skip
    windows = {
        c: {a: v for (_, i), v in out.items() if i // 1000 == c for a in [i % 1000]} for c in range(1, 9)
    }
    whole = {101: 1.0, 102: 1.0, 103: 1.0, 104: 1.0, 151: 1.0}
    assert windows[1] == windows[2] == whole  # 1 and 30 days before
    assert windows[3] == windows[4] == {a: v for a, v in whole.items() if a != 104}  # 31 and 180
    assert windows[5] == windows[6] == {101: 1.0, 102: 1.0, 151: 1.0}  # 181 and 365
    assert windows[7] == {101: 1.0}
    assert windows[8] == {}  # the index date itself


def test_a_day_counts_once_whoever_recorded_it_and_concept_zero_is_nothing(spark: SparkSession) -> None:
    visits = [
        {"visit_occurrence_id": n, "visit_concept_id": c, "visit_start_date": d}
        for n, (c, d) in enumerate(((9202, "2022-12-30"), (9202, "2022-12-30"), (9202, "2022-06-01"), (0, "2022-06-01")))
    ]  # fmt: skip
    assert found(built(spark, visit_occurrence=visits)) == {
        (INDEX, 9202923): 2.0, (INDEX, 9202924): 1.0, (INDEX, 9202925): 1.0,
    }  # fmt: skip


def test_an_era_counts_for_each_window_that_it_reaches_into(spark: SparkSession) -> None:
    eras = [{"drug_concept_id": 5, "drug_era_start_date": "2020-01-01", "drug_era_end_date": "2022-07-05"},
            {"drug_concept_id": 6, "drug_era_start_date": "2022-12-20", "drug_era_end_date": "2023-03-01"}]  # fmt: skip
    assert found(built(spark, drug_era=eras)) == {
        (INDEX, i): 1.0 for i in (5401, 5402, 5403, 6401, 6402, 6403, 6404)
    }


def test_the_last_number_its_trend_and_whether_one_was_abnormal(spark: SparkSession) -> None:
    """75 mmol/mol is 9.0 % (IFCC); the trend is from the day before with a number, in the canonical unit."""
    out = found(built(spark, measurement=[
        result(1, "2022-03-01", 6.5, range_low=4.0, range_high=6.0),
        result(2, "2022-06-01", 75.0, 9579),
        result(3, "2022-06-01", 7.0, measurement_datetime="2022-06-01 08:00:00"),
        result(4, "2022-06-01", 8.0, measurement_datetime="2022-06-01 09:00:00"),
        result(5, "2022-07-01", None),
        result(6, "2022-08-01", 900.0),  # impossible: no number, but a day
        result(7, INDEX, 4.0, range_low=5.0),
    ]))  # fmt: skip
    of = {i % 1000: v for (_, i), v in out.items()}
    assert (of[705], of[706]) == (8.0, 8.0)
    assert of[752] == 8.0 - 6.5
    assert (of[751], of[753]) == (4.0, 1.0)
    assert {704, 754}.isdisjoint(of)
    assert of[701] == of[702] == 1.0


def test_a_trend_needs_two_numbers_of_one_unit_within_the_year(spark: SparkSession) -> None:
    def other(number: int, day: str, value: float, unit: str) -> dict[str, Any]:
        return {"measurement_id": number, "measurement_concept_id": 77, "measurement_date": day, "value_as_number": value,
                "unit_source_value": unit}  # fmt: skip

    def trend(*rows: dict[str, Any]) -> float | None:
        return found(built(spark, measurement=list(rows))).get((INDEX, 77752))

    assert trend(other(1, "2022-03-01", 5.0, "g"), other(2, "2022-05-01", 5.0, "g")) == 0.0  # 0 is a trend
    assert trend(other(1, "2022-03-01", 5.0, "g"), other(2, "2022-05-01", 5.0, "mg")) is None
    assert trend(other(1, "2021-12-31", 5.0, "g"), other(2, "2022-05-01", 6.0, "g")) is None


def test_concepts_of_notes_are_of_the_person_and_the_day_of_the_note(spark: SparkSession) -> None:
    def term(number: int, note: int, concept: int, **more: Any) -> dict[str, Any]:
        return {
            "note_nlp_id": number,
            "note_id": note,
            "note_nlp_concept_id": concept,
            "nlp_date": "2023-05-05",
        } | more

    out = found(built(
        spark,
        note=[{"note_id": 9, "note_date": "2022-12-15"}],
        note_nlp=[term(1, 9, 4), term(2, 8, 5), term(3, 9, 6, term_exists="N"), term(4, 9, 7, term_exists="Y")],
    ))  # fmt: skip
    assert set(out) == {(INDEX, c + a) for c in (4000, 7000) for a in (951, 952, 953, 954)}


def rich() -> dict[str, list[dict[str, Any]]]:
    """An event of every kind before the index date."""
    return {
        "condition_occurrence": [condition("2022-05-01"), condition("2022-12-31")],
        "drug_exposure": [{"drug_concept_id": 5, "drug_exposure_start_date": "2022-11-01"}],
        "drug_era": [{"drug_concept_id": 6, "drug_era_start_date": "2022-11-01", "drug_era_end_date": "2022-12-01"}],
        "procedure_occurrence": [{"procedure_concept_id": 7, "procedure_date": "2022-11-01"}],
        "device_exposure": [{"device_concept_id": 8, "device_exposure_start_date": "2022-11-01"}],
        "measurement": [result(1, "2022-03-01", 6.5), result(2, "2022-12-30", 7.5, range_high=6.0)],
        "observation": [{"observation_id": 1, "observation_concept_id": 10, "observation_date": "2022-11-01", "value_as_number": 3.0}],
        "visit_occurrence": [{"visit_occurrence_id": 1, "visit_concept_id": 9202, "visit_start_date": "2022-11-01"}],
        "note": [{"note_id": 1, "note_date": "2022-11-01"}],
        "note_nlp": [{"note_nlp_id": 1, "note_id": 1, "note_nlp_concept_id": 11, "nlp_date": "2022-11-01"}],
    }  # fmt: skip


def planted(day: str) -> dict[str, list[dict[str, Any]]]:
    """An event of every kind, of the same concepts and of others, on `day`."""
    return {
        "condition_occurrence": [condition(day), condition(day, 99)],
        "drug_exposure": [{"drug_concept_id": c, "drug_exposure_start_date": day} for c in (5, 99)],
        "drug_era": [{"drug_concept_id": c, "drug_era_start_date": day, "drug_era_end_date": "2024-01-01"} for c in (6, 99)],
        "procedure_occurrence": [{"procedure_concept_id": c, "procedure_date": day} for c in (7, 99)],
        "device_exposure": [{"device_concept_id": c, "device_exposure_start_date": day} for c in (8, 99)],
        "measurement": [result(90, day, 19.0, range_high=6.0)],
        "observation": [{"observation_id": 90, "observation_concept_id": 10, "observation_date": day, "value_as_number": 9.0}],
        "visit_occurrence": [{"visit_occurrence_id": 90, "visit_concept_id": c, "visit_start_date": day} for c in (9202, 9201)],
        "note": [{"note_id": 90, "note_date": day}],
        "note_nlp": [{"note_nlp_id": 90, "note_id": 90, "note_nlp_concept_id": c, "nlp_date": day} for c in (11, 99)],
    }  # fmt: skip


def with_planted(day: str) -> dict[str, list[dict[str, Any]]]:
    return {name: rows + planted(day)[name] for name, rows in rich().items()}


@pytest.mark.parametrize("day", [INDEX, "2023-01-02", "2024-06-01"])
def test_an_event_on_or_after_the_index_date_changes_no_covariate(spark: SparkSession, day: str) -> None:
    before = found(built(spark, **rich()))
    assert {i % 1000 for _, i in before} >= {
        101,
        151,
        301,
        401,
        501,
        601,
        701,
        705,
        752,
        753,
        801,
        852,
        923,
        951,
    }
    assert found(built(spark, **with_planted(day))) == before


def test_the_same_events_a_day_earlier_change_the_covariates_of_every_table(spark: SparkSession) -> None:
    """So the test above would fail if the cut were a day late, or none."""
    before, after = (found(built(spark, **tables)) for tables in (rich(), with_planted("2022-12-31")))
    changed = {
        i % 1000 // 100
        for key in before.keys() | after.keys()
        for _, i in [key]
        if before.get(key) != after.get(key)
    }
    assert changed == {1, 3, 4, 5, 6, 7, 8, 9}


def test_each_index_date_has_its_own_view_and_one_row_a_covariate(spark: SparkSession) -> None:
    out = found(
        built(
            spark,
            (INDEX, "2022-01-01"),
            condition_occurrence=[condition("2022-05-01"), condition("2021-12-31")],
        )
    )
    assert {(d, i % 1000) for d, i in out} == {
        (INDEX, 101), (INDEX, 102), (INDEX, 151),
        ("2022-01-01", 101), ("2022-01-01", 102), ("2022-01-01", 103), ("2022-01-01", 104), ("2022-01-01", 151),
    }  # fmt: skip


@pytest.mark.omop_rule(4)
def test_events_outside_an_observation_period_make_no_covariate(spark: SparkSession) -> None:
    """CDM v5.4 OBSERVATION_PERIOD: covariates look inside periods alone."""
    assert found(built(spark, condition_occurrence=[condition("2009-12-31")])) == {}


def test_the_reference_names_the_concept_the_analysis_and_the_window(spark: SparkSession) -> None:
    out = built(spark, condition_occurrence=[condition("2022-12-31"), condition("2021-01-01", 4711)])
    ref = COVARIATE_REF.conform(covariate_ref(covariates=out, concepts=frame(spark, CONCEPT, *CONCEPTS)))
    by_id = {r.covariate_id: r for r in ref.collect()}
    short = by_id[201826104]
    assert short.covariate_name == "condition in the last 30 days: Type 2 diabetes mellitus"
    assert short.analysis_name == "ConditionOccurrenceShortTerm"
    assert (short.analysis_id, short.concept_id, short.domain_id, short.start_day, short.end_day) == (
        104,
        201826,
        "Condition",
        -30,
        -1,
    )
    assert (by_id[4711101].covariate_name, by_id[4711101].start_day) == (
        "condition on record: concept 4711",
        None,
    )
    assert set(by_id) == {r.covariate_id for r in out.collect()}


def test_analyses_have_numbers_of_their_own_below_a_thousand_and_known_tables() -> None:
    ids = [a.analysis_id for a in ANALYSES]
    assert len(ids) == len(set(ids))
    assert max(ids) < 1000
    assert {a.table for a in ANALYSES} == {e.name for e in EVENTS}
    assert all(a.end_day == -1 for a in ANALYSES)


def test_what_an_analysis_asks_is_said_in_words() -> None:
    said = {a.analysis_id: in_words(a) for a in ANALYSES}
    assert (said[101], said[403], said[706]) == (
        "condition on record", "course of a drug in the last six months", "last result of a test in the last year"
    )  # fmt: skip
    assert (said[752], said[754], said[925]) == (
        "change of a test in the last year", "abnormal test in the last 30 days", "days with a visit in the last 30 days"
    )  # fmt: skip
    assert len(set(said.values())) == len(said)


def test_events_are_moved_once_to_their_person(spark: SparkSession) -> None:
    """From the joined partition of the person on, no further exchange: neither days, nor windows, nor index dates move rows."""
    shape = Table(
        "gold/many",
        "Rows of many persons.",
        (Field("person_id", "bigint", "p"), Field("index_date", "date", "d")),
        ("person_id",),
    )
    cohort = frame(spark, shape, *({"person_id": n, "index_date": INDEX} for n in range(50))).select(
        "person_id", "index_date"
    )
    tables = frames(spark, **rich())
    valued = {
        n: t.selectExpr("*", "value_as_number AS value", "unit_source_value AS unit") if n in ("measurement", "observation") else t
        for n, t in tables.items() if n != "note"
    } | {"note_nlp": tables["note_nlp"].selectExpr("*", "1L AS person_id", "nlp_date AS note_date")}  # fmt: skip
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    try:
        out = covariates(cohort, days(stacked(valued)))
        plan = out._jdf.queryExecution().executedPlan().toString()
    finally:
        spark.conf.unset("spark.sql.autoBroadcastJoinThreshold")
        spark.conf.unset("spark.sql.adaptive.enabled")
    assert plan.count("Exchange hashpartitioning") == 2, plan  # the events, and the cohort
