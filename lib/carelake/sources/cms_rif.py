"""CMS Research Identifiable Files (RIF): Medicare enrolment, claims and Part D events, pipe-delimited.

One row of a claim file is one line of a claim; header amounts and diagnoses repeat on each line and are taken once
per claim, from the line with the smallest number. Meanings: the CCW data dictionaries (resdac.org, ccwdata.org).
Constants of the Synthea generator (NCH_BENE_PTB_COINSRNC_AMT, CLM_PASS_THRU_PER_DIEM_AMT, NCH_PROFNL_CMPNT_CHRG_AMT)
and primary-payer amounts, which repeat CLM_PMT_AMT, are not read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from carelake.bronze.parts import Divides
from carelake.bronze.source import FileProblem, Source, Unit
from carelake.core.delimited import records
from carelake.silver.conformed.claim import CLAIM
from carelake.silver.conformed.claim_line import CLAIM_LINE
from carelake.silver.conformed.coverage import COVERAGE
from carelake.silver.conformed.encounter import ENCOUNTER
from carelake.silver.conformed.event import EVENT
from carelake.silver.conformed.facility import FACILITY
from carelake.silver.conformed.lineage import coding
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.conformed.provider import PROVIDER
from carelake.sources import cms_rif_codes as codes
from carelake.sources import cms_rif_parties as parties
from carelake.sources.cms_rif_columns import (
    CLINICIAN,
    ENCOUNTER_ID,
    HEADER,
    HEADER_TYPE,
    LINE_CODINGS,
    LINE_COLUMNS,
    LINE_DAY,
    LINE_LAST,
    LINE_NO,
    MONTHS,
    NDC,
    ORGANISATION,
    by_kind,
    date,
    day,
    icd,
    money,
    once_per_claim,
    problems,
    read,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

FACILITY_CLAIMS = ("inpatient", "outpatient", "snf", "hha", "hospice")
CLAIMS = (*FACILITY_CLAIMS, "carrier", "dme")
_KEYS = {
    "beneficiary": ("BENE_ID", "RFRNC_YR"),
    "beneficiary_history": ("BENE_ID", "MBI_NUM", "EFCTV_BGN_DT"),
    "pde": ("PDE_ID",),
    **dict.fromkeys(FACILITY_CLAIMS, ("CLM_ID", "CLM_LINE_NUM")),
    "carrier": ("CLM_ID", "LINE_NUM"),
    "dme": ("CLM_ID", "LINE_NUM"),
}
_NAME = re.compile(
    rf"^(beneficiary_history|{'|'.join(k for k in _KEYS if k != 'beneficiary_history')})(?:_[^.]*)?\.csv"
)


def units(stream: BinaryIO, name: str) -> Iterator[Unit]:
    """Lines of a RIF file; its name gives the kind (`beneficiary_2014.csv` → beneficiary)."""
    named = _NAME.match(name.lower().rsplit("/", 1)[-1])
    if named is None:
        raise FileProblem("F_WRONG_FORMAT", "file_name")
    kind = named[1]
    key = _KEYS[kind]
    required = ("BENE_ID", *[c for c in key if c != "BENE_ID"])
    for record in records(stream, sep="|", quoted=False, columns=key, required=required, refuse=FileProblem):
        parts = record.values
        needed = parts[:1] if kind == "beneficiary_history" else parts
        problem = record.problem or (None if all(needed) else "R_ID:key_missing")
        natural = "|".join(parts) if all(needed) else None
        yield Unit(
            kind, natural, None, record.raw, record.byte_offset, record.record_no, problem, record.header
        )


SOURCE = Source(
    format="cms_rif",
    doc="CMS Research Identifiable Files: Medicare enrolment by year, claims by line, Part D events.",
    files=tuple(pattern for kind in _KEYS for pattern in (f"{kind}.csv", f"{kind}_*.csv")),
    units=units,
    kinds=frozenset(_KEYS),
    divides=lambda name: Divides(head=1, quoted=False),
    not_records=(
        "export_summary*.csv",
        "missing_codes*.csv",
        "npi.tsv",
        "manifest.xml",
        "end_state.properties",
    ),
    versions_kept=frozenset({"beneficiary"}),
    together=dict.fromkeys(CLAIMS, "substring_index(record_key, '|', 1)"),  # the lines of a claim
)


@SOURCE.mapping(kind="beneficiary", into=PATIENT)
def beneficiary(years: DataFrame) -> DataFrame:
    """One row per version of (beneficiary, reference year); DEATH_DT stands in the year of death alone."""
    columns = (
        "DML_IND", "BENE_ID", "RFRNC_YR", "BENE_BIRTH_DT", "BENE_SEX_IDENT_CD", "BENE_RACE_CD", "BENE_SRNM_NAME",
        "BENE_GVN_NAME", "MBI_NUM", "BENE_CRNT_HIC_NUM", "DEATH_DT", "STATE_CODE", "BENE_COUNTY_CD", "BENE_ZIP_CD",
        "DRVD_LINE_1_ADR", "DRVD_LINE_2_ADR", "DRVD_LINE_3_ADR", "CITY_NAME",
    )  # fmt: skip
    birth = date("BENE_BIRTH_DT")
    return read(years, columns).selectExpr(
        "BENE_ID AS source_person_id", "RFRNC_YR AS period", "is_latest", "version_at",
        "filter(array(named_struct('system', 'http://hl7.org/fhir/sid/us-mbi', 'value', MBI_NUM), named_struct("
        "'system', 'http://hl7.org/fhir/sid/us-medicare', 'value', BENE_CRNT_HIC_NUM)), x -> x.value IS NOT NULL)"
        " AS identifiers",
        "BENE_SRNM_NAME AS family_name", "BENE_GVN_NAME AS given_name", f"{birth} AS birth_date",
        f"year({birth}) AS year_of_birth", f"month({birth}) AS month_of_birth", f"day({birth}) AS day_of_birth",
        "CASE BENE_SEX_IDENT_CD WHEN '1' THEN 'male' WHEN '2' THEN 'female' ELSE 'unknown' END AS sex",
        "BENE_SEX_IDENT_CD AS sex_source_value",
        "CASE BENE_RACE_CD WHEN '1' THEN '2106-3' WHEN '2' THEN '2054-5' WHEN '4' THEN '2028-9' WHEN '6' THEN '1002-5'"
        " END AS race",
        "BENE_RACE_CD AS race_source_value", "CASE WHEN BENE_RACE_CD = '5' THEN 'hispanic' END AS ethnicity",
        "CASE WHEN BENE_RACE_CD = '5' THEN BENE_RACE_CD END AS ethnicity_source_value",
        f"{date('DEATH_DT')} AS death_date",
        f"CASE WHEN {date('DEATH_DT')} IS NOT NULL THEN 32848 END AS death_type_concept_id",
        "nullif(concat_ws(' ', DRVD_LINE_1_ADR, DRVD_LINE_2_ADR, DRVD_LINE_3_ADR), '') AS address_line",
        "CITY_NAME AS city", f"{state('STATE_CODE')} AS state", "BENE_COUNTY_CD AS county",
        "CASE WHEN length(BENE_ZIP_CD) < 5 THEN lpad(BENE_ZIP_CD, 5, '0') ELSE BENE_ZIP_CD END AS zip",
        f"{problems(dates=('BENE_BIRTH_DT', 'DEATH_DT'))} AS _problems", "_at",
    )  # fmt: skip


@SOURCE.mapping(kind="beneficiary", into=COVERAGE, counts=False)
def coverage(years: DataFrame) -> DataFrame:
    """Spans of covered months of a year, for parts A, B, C, D: not before COVSTART, not after death or the extract.

    A and B by the monthly entitlement, C and D by the monthly contract (HMO_MO_CNT is 0 even with Part C contracts).
    """
    flags = [f"MDCR_ENTLMT_BUYIN_{n}_IND" for n in range(1, 13)]
    parts = {
        "A": [f"{c} IN ('1', '3', 'A', 'C')" for c in flags],
        "B": [f"{c} IN ('2', '3', 'B', 'C')" for c in flags],
        "C": [f"PTC_CNTRCT_{m}_ID NOT IN ('0', 'N', 'X', '*')" for m in MONTHS],
        "D": [f"PTD_CNTRCT_{m}_ID NOT IN ('0', 'N', 'X', '*')" for m in MONTHS],
    }
    columns = ("DML_IND", "BENE_ID", "RFRNC_YR", "COVSTART", "DEATH_DT", *flags)
    columns += tuple(f"PT{p}_CNTRCT_{m}_ID" for p in "CD" for m in MONTHS)
    of_parts = ", ".join(
        f"named_struct('part', '{p}', 'covered', array({', '.join(f'coalesce({m}, false)' for m in months)}))"
        for p, months in parts.items()
    )
    month = "coalesce(get(p.covered, {} - 1), false)"
    begins = f"{month.format('m')} AND NOT {month.format('(m - 1)')}"
    ends = f"e >= s AND {month.format('e')} AND NOT {month.format('(e + 1)')}"
    spans = (
        f"flatten(transform(array({of_parts}), p -> transform(filter(sequence(1, 12), m -> {begins}), s -> named_struct("
        f"'part', p.part, 'first', s, 'last', array_min(filter(sequence(1, 12), e -> {ends}))))))"
    )
    january = "try_to_date(concat(RFRNC_YR, '-01-01'), 'yyyy-MM-dd')"
    return (
        read(years, columns)
        .where("is_latest AND coalesce(DML_IND, 'INSERT') <> 'DELETE'")
        .selectExpr("*", f"posexplode({spans}) AS (_part, span)")
        .selectExpr(
            "BENE_ID AS source_person_id", "'Medicare' AS payer", "'medicare' AS payer_type",
            "concat_ws('|', BENE_ID, RFRNC_YR, span.part, cast(span.first AS string)) AS source_coverage_id",
            "concat('Part ', span.part) AS plan",
            f"greatest(add_months({january}, span.first - 1), {date('COVSTART')}) AS start_date",
            f"least(last_day(add_months({january}, span.last - 1)), {date('DEATH_DT')}, extract_date) AS end_date",
            "_part", "_at",
        )
        .where("end_date >= start_date")
    )  # fmt: skip


@SOURCE.mapping(kind=CLAIMS, into=CLAIM_LINE)
def claim_line(lines: DataFrame) -> DataFrame:
    """One row per line; total lines (revenue centre 0001) and lines of claims that were superseded are left out.

    Inpatient and SNF lines have charges only. The patient's part of a professional line is allowed minus paid.
    """
    dates = ("CLM_FROM_DT", "CLM_THRU_DT", "REV_CNTR_DT", "LINE_1ST_EXPNS_DT", "LINE_LAST_EXPNS_DT")
    amounts = (
        "REV_CNTR_TOT_CHRG_AMT",
        "REV_CNTR_PMT_AMT_AMT",
        "LINE_SBMTD_CHRG_AMT",
        "LINE_ALOWD_CHRG_AMT",
        "LINE_NCH_PMT_AMT",
    )
    backwards = f"{date('CLM_THRU_DT')} < {date('CLM_FROM_DT')}"
    professional = f"{money('LINE_ALOWD_CHRG_AMT')} - {money('LINE_NCH_PMT_AMT')}"
    found = problems(dates=dates, amounts=(*amounts, "CLM_PMT_AMT"))
    return read(lines, (*LINE_COLUMNS, "CLM_PMT_AMT")).selectExpr(
        "BENE_ID AS source_person_id", "CLM_ID AS source_claim_id", f"{LINE_NO} AS line_no",
        f"{date(LINE_DAY)} AS start_date", f"{date(LINE_LAST)} AS end_date", "REV_CNTR AS revenue_code",
        f"{LINE_CODINGS} AS codings", "try_cast(coalesce(REV_CNTR_UNIT_CNT, LINE_SRVC_CNT) AS double) AS quantity",
        f"{money('coalesce(REV_CNTR_TOT_CHRG_AMT, LINE_SBMTD_CHRG_AMT)')} AS charge",
        f"{money('LINE_ALOWD_CHRG_AMT')} AS allowed",
        f"{money('coalesce(REV_CNTR_PMT_AMT_AMT, LINE_NCH_PMT_AMT)')} AS paid_by_payer",
        f"coalesce({money('REV_CNTR_PTNT_RSPNSBLTY_PMT')}, {professional}) AS paid_by_patient",
        "LINE_PLACE_OF_SRVC_CD AS place_of_service", f"{CLINICIAN} AS source_provider_id",
        "CASE WHEN REV_CNTR = '0001' THEN 'total_line' WHEN FINAL_ACTION <> 'F' THEN 'not_final_action' END AS _excluded",
        f"array_append({found}, CASE WHEN {backwards} THEN 'R_TEMPORAL:through_before_from' END) AS _problems", "_at",
    )  # fmt: skip


@SOURCE.mapping(kind=CLAIMS, into=CLAIM, counts=False)
def claim(lines: DataFrame) -> DataFrame:
    """One row per claim. Coinsurance of Part B is the sum of the lines', kept only where paid, deductible and it balance."""
    columns = (
        *HEADER, "NCH_WKLY_PROC_DT", "CLM_TOT_CHRG_AMT", "NCH_CARR_CLM_SBMTD_CHRG_AMT", "CLM_PMT_AMT", "CLM_DRG_CD",
        "NCH_BENE_IP_DDCTBL_AMT", "NCH_BENE_PTA_COINSRNC_LBLTY_AM", "NCH_BENE_PTB_DDCTBL_AMT", "CLM_IP_ADMSN_TYPE_CD",
        "CARR_CLM_CASH_DDCTBL_APLD_AMT", "PTNT_DSCHRG_STUS_CD", "CLM_FREQ_CD",
    )  # fmt: skip
    claims = once_per_claim(
        lines, columns, ("REV_CNTR", "REV_CNTR_COINSRNC_WGE_ADJSTD_C", "LINE_COINSRNC_AMT", "LINE_ALOWD_CHRG_AMT"),
        line_coinsurance="sum(try_cast(CASE WHEN coalesce(REV_CNTR, '') <> '0001' THEN "
        "coalesce(REV_CNTR_COINSRNC_WGE_ADJSTD_C, LINE_COINSRNC_AMT) END AS decimal(18,2)))",
        line_allowed="sum(try_cast(LINE_ALOWD_CHRG_AMT AS decimal(18,2)))",
    )  # fmt: skip
    kinds = {"carrier": "professional", "snf": "skilled_nursing", "hha": "home_health", "dme": "equipment"}
    part_b_deductible = "coalesce(NCH_BENE_PTB_DDCTBL_AMT, CARR_CLM_CASH_DDCTBL_APLD_AMT)"
    return claims.selectExpr(
        "*", f"{money('CLM_PMT_AMT')} AS paid_by_payer",
        f"{money('coalesce(CLM_TOT_CHRG_AMT, NCH_CARR_CLM_SBMTD_CHRG_AMT)')} AS charge",
        f"{money(f'coalesce(NCH_BENE_IP_DDCTBL_AMT, {part_b_deductible})')} AS patient_deductible",
    ).selectExpr(
        "*", "coalesce(line_allowed, charge) - paid_by_payer - patient_deductible AS rest",
    ).selectExpr(
        "*",
        f"coalesce({money('NCH_BENE_PTA_COINSRNC_LBLTY_AM')}, CASE WHEN line_coinsurance = rest THEN line_coinsurance END)"
        " AS patient_coinsurance",
    ).selectExpr(
        "BENE_ID AS source_person_id", "CLM_ID AS source_claim_id",
        f"{by_kind('kind', **{k: repr(v) for k, v in kinds.items()})} AS claim_type",
        f"{ENCOUNTER_ID} AS source_encounter_id", f"{date('CLM_FROM_DT')} AS start_date",
        f"{date('CLM_THRU_DT')} AS end_date", f"{date('NCH_WKLY_PROC_DT')} AS paid_date", "charge",
        "line_allowed AS allowed", "paid_by_payer",
        "CASE WHEN line_allowed IS NOT NULL THEN line_allowed - paid_by_payer"
        " ELSE patient_deductible + patient_coinsurance END AS paid_by_patient",
        "patient_coinsurance", "patient_deductible", "CLM_DRG_CD AS drg", "CLM_IP_ADMSN_TYPE_CD AS admission_type",
        "lpad(PTNT_DSCHRG_STUS_CD, 2, '0') AS discharge_status", "CLM_FREQ_CD AS frequency", "'Medicare' AS payer",
        f"{ORGANISATION} AS source_facility_id", f"{CLINICIAN} AS source_provider_id",
        f"{HEADER_TYPE} AS type_concept_id", "_at",
    )  # fmt: skip


