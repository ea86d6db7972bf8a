"""Vocabulary files as Athena ships them, as others ship them, and the bundled subset."""

from __future__ import annotations

import gzip
from datetime import date
from typing import TYPE_CHECKING

import pytest

from carelake.errors import InputError
from carelake.silver.vocabulary import athena
from carelake.silver.vocabulary.cdm_tables import (
    CONCEPT,
    CONCEPT_RELATIONSHIP,
    concept,
    source_to_concept_map,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

HEADER = (
    "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\t"
    "valid_start_date\tvalid_end_date\tinvalid_reason\n"
)
ATHENA = HEADER + (
    '1\t12" lead "resting\tMeasurement\tLOINC\tLab Test\tS\t1-1\t19700101\t20991231\t\n'
    "2\tSteps, official\tMeasurement\tLOINC\tClinical Observation\tS\t55423-8\t20020131\t20991231\t\n"
    "3\tOld\\\tCondition\tSNOMED\tDisorder\t\t3\t19700101\t20200731\tU\n"
)


def test_athenas_files_are_read_as_they_are_and_completed(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "my vocabulary é"
    folder.mkdir()
    (folder / "concept.csv.gz").write_bytes(gzip.compress(ATHENA.encode()))
    got = {r.concept_id: r for r in CONCEPT.conform(concept(str(folder))).collect()}
    assert got[1].concept_name == '12" lead "resting'
    assert (got[1].valid_start_date, got[1].valid_end_date) == (date(1970, 1, 1), date(2099, 12, 31))
    assert (got[3].concept_name, got[3].standard_concept, got[3].invalid_reason) == ("Old\\", None, "U")
    assert got[9201].concept_name == "Inpatient Visit"  # structural, absent from the folder
    local = {r.concept_code for n, r in got.items() if n > 2_000_000_000}
    assert "55423-8" not in local  # the official concept wins
    assert "41950-7" in local
    assert len([n for n in got if n < 2_000_000_000]) < 600  # the clinical part of the subset stays out


def test_comma_separated_files_with_quotes_and_iso_dates_are_read_too(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "CONCEPT_RELATIONSHIP.csv").write_text(
        "concept_id_1,concept_id_2,relationship_id,valid_start_date,valid_end_date,invalid_reason\n"
        '1,2,"Maps to",2002-01-31,2099-12-31,\n3,4,"Odd, ""quoted""",1970-01-01,2000-01-01,"D"\n'
    )
    got = CONCEPT_RELATIONSHIP.conform(athena.read(CONCEPT_RELATIONSHIP, str(tmp_path))).orderBy(
        "concept_id_1"
    )
    assert [tuple(r) for r in got.collect()] == [
        (1, 2, "Maps to", date(2002, 1, 31), date(2099, 12, 31), None),
        (3, 4, 'Odd, "quoted"', date(1970, 1, 1), date(2000, 1, 1), "D"),
    ]


def test_a_missing_folder_or_file_is_one_sentence_that_names_it(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "CONCEPT.csv").write_text(HEADER)
    with pytest.raises(InputError, match=r"CONCEPT_RELATIONSHIP\.csv"):
        athena.read(CONCEPT_RELATIONSHIP, str(tmp_path))
    with pytest.raises(InputError, match="nowhere"):
        athena.read(CONCEPT, str(tmp_path / "nowhere"))


def test_athena_ships_no_source_to_concept_map_and_the_bundled_one_serves(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "CONCEPT.csv").write_text(HEADER)
    row = source_to_concept_map(str(tmp_path)).where("source_code = 'U/L'").first()
    assert row is not None
    assert (row.target_concept_id, row["_map"]) == (8645, "ucum_spelling")
