"""Synthea's FHIR and CSV exports of the same 24 people end in the same OMOP rows; what the formats force is counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.books import read, unbalanced
from tests.helpers.cli import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

KEYS = {
    "person": ("gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth", "race_concept_id", "ethnicity_concept_id"),
    "death": ("death_date",),
    "visit_detail": ("visit_detail_concept_id", "visit_detail_start_datetime", "visit_detail_end_datetime"),
    "visit_occurrence": ("visit_concept_id", "visit_start_datetime", "visit_end_datetime"),
    "condition_occurrence": ("condition_source_value", "condition_concept_id", "condition_start_date", "condition_end_date"),
    "drug_exposure": ("drug_source_value", "drug_concept_id", "drug_exposure_start_datetime"),
    "procedure_occurrence": ("procedure_source_value", "procedure_concept_id", "procedure_datetime", "procedure_end_datetime"),
    "measurement": ("measurement_source_value", "measurement_concept_id", "measurement_datetime", "unit_source_value"),
    "observation": ("observation_source_value", "observation_concept_id", "observation_date", "unit_source_value"),
    "device_exposure": ("device_source_value", "device_concept_id"),
    "episode": ("episode_source_value", "episode_object_concept_id", "episode_start_date", "episode_end_date"),
}  # fmt: skip
# Rows that one way alone has, by table, way and kind of record; docs/synthea.md says why.
ONLY = {
    ("measurement", "FHIR", "DiagnosticReport"): 976,
    ("measurement", "CSV", "observations"): 540,
    ("observation", "FHIR", "DiagnosticReport"): 2020,
    ("device_exposure", "CSV", "supplies"): 729,
}
HALF_A_DIGIT = 0.05 + 1e-9  # CSV gives numbers to one decimal,
FIVE_DIGITS = 5e-5  # FHIR to five significant digits


@pytest.fixture(scope="module")
def lakes(synthea_fhir_lake: Path, synthea_csv_lake: Path) -> dict[str, Path]:
    return {"FHIR": synthea_fhir_lake, "CSV": synthea_csv_lake}


def rows(lake: Path, table: str) -> dict[tuple[Any, ...], list[tuple[float | None, str]]]:
    """Values with the kind of their record, by natural key."""
    people = {r["person_id"]: r["source_person_id"] for r in read(lake, "silver/link/person").to_pylist()}
    kinds = {
        r["_record"]: r["_kind"]
        for r in read(lake, "silver/conformed/event", ["_record", "_kind"]).to_pylist()
    }
    found = defaultdict(list)
    for r in read(lake, f"silver/omop/{table}").to_pylist():
        key = (people[r["person_id"]], *[r[c] for c in KEYS[table]])
        found[key].append((r.get("value_as_number"), kinds.get(r["_record"], "")))
    return found


@pytest.mark.parametrize("table", KEYS)
def test_both_ways_give_the_same_rows(lakes: dict[str, Path], table: str) -> None:
    fhir, csv = (rows(lakes[way], table) for way in ("FHIR", "CSV"))
    only: Counter[tuple[str, str, str]] = Counter()
    for key in fhir.keys() | csv.keys():
        theirs, ours = fhir.get(key, []), csv.get(key, [])
        if len(theirs) != len(ours):
            only.update((table, "FHIR", kind) for _, kind in theirs[len(ours) :])
            only.update((table, "CSV", kind) for _, kind in ours[len(theirs) :])
            continue
        pairs = zip(
            sorted(v for v, _ in theirs if v is not None),
            sorted(v for v, _ in ours if v is not None),
            strict=True,
        )
        assert all(abs(a - b) <= max(HALF_A_DIGIT, FIVE_DIGITS * b) for a, b in pairs), (
            f"{table}: a value of {key[1]} differs"
        )
    assert only == {k: n for k, n in ONLY.items() if k[0] == table}


def addressed(lake: Path) -> Counter[tuple[Any, ...]]:
    """Each plan of care with each condition that it is for, by natural keys."""
    conditions = {
        r[f"{key}_id"]: (r[f"{name}_source_value"], r[f"{name}_{day}"])
        for table, key, name, day in (
            ("condition_occurrence", "condition_occurrence", "condition", "start_date"),
            ("observation", "observation", "observation", "date"),
        )
        for r in read(lake, f"silver/omop/{table}").to_pylist()
    }
    plans = {
        r["episode_id"]: (r["episode_source_value"], r["episode_start_date"])
        for r in read(lake, "silver/omop/episode").to_pylist()
    }
    return Counter(
        (*plans[r["episode_id"]], *conditions[r["event_id"]])
        for r in read(lake, "silver/omop/episode_event").to_pylist()
    )


def test_both_ways_say_the_same_conditions_of_a_plan_of_care(lakes: dict[str, Path]) -> None:
    fhir, csv = (addressed(lakes[way]) for way in ("FHIR", "CSV"))
    assert fhir == csv
    assert sum(fhir.values()) == 53


def test_every_row_of_the_csv_is_in_the_ledger(lakes: dict[str, Path]) -> None:
    assert unbalanced(lakes["CSV"]) == []
    severities = read(lakes["CSV"], "ops/quarantine", ["severity"])["severity"].to_pylist()
    assert set(severities) == {"excluded"}


def test_the_page_tells_these_counts() -> None:
    page = (ROOT / "docs" / "synthea.md").read_text(encoding="utf-8")
    for (table, way, _), count in ONLY.items():
        assert f"| {table} | {way} | {count} |" in page