@SOURCE.mapping(kind=tuple(k for k in CLAIMS if k != "dme"), into=ENCOUNTER, counts=False)
def encounter(lines: DataFrame) -> DataFrame:
    """One row per facility or professional claim, in days.

    Inpatient stays run from admission to discharge, all others from CLM_FROM_DT to CLM_THRU_DT (NCH_BENE_DSCHRG_DT
    of SNF and hospice follows the weekly processing). Revenue centre 045x: an inpatient claim was admitted through the
    emergency room, an outpatient claim is an emergency visit. A professional bill never makes an inpatient visit.
    """
    columns = (
        *HEADER, "CLM_ADMSN_DT", "NCH_BENE_DSCHRG_DT", "CLM_IP_ADMSN_TYPE_CD", "CLM_SRC_IP_ADMSN_CD", "NCH_CLM_TYPE_CD",
        "PTNT_DSCHRG_STUS_CD", "CLM_FAC_TYPE_CD", "CLM_SRVC_CLSFCTN_TYPE_CD", "LINE_PLACE_OF_SRVC_CD", "PRNCPAL_DGNS_CD",
        "PRNCPAL_DGNS_VRSN_CD",
    )  # fmt: skip
    claims = once_per_claim(
        lines, columns, ("REV_CNTR",), through_emergency="max(coalesce(REV_CNTR LIKE '045%', false))"
    )
    place = (
        "CASE WHEN LINE_PLACE_OF_SRVC_CD = '23' THEN 'emergency' WHEN LINE_PLACE_OF_SRVC_CD = '20' THEN 'urgent_care' "
        "WHEN LINE_PLACE_OF_SRVC_CD IN ('02', '10') THEN 'telehealth' WHEN LINE_PLACE_OF_SRVC_CD = '12' THEN 'home' "
        "WHEN LINE_PLACE_OF_SRVC_CD = '11' THEN 'office' WHEN LINE_PLACE_OF_SRVC_CD = '81' THEN 'laboratory' ELSE 'outpatient' END"
    )
    classes = by_kind(
        "'unknown'", inpatient="'inpatient'", snf="'skilled_nursing'", hha="'home'", hospice="'hospice'", carrier=place,
        outpatient="CASE WHEN through_emergency THEN 'emergency' ELSE 'outpatient' END",
    )  # fmt: skip
    first = by_kind("CLM_FROM_DT", inpatient="coalesce(CLM_ADMSN_DT, CLM_FROM_DT)")
    last = by_kind("CLM_THRU_DT", inpatient="coalesce(NCH_BENE_DSCHRG_DT, CLM_THRU_DT)")
    reason = coding(icd("PRNCPAL_DGNS_CD", "PRNCPAL_DGNS_VRSN_CD"), "PRNCPAL_DGNS_CD")
    return claims.selectExpr(
        "BENE_ID AS source_person_id", "CLM_ID AS source_encounter_id", f"{classes} AS visit_class",
        "concat_ws('|', kind, NCH_CLM_TYPE_CD, CLM_FAC_TYPE_CD, CLM_SRVC_CLSFCTN_TYPE_CD, LINE_PLACE_OF_SRVC_CD)"
        " AS class_source_value",
        f"{by_kind('cast(NULL AS boolean)', inpatient=repr('3') + ' = CLM_IP_ADMSN_TYPE_CD')} AS planned",
        f"{day(first)} AS start_datetime", f"{day(last)} AS end_datetime", "false AS has_time",
        f"filter(array({reason}), x -> x.code IS NOT NULL) AS reasons",
        f"{ORGANISATION} AS source_facility_id", f"{CLINICIAN} AS source_provider_id",
        "CASE WHEN kind = 'inpatient' AND through_emergency THEN 'emergency' ELSE CLM_SRC_IP_ADMSN_CD END AS admitted_from",
        "lpad(PTNT_DSCHRG_STUS_CD, 2, '0') AS discharged_to", f"{HEADER_TYPE} AS type_concept_id", "_at",
    )  # fmt: skip


