"""Mappings of CMS RIF into the contracts: hand-made claims, and the published figures of the population."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from carelake.silver.conformed.conform import placed
from carelake.sources.cms_rif import SOURCE
from tests.helpers.bronze import bronze, folder, mapped
from tests.helpers.tables import rows

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

ICD10CM, ICD10PCS = "http://hl7.org/fhir/sid/icd-10-cm", "http://www.cms.gov/Medicare/Coding/ICD10"
EXTRACT = date(2024, 9, 1)


def table(*records: dict[str, Any]) -> bytes:
    """A RIF file of some records; its columns are all that any record names."""
    columns = list(dict.fromkeys(c for r in records for c in r))
    return "\n".join(
        "|".join(str(v) for v in line)
        for line in [columns, *[[r.get(c, "") for c in columns] for r in records]]
    ).encode()


def inpatient(line: int, **other: Any) -> dict[str, Any]:
    base = {
        "DML_IND": "INSERT", "BENE_ID": "-1", "CLM_ID": "-9", "CLM_LINE_NUM": line, "FINAL_ACTION": "F",
        "CLM_FROM_DT": "19-Jul-2020", "CLM_THRU_DT": "22-Jul-2020", "CLM_ADMSN_DT": "19-Jul-2020",
        "NCH_BENE_DSCHRG_DT": "22-Jul-2020", "NCH_WKLY_PROC_DT": "24-Jul-2020", "CLM_PMT_AMT": "700.10",
        "CLM_TOT_CHRG_AMT": "1000.10", "NCH_BENE_IP_DDCTBL_AMT": "100", "NCH_BENE_PTA_COINSRNC_LBLTY_AM": "200.00",
        "CLM_IP_ADMSN_TYPE_CD": "3", "CLM_SRC_IP_ADMSN_CD": "1", "PTNT_DSCHRG_STUS_CD": "1", "CLM_DRG_CD": "180",
        "PRNCPAL_DGNS_CD": "C3490", "PRNCPAL_DGNS_VRSN_CD": "0", "ADMTG_DGNS_CD": "R05", "ADMTG_DGNS_VRSN_CD": "0",
        "ICD_DGNS_CD1": "C3490", "ICD_DGNS_VRSN_CD1": "0", "ICD_DGNS_CD2": "4280", "ICD_DGNS_VRSN_CD2": "9",
        "FST_DGNS_E_CD": "W19", "FST_DGNS_E_VRSN_CD": "0", "ICD_PRCDR_CD1": "BW03ZZZ", "ICD_PRCDR_VRSN_CD1": "0",
        "PRCDR_DT1": "20-Jul-2020", "ICD_PRCDR_CD2": "Z992", "ICD_PRCDR_VRSN_CD2": "0", "PRCDR_DT2": "",
        "ICD_PRCDR_CD3": "C3490", "ICD_PRCDR_VRSN_CD3": "0", "ORG_NPI_NUM": "1023049236", "PRVDR_NUM": "220108",
        "AT_PHYSN_NPI": "9999996496", "REV_CNTR": "0120", "REV_CNTR_TOT_CHRG_AMT": "500.05", "REV_CNTR_UNIT_CNT": "3",
    }  # fmt: skip
    return base | other


@pytest.fixture(scope="module")
def stay(spark: SparkSession) -> DataFrame:
    """One inpatient claim of three lines, their order in the file reversed, and one deleted line before all."""
    lines = (
        inpatient(3, REV_CNTR="0001", REV_CNTR_TOT_CHRG_AMT="1000.10"),
        inpatient(2, REV_CNTR="0450", HCPCS_CD="99221", CLM_PMT_AMT="9"),
        inpatient(1),
        inpatient(0, DML_IND="DELETE", CLM_PMT_AMT="1"),
    )
    return bronze(spark, SOURCE, {"inpatient.csv": table(*lines)}, extract=EXTRACT).cache()


@pytest.mark.omop_rule(21, 14)
def test_header_amounts_are_taken_once_from_the_smallest_live_line(stay: DataFrame) -> None:
    """CMS RIF: every line repeats the header's amounts; CDM v5.4 COST counts each once."""
    out = mapped(SOURCE, "claim", stay)
    assert rows(
        out,
        "_at.record",
        "charge",
        "paid_by_payer",
        "paid_by_patient",
        "patient_deductible",
        "patient_coinsurance",
    ) == [(3, Decimal("1000.10"), Decimal("700.10"), Decimal("300.00"), Decimal("100.00"), Decimal("200.00"))]
    assert rows(
        out, "claim_type", "start_date", "end_date", "paid_date", "discharge_status", "type_concept_id"
    ) == [("inpatient", "2020-07-19", "2020-07-22", "2020-07-24", "01", 32855)]


