"""silver/link/visit: OMOP_RULES 1 and 2 on hand-written encounters. Each case is a person of its own; all run at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.conformed.encounter import ENCOUNTER, VISIT_CLASSES
from carelake.silver.link.tables import PERSON_LINK, VISIT_LINK
from carelake.silver.link.visit import CLASS_CONCEPTS, visit
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import Row, SparkSession

EXTRACT = date(2024, 9, 1)

# case: (id, class, start, end); a time makes has_time true; "name@sender" is sent by another than ehr
CASES: Mapping[str, tuple[tuple[str | None, ...], ...]] = {
    "overlap": (("1", "inpatient", "2020-01-01 10:00", "2020-01-04 09:00"), ("2", "inpatient", "2020-01-03 08:00", "2020-01-06 12:00")),
    "touch": (("1", "inpatient", "2020-01-01 10:00", "2020-01-04 09:00"), ("2", "inpatient", "2020-01-04 09:00", "2020-01-06 12:00")),
    "next day": (("1", "inpatient", "2020-01-01 10:00", "2020-01-04 09:00"), ("2", "inpatient", "2020-01-05 23:00", "2020-01-06 12:00")),
    "two days": (("1", "inpatient", "2020-01-01 10:00", "2020-01-04 23:00"), ("2", "inpatient", "2020-01-06 01:00", "2020-01-07 12:00")),
    "nested": (
        ("1", "inpatient", "2020-01-01 10:00", "2020-01-20 09:00"), ("2", "inpatient", "2020-01-02 08:00", "2020-01-03 12:00"),
        ("3", "inpatient", "2020-01-15 08:00", "2020-01-16 12:00"),
    ),
    "er into stay": (("e", "emergency", "2020-01-01 08:00", "2020-01-01 11:00"), ("i", "inpatient", "2020-01-01 10:00", "2020-01-03 09:00")),
    "er ends at start": (("e", "emergency", "2020-01-01 08:00", "2020-01-01 10:00"), ("i", "inpatient", "2020-01-01 10:00", "2020-01-03 09:00")),
    "er ends before": (("e", "emergency", "2020-01-01 08:00", "2020-01-01 09:59"), ("i", "inpatient", "2020-01-01 10:00", "2020-01-03 09:00")),
    "er starts inside": (("e", "emergency", "2020-01-02 08:00", "2020-01-02 09:00"), ("i", "inpatient", "2020-01-01 10:00", "2020-01-03 09:00")),
    "er at same start": (("e", "emergency", "2020-01-01 10:00", "2020-01-01 12:00"), ("i", "inpatient", "2020-01-01 10:00", "2020-01-03 09:00")),
    "er in the gap": (
        ("1", "inpatient", "2020-01-01 10:00", "2020-01-03 09:00"), ("e", "emergency", "2020-01-03 20:00", "2020-01-03 21:00"),
        ("2", "inpatient", "2020-01-04 08:00", "2020-01-05 09:00"),
    ),
    "er from the gap": (
        ("1", "inpatient", "2020-01-01 10:00", "2020-01-03 09:00"), ("e", "emergency", "2020-01-03 20:00", "2020-01-04 09:00"),
        ("2", "inpatient", "2020-01-04 08:00", "2020-01-05 09:00"),
    ),
    "er bridges": (
        ("1", "inpatient", "2020-01-01 10:00", "2020-01-03 09:00"), ("e", "emergency", "2020-01-02 08:00", "2020-01-06 09:00"),
        ("2", "inpatient", "2020-01-06 08:00", "2020-01-08 09:00"),
    ),
    "er to the second": (
        ("1", "inpatient", "2020-01-01 10:00", "2020-01-03 09:00"), ("e", "emergency", "2020-01-04 20:00", "2020-01-05 04:00"),
        ("2", "inpatient", "2020-01-05 03:00", "2020-01-08 09:00"),
    ),
    "claim on the eve": (("e", "emergency", "2020-01-01", "2020-01-01"), ("i", "inpatient", "2020-01-02", "2020-01-04")),
    "claim past midnight": (("e", "emergency", "2020-01-01", "2020-01-02"), ("i", "inpatient", "2020-01-02", "2020-01-04")),
    "claim on the day": (("e", "emergency", "2020-01-02", "2020-01-02"), ("i", "inpatient", "2020-01-02", "2020-01-02")),
    "claim through er": (("i", "inpatient", "2020-01-02", "2020-01-02", "emergency"),),
    "outpatient inside": (("i", "inpatient", "2020-01-01", "2020-01-05"), ("o", "outpatient", "2020-01-05", "2020-01-05")),
    "outpatient later": (("i", "inpatient", "2020-01-01 10:00", "2020-01-05 09:00"), ("o", "outpatient", "2020-01-05 11:00", "2020-01-05 12:00")),
    "outpatient runs on": (("i", "inpatient", "2020-01-01", "2020-01-05"), ("o", "outpatient", "2020-01-04", "2020-01-20")),
    "er twice": (
        ("1", "emergency", "2020-01-01 08:00", "2020-01-01 09:00"), ("2", "emergency", "2020-01-01 08:00", "2020-01-01 10:00"),
        ("3", "emergency", "2020-01-01 18:00", "2020-01-01 19:00"),
    ),
    "same day": (("1", "outpatient", "2020-01-01 08:00", "2020-01-01 09:00"), ("2", "outpatient", "2020-01-01 15:00", "2020-01-01 15:30")),
    "midnight": (("1", "outpatient", "2020-01-01 23:30", "2020-01-02 00:15"), ("2", "outpatient", "2020-01-02 10:00", "2020-01-02 10:30")),
    "long outpatient": (
        ("1", "outpatient", "2020-01-01", "2020-01-20"), ("2", "outpatient", "2020-01-10", "2020-02-01"), ("3", "outpatient", "2020-01-15", "2020-01-15"),
    ),
    "snf and stay": (
        ("i", "inpatient", "2020-01-01", "2020-01-05"), ("1", "skilled_nursing", "2020-01-05", "2020-01-31"),
        ("2", "skilled_nursing", "2020-02-01", "2020-02-10"), ("3", "skilled_nursing", "2020-02-13", "2020-02-20"), ("h", "hospice", "2020-02-10", "2020-03-01"),
        ("m", "home", "2020-01-02", "2020-01-03"),
    ),
    "still in": (("i", "inpatient", "2024-08-30 10:00", None),),
    "never closed": (("o", "outpatient", "2001-08-30 10:00", None), ("e", "emergency", "2001-08-30 11:00", None)),
    "two senders": (("i", "inpatient", "2020-01-01", "2020-01-05"), ("i@claims", "inpatient", "2020-01-01", "2020-01-05")),
    "late joiner": (("b", "inpatient", "2020-01-01 10:00", "2020-01-04 09:00"), ("a", "outpatient", "2020-01-01 10:00", "2020-01-01 11:00")),
}  # fmt: skip


@dataclass(frozen=True)
class Visit:
    """What a test looks at: the visit's concept, its span, and rule by encounter."""

    concept: int
    start: str
    end: str
    rules: dict[str, str]


