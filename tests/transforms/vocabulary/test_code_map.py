"""code_map: OHDSI's rules for the standard concepts of a code. One run over all cases, each with codes of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_RELATIONSHIP, SOURCE_TO_CONCEPT_MAP
from carelake.silver.vocabulary.code_map import code_map, look_up
from carelake.silver.vocabulary.successor import successor
from carelake.silver.vocabulary.tables import CODE_MAP, SUCCESSOR
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Targets = dict[str, list[tuple[Any, ...]]]
REPLACED = "Concept replaced by"


def _c(
    n: int, code: str, vocabulary: str = "SNOMED", standard: str | None = "S", **more: Any
) -> dict[str, Any]:
    row = {"concept_id": n, "concept_code": code, "vocabulary_id": vocabulary, "standard_concept": standard}
    return row | {"domain_id": "Condition", "concept_class_id": "Disorder"} | more


def _r(a: int, b: int, kind: str = "Maps to", **more: Any) -> dict[str, Any]:
    return {"concept_id_1": a, "concept_id_2": b, "relationship_id": kind} | more


def _m(code: str, target: int, **more: Any) -> dict[str, Any]:
    return {
        "source_vocabulary_id": "ICD10CM",
        "source_code": code,
        "target_concept_id": target,
        "_map": "mine",
    } | more


CONCEPTS = [
    _c(1, "a"),
    _c(2, "b", domain_id="Observation"),
    _c(3, "not standard", standard=None),
    _c(4, "deleted", invalid_reason="D"),
    _c(10, "E1121", "ICD10CM", None),
    _c(11, "dead ends", standard=None),
    _c(12, "far", standard=None, invalid_reason="U"),
    _c(13, "near", standard=None, invalid_reason="U"),
    _c(14, "next", standard=None, invalid_reason="U"),
    _c(15, "both", standard=None),
    _c(16, "circle", standard=None),
    _c(17, "too far", standard=None, invalid_reason="U"),
    _c(20, "Z8679", "ICD10CM", None),
    _c(21, "I10", "ICD10CM", None),
    _c(22, "I11", "ICD10CM", None),
    _c(23, "I12", "ICD10CM", None),
    _c(24, "I13", "ICD10CM", None),
    _c(30, "00002871517", "NDC", None, invalid_reason="D"),
    _c(31, "00002871517", "NDC", None),
    _c(32, "08", "CVX"),
    # a chain of nine replacements, of which eight are followed
    *[_c(40 + n, f"chain {n}", standard=None, invalid_reason="U") for n in range(1, 10)],
    # two circles: one of three that leads out by a fourth, one that leads nowhere
    *[_c(50 + n, f"ring {n}", standard=None, invalid_reason="U") for n in range(3)],
    *[_c(60 + n, f"maze {n}", standard=None, invalid_reason="U") for n in range(2)],
    _c(70, "fork", standard=None, invalid_reason="U"),
    _c(71, "stale map", standard=None),
    _c(72, "lost standing", standard=None, invalid_reason="U"),
    # NDC: 00002-8715-17 alone may be 0002-8715-17; two may be 1234567890
    _c(80, "11111222233", "NDC", None),
    _c(81, "12345067890", "NDC", None),
    _c(82, "01234567890", "NDC", None),
    _c(90, "99213", "CPT4", "S", domain_id="Observation"),
    _c(91, "G0444", "HCPCS", "S", domain_id="Procedure"),
    _c(92, "J1885", "HCPCS", "S", domain_id="Drug"),
    _c(93, "J1885", "CPT4", "S", domain_id="Observation"),
]
RELATIONSHIPS = [
    _r(10, 2),
    _r(10, 1),
    _r(1, 1),
    _r(11, 1, invalid_reason="D"),
    _r(11, 3),
    _r(11, 4),
    _r(17, 12, REPLACED),
    _r(12, 13, REPLACED),
    _r(13, 14, REPLACED),
    _r(14, 1, REPLACED),
    _r(15, 1),
    _r(15, 2, REPLACED),
    _r(16, 16, REPLACED),
    _r(20, 1),
    _r(20, 2, "Maps to value"),
    _r(22, 1),
    _r(30, 2),
    _r(31, 1),
    *[_r(40 + n, 41 + n, REPLACED) for n in range(1, 9)],
    _r(49, 2, REPLACED),
    *[_r(50 + n, 50 + (n + 1) % 3, REPLACED) for n in range(3)],
    _r(52, 1, REPLACED),
    _r(60, 61, REPLACED),
    _r(61, 60, REPLACED),
    _r(70, 1, REPLACED),
    _r(70, 12, REPLACED),
    _r(71, 72),
    _r(72, 2, REPLACED),
    _r(81, 1),
    _r(82, 2),
]
OWN = {"source_vocabulary_id": "urn:oid:1.2.3", "_map": "lab"}
LOCAL = [
    _m("L1", 12, **OWN, source_concept_id=2_000_001_001),
    _m("L2", 2, **OWN, _value_as_concept_id=1),
    _m("L3", 1, **OWN),
    _m("L3", 2, **OWN),
    _m("L4", 0, **OWN),
    _m("4548-4", 1, source_vocabulary_id="http://loinc.org", _map="lab"),
    _m("I10", 2),
    _m("I11", 2),
    _m("E1122", 2),
    _m("I12", 3),
    _m("I13", 1, invalid_reason="D"),
]


@pytest.fixture(scope="module")
def made(spark: SparkSession) -> DataFrame:
    """The map of all cases."""
    relationships = frame(spark, CONCEPT_RELATIONSHIP, *RELATIONSHIPS).cache()
    return CODE_MAP.conform(
        code_map(
            frame(spark, CONCEPT, *CONCEPTS),
            relationships,
            successor(relationships).cache(),
            frame(spark, SOURCE_TO_CONCEPT_MAP, *LOCAL),
        )
    ).cache()


@pytest.fixture(scope="module")
def targets(made: DataFrame) -> Targets:
    """Per code: source concept, concept, value, number, provenance, domain of the source, domain of the target."""
    found: Targets = {}
    for r in sorted(made.collect(), key=lambda r: (r.code, r.target_no)):
        row = (r.source_concept_id, r.concept_id, r.value_as_concept_id, r.target_no, r.provenance)
        found.setdefault(r.code, []).append((*row, r.source_domain_id, r.domain_id))
    return found


def _plain(source: int, concept: int, *domains: str | None) -> tuple[Any, ...]:
    return (source, concept, None, 0, "vocabulary", *domains)


def test_a_standard_concept_means_itself_with_or_without_a_relationship(targets: Targets) -> None:
    assert targets["a"] == [_plain(1, 1, "Condition", "Condition")]
    assert targets["b"] == [_plain(2, 2, "Observation", "Observation")]


def test_a_source_code_keeps_all_its_targets_in_order(targets: Targets) -> None:
    assert targets["E11.21"] == [
        (10, 1, None, 0, "vocabulary", "Condition", "Condition"),
        (10, 2, None, 1, "vocabulary", "Condition", "Observation"),
    ]


@pytest.mark.omop_rule(6)
def test_only_valid_relationships_to_valid_standard_concepts_count(targets: Targets) -> None:
    """OHDSI vocabularies: only a valid Maps to a valid standard concept counts."""
    assert targets["dead ends"] == [_plain(11, 0, "Condition", None)]


@pytest.mark.omop_rule(5)
def test_a_known_code_that_maps_to_nothing_is_one_row_with_concept_0(targets: Targets) -> None:
    """CDM v5.4: a code that maps to nothing is concept 0."""
    assert targets["not standard"] == [_plain(3, 0, "Condition", None)]
    assert targets["deleted"] == [_plain(4, 0, "Condition", None)]


def test_a_replaced_concept_takes_the_meaning_of_its_successor_along_a_chain_of_eight(
    targets: Targets,
) -> None:
    assert [targets[code][0][1] for code in ("next", "near", "far", "too far")] == [1, 1, 1, 1]
    assert [targets[f"chain {n}"][0][1] for n in range(1, 10)] == [0, 2, 2, 2, 2, 2, 2, 2, 2]


def test_of_several_successors_the_nearest_with_a_meaning_decides(targets: Targets) -> None:
    assert [t[1] for t in targets["fork"]] == [1]


def test_circles_of_replacements_end_and_give_what_leads_out_of_them(targets: Targets) -> None:
    assert [targets[f"ring {n}"][0][1] for n in range(3)] == [1, 1, 1]
    assert [targets[f"maze {n}"][0][1] for n in range(2)] == [0, 0]


def test_a_map_to_a_concept_that_lost_its_standing_goes_on_to_its_successor(targets: Targets) -> None:
    assert targets["stale map"] == [_plain(71, 2, "Condition", "Observation")]


def test_maps_to_wins_over_replacement_and_a_circle_of_replacements_ends(targets: Targets) -> None:
    assert targets["both"] == [_plain(15, 1, "Condition", "Condition")]
    assert targets["circle"] == [_plain(16, 0, "Condition", None)]


@pytest.mark.omop_rule(6)
def test_maps_to_value_gives_the_value(targets: Targets) -> None:
    """OHDSI vocabularies: Maps to value."""
    assert targets["Z86.79"] == [(20, 1, 2, 0, "vocabulary", "Condition", "Condition")]


def test_a_local_map_serves_codes_without_a_concept_or_without_a_target(targets: Targets) -> None:
    assert targets["E11.22"] == [(0, 2, None, 0, "mine", None, "Observation")]
    assert targets["I10"] == [(21, 2, None, 0, "mine", "Condition", "Observation")]


def test_the_vocabulary_wins_over_a_local_map(targets: Targets) -> None:
    assert targets["I11"] == [_plain(22, 1, "Condition", "Condition")]


def test_a_local_map_that_is_invalid_or_has_no_standard_target_is_no_map(targets: Targets) -> None:
    assert targets["I12"] == [_plain(23, 0, "Condition", None)]
    assert targets["I13"] == [_plain(24, 0, "Condition", None)]


def test_of_two_concepts_with_one_code_the_valid_one_is_used(targets: Targets) -> None:
    assert targets["00002871517"] == [_plain(31, 1, "Condition", "Condition")]


def test_codes_of_the_vocabulary_are_brought_into_look_up_form_too(targets: Targets) -> None:
    assert targets["8"] == [_plain(32, 32, "Condition", "Condition")]
    assert "08" not in targets


def test_a_10_digit_ndc_without_hyphens_means_a_drug_when_it_can_be_no_other(targets: Targets) -> None:
    assert targets["0002871517"] == targets["00002871517"]  # 4-4-2, and 0000-2871-517 is no form of another
    assert "1234567890" not in targets  # 12345-067-890 has no such form, 12345-0678-90 and 01234-5678-90 have
    assert {code for code in targets if code.startswith("1111")} == {"11111222233"}


def test_cpt_codes_are_found_under_hcpcs_and_the_other_way_round_unless_both_have_them(
    spark: SparkSession, made: DataFrame
) -> None:
    got = made.where("vocabulary_id IN ('HCPCS', 'CPT4')").orderBy("vocabulary_id", "code").collect()
    assert [(r.vocabulary_id, r.code, r.concept_id, r.source_concept_id) for r in got] == [
        ("CPT4", "99213", 90, 90), ("CPT4", "G0444", 91, 91), ("CPT4", "J1885", 93, 93),
        ("HCPCS", "99213", 90, 90), ("HCPCS", "G0444", 91, 91), ("HCPCS", "J1885", 92, 92),
    ]  # fmt: skip


def test_a_local_map_gives_several_targets_a_value_and_the_sites_own_source_concept(targets: Targets) -> None:
    assert targets["L2"] == [(0, 2, 1, 0, "lab", None, "Observation")]
    assert targets["L3"] == [
        (0, 1, None, 0, "lab", None, "Condition"),
        (0, 2, None, 1, "lab", None, "Observation"),
    ]
    assert targets["L1"][0][0] == 2_000_001_001


def test_a_local_map_follows_the_replacement_of_its_target(targets: Targets) -> None:
    assert targets["L1"] == [(2_000_001_001, 1, None, 0, "lab", None, "Condition")]


def test_a_local_map_without_target_says_nothing_and_its_code_system_is_known_in_any_spelling(
    targets: Targets, made: DataFrame
) -> None:
    assert "L4" not in targets
    row = made.where("code = '4548-4'").first()
    assert row is not None
    assert (row.vocabulary_id, row.concept_id) == ("LOINC", 1)


def test_only_the_codes_that_occur_are_taken_from_the_map(spark: SparkSession, made: DataFrame) -> None:
    wanted = spark.createDataFrame(
        [("SNOMED", "a"), ("SNOMED", "a"), ("ICD10CM", "a"), ("ICD10CM", "E11.21"), (None, "b")],
        "vocabulary_id string, code string",
    )
    got = look_up(made, wanted).collect()
    assert sorted((r.code, r.concept_id) for r in got) == [("E11.21", 1), ("E11.21", 2), ("a", 1)]


def test_successors_are_listed_with_the_least_steps_up_to_eight_and_circles_end(spark: SparkSession) -> None:
    edges = [(1, 2), (2, 3), (1, 3), (5, 6), (6, 5), (7, 7), *((n, n + 1) for n in range(100, 110))]
    made = SUCCESSOR.conform(
        successor(
            frame(
                spark, CONCEPT_RELATIONSHIP,
                *[_r(a, b, REPLACED) for a, b in edges], _r(1, 9), _r(1, 8, REPLACED, invalid_reason="D"),
            )
        )
    )  # fmt: skip
    assert rows(made.where("concept_id < 100")) == [
        (1, 2, 1),
        (1, 3, 1),
        (2, 3, 1),
        (5, 5, 2),
        (5, 6, 1),
        (6, 5, 1),
        (6, 6, 2),
    ]
    assert rows(made.where("concept_id = 100"), "steps") == [(n,) for n in range(1, 9)]