def test_the_total_line_is_left_out_and_a_deleted_line_is_retracted(stay: DataFrame) -> None:
    out = mapped(SOURCE, "claim_line", stay)
    assert rows(
        out.selectExpr("line_no", "revenue_code", "charge", "_excluded", "array_join(_problems, ' ')")
    ) == [
        (0, "0120", Decimal("500.05"), None, "R_RETRACTED:deleted"),
        (1, "0120", Decimal("500.05"), None, ""),
        (2, "0450", Decimal("500.05"), None, ""),
        (3, "0001", Decimal("1000.10"), "total_line", ""),
    ]


@pytest.mark.omop_rule(21)
def test_rule_21_the_type_says_which_kind_of_claim_and_whether_header_or_line(spark: SparkSession) -> None:
    """CDM v5.4 type concepts: inpatient 32855 and 32854, outpatient 32861 and 32860, facility 32846 and 32845 (home
    health, hospice, nursing), professional 32873 and 32872 (carrier, equipment), pharmacy 32869."""
    wanted = {
        "inpatient": (32855, 32854), "outpatient": (32861, 32860), "snf": (32846, 32845), "hha": (32846, 32845),
        "hospice": (32846, 32845), "carrier": (32873, 32872), "dme": (32873, 32872),
    }  # fmt: skip
    line = {
        "HCPCS_CD": "99221",
        "LINE_NUM": 1,
        "LINE_1ST_EXPNS_DT": "19-Jul-2020",
        "REV_CNTR_DT": "19-Jul-2020",
    }
    files = {f"{kind}.csv": table(inpatient(1, CLM_ID=f"-{kind}", **line)) for kind in wanted}
    given = bronze(spark, SOURCE, files, extract=EXTRACT)
    of_claims = rows(mapped(SOURCE, "claim", given), "_at.kind", "type_concept_id")
    of_headers = rows(mapped(SOURCE, "claim_code", given).select("_at.kind", "type_concept_id").distinct())
    of_lines = rows(
        mapped(SOURCE, "line_code", given)
        .where("fact = 'procedure'")
        .select("_at.kind", "type_concept_id")
        .distinct()
    )
    headers = sorted((kind, header) for kind, (header, _) in wanted.items())
    assert of_claims == headers
    assert of_headers == headers
    assert of_lines == sorted((kind, line) for kind, (_, line) in wanted.items())
    drug = {
        "DML_IND": "INSERT",
        "BENE_ID": "-1",
        "PDE_ID": "-7",
        "SRVC_DT": "01-Mar-2015",
        "PROD_SRVC_ID": "00093505698",
    }
    pharmacy = bronze(spark, SOURCE, {"pde.csv": table(drug)}, extract=EXTRACT)
    names = [m.name for m in SOURCE.mappings if m.kinds == ("pde",)]
    assert {r[0] for name in names for r in rows(mapped(SOURCE, name, pharmacy), "type_concept_id")} == {
        32869
    }


def test_a_stay_through_the_emergency_room_is_one_inpatient_encounter(stay: DataFrame) -> None:
    out = mapped(SOURCE, "encounter", stay)
    assert rows(
        out, "visit_class", "admitted_from", "planned", "start_datetime", "end_datetime", "discharged_to"
    ) == [("inpatient", "emergency", True, "2020-07-19T00:00:00", "2020-07-22T00:00:00", "01")]


@pytest.mark.omop_rule(21, 12)
def test_a_code_counts_once_per_claim_with_its_strongest_role(stay: DataFrame) -> None:
    """CMS RIF: every line repeats the claim's diagnoses; CDM v5.4 CONDITION_OCCURRENCE has one each."""
    out = mapped(SOURCE, "claim_code", stay)
    picked = out.selectExpr(
        "fact", "codings[0].code", "codings[0].system", "role", "domain_hint", "cast(start_datetime AS date)"
    )
    assert rows(picked) == [
        ("diagnosis", "4280", "http://hl7.org/fhir/sid/icd-9-cm", "secondary", "Condition", "2020-07-19"),
        ("diagnosis", "C3490", ICD10CM, "principal", "Condition", "2020-07-19"),
        ("diagnosis", "R05", ICD10CM, "admitting", "Condition", "2020-07-19"),
        ("diagnosis", "W19", ICD10CM, "secondary", "Observation", "2020-07-19"),
        ("procedure", "BW03ZZZ", ICD10PCS, None, "Procedure", "2020-07-20"),
        ("procedure", "Z992", ICD10CM, None, "Procedure", "2020-07-19"),
    ]


