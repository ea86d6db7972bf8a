"""code_map: OHDSI's rules for the standard concepts of a code. One run over all cases, each with codes of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_RELATIONSHIP, SOURCE_TO_CONCEPT_MAP
from carelake.silver.vocabulary.code_map import code_map
from carelake.silver.vocabulary.tables import CODE_MAP
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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
]
LOCAL = [_m("I10", 2), _m("I11", 2), _m("E1122", 2), _m("I12", 3), _m("I13", 1, invalid_reason="D")]


@pytest.fixture(scope="module")
def targets(spark: SparkSession) -> Targets:
    """Per code: source concept, concept, value, number, provenance, domain of the source, domain of the target."""
    out = CODE_MAP.conform(
        code_map(
            frame(spark, CONCEPT, *CONCEPTS),
            frame(spark, CONCEPT_RELATIONSHIP, *RELATIONSHIPS),
            frame(spark, SOURCE_TO_CONCEPT_MAP, *LOCAL),
        )
    )
    found: Targets = {}
    for r in sorted(out.collect(), key=lambda r: (r.code, r.target_no)):
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


def test_a_replaced_concept_takes_the_meaning_of_its_successor_up_to_three_steps_away(
    targets: Targets,
) -> None:
    assert [targets[code][0][1] for code in ("next", "near", "far", "too far")] == [1, 1, 1, 0]


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