def _encounters(cases: Mapping[str, tuple[tuple[str | None, ...], ...]]) -> Iterator[dict[str, Any]]:
    for person, encounters in cases.items():
        for name, kind, start, end, *origin in encounters:
            local, _, sender = str(name).partition("@")
            yield {
                "_source": sender or "ehr", "source_person_id": person, "source_encounter_id": f"{person}/{local}",
                "visit_class": kind, "start_datetime": start, "end_datetime": end, "has_time": ":" in str(start),
                "admitted_from": origin[0] if origin else None, "type_concept_id": 32817,
            }  # fmt: skip


def link(spark: SparkSession, cases: Mapping[str, tuple[tuple[str | None, ...], ...]]) -> list[Row]:
    """Run the step on the cases; the person of case n is n."""
    people = [
        {"source": sender, "source_person_id": person, "person_id": n, "rule": "self", "score": 1.0}
        for n, person in enumerate(CASES)
        for sender in ("ehr", "claims")
    ]
    encounters = [
        *_encounters(cases),
        *_encounters({"nobody": (("1", "office", "2020-01-01", "2020-01-01"),)}),
    ]
    df = visit(frame(spark, ENCOUNTER, *encounters), frame(spark, PERSON_LINK, *people), EXTRACT)
    return VISIT_LINK.conform(df).collect()


@pytest.fixture(scope="module")
def linked(spark: SparkSession) -> list[Row]:
    return link(spark, CASES)