def test_codes_of_a_record_have_parts_of_their_own(stay: DataFrame) -> None:
    parts = mapped(SOURCE, "claim_code", stay).select("_at.record", "_part")
    parts = parts.unionByName(mapped(SOURCE, "line_code", stay).select("_at.record", "_part"))
    assert parts.count() == parts.distinct().count() == 7


def test_a_line_says_what_was_done_in_the_system_of_its_code(spark: SparkSession) -> None:
    lines = [
        inpatient(n, CLM_ID=f"-{n}", HCPCS_CD=code, REV_CNTR=centre)
        for n, (code, centre) in enumerate(
            [("99221", "0981"), ("G0444", "0510"), ("GAXF1", "0022"), ("0001U", "0310")], 1
        )
    ]
    out = mapped(SOURCE, "line_code", bronze(spark, SOURCE, {"outpatient.csv": table(*lines)}))
    assert rows(out.selectExpr("codings[0].code", "split(codings[0].system, '/')[size(split(codings[0].system, '/')) - 1]")) == [
        ("0001U", "cpt"), ("99221", "cpt"), ("G0444", "HCPCSReleaseCodeSets"), ("GAXF1", "HIPPSCodes"),
    ]  # fmt: skip


def test_days_and_amounts_that_are_none_are_named(spark: SparkSession) -> None:
    lines = [
        inpatient(1, CLM_ID="-1", CLM_FROM_DT="00000000"),
        inpatient(1, CLM_ID="-2", CLM_THRU_DT="01-Jul-2020"),
        inpatient(1, CLM_ID="-3", CLM_PMT_AMT="n/a"),
        inpatient(1, CLM_ID="-4", CLM_FROM_DT="20200719"),
        inpatient(1, CLM_ID="-5", CLM_THRU_DT="22-Jul-2120"),
    ]
    out = mapped(SOURCE, "claim_line", bronze(spark, SOURCE, {"inpatient.csv": table(*lines)}))
    assert rows(out.selectExpr("source_claim_id", "array_join(_problems, ' ')")) == [
        ("-1", "R_DATE:CLM_FROM_DT"), ("-2", "R_TEMPORAL:through_before_from"), ("-3", "R_TYPE:CLM_PMT_AMT"), ("-4", ""),
        ("-5", "R_TEMPORAL:future"),
    ]  # fmt: skip


def test_columns_may_be_missing_added_or_in_another_order(spark: SparkSession) -> None:
    files = {
        "carrier.csv": b"BENE_ID|CLM_ID|LINE_NUM|CLM_PMT_AMT|CLM_FROM_DT\n-1|-8|1|5.5|19-Jul-2020\n",
        "carrier_2.csv": b"NEW|CLM_FROM_DT|CLM_PMT_AMT|LINE_NUM|CLM_ID|BENE_ID\nx|20-Jul-2020|6.5|1|-9|-2\n",
    }
    out = mapped(SOURCE, "claim", bronze(spark, SOURCE, files))
    assert rows(out, "source_person_id", "source_claim_id", "paid_by_payer", "start_date", "end_date") == [
        ("-1", "-8", Decimal("5.50"), "2020-07-19", None), ("-2", "-9", Decimal("6.50"), "2020-07-20", None),
    ]  # fmt: skip


def bene(year: int, **other: Any) -> dict[str, Any]:
    base = {
        "DML_IND": "INSERT", "BENE_ID": "-1", "RFRNC_YR": year, "BENE_BIRTH_DT": "07-Jan-1939", "BENE_SEX_IDENT_CD": "2",
        "BENE_RACE_CD": "5", "BENE_SRNM_NAME": "Kris", "BENE_GVN_NAME": "Louvenia", "MBI_NUM": "1S00", "STATE_CODE": "22",
        "BENE_CRNT_HIC_NUM": "T01A", "BENE_ZIP_CD": "1730", "COVSTART": "15-Mar-2014", "DEATH_DT": "",
        **{f"MDCR_ENTLMT_BUYIN_{n}_IND": "3" for n in range(1, 13)},
    }  # fmt: skip
    return base | other


