"""Vocabulary files as Athena ships them, as others ship them, and the bundled subset."""

from __future__ import annotations

import gzip
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from carelake.errors import InputError
from carelake.silver.vocabulary import athena
from carelake.silver.vocabulary import cdm_tables as v
from carelake.silver.vocabulary.cdm_tables import CONCEPT, CONCEPT_RELATIONSHIP, concept, lacking
from carelake.silver.vocabulary.folder import has_vocabulary, settings

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
RELATIONSHIPS = (
    "concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n"
    + ("3\t1\tMaps to\t19700101\t20991231\t\n")
)


def _folder(path: Path, **text: str | bytes) -> str:
    """A vocabulary folder with CONCEPT and CONCEPT_RELATIONSHIP, and what is given under a file's name without .csv."""
    path.mkdir(exist_ok=True)
    for name, content in ({"CONCEPT": ATHENA, "CONCEPT_RELATIONSHIP": RELATIONSHIPS} | text).items():
        (path / f"{name}.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def _concepts(folder: str | Path) -> dict[int, Any]:
    given = settings(str(folder), None)
    rows = CONCEPT.conform(concept(given["vocabulary"], given["local_concepts"])).collect()
    return {r.concept_id: r for r in rows}


def test_athenas_files_are_read_as_they_are_and_completed(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "my vocabulary é"
    folder.mkdir()
    (folder / "concept.csv.gz").write_bytes(gzip.compress(ATHENA.encode()))
    got = _concepts(folder)
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
    folder = _folder(
        tmp_path,
        CONCEPT_RELATIONSHIP="concept_id_1,concept_id_2,relationship_id,valid_start_date,valid_end_date,invalid_reason\n"
        '1,2,"Maps to",2002-01-31,2099-12-31,""\n3,4,"Odd, ""quoted""",1970-01-01,2000-01-01,"D"\n',
    )
    read = athena.read(CONCEPT_RELATIONSHIP, settings(folder, None)["vocabulary"])
    got = CONCEPT_RELATIONSHIP.conform(read).orderBy("concept_id_1")
    assert [tuple(r) for r in got.collect()] == [
        (1, 2, "Maps to", date(2002, 1, 31), date(2099, 12, 31), None),
        (3, 4, 'Odd, "quoted"', date(1970, 1, 1), date(2000, 1, 1), "D"),
    ]


def test_the_public_subset_of_two_comma_separated_files_serves_as_a_folder(
    spark: SparkSession, data: Path
) -> None:
    got = _concepts(data / "vocab" / "omop_shard")
    assert (got[201826].concept_name, got[201826].standard_concept) == ("Type 2 diabetes mellitus", "S")
    assert {r.concept_class_id for r in got.values()} >= {"Undefined"}  # blank in that set; the CDM wants one
    assert not [r for r in got.values() if r.concept_name is None or r.valid_start_date is None]


def test_a_table_whose_file_the_folder_lacks_is_there_without_rows_and_is_named(
    spark: SparkSession, tmp_path: Path
) -> None:
    given = settings(
        _folder(tmp_path, DOMAIN="domain_id\tdomain_name\tdomain_concept_id\nDrug\tDrug\t13\n"), None
    )
    assert lacking(**given) == [
        "CONCEPT_ANCESTOR.csv", "CONCEPT_SYNONYM.csv", "VOCABULARY.csv", "CONCEPT_CLASS.csv", "RELATIONSHIP.csv",
        "DRUG_STRENGTH.csv",
    ]  # fmt: skip
    vocabulary = given["vocabulary"]
    assert [tuple(r) for r in v.domain(vocabulary).collect()] == [("Drug", "Drug", 13)]
    for table, step in (
        (v.CONCEPT_ANCESTOR, v.concept_ancestor), (v.CONCEPT_SYNONYM, v.concept_synonym),
        (v.VOCABULARY_TABLE, v.vocabulary_table), (v.CONCEPT_CLASS, v.concept_class), (v.RELATIONSHIP, v.relationship),
        (v.DRUG_STRENGTH, v.drug_strength),
    ):  # fmt: skip
        assert table.conform(step(vocabulary)).collect() == []
        assert "empty" in table.doc.lower(), table.name


def test_a_missing_folder_or_needed_file_is_one_sentence_that_names_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = _folder(tmp_path)
    (tmp_path / "CONCEPT_RELATIONSHIP.csv").unlink()
    with pytest.raises(InputError, match=r"has no CONCEPT_RELATIONSHIP\.csv; download it from Athena"):
        lacking(**settings(folder, None))
    with pytest.raises(InputError, match=r"nowhere: is missing or empty"):
        lacking(**settings(str(tmp_path / "nowhere"), None))


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        # CDM 4.5, as Athena still ships it: concepts had levels and no domain
        (
            "CONCEPT_ID\tCONCEPT_NAME\tCONCEPT_LEVEL\tCONCEPT_CLASS\tVOCABULARY_ID\tCONCEPT_CODE\tVALID_START_DATE\t"
            "VALID_END_DATE\tINVALID_REASON\n",
            "domain_id, concept_class_id, standard_concept",
        ),
        (HEADER.replace("\tinvalid_reason", ""), "invalid_reason"),
        (HEADER.replace("\tstandard_concept", ""), "standard_concept"),
    ],
)
def test_an_older_layout_is_one_sentence_that_names_the_columns(
    spark: SparkSession, tmp_path: Path, header: str, columns: str
) -> None:
    with pytest.raises(
        InputError, match=rf"CONCEPT\.csv: lacks the columns {columns}, so its layout .* Athena"
    ):
        lacking(**settings(_folder(tmp_path, CONCEPT=header), None))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("CONCEPT.csv", ATHENA.encode()[:-30]),
        ("CONCEPT.csv", (ATHENA.replace("\t", ",")).encode()[:-30]),
        ("CONCEPT.csv.gz", gzip.compress(ATHENA.encode() * 3000)[:-4000]),
        ("CONCEPT.csv.gz", gzip.compress(ATHENA.encode())[:-4]),
    ],
)
def test_a_file_that_was_cut_is_refused_before_any_of_it_is_loaded(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        InputError, match=r"CONCEPT\.csv.*: (ends in the middle|is damaged or was cut).*again"
    ):
        _concepts(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n", b"\x1f\x8b\x08\x00junk"])
def test_an_empty_file_or_one_that_is_no_gzip_is_one_sentence(
    spark: SparkSession, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "CONCEPT.csv.gz").write_bytes(gzip.compress(content) if len(content) < 2 else content)
    with pytest.raises(InputError, match=r"CONCEPT\.csv\.gz: (is empty|cannot be unpacked|is damaged)"):
        _concepts(tmp_path)


def test_a_byte_that_is_no_utf_8_costs_a_letter_and_no_concept(spark: SparkSession, tmp_path: Path) -> None:
    got = _concepts(_folder(tmp_path, CONCEPT=ATHENA.replace("Steps", "St\xe9ps").encode("latin-1")))
    assert got[2].concept_name == "St�ps, official"
    assert (got[1].concept_name, got[2].concept_code) == ('12" lead "resting', "55423-8")


def test_windows_line_ends_a_byte_order_mark_and_dumped_nulls_are_understood(
    spark: SparkSession, tmp_path: Path
) -> None:
    text = "\ufeff" + ATHENA.replace("\tU\n", "\t\\N\n").replace("\n", "\r\n")
    got = _concepts(_folder(tmp_path, CONCEPT=text))
    assert (got[1].concept_id, got[3].invalid_reason, got[1].invalid_reason) == (1, None, None)


def test_cpt_concepts_without_names_are_taken_by_their_code_unless_cpt_sh_has_run(
    spark: SparkSession, tmp_path: Path
) -> None:
    cpt = (
        "2414393\t\tObservation\tCPT4\tCPT4\tS\t99213\t19700101\t20991231\t\n"
        "2414394\t\tObservation\tCPT4\tCPT4\tS\t99214\t19700101\t20991231\t\n"
    )
    moved = ATHENA + cpt.splitlines(keepends=True)[1].replace("\t\t", "\tOffice visit, moderate\t", 1)
    got = _concepts(_folder(tmp_path, CONCEPT=moved, CONCEPT_CPT4=HEADER + cpt))
    assert (got[2414393].concept_name, got[2414393].standard_concept) == ("CPT4 99213", "S")
    assert got[2414394].concept_name == "Office visit, moderate"


def test_the_mark_of_a_folder_is_that_of_its_content_wherever_it_lies(tmp_path: Path) -> None:
    version = (
        "vocabulary_id\tvocabulary_name\tvocabulary_reference\tvocabulary_version\tvocabulary_concept_id\n"
    )
    files = {"VOCABULARY": f"{version}None\tOMOP\tOMOP\tv5.0 30-AUG-24\t44819096\n"}
    one, other = _folder(tmp_path / "one", **files), _folder(tmp_path / "other", **files)

    def mark(folder: str) -> str:
        return str(settings(folder, None)["vocabulary"])

    before = mark(one)
    assert mark(other) == before
    (tmp_path / "other" / "README.txt").write_text("not read")
    (tmp_path / "other" / "source_to_concept_map.csv").write_text("not the vocabulary's")
    assert mark(other) == before
    (tmp_path / "one" / "VOCABULARY.csv").write_text(
        files["VOCABULARY"].replace("30-AUG", "31-AUG")
    )  # same size
    assert mark(one) != before
    (tmp_path / "other" / "DOMAIN.csv").write_text("domain_id\n")
    assert mark(other) != before


def test_of_a_large_file_size_and_end_tell_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carelake.silver.vocabulary.folder.WHOLE", 10)
    folder = _folder(tmp_path)
    before = str(settings(folder, None)["vocabulary"])
    _folder(tmp_path, CONCEPT=ATHENA + "4\n")
    longer = str(settings(folder, None)["vocabulary"])
    _folder(tmp_path, CONCEPT=ATHENA + "5\n")
    assert len({before, longer, str(settings(folder, None)["vocabulary"])}) == 3


def test_a_local_map_changes_the_mark_of_the_maps_alone(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    before = {k: str(x) for k, x in settings(folder, None).items()}
    (tmp_path / "usagi_lab.csv").write_text("sourceCode\n")
    after = {k: str(x) for k, x in settings(folder, None).items()}
    assert {k for k in before if before[k] != after[k]} == {"local_maps"}


def test_parquet_and_ids_kept_as_floats_are_read_as_the_same_rows(
    spark: SparkSession, tmp_path: Path
) -> None:
    """As a CDM's own vocabulary comes out of a database."""
    columns = {
        "concept_id_1": pa.array([3.0, 5.0]), "concept_id_2": pa.array([1.0, 2147483000.0]),
        "relationship_id": ["Maps to", "Is a"], "valid_start_date": [date(2002, 1, 31)] * 2,
        "valid_end_date": [date(2099, 12, 31)] * 2, "INVALID_REASON": pa.array([None, "D"], pa.string()),
    }  # fmt: skip
    parquet.write_table(pa.table(columns), tmp_path / "concept_relationship.parquet")
    (tmp_path / "CONCEPT.csv").write_text(ATHENA.replace("\n1\t", "\n1.0\t"))
    given = settings(str(tmp_path), None)["vocabulary"]
    got = CONCEPT_RELATIONSHIP.conform(athena.read(CONCEPT_RELATIONSHIP, given)).orderBy("concept_id_1")
    assert [tuple(r) for r in got.collect()] == [
        (3, 1, "Maps to", date(2002, 1, 31), date(2099, 12, 31), None),
        (5, 2147483000, "Is a", date(2002, 1, 31), date(2099, 12, 31), "D"),
    ]
    assert {1, 2, 3} <= {r.concept_id for r in CONCEPT.conform(athena.read(CONCEPT, given)).collect()}
    assert has_vocabulary(str(tmp_path))
    (tmp_path / "CONCEPT.csv").unlink()
    assert not has_vocabulary(str(tmp_path))


def test_a_parquet_file_that_is_none_is_refused_by_name(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "concept.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(InputError, match=r"concept\.parquet: is damaged or no Parquet"):
        athena.read(CONCEPT, settings(str(tmp_path), None)["vocabulary"])
