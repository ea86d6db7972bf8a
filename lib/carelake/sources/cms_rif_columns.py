"""RIF columns as SQL: days, amounts, codes and their systems, and one row per claim. Shared by the mappings of cms_rif."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F
from pyspark.sql.window import Window

from carelake.core.delimited import fields
from carelake.silver.conformed import clock
from carelake.silver.conformed.lineage import coding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

NPI, CCN = "http://hl7.org/fhir/sid/us-npi", "http://hl7.org/fhir/sid/us-ccn"
NDC = "http://hl7.org/fhir/sid/ndc"
ICD10CM, ICD10PCS = "http://hl7.org/fhir/sid/icd-10-cm", "http://www.cms.gov/Medicare/Coding/ICD10"
ICD9CM, ICD9PROC = "http://hl7.org/fhir/sid/icd-9-cm", "urn:oid:2.16.840.1.113883.6.104"
HCPCS, CPT = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "http://www.ama-assn.org/go/cpt"
HIPPS = "https://www.cms.gov/Medicare/Medicare-Fee-for-Service-Payment/ProspMedicareFeeSvcPmtGen/HIPPSCodes"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEPT", "OCT", "NOV", "DEC")
# The code of a state at the Social Security Administration is its place in this list, from 01.
_SSA_STATES = (
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "DC", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY", "LA", "ME",
    "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA", "PR",
    "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VI", "VA", "WA", "WV", "WI", "WY",
)  # fmt: skip
LIVE = "coalesce(DML_IND, 'INSERT') <> 'DELETE' AND coalesce(FINAL_ACTION, 'F') = 'F'"
LINE_NO = "try_cast(coalesce(CLM_LINE_NUM, LINE_NUM) AS int)"
PCS = (  # sections of ICD-10-PCS; H holds HZ alone, G GZ alone; X00-X99 ending in A, D or S is ICD-10-CM
    "^(?:[0-9BCDF][0-9A-HJ-NP-Z]{6}|[GH]Z[0-9A-HJ-NP-Z]{5}|X(?![0-9][0-9][0-9A-Z]{3}[ADS]$)[0-9A-HJ-NP-Z]{6})$"
)


def date(column: str) -> str:
    """SQL of a day as CMS writes it (`07-Jan-1939`, or 19390107)."""
    return f"coalesce(try_to_date({column}, 'd-MMM-yyyy'), try_to_date({column}, 'yyyyMMdd'))"


def day(column: str) -> str:
    """SQL of a day as a local time at its start."""
    return f"cast({date(column)} AS timestamp_ntz)"


def money(column: str) -> str:
    """SQL of an amount in US dollars; NULL when it is none."""
    return f"try_cast({column} AS decimal(18,2))"


def state(column: str) -> str:
    """SQL of a state's two letters from them or from the code of the Social Security Administration."""
    pairs = ", ".join(f"'{n:02d}', '{s}'" for n, s in enumerate(_SSA_STATES, start=1))
    return f"coalesce(try_element_at(map({pairs}), {column}), CASE WHEN {column} RLIKE '^[A-Z]{{2}}$' THEN {column} END)"


def by_kind(default: str, **values: str) -> str:
    """SQL that depends on the kind of the record."""
    cases = " ".join(f"WHEN '{kind}' THEN {sql}" for kind, sql in values.items())
    return f"CASE kind {cases} ELSE {default} END"


def problems(
    *, dates: Sequence[str] = (), amounts: Sequence[str] = (), deleted: str = "DML_IND = 'DELETE'"
) -> str:
    """SQL of an array of problems: a deleted record, a day or amount that is none, a day long after
    the extract; blank values are judged by `required`."""
    found = [f"CASE WHEN {deleted} THEN 'R_RETRACTED:deleted' END"]
    found += [f"CASE WHEN {d} IS NOT NULL AND {date(d)} IS NULL THEN 'R_DATE:{d}' END" for d in dates]
    found += [clock.future(date(d)) for d in dates]
    found += [f"CASE WHEN {a} IS NOT NULL AND {money(a)} IS NULL THEN 'R_TYPE:{a}' END" for a in amounts]
    return f"array({', '.join(found)})"