def test_a_beneficiary_is_one_patient_a_year(spark: SparkSession) -> None:
    files = {
        "beneficiary_2014.csv": table(bene(2014)),
        "beneficiary_2015.csv": table(bene(2015, DML_IND="UPDATE", BENE_RACE_CD="2")),
    }
    out = mapped(SOURCE, "beneficiary", bronze(spark, SOURCE, files))
    assert rows(out, "period", "is_latest", "birth_date", "sex", "race", "ethnicity", "state", "zip") == [
        ("2014", True, "1939-01-07", "female", None, "hispanic", "MA", "01730"),
        ("2015", True, "1939-01-07", "female", "2054-5", None, "MA", "01730"),
    ]
    assert rows(out.selectExpr("identifiers.value[0]", "identifiers.value[1]").distinct()) == [
        ("1S00", "T01A")
    ]


def test_coverage_starts_with_covstart_and_ends_with_death_the_last_month_or_the_extract(
    spark: SparkSession,
) -> None:
    gap = {f"MDCR_ENTLMT_BUYIN_{n}_IND": v for n, v in enumerate("331100000333", start=1)}
    half = {f"MDCR_ENTLMT_BUYIN_{n}_IND": v for n, v in enumerate("333333333...", start=1)}
    half |= {c: "" for c, v in half.items() if v == "."}
    files = {
        "beneficiary_2014.csv": table(bene(2014)),
        "beneficiary_2015.csv": table(bene(2015, **gap)),
        "beneficiary_2016.csv": table(bene(2016, DEATH_DT="09-Jun-2016")),
        "beneficiary_2024.csv": table(
            bene(2024, BENE_ID="-2", PTD_CNTRCT_JAN_ID="Z0004", PTD_CNTRCT_FEB_ID="N", **half)
        ),
    }
    out = mapped(SOURCE, "coverage", bronze(spark, SOURCE, files, extract=EXTRACT))
    assert rows(out, "source_person_id", "plan", "start_date", "end_date") == [
        ("-1", "Part A", "2014-03-15", "2014-12-31"),
        ("-1", "Part A", "2015-01-01", "2015-04-30"),
        ("-1", "Part A", "2015-10-01", "2015-12-31"),
        ("-1", "Part A", "2016-01-01", "2016-06-09"),
        ("-1", "Part B", "2014-03-15", "2014-12-31"),
        ("-1", "Part B", "2015-01-01", "2015-02-28"),
        ("-1", "Part B", "2015-10-01", "2015-12-31"),
        ("-1", "Part B", "2016-01-01", "2016-06-09"),
        ("-2", "Part A", "2024-01-01", "2024-09-01"),
        ("-2", "Part B", "2024-01-01", "2024-09-01"),
        ("-2", "Part D", "2024-01-01", "2024-01-31"),
    ]


def test_a_part_d_event_is_a_dispensing_and_a_claim_whose_parts_add_up(spark: SparkSession) -> None:
    event = {
        "DML_IND": "INSERT", "BENE_ID": "-1", "PDE_ID": "-7", "SRVC_DT": "01-Mar-2015", "PD_DT": "02-Mar-2015",
        "PROD_SRVC_ID": "50090443201", "QTY_DSPNSD_NUM": "90", "DAYS_SUPLY_NUM": "-30", "PRSCRBR_ID": "9999928309",
        "PTNT_PAY_AMT": "1.01", "OTHR_TROOP_AMT": "2.02", "LICS_AMT": "3.03", "PLRO_AMT": "4.04", "CVRD_D_PLAN_PD_AMT": "5.05",
        "NCVRD_PLAN_PD_AMT": "6.06", "TOT_RX_CST_AMT": "21.21",
    }  # fmt: skip
    records = bronze(
        spark, SOURCE, {"pde.csv": table(event, event | {"PDE_ID": "-8", "ADJSTMT_DLTN_CD": "D"})}
    )
    sent = mapped(SOURCE, "dispensing", records)
    assert rows(sent.selectExpr("source_event_id", "quantity", "days_supply", "codings[0].code", "array_join(_problems, ' ')")) == [
        ("-7", 90.0, -30, "50090443201", ""), ("-8", 90.0, -30, "50090443201", "R_RETRACTED:deleted"),
    ]  # fmt: skip
    out = mapped(SOURCE, "pharmacy_claim", records)
    assert rows(out, "source_claim_id", "charge", "paid_by_payer", "paid_by_primary", "paid_by_patient") == [
        ("PDE|-7", Decimal("21.21"), Decimal("14.14"), Decimal("6.06"), Decimal("1.01"))
    ]