def of(linked: list[Row], person: str, source: str = "ehr") -> list[Visit]:
    """The visits of a case, by start."""
    found: dict[int, Visit] = {}
    for r in linked:
        case, _, name = r.source_encounter_id.partition("/")
        if case != person or r.source != source:
            continue
        v = Visit(
            r.visit_concept_id,
            f"{r.visit_start_datetime:%m-%d %H:%M}",
            f"{r.visit_end_datetime:%m-%d %H:%M}",
            {},
        )
        found.setdefault(r.visit_occurrence_id, v).rules[name] = r.rule
        assert (v.concept, v.start, v.end) == (
            found[r.visit_occurrence_id].concept,
            found[r.visit_occurrence_id].start,
            v.end,
        )
    return sorted(found.values(), key=lambda v: (v.start, v.end, v.concept))


@pytest.mark.omop_rule(1)
@pytest.mark.parametrize(
    ("case", "end"),
    [
        ("overlap", "01-06 12:00"),
        ("touch", "01-06 12:00"),
        ("next day", "01-06 12:00"),
        ("nested", "01-20 09:00"),
    ],
)
def test_rule_1_inpatient_encounters_at_most_a_day_apart_are_one_visit(
    linked: list[Row], case: str, end: str
) -> None:
    """CDM v5.4 VISIT_OCCURRENCE, ETL conventions: inpatient visits within one day of each other may be one visit."""
    [stay] = of(linked, case)
    assert (stay.concept, stay.start, stay.end) == (9201, "01-01 10:00", end)
    assert set(stay.rules.values()) == {"merged_inpatient"}


