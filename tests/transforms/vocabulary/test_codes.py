"""Code systems and codes in look-up form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carelake.silver.vocabulary.codes import SPELLINGS, code_sql, vocabulary_sql
from carelake.silver.vocabulary.units import ucum_sql

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SYSTEMS = {
    "http://snomed.info/sct": "SNOMED",
    "http://snomed.info/sct/731000124108/version/20240301": "SNOMED",
    "SNOMED-CT": "SNOMED",
    "SNOMEDCT_US": "SNOMED",
    "snomed ct": "SNOMED",
    "urn:oid:2.16.840.1.113883.6.96": "SNOMED",
    "SCT": "SNOMED",
    "http://loinc.org": "LOINC",
    "http://loinc.org/": "LOINC",
    " HTTP://LOINC.ORG ": "LOINC",
    "http://loinc.org|2.76": "LOINC",
    "LN": "LOINC",
    "2.16.840.1.113883.6.1": "LOINC",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "RXNORM": "RxNorm",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "ICD10CM": "ICD10CM",
    "ICD-10-CM": "ICD10CM",
    "I10C": "ICD10CM",
    "urn:oid:2.16.840.1.113883.6.90": "ICD10CM",
    "http://hl7.org/fhir/sid/icd-10": "ICD10",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
    "I9C": "ICD9CM",
    "icd-9-cm": "ICD9CM",
    "ICD9Proc": "ICD9Proc",
    "http://www.cms.gov/Medicare/Coding/ICD10": "ICD10PCS",
    "ICD-10-PCS": "ICD10PCS",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HCPCS",
    "hcpcs": "HCPCS",
    "http://www.ama-assn.org/go/cpt": "CPT4",
    "CPT-4": "CPT4",
    "http://hl7.org/fhir/sid/ndc": "NDC",
    "http://hl7.org/fhir/sid/cvx": "CVX",
    "HL70292": "CVX",
    "http://unitsofmeasure.org": "UCUM",
    "urn:oid:2.16.840.1.113883.6.8": "UCUM",
    "urn:oid:2.16.840.1.113883.6.238": "CDCREC",
    "HL70005": "CDCREC",
    "Race": "Race",
    "http://nucc.org/provider-taxonomy": "NUCC",
    "https://www.nubc.org/CodeSystem/RevenueCodes": "Revenue Code",
    "MS-DRG": "DRG",
    "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set": "CMS Place of Service",
    "CMS Place of Service": "CMS Place of Service",
    "Visit": "Visit",
    "https://bluebutton.cms.gov/resources/variables/rev_cntr": "Revenue Code",
    "SNOMEDCT": "SNOMED",
    "urn:oid:2.16.840.1.113883.6.88": "RxNorm",
    "urn:oid:2.16.840.1.113883.6.103": "ICD9CM",
    "2.16.840.1.113883.6.104": "ICD9Proc",
    "urn:oid:2.16.840.1.113883.6.12": "CPT4",
    "urn:oid:2.16.840.1.113883.6.285": "HCPCS",
    "2.16.840.1.113883.6.14": "HCPCS",
    "urn:oid:2.16.840.1.113883.12.292": "CVX",
    "urn:oid:2.16.840.1.113883.6.69": "NDC",
    # HL7 v2 table 0396
    "I10": "ICD10",
    "I10P": "ICD10PCS",
    "I9": "ICD9CM",
    "I9CDX": "ICD9CM",
    "I9CP": "ICD9Proc",
    "C4": "CPT4",
    "HPC": "HCPCS",
    "NDC": "NDC",
    "CVX": "CVX",
    "UCUM": "UCUM",
    "SNM3": "SNOMED",
    # UMLS source abbreviations
    "LNC": "LOINC",
    "HCPT": "CPT4",
    "MTHICD9": "ICD9CM",
    "NUCCHCPT": "NUCC",
    "http://example.org/my-codes": None,
    "": None,
    "loinc.org.evil": None,
}
CODES = [
    ("ICD10CM", "A000", "A00.0"),
    ("ICD10CM", "A00.0", "A00.0"),
    ("ICD10CM", " i10 ", "I10"),
    ("ICD10CM", "C3490", "C34.90"),
    ("ICD10CM", "S72.001A", "S72.001A"),
    ("ICD10CM", "I10.", "I10"),
    ("ICD9CM", "25000", "250.00"),
    ("ICD9CM", "401", "401"),
    ("ICD9CM", "V4581", "V45.81"),
    ("ICD9CM", "E8500", "E850.0"),
    ("ICD9CM", "E850", "E850"),
    ("ICD9CM", "e850.0", "E850.0"),
    ("ICD9Proc", "3722", "37.22"),
    ("ICD9Proc", "37.2", "37.2"),
    ("ICD10PCS", "02703zz", "02703ZZ"),
    ("NDC", "0002-8715-17", "00002871517"),
    ("NDC", "68992-301-03", "68992030103"),
    ("NDC", "50242-0040-1", "50242004001"),
    ("NDC", "50242-0040-62", "50242004062"),
    ("NDC", "68992301003", "68992301003"),
    ("NDC", "0002871517", "0002871517"),
    ("NDC", "68992-3010-3", "68992301003"),  # 5-4-1
    ("NDC", "N400002871517", "00002871517"),  # as X12 and the CMS-1500 form write it
    ("NDC", "n4 0002-8715-17", "00002871517"),
    ("NDC", "0002-8715", "000028715"),  # a product in OMOP's nine digits
    ("NDC", "00002 8715 17", "00002871517"),
    ("CVX", "08", "8"),
    ("CVX", "8", "8"),
    ("CVX", "140", "140"),
    ("CVX", "0", "0"),
    ("HCPCS", " g0444 ", "G0444"),
    ("CPT4", "90935", "90935"),
    ("CPT4", "0042t", "0042T"),
    ("CPT4", "99213-25", "99213"),
    ("HCPCS", "J1885:JW:59", "J1885"),
    ("HCPCS", "g0444 25", "G0444"),
    ("HCPCS", "G0444-2", "G0444-2"),  # no modifier: kept, so that it is seen among the unmapped
    ("ICD9CM", "V45.81", "V45.81"),
    ("ICD9CM", "v4581", "V45.81"),
    ("ICD9CM", "0011", "001.1"),
    ("ICD9Proc", "0066", "00.66"),
    ("ICD10CM", "u071", "U07.1"),
    ("ICD10", "E149", "E14.9"),
    ("RxNorm", " 314076 ", "314076"),
    ("UCUM", " mm[Hg] ", "mm[Hg]"),
    ("UCUM", "Mm", "Mm"),
    ("Revenue Code", "450", "0450"),
    ("DRG", "64", "064"),
    ("CMS Place of Service", "2", "02"),
    ("LOINC", " 8867-4", "8867-4"),
    ("SNOMED", "44054006", "44054006"),
    (None, "x", "x"),
    ("ICD10CM", "", None),
    ("NDC", "n/a", None),
    ("LOINC", None, None),
]
UNITS = [
    ("mmHg", "mm[Hg]"),
    ("mm[Hg]", "mm[Hg]"),
    ("MG/DL", "mg/dL"),
    ("K/uL", "10*3/uL"),
    ("mcg/L", "ug/L"),
    ("lbs", "[lb_av]"),
    ("beats/minute", "/min"),
    (" Cel", "Cel"),
    ("Mm", "Mm"),
    ("mm", "mm"),
    ("", None),
    (None, None),
]


@pytest.mark.omop_rule(6)
def test_a_code_system_is_known_in_every_spelling(spark: SparkSession) -> None:
    """HL7 and OHDSI name one code system by URI, OID, name and abbreviation."""
    df = spark.createDataFrame([(s,) for s in SYSTEMS], "system string")
    got = {r[0]: r[1] for r in df.selectExpr("system", vocabulary_sql("system")).collect()}
    assert got == SYSTEMS


def test_every_vocabulary_of_omop_that_is_known_is_known_by_its_own_name(spark: SparkSession) -> None:
    df = spark.createDataFrame([(name,) for name in SPELLINGS], "system string")
    wrong = df.selectExpr("system", f"{vocabulary_sql('system')} AS v").where("NOT (system <=> v)").collect()
    assert wrong == []


def test_no_spelling_means_two_vocabularies() -> None:
    every = [spelling for spellings in SPELLINGS.values() for spelling in spellings]
    assert sorted(every) == sorted(set(every))


@pytest.mark.omop_rule(6)
def test_a_code_is_brought_into_look_up_form(spark: SparkSession) -> None:
    """OHDSI vocabularies: ICD with a dot, NDC in 11 digits, CVX without leading zeros."""
    df = spark.createDataFrame([(v, c, n) for n, (v, c, _) in enumerate(CODES)], "v string, c string, n int")
    got = {r[0]: r[1] for r in df.selectExpr("n", code_sql("v", "c")).collect()}
    assert [(v, c, got[n]) for n, (v, c, _) in enumerate(CODES)] == CODES


def test_common_units_become_ucum_and_ucum_keeps_its_case(spark: SparkSession) -> None:
    df = spark.createDataFrame([(u, n) for n, (u, _) in enumerate(UNITS)], "u string, n int")
    got = {r[0]: r[1] for r in df.selectExpr("n", ucum_sql("u")).collect()}
    assert [(u, got[n]) for n, (u, _) in enumerate(UNITS)] == UNITS