def test_a_clinician_and_an_organisation_are_named_once(stay: DataFrame) -> None:
    assert rows(mapped(SOURCE, "provider", stay), "source_provider_id", "aliases") == [
        ("9999996496", ["http://hl7.org/fhir/sid/us-npi|9999996496", "9999996496"])
    ]
    out = mapped(SOURCE, "facility", stay)
    assert rows(
        out.selectExpr(
            "source_facility_id", "array_contains(aliases, 'http://hl7.org/fhir/sid/us-ccn|220108')"
        )
    ) == [("1023049236", True)]


@pytest.fixture(scope="module")
def population(spark: SparkSession, data: Path) -> DataFrame:
    files = {n: t for n, t in folder(data / "population_ma" / "rif").items() if SOURCE.reads(n)}
    return bronze(spark, SOURCE, files, extract=EXTRACT).repartition(2).cache()


def test_payments_of_the_population_tie_out_to_the_cent(population: DataFrame) -> None:
    out = (
        mapped(SOURCE, "claim", population).groupBy("claim_type").agg({"*": "count", "paid_by_payer": "sum"})
    )
    assert rows(out, "claim_type", "count(1)", "sum(paid_by_payer)") == [
        ("equipment", 186, Decimal("940.25")),
        ("home_health", 6, Decimal("34518.27")),
        ("hospice", 8, Decimal("73311.12")),
        ("inpatient", 65, Decimal("1485569.16")),
        ("outpatient", 2672, Decimal("2313268.06")),
        ("professional", 438, Decimal("582511.31")),
        ("skilled_nursing", 9, Decimal("111080.08")),
    ]
    pharmacy = mapped(SOURCE, "pharmacy_claim", population).selectExpr(
        "count(*)", "sum(charge)", "sum(paid_by_payer + paid_by_primary + paid_by_patient)"
    )
    assert rows(pharmacy) == [(1818, Decimal("137538.29"), Decimal("137538.29"))]


def test_stays_of_the_population_come_half_through_the_emergency_room(population: DataFrame) -> None:
    out = mapped(SOURCE, "encounter", population).where("_at.kind = 'inpatient'")
    assert rows(
        out.selectExpr("count(*)", "count_if(admitted_from = 'emergency')", "count_if(end_datetime IS NULL)")
    ) == [(65, 31, 0)]


def test_years_of_the_population_are_393_of_45_people(population: DataFrame) -> None:
    out = mapped(SOURCE, "beneficiary", population)
    assert rows(out.selectExpr("count(*)", "count(DISTINCT source_person_id)", "count(death_date)")) == [
        (393, 45, 5)
    ]
    covered = mapped(SOURCE, "coverage", population)
    assert rows(covered.selectExpr("count_if(plan = 'Part A')", "max(end_date)", "min(start_date)")) == [
        (393, "2024-09-01", "2014-01-01")
    ]


def test_codes_of_the_population_count_once_per_claim(population: DataFrame) -> None:
    out = mapped(SOURCE, "claim_code", population)
    kinds = out.groupBy("fact", out.codings[0].system.alias("system")).count()
    # Counted from the files by a script of its own: distinct (claim, code) over all diagnosis columns and lines.
    assert rows(kinds) == [
        ("diagnosis", ICD10CM, 60411),
        ("procedure", ICD10CM, 3152),
        ("procedure", ICD10PCS, 193),
    ]


def test_every_line_of_the_population_conforms(population: DataFrame) -> None:
    for mapping in SOURCE.mappings:
        if mapping.counts:
            out = placed(mapped(SOURCE, mapping.name, population))
            wrong = mapping.into.conform(out).where(f"size({mapping.into.reasons()}) > 0")
            assert (mapping.name, wrong.count()) == (mapping.name, 0)
            assert out.where("size(array_compact(_problems)) > 0").count() == 0
