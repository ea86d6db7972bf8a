"""The results file has the shape that OHDSI/DataQualityDashboard 2.8.4 writes and its viewer reads."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from carelake.quality.dashboard import Result
from carelake.quality.published import all_rules
from carelake.quality.results_file import document, overview, summary

RULES = {r.id: r for r in all_rules()}
RESULTS = [
    Result(RULES["field_isrequired_person_person_id"], 0, 10, "pass"),
    Result(
        RULES["field_plausiblevaluelow_drug_exposure_days_supply"], 3, 12, "fail", seconds=0.25, examples=(7,)
    ),
    Result(
        RULES["table_measurepersoncompleteness_death"], 0, 0, "not_applicable", "Table DEATH does not exist."
    ),
    Result(RULES["concept_plausiblegender_condition_occurrence_condition_concept_id_26662"], 0, 2, "pass"),
]
STARTED = datetime(2024, 9, 1, 12, 0, 0, tzinfo=timezone.utc)
ENDED = datetime(2024, 9, 1, 12, 0, 5, 600_000, tzinfo=timezone.utc)


def loaded():
    source = {"cdm_source_name": "a lake", "cdm_version": "v5.4", "cdm_holder": None, "_run": "r"}
    return json.loads(document(RESULTS, source, STARTED, ENDED))


def test_the_file_has_the_dashboards_parts():
    file = loaded()
    assert set(file) == {
        "startTimestamp", "endTimestamp", "executionTime", "executionTimeSeconds", "CheckResults", "Metadata", "Overview",
    }  # fmt: skip
    assert (file["startTimestamp"], file["executionTime"], file["executionTimeSeconds"]) == (
        ["2024-09-01 12:00:00"],
        ["6 secs"],
        [5.6],
    )
    (metadata,) = file["Metadata"]
    assert metadata == {"cdmSourceName": "a lake", "cdmVersion": "v5.4", "dqdVersion": metadata["dqdVersion"]}
    assert metadata["dqdVersion"].startswith("2.8.4")


def test_a_result_has_the_dashboards_fields_and_those_without_a_value_are_left_out():
    passed, failed, idle, of_concept = loaded()["CheckResults"]
    assert "WHERE `days_supply` < 1" in failed.pop("queryText")
    assert failed == {
        "numViolatedRows": 3, "pctViolatedRows": 0.25, "numDenominatorRows": 12, "executionTime": "0.250000 secs",
        "checkName": "plausibleValueLow", "checkLevel": "FIELD",
        "checkDescription": "The number and percent of records with a value in the DAYS_SUPPLY field of the DRUG_EXPOSURE table less than 1.",
        "cdmTableName": "DRUG_EXPOSURE", "cdmFieldName": "DAYS_SUPPLY", "sqlFile": "field_plausible_value_low.sql",
        "category": "Plausibility", "subcategory": "Atemporal", "context": "Verification",
        "checkId": "field_plausiblevaluelow_drug_exposure_days_supply", "failed": 1, "passed": 0, "isError": 0, "notApplicable": 0,
        "thresholdValue": 1.0,
    }  # fmt: skip
    assert (passed["passed"], idle["passed"], idle["failed"], idle["notApplicable"]) == (1, 0, 0, 1)
    assert idle["notApplicableReason"] == "Table DEATH does not exist."
    assert (of_concept["conceptId"], of_concept["checkLevel"]) == ("26662", "CONCEPT")


def test_the_overview_counts_as_the_dashboard_does():
    found = overview(RESULTS)
    assert (
        found["countTotal"],
        found["countPassed"],
        found["countOverallFailed"],
        found["percentFailed"],
    ) == (4, 3, 1, 25.0)
    assert (
        found["countTotalPlausibility"],
        found["countFailedPlausibility"],
        found["countPassedPlausibility"],
    ) == (2, 1, 1)
    assert (found["countTotalCompleteness"], found["countPassedCompleteness"]) == (1, 0)


def test_the_summary_is_the_dashboards_table():
    heads, *lines, idle = summary(RESULTS)
    assert [line.split() for line in lines] == [
        ["Plausibility", "0", "1", "1", "1", "0", "1", "1", "1", "2"],
        ["Conformance", "0", "0", "0", "1", "0", "1", "1", "0", "1"],
        ["Completeness", "0", "0", "0", "1", "0", "1", "1", "0", "1"],
        ["Total", "0", "1", "1", "3", "0", "3", "3", "1", "4"],
    ]
    assert heads.split() == [
        "Verification",
        "pass",
        "fail",
        "total",
        "Validation",
        "pass",
        "fail",
        "total",
        "Total",
        "pass",
        "fail",
        "total",
    ]
    assert idle.startswith("1 of the passed are not applicable")