SOURCE.mapping(kind=CLAIMS, into=EVENT, counts=False)(codes.claim_code)
SOURCE.mapping(kind=CLAIMS, into=EVENT, counts=False)(codes.line_code)

_PDE = (
    "DML_IND", "BENE_ID", "PDE_ID", "SRVC_DT", "PD_DT", "SRVC_PRVDR_ID", "PRSCRBR_ID", "PROD_SRVC_ID", "QTY_DSPNSD_NUM",
    "DAYS_SUPLY_NUM", "ADJSTMT_DLTN_CD", "PTNT_PAY_AMT", "OTHR_TROOP_AMT", "LICS_AMT", "PLRO_AMT", "CVRD_D_PLAN_PD_AMT",
    "NCVRD_PLAN_PD_AMT", "TOT_RX_CST_AMT",
)  # fmt: skip
_PDE_DELETED = "DML_IND = 'DELETE' OR ADJSTMT_DLTN_CD = 'D'"


@SOURCE.mapping(kind="pde", into=EVENT)
def dispensing(events: DataFrame) -> DataFrame:
    """One dispensing per Part D event; quantity and days of supply as sent."""
    found = problems(dates=("SRVC_DT",), amounts=("QTY_DSPNSD_NUM", "TOT_RX_CST_AMT"), deleted=_PDE_DELETED)
    return read(events, _PDE).selectExpr(
        "BENE_ID AS source_person_id", "PDE_ID AS source_event_id", "PRSCRBR_ID AS source_provider_id", "'Drug' AS domain_hint",
        "'dispense' AS fact", f"array({coding(repr(NDC), 'PROD_SRVC_ID')}) AS codings", f"{day('SRVC_DT')} AS start_datetime",
        "false AS has_time", "try_cast(QTY_DSPNSD_NUM AS double) AS quantity", "try_cast(DAYS_SUPLY_NUM AS int) AS days_supply",
        "concat('PDE|', PDE_ID) AS source_claim_id", "32869 AS type_concept_id",
        f"{found} AS _problems", "_at",
    )  # fmt: skip


