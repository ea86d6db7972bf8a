"""A site's own maps and concepts: which rows count, what is kept of them, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.errors import InputError
from carelake.silver.vocabulary import local_rows
from carelake.silver.vocabulary.cdm_tables import (
    CONCEPT,
    SOURCE_TO_CONCEPT_MAP,
    concept,
    source_to_concept_map,
)
from carelake.silver.vocabulary.folder import settings
from carelake.silver.vocabulary.tables import SUCCESSOR
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

# What Usagi 1.4 saves, with the worklist's vocabulary chosen as additional information
USAGI = """sourceCode,sourceName,sourceFrequency,sourceAutoAssignedConceptIds,ADD_INFO:sourceVocabularyId,matchScore,mappingStatus,equivalence,statusSetBy,statusSetOn,conceptId,conceptName,domainId,mappingType,comment,createdBy,createdOn,assignedReviewer
GLU1,"Glucose, ""fasting"" plasma",120,,urn:oid:1.2.3,0.91,APPROVED,EQUAL,ann,1714521600000,11,Glucose,Measurement,MAPS_TO,,ben,1714435200000,
PANEL,Two things,40,,urn:oid:1.2.3,0.80,APPROVED,WIDER,ann,1714521600000,12,Sodium,Measurement,MAPS_TO,,ben,1714435200000,
PANEL,Two things,40,,urn:oid:1.2.3,0.80,APPROVED,WIDER,ann,1714521600000,11,Glucose,Measurement,MAPS_TO,,ben,1714435200000,
HIST,History of asthma,9,,urn:oid:1.2.3,0.70,APPROVED,EQUIVALENT,ann,1714521600000,13,History of,Observation,MAPS_TO,,ben,1714435200000,
HIST,History of asthma,9,,urn:oid:1.2.3,0.70,APPROVED,EQUIVALENT,ann,1714521600000,14,Asthma,Condition,MAPS_TO_VALUE,,ben,1714435200000,
DRAFT,Not looked at,8,,urn:oid:1.2.3,0.50,UNCHECKED,UNREVIEWED,,0,11,Glucose,Measurement,MAPS_TO,,<auto>,1714435200000,
NONE,Looked at in vain,7,,urn:oid:1.2.3,0.00,APPROVED,UNMATCHED,ann,1714521600000,0,Unmapped,,MAPS_TO,,,0,
"""
MAP = """source_code,source_concept_id,source_vocabulary_id,source_code_description,target_concept_id,target_vocabulary_id,valid_start_date,valid_end_date,invalid_reason,status,mapped_by,equivalence
E11,0,ICD-10-CM,Diabetes,13,SNOMED,20200101,20991231,,APPROVED,cleo,EQUAL
E12,0,ICD-10-CM,Draft,13,SNOMED,2020-01-01,2099-12-31,,FLAGGED,cleo,EQUAL
L1,2000001001,urn:oid:1.2.3,A local thing,11,,1970-01-01,2099-12-31,,,,
"""
MAPPED = (
    "source_vocabulary_id", "source_code", "source_concept_id", "target_concept_id", "target_vocabulary_id", "_map",
    "_value_as_concept_id", "_equivalence", "_mapped_by", "_mapped_on", "_status", "valid_start_date",
)  # fmt: skip


def _given(path: Path, **files: str) -> dict[str, object]:
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text)
    return settings(None, str(path))


def test_a_sites_maps_stand_in_source_to_concept_map_with_who_approved_them(
    spark: SparkSession, tmp_path: Path
) -> None:
    given = _given(tmp_path, usagi_lab=USAGI, source_to_concept_map_icd=MAP)
    concepts = frame(
        spark, CONCEPT,
        *({"concept_id": n, "vocabulary_id": "LOINC"} for n in (11, 12)), {"concept_id": 13, "vocabulary_id": "SNOMED"},
    )  # fmt: skip
    made = SOURCE_TO_CONCEPT_MAP.conform(
        source_to_concept_map(concepts, frame(spark, SUCCESSOR), given["local_maps"])
    )
    oid, lab, usagi = "urn:oid:1.2.3", "usagi_lab", "2024-05-01"
    assert rows(made.where("_map IN ('usagi_lab', 'source_to_concept_map_icd')"), *MAPPED) == sorted(
        [
            (oid, "GLU1", 0, 11, "LOINC", lab, None, "EQUAL", "ann", usagi, "APPROVED", "1970-01-01"),
            (oid, "PANEL", 0, 11, "LOINC", lab, None, "WIDER", "ann", usagi, "APPROVED", "1970-01-01"),
            (oid, "PANEL", 0, 12, "LOINC", lab, None, "WIDER", "ann", usagi, "APPROVED", "1970-01-01"),
            (oid, "HIST", 0, 13, "SNOMED", lab, 14, "EQUIVALENT", "ann", usagi, "APPROVED", "1970-01-01"),
            (oid, "NONE", 0, 0, "None", lab, None, "UNMATCHED", "ann", usagi, "APPROVED", "1970-01-01"),
            ("ICD-10-CM", "E11", 0, 13, "SNOMED", "source_to_concept_map_icd", None, "EQUAL", "cleo", None, "APPROVED", "2020-01-01"),
            (oid, "L1", 2_000_001_001, 11, "LOINC", "source_to_concept_map_icd", None, None, None, None, None, "1970-01-01"),
        ],
        key=lambda r: tuple((x is not None, str(x)) for x in r),
    )  # fmt: skip


def test_a_target_that_was_replaced_gives_way_to_its_nearest_standard_successor_and_is_kept_beside(
    spark: SparkSession, tmp_path: Path
) -> None:
    text = MAP.splitlines()[0] + "".join(
        f"\n{code},0,urn:oid:1.2.3,Words,{target},LOINC,2020-01-01,2099-12-31,,APPROVED,cleo,EQUAL"
        for code, target in (("A", 21), ("B", 24), ("C", 25), ("D", 21), ("D", 23))
    )
    given = _given(tmp_path, source_to_concept_map=text)
    standard = {"standard_concept": "S", "vocabulary_id": "SNOMED"}
    concepts = frame(
        spark, CONCEPT,
        {"concept_id": 21, "invalid_reason": "U"}, {"concept_id": 22, "invalid_reason": "U"}, {"concept_id": 23, **standard},
        {"concept_id": 24, **standard}, {"concept_id": 25, "invalid_reason": "D"},
    )  # fmt: skip
    after = frame(
        spark, SUCCESSOR,
        {"concept_id": 21, "successor_concept_id": 22, "steps": 1}, {"concept_id": 21, "successor_concept_id": 23, "steps": 2},
        {"concept_id": 24, "successor_concept_id": 23, "steps": 1},
    )  # fmt: skip
    made = SOURCE_TO_CONCEPT_MAP.conform(source_to_concept_map(concepts, after, given["local_maps"]))
    mine = made.where("_map = 'source_to_concept_map'")
    # A: over one that is replaced itself; B: standard still; C: nothing came after it; D: both of its targets are now one
    assert rows(mine, "source_code", "target_concept_id", "_target_given", "target_vocabulary_id") == [
        ("A", 23, 21, "SNOMED"), ("B", 24, None, "LOINC"), ("C", 25, None, "LOINC"), ("D", 23, None, "LOINC"),
    ]  # fmt: skip


def test_a_sites_map_takes_the_place_of_the_bundled_one_of_that_code_however_both_write_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    concepts = frame(spark, CONCEPT, {"concept_id": 13, "vocabulary_id": "SNOMED"})

    def maps_of(given: dict[str, object]) -> list[tuple[object, ...]]:
        made = source_to_concept_map(concepts, frame(spark, SUCCESSOR), given["local_maps"])
        same = made.where(
            "upper(replace(source_code, '.', '')) = 'K635' AND source_vocabulary_id LIKE '%ICD%10%CM%'"
        )
        return rows(same, "source_vocabulary_id", "source_code", "_map")

    assert maps_of(settings(None, None)) == [("ICD10CM", "K63.5", "synthea_icd10cm_snomed")]
    mine = MAP.replace("E11,", "k635,")
    assert maps_of(_given(tmp_path, source_to_concept_map=mine)) == [
        ("ICD-10-CM", "k635", "source_to_concept_map")
    ]


def test_a_sites_concepts_stand_in_concept_under_the_ids_that_it_gave(
    spark: SparkSession, tmp_path: Path
) -> None:
    text = (
        "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,standard_concept,concept_code\n"
        "2000001001,A local thing,Measurement,LAB_X,Lab Test,,L1\n"
    )
    given = _given(tmp_path, local_concepts=text)
    made = concept(None, given["local_concepts"])
    assert rows(
        made.where("vocabulary_id = 'LAB_X'"),
        "concept_id",
        "concept_name",
        "standard_concept",
        "valid_start_date",
    ) == [(2_000_001_001, "A local thing", None, "1970-01-01")]


CONCEPTS = "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,concept_code\n"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("2000000000,a,Drug,X,X,1", "line 2: concept_id must be above 2000000999"),
        ("2000000001,a,Drug,X,X,1", "line 2: concept_id must be above 2000000999"),  # one of carelake's own
        ("2147483648,a,Drug,X,X,1", "line 2: concept_id must be a concept id"),  # no 32-bit integer
        ("secret,a,Drug,X,X,1", "line 2: concept_id must be a concept id"),
        ("2000001001,a,Drug,X,X,1\n2000001001,b,Drug,X,X,2", "line 3: concept_id was given before"),
        ("2000001001,a,Drug", "line 2: has not as many columns"),
    ],
)
def test_a_local_concept_that_cannot_stand_is_refused_by_line_and_never_by_value(
    tmp_path: Path, line: str, fault: str
) -> None:
    given = _given(tmp_path, local_concept_lab=CONCEPTS + line + "\n")
    with pytest.raises(InputError, match=fault) as caught:
        local_rows.concepts(given["local_concepts"].found)  # type: ignore[attr-defined]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("source_code,source_vocabulary_id,target_concept_id\nA,X,secret\n", "line 2: target_concept_id must be a concept id"),
        ("source_code,source_vocabulary_id,target_concept_id\n,X,1\n", "line 2: source_code is empty"),
        ("source_code,target_concept_id\nA,1\n", "lacks the columns source_vocabulary_id"),
        ("a,b\n1,2\n", "is no map; give the columns of source_to_concept_map, or what Usagi saves"),
        ("sourceCode,mappingStatus,conceptId\nA,APPROVED,1\n", "add the column ADD_INFO:sourceVocabularyId"),
        ("sourceCode,sourceName,sourceFrequency,sourceVocabularyId\nA,a,1,X\n", "lacks the columns mappingstatus, conceptid"),
    ],
)  # fmt: skip
def test_a_map_that_cannot_be_read_is_refused_with_its_remedy(tmp_path: Path, text: str, fault: str) -> None:
    given = _given(tmp_path, usagi=text)
    with pytest.raises(InputError, match=fault) as caught:
        local_rows.maps(given["local_maps"].found)  # type: ignore[attr-defined]
    assert "secret" not in str(caught.value)