@pytest.mark.omop_rule(1)
def test_rule_1_inpatient_encounters_two_days_apart_are_two_visits(linked: list[Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE, ETL conventions: only those within one day of each other are one visit."""
    assert [(v.concept, v.start) for v in of(linked, "two days")] == [
        (9201, "01-01 10:00"),
        (9201, "01-06 01:00"),
    ]


@pytest.mark.omop_rule(1)
@pytest.mark.parametrize("case", ["er into stay", "er ends at start"])
def test_rule_1_emergency_that_leads_into_a_stay_makes_one_visit_262_from_its_start(
    linked: list[Row], case: str
) -> None:
    """CDM v5.4 VISIT_OCCURRENCE: concept 262, Emergency Room and Inpatient Visit."""
    [stay] = of(linked, case)
    assert stay == Visit(
        262, "01-01 08:00", "01-03 09:00", {"e": "emergency_to_inpatient", "i": "emergency_to_inpatient"}
    )


@pytest.mark.omop_rule(1)
def test_rule_1_emergency_that_ends_before_the_stay_is_its_own_visit(linked: list[Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE: 262 needs an emergency contact that reaches the admission."""
    assert [(v.concept, v.start) for v in of(linked, "er ends before")] == [
        (9203, "01-01 08:00"),
        (9201, "01-01 10:00"),
    ]


@pytest.mark.omop_rule(1)
@pytest.mark.parametrize("case", ["er starts inside", "er at same start"])
def test_rule_1_emergency_that_starts_inside_a_stay_rolls_in(linked: list[Row], case: str) -> None:
    """CDM v5.4 VISIT_OCCURRENCE and VISIT_DETAIL: what happens inside a visit is its detail."""
    [stay] = of(linked, case)
    assert stay == Visit(9201, "01-01 10:00", "01-03 09:00", {"e": "rolled_into_stay", "i": "self"})


@pytest.mark.parametrize("case", ["er in the gap", "er from the gap"])
def test_rule_1_emergency_between_two_merged_stays_rolls_in(linked: list[Row], case: str) -> None:
    [stay] = of(linked, case)
    assert (stay.concept, stay.start, stay.end, stay.rules["e"]) == (
        9201,
        "01-01 10:00",
        "01-05 09:00",
        "rolled_into_stay",
    )


def test_rule_1_emergency_from_inside_one_stay_into_the_next_joins_both(linked: list[Row]) -> None:
    [stay] = of(linked, "er bridges")
    assert (stay.concept, stay.start, stay.end) == (9201, "01-01 10:00", "01-08 09:00")


def test_rule_1_an_emergency_encounter_does_not_bridge_a_day(linked: list[Row]) -> None:
    first, second = of(linked, "er to the second")
    assert (first.concept, first.end) == (9201, "01-03 09:00")
    assert (second.concept, second.start, set(second.rules)) == (262, "01-04 20:00", {"e", "2"})


def test_rule_1_one_day_emergency_claim_on_the_eve_does_not_reach_the_stay(linked: list[Row]) -> None:
    assert [(v.concept, v.start, v.end) for v in of(linked, "claim on the eve")] == [
        (9203, "01-01 00:00", "01-01 00:00"), (9201, "01-02 00:00", "01-04 00:00"),
    ]  # fmt: skip


def test_rule_1_emergency_claim_through_the_day_of_admission_makes_262(linked: list[Row]) -> None:
    assert [(v.concept, v.start, v.end) for v in of(linked, "claim past midnight")] == [
        (262, "01-01 00:00", "01-04 00:00")
    ]


def test_rule_1_zero_length_claims_of_one_day_are_one_inpatient_visit(linked: list[Row]) -> None:
    [stay] = of(linked, "claim on the day")
    assert stay == Visit(9201, "01-02 00:00", "01-02 00:00", {"e": "rolled_into_stay", "i": "self"})


def test_rule_1_inpatient_claim_through_the_emergency_room_is_262(linked: list[Row]) -> None:
    assert of(linked, "claim through er") == [Visit(262, "01-02 00:00", "01-02 00:00", {"i": "self"})]


@pytest.mark.omop_rule(1)
def test_rule_1_outpatient_inside_a_stay_rolls_in_through_its_last_day(linked: list[Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE, ETL conventions: outpatient visits inside an inpatient one are rolled into it."""
    assert of(linked, "outpatient inside") == [
        Visit(9201, "01-01 00:00", "01-05 00:00", {"i": "self", "o": "rolled_into_stay"})
    ]


@pytest.mark.parametrize("case", ["outpatient later", "outpatient runs on"])
def test_rule_1_outpatient_not_inside_a_stay_is_its_own_visit(linked: list[Row], case: str) -> None:
    assert [v.concept for v in of(linked, case)] == [9201, 9202]


@pytest.mark.omop_rule(1)
def test_rule_1_emergency_is_one_visit_by_person_and_start(linked: list[Row]) -> None:
    """As OHDSI's ETL-Synthea has it; CDM v5.4 VISIT_OCCURRENCE leaves to the ETL which records are one visit."""
    assert of(linked, "er twice") == [
        Visit(9203, "01-01 08:00", "01-01 10:00", {"1": "emergency_same_start", "2": "emergency_same_start"}),
        Visit(9203, "01-01 18:00", "01-01 19:00", {"3": "self"}),
    ]


@pytest.mark.omop_rule(1)
def test_rule_1_outpatient_is_one_visit_by_person_and_day(linked: list[Row]) -> None:
    """As OHDSI's ETL-Synthea has it; CDM v5.4 VISIT_OCCURRENCE leaves to the ETL which records are one visit."""
    assert of(linked, "same day") == [
        Visit(9202, "01-01 08:00", "01-01 15:30", {"1": "outpatient_same_day", "2": "outpatient_same_day"})
    ]


@pytest.mark.omop_rule(1)
def test_rule_1_crossing_midnight_makes_no_second_visit(linked: list[Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE: the day is that of the start in the record's own offset."""
    assert [(v.start, v.end) for v in of(linked, "midnight")] == [
        ("01-01 23:30", "01-02 00:15"),
        ("01-02 10:00", "01-02 10:30"),
    ]


@pytest.mark.omop_rule(1)
def test_rule_1_multi_day_visits_of_a_class_never_overlap(linked: list[Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE, ETL conventions: multi-day visits share no days but those of start and end."""
    assert of(linked, "long outpatient") == [
        Visit(9202, "01-01 00:00", "02-01 00:00", {"1": "merged_contiguous", "2": "merged_contiguous"}),
        Visit(9202, "01-15 00:00", "01-15 00:00", {"3": "self"}),
    ]


@pytest.mark.omop_rule(1)
def test_rule_1_nursing_hospice_and_home_never_merge_into_a_hospital_stay(linked: list[Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE: 8863, 8546 and 581476 are visits of their own."""
    assert [(v.concept, v.start, v.end, set(v.rules)) for v in of(linked, "snf and stay")] == [
        (9201, "01-01 00:00", "01-05 00:00", {"i"}),
        (581476, "01-02 00:00", "01-03 00:00", {"m"}),
        (8863, "01-05 00:00", "02-10 00:00", {"1", "2"}),
        (8546, "02-10 00:00", "03-01 00:00", {"h"}),
        (8863, "02-13 00:00", "02-20 00:00", {"3"}),
    ]


@pytest.mark.omop_rule(1)
def test_rule_1_a_stay_still_open_ends_on_the_extract_date(linked: list[Row]) -> None:
    """CDM v5.4 VISIT_OCCURRENCE.visit_end_date: of a visit still open, the date of the extract."""
    [row] = [r for r in linked if r.source_encounter_id == "still in/i"]
    assert (row.visit_end_datetime.isoformat(), row.end_is_extract_date) == ("2024-09-01T00:00:00", True)


def test_rule_1_a_contact_that_was_never_closed_ends_when_it_started(linked: list[Row]) -> None:
    assert [(v.concept, v.start, v.end) for v in of(linked, "never closed")] == [
        (9202, "08-30 10:00", "08-30 10:00"), (9203, "08-30 11:00", "08-30 11:00"),
    ]  # fmt: skip


@pytest.mark.omop_rule(1)
def test_rule_1_every_class_gets_a_visit(spark: SparkSession) -> None:
    """CDM v5.4 VISIT_OCCURRENCE: all encounters are visits (OHDSI's ETL-Synthea loses one in twenty)."""
    person = next(iter(CASES))
    found = link(
        spark,
        {
            person: tuple(
                (c, c, f"2020-{n:02d}-01 10:00", f"2020-{n:02d}-01 11:00")
                for n, c in enumerate(VISIT_CLASSES, 1)
            )
        },
    )
    assert {r.source_encounter_id.partition("/")[2]: r.visit_concept_id for r in found} == {
        "inpatient": 9201, "emergency": 9203, "outpatient": 9202, "office": 581477, "urgent_care": 8782, "telehealth": 5083, "home": 581476,
        "skilled_nursing": 8863, "hospice": 8546, "laboratory": 32036, "pharmacy": 581458, "unknown": 0,
    }  # fmt: skip
    assert set(CLASS_CONCEPTS) == set(VISIT_CLASSES)


def test_visits_of_two_senders_stay_apart(linked: list[Row]) -> None:
    assert len({r.visit_occurrence_id for r in linked if r.source_encounter_id == "two senders/i"}) == 2


@pytest.mark.omop_rule(2)
def test_rule_2_every_encounter_of_a_known_person_is_a_detail_of_its_visits_concept(
    linked: list[Row],
) -> None:
    """CDM v5.4 VISIT_DETAIL: its concept is the visit's or a descendant."""
    assert len({r.visit_detail_id for r in linked}) == len(linked) == sum(len(c) for c in CASES.values())
    assert all(r.detail_concept_id == r.visit_concept_id for r in linked)


@pytest.mark.omop_rule(2)
def test_rule_2_what_rolled_in_names_the_inpatient_detail_as_parent(linked: list[Row]) -> None:
    """CDM v5.4 VISIT_DETAIL.parent_visit_detail_id."""
    detail = {r.source_encounter_id: r.visit_detail_id for r in linked if r.source == "ehr"}
    parents = {
        r.source_encounter_id: r.parent_visit_detail_id
        for r in linked
        if r.parent_visit_detail_id is not None
    }
    expected = {
        "er into stay/e": "er into stay/i", "er ends at start/e": "er ends at start/i", "er starts inside/e": "er starts inside/i",
        "er at same start/e": "er at same start/i", "er in the gap/e": "er in the gap/1", "er from the gap/e": "er from the gap/1", "er bridges/e": "er bridges/1",
        "er to the second/e": "er to the second/2", "claim past midnight/e": "claim past midnight/i", "claim on the day/e": "claim on the day/i",
        "outpatient inside/o": "outpatient inside/i", "late joiner/a": "late joiner/b",
    }  # fmt: skip
    assert parents == {child: detail[parent] for child, parent in expected.items()}


@pytest.mark.omop_rule(18)
def test_a_visits_id_stays_when_a_later_encounter_joins_and_details_keep_theirs(
    spark: SparkSession, linked: list[Row]
) -> None:
    """CDM v5.4: visit_occurrence_id and visit_detail_id are keys; OHDSI's ETL-Synthea numbers them anew on each run."""
    before = {
        r.source_encounter_id: r
        for r in link(
            spark, {k: CASES[k][:1] for k in ("overlap", "er into stay", "same day", "late joiner")}
        )
    }
    after = {r.source_encounter_id: r for r in linked}
    assert len(before) == 4
    assert all(after[k].visit_occurrence_id == r.visit_occurrence_id for k, r in before.items())
    assert all(after[k].visit_detail_id == r.visit_detail_id for k, r in before.items())