@SOURCE.mapping(kind="pde", into=CLAIM, counts=False)
def pharmacy_claim(events: DataFrame) -> DataFrame:
    """The six payment parts, which add to TOT_RX_CST_AMT (charge and allowed).

    Payer: both plan parts and the low-income subsidy, which Medicare pays. Patient: PTNT_PAY_AMT. Others who pay for the
    patient (OTHR_TROOP_AMT, PLRO_AMT) are other money: paid_by_primary.
    """

    def total(*parts: str) -> str:
        return " + ".join(f"coalesce({money(p)}, 0)" for p in parts)

    return read(events, _PDE).where(f"NOT coalesce({_PDE_DELETED}, false)").selectExpr(
        "BENE_ID AS source_person_id", "concat('PDE|', PDE_ID) AS source_claim_id", "'pharmacy' AS claim_type", f"{date('SRVC_DT')} AS start_date",
        f"{date('SRVC_DT')} AS end_date", f"{date('PD_DT')} AS paid_date", f"{money('TOT_RX_CST_AMT')} AS charge",
        f"{money('TOT_RX_CST_AMT')} AS allowed",
        f"{total('CVRD_D_PLAN_PD_AMT', 'NCVRD_PLAN_PD_AMT', 'LICS_AMT')} AS paid_by_payer",
        f"{total('OTHR_TROOP_AMT', 'PLRO_AMT')} AS paid_by_primary", f"{money('PTNT_PAY_AMT')} AS paid_by_patient",
        "'Medicare' AS payer", "SRVC_PRVDR_ID AS source_facility_id", "PRSCRBR_ID AS source_provider_id",
        "32869 AS type_concept_id", "_at",
    )  # fmt: skip


SOURCE.mapping(kind=(*CLAIMS, "pde"), into=PROVIDER, counts=False, whole=True)(parties.provider)
SOURCE.mapping(kind=(*CLAIMS, "pde"), into=FACILITY, counts=False, whole=True)(parties.facility)
