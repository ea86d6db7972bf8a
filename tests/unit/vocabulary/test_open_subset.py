"""The bundled vocabulary: what code relies on is there, and what is not OHDSI's is marked."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from carelake.silver.vocabulary import structural

OPEN = files("carelake.silver.vocabulary") / "open"
CONSTANTS = {n: v for n, v in vars(structural).items() if n.isupper() and isinstance(v, int)}


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(gzip.decompress((OPEN / f"{name}.csv.gz").read_bytes()).decode())))


@pytest.fixture(scope="module")
def concepts() -> dict[int, dict[str, str]]:
    return {int(r["concept_id"]): r for r in _rows("CONCEPT")}


@pytest.mark.omop_rule(23)
def test_every_structural_constant_is_a_concept(concepts: dict[int, dict[str, str]]) -> None:
    """CDM v5.4: a concept id is a row of CONCEPT."""
    assert len(CONSTANTS) > 100
    assert {name for name, n in CONSTANTS.items() if n not in concepts} == set()


@pytest.mark.omop_rule(23)
def test_rule_23_every_type_concept_that_code_writes_as_a_number_is_a_concept(
    concepts: dict[int, dict[str, str]],
) -> None:
    """CDM v5.4: a type concept id is a row of CONCEPT in the domain Type Concept. Sources may not know the vocabulary and
    write these ids as numbers (32500 to 32999) in code or SQL."""
    package = Path(str(files("carelake")))
    texts = [p.read_text(encoding="utf-8") for p in package.rglob("*.py")]
    written = {int(n) for t in texts for n in re.findall(r"(?<![\d.-])32[5-9]\d\d(?![\d.-])", t)}
    assert len(written) > 50
    assert {n for n in written if n not in concepts} == set()


def test_structural_constants_that_are_written_as_standard_are_standard(
    concepts: dict[int, dict[str, str]],
) -> None:
    families = (
        "VISIT_",
        "TYPE_",
        "STATUS_",
        "GENDER_",
        "RACE_",
        "ETHNICITY_",
        "OPERATOR_",
        "CURRENCY_",
        "PLAN_",
    )
    wrong = {
        name
        for name, n in CONSTANTS.items()
        if name.startswith(families)
        and (concepts[n]["standard_concept"] != "S" or concepts[n]["invalid_reason"])
    }
    assert wrong == set()


@pytest.mark.parametrize(
    ("name", "concept_name", "domain"),
    [
        ("VISIT_INPATIENT", "Inpatient Visit", "Visit"),
        ("VISIT_SKILLED_NURSING", "Skilled Nursing Facility", "Visit"),
        ("TYPE_CLAIM_ENROLMENT", "Claim enrolment record", "Type Concept"),
        ("TYPE_PATIENT_SELF_REPORT", "Patient self-report", "Type Concept"),
        ("STATUS_PRINCIPAL", "Primary diagnosis", "Condition Status"),
        ("STATUS_ADMITTING", "Admission diagnosis", "Condition Status"),
        ("GENDER_FEMALE", "FEMALE", "Gender"),
        ("OPERATOR_GE", ">=", "Meas Value Operator"),
        ("OPERATOR_LT", "<", "Meas Value Operator"),
        ("CURRENCY_USD", "US dollar", "Currency"),
        ("DOMAIN_MEASUREMENT", "Measurement", "Metadata"),
    ],
)
def test_a_constant_names_the_concept_it_says(
    concepts: dict[int, dict[str, str]], name: str, concept_name: str, domain: str
) -> None:
    row = concepts[CONSTANTS[name]]
    assert (row["concept_name"], row["domain_id"]) == (concept_name, domain)


def test_test_concepts_of_circe_are_not_shipped(concepts: dict[int, dict[str, str]]) -> None:
    assert 1 not in concepts
    assert "TestVocab" not in {r["vocabulary_id"] for r in concepts.values()}
    assert concepts[2]["vocabulary_id"] == "Domain"  # 2 is OHDSI's Gender domain, not circe's "Child 1"


def test_concepts_have_what_the_cdm_requires(concepts: dict[int, dict[str, str]]) -> None:
    required = (
        "concept_name",
        "domain_id",
        "vocabulary_id",
        "concept_class_id",
        "concept_code",
        "valid_start_date",
    )
    assert [n for n, r in concepts.items() if any(not r[c] for c in required)] == []


@pytest.mark.omop_rule(6, 23)
def test_local_concepts_are_above_two_billion_and_say_where_they_are_from(
    concepts: dict[int, dict[str, str]],
) -> None:
    """CDM v5.4, CONCEPT: ids above 2,000,000,000 are for local concepts."""
    local = {n: r for n, r in concepts.items() if n > 2_000_000_000}
    by_code = {(r["vocabulary_id"], r["concept_code"]): r for r in local.values()}
    for code in (
        "55423-8",
        "41950-7",
        "40443-4",
        "93832-4",
        "93831-6",
        "93830-8",
        "97507-8",
        "97506-0",
        "34117-2",
    ):
        assert by_code["LOINC", code]["standard_concept"] == "S"
    assert max(local) < 2**31
    source = {int(r["concept_id"]): r["source"] for r in _rows("CONCEPT_PROVENANCE")}
    assert set(source) == set(concepts)
    assert all(source[n].startswith("carelake local concept") for n in local)


def test_no_local_concept_shadows_an_official_one(concepts: dict[int, dict[str, str]]) -> None:
    local = {(r["vocabulary_id"], r["concept_code"]) for n, r in concepts.items() if n > 2_000_000_000}
    official = {(r["vocabulary_id"], r["concept_code"]) for n, r in concepts.items() if n <= 2_000_000_000}
    assert local & official == set()


def test_references_between_the_tables_hold(concepts: dict[int, dict[str, str]]) -> None:
    kinds = {r["relationship_id"] for r in _rows("RELATIONSHIP")}
    for r in _rows("CONCEPT_RELATIONSHIP"):
        assert int(r["concept_id_1"]) in concepts
        assert int(r["concept_id_2"]) in concepts
        assert r["relationship_id"] in kinds
    for r in _rows("CONCEPT_ANCESTOR"):
        assert int(r["ancestor_concept_id"]) in concepts
        assert int(r["descendant_concept_id"]) in concepts
    for table in ("vocabulary", "domain", "concept_class"):
        known = {r[f"{table}_id"] for r in _rows(table.upper())}
        assert {r[f"{table}_id"] for r in concepts.values()} - known == set()


def test_a_local_map_gives_each_code_one_standard_target_and_its_name(
    concepts: dict[int, dict[str, str]],
) -> None:
    rows = _rows("SOURCE_TO_CONCEPT_MAP")
    assert max(Counter((r["source_vocabulary_id"], r["source_code"]) for r in rows).values()) == 1
    assert all(concepts[int(r["target_concept_id"])]["standard_concept"] == "S" for r in rows)
    assert all(r["_map"] for r in rows)


@pytest.mark.parametrize(
    ("vocabulary", "code", "target"),
    [
        (
            "ICD10CM",
            "C34.90",
            "Primary malignant neoplasm of lung",
        ),  # ten stages of two cancers: their ancestor
        ("ICD10CM", "J32.9", "Sinusitis"),  # acute, chronic and plain: the plain one is the ancestor
        ("ICD10CM", "I10", "Essential hypertension"),  # not the referral to a hypertension clinic
        ("ICD10CM", "K63.5", "Polyp of colon"),  # a condition, not the polypectomy
        ("ICD10CM", "U07.1", "COVID-19"),  # the one of the same name
        ("UCUM", "U/L", "unit per liter"),
        ("CDCREC", "2106-3", "White"),
        ("CDCREC", "2186-5", "Not Hispanic or Latino"),
    ],
)
def test_ambiguous_codes_get_one_target_by_rule(
    concepts: dict[int, dict[str, str]], vocabulary: str, code: str, target: str
) -> None:
    row = next(
        r
        for r in _rows("SOURCE_TO_CONCEPT_MAP")
        if (r["source_vocabulary_id"], r["source_code"]) == (vocabulary, code)
    )
    assert concepts[int(row["target_concept_id"])]["concept_name"] == target


def test_a_drug_reaches_its_ingredients(concepts: dict[int, dict[str, str]]) -> None:
    names: dict[str, set[str]] = {}
    for r in _rows("CONCEPT_ANCESTOR"):
        a, d = concepts[int(r["ancestor_concept_id"])], concepts[int(r["descendant_concept_id"])]
        if a["concept_class_id"] == "Ingredient":
            names.setdefault(d["concept_name"], set()).add(a["concept_name"])
    assert names["simvastatin 20 MG Oral Tablet"] == {"simvastatin"}
    assert names["amoxicillin 250 MG / clavulanate 125 MG Oral Tablet"] == {"amoxicillin", "clavulanate"}


def test_the_subset_stays_small() -> None:
    assert sum(len(f.read_bytes()) for f in OPEN.iterdir() if f.is_file()) < 4_000_000