def read(lines: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Bronze rows with these columns of their line; a blank value is NULL."""
    return fields(lines, columns, sep="|", quoted=False)


def once_per_claim(
    lines: DataFrame, columns: Sequence[str], of_lines: Sequence[str] = (), **whole: str
) -> DataFrame:
    """One row per claim: `columns` of its smallest live line, and `whole`: aggregates (SQL) over `of_lines` of all."""
    live = read(lines, ("DML_IND", "FINAL_ACTION", "CLM_ID", "CLM_LINE_NUM", "LINE_NUM", *of_lines)).where(
        LIVE
    )
    claim = Window.partitionBy(F.col("_at.source"), "kind", "CLM_ID")
    everything = claim.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    counted = live.select(
        "*",
        F.row_number()
        .over(claim.orderBy(F.expr(LINE_NO).asc_nulls_last(), F.col("_at.record")))
        .alias("_nth"),
        *[F.expr(sql).over(everything).alias(name) for name, sql in whole.items()],
    )
    return read(counted.where("_nth = 1").drop("_nth", *of_lines), columns)


HEADER_TYPE = by_kind("32846", inpatient="32855", outpatient="32861", carrier="32873", dme="32873")
LINE_TYPE = by_kind("32845", inpatient="32854", outpatient="32860", carrier="32872", dme="32872")
ORGANISATION = "coalesce(ORG_NPI_NUM, PRVDR_NPI, PRVDR_NUM)"
CLINICIAN = "coalesce(RNDRNG_PHYSN_NPI, PRF_PHYSN_NPI, AT_PHYSN_NPI, RFR_PHYSN_NPI)"
HEADER = (
    "BENE_ID",
    "CLM_FROM_DT",
    "CLM_THRU_DT",
    "ORG_NPI_NUM",
    "PRVDR_NPI",
    "PRVDR_NUM",
    "RNDRNG_PHYSN_NPI",
    "PRF_PHYSN_NPI",
    "AT_PHYSN_NPI",
    "RFR_PHYSN_NPI",
)
ENCOUNTER_ID = by_kind("CLM_ID", dme="cast(NULL AS string)")  # a supplier's delivery is no contact with care
LINE_COLUMNS = (
    "DML_IND", "FINAL_ACTION", "CLM_ID", "CLM_LINE_NUM", "LINE_NUM", "REV_CNTR", "REV_CNTR_DT", "HCPCS_CD",
    "HCPCS_1ST_MDFR_CD", "HCPCS_2ND_MDFR_CD", "HCPCS_3RD_MDFR_CD", "HCPCS_4TH_MDFR_CD", "REV_CNTR_IDE_NDC_UPC_NUM",
    "REV_CNTR_UNIT_CNT", "REV_CNTR_TOT_CHRG_AMT", "REV_CNTR_PMT_AMT_AMT", "REV_CNTR_PTNT_RSPNSBLTY_PMT",
    "LINE_1ST_EXPNS_DT", "LINE_LAST_EXPNS_DT", "LINE_PLACE_OF_SRVC_CD", "LINE_SRVC_CNT", "LINE_SBMTD_CHRG_AMT",
    "LINE_ALOWD_CHRG_AMT", "LINE_NCH_PMT_AMT", "LINE_NDC_CD", *HEADER,
)  # fmt: skip
LINE_DAY = "coalesce(REV_CNTR_DT, LINE_1ST_EXPNS_DT, CLM_FROM_DT)"
LINE_LAST = "coalesce(REV_CNTR_DT, LINE_LAST_EXPNS_DT, LINE_1ST_EXPNS_DT, CLM_THRU_DT)"
LINE_SYSTEM = (
    f"CASE WHEN REV_CNTR IN ('0022', '0023', '0024') THEN '{HIPPS}' WHEN HCPCS_CD RLIKE '^[A-V][0-9]{{4}}$' THEN '{HCPCS}' "
    f"WHEN HCPCS_CD RLIKE '^[0-9]{{4}}[0-9AFMTU]$' THEN '{CPT}' WHEN HCPCS_CD RLIKE '^[0-9A-Z]{{5}}$' THEN '{HIPPS}' END"
)
LINE_NDC = "coalesce(LINE_NDC_CD, CASE WHEN REV_CNTR_IDE_NDC_UPC_NUM RLIKE '^[0-9]{11}$' THEN REV_CNTR_IDE_NDC_UPC_NUM END)"
LINE_CODINGS = f"filter(array({coding(LINE_SYSTEM, 'HCPCS_CD')}, {coding(repr(NDC), LINE_NDC)}), x -> x.code IS NOT NULL)"


def icd(code: str, version: str) -> str:
    """SQL of a diagnosis code's system: by its version (0 ICD-10, 9 ICD-9), without one by its format."""
    old = f"{version} = '9' OR ({version} IS NULL AND {code} RLIKE '^(?:[0-9]{{3,5}}|E[0-9]{{3,4}})$')"
    return f"CASE WHEN {old} THEN '{ICD9CM}' ELSE '{ICD10CM}' END"


def numbered(prefix: str, count: int) -> list[str]:
    """Names of columns that repeat: prefix1, prefix2 ..."""
    return [f"{prefix}{n}" for n in range(1, count + 1)]
