"""RIF claims → events: the codes of claims and of their lines. `cms_rif` declares the mappings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from carelake.silver.conformed.lineage import coding
from carelake.sources.cms_rif_columns import (
    CLINICIAN,
    ENCOUNTER_ID,
    HCPCS,
    HEADER,
    HEADER_TYPE,
    HIPPS,
    ICD9PROC,
    ICD10CM,
    ICD10PCS,
    LINE_CODINGS,
    LINE_COLUMNS,
    LINE_DAY,
    LINE_LAST,
    LINE_NDC,
    LINE_NO,
    LINE_SYSTEM,
    LINE_TYPE,
    LIVE,
    PCS,
    date,
    day,
    icd,
    numbered,
    once_per_claim,
    read,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def claim_code(lines: DataFrame) -> DataFrame:
    """Diagnoses and ICD procedures, once per claim and code: principal before admitting before secondary.

    Diagnoses: principal, admitting, 1-25, external causes, reasons for the visit, and those of lines. ICD_PRCDR_CD
    holds ICD-10-CM codes too (Synthea): seven characters and a PCS section make ICD-10-PCS; any other code counts as a
    diagnosis code and once per claim, also when it stands among the diagnoses.
    """
    lists = {"ICD_DGNS": 25, "ICD_DGNS_E": 12, "RSN_VISIT": 3}
    names = ["PRNCPAL_DGNS_CD", "ADMTG_DGNS_CD", "FST_DGNS_E_CD"]
    names += [c for stem, count in lists.items() for c in numbered(f"{stem}_CD", count)]
    versions = [re.sub("_CD([0-9]*)$", r"_VRSN_CD\1", c) for c in names]
    done, done_versions, days = (
        numbered("ICD_PRCDR_CD", 25),
        numbered("ICD_PRCDR_VRSN_CD", 25),
        numbered("PRCDR_DT", 25),
    )
    claims = once_per_claim(
        lines, (*HEADER, *names, *versions, *done, *done_versions, *days),
        ("LINE_ICD_DGNS_CD", "LINE_ICD_DGNS_VRSN_CD"),
        of_lines_codes="collect_set(CASE WHEN LINE_ICD_DGNS_CD IS NOT NULL THEN "
        "named_struct('code', LINE_ICD_DGNS_CD, 'version', LINE_ICD_DGNS_VRSN_CD) END)",
    )  # fmt: skip
    role = "CASE WHEN i = 0 THEN 'principal' WHEN i = 1 THEN 'admitting' ELSE 'secondary' END"
    diagnosis = "named_struct('fact', 'diagnosis', 'code', {code}, 'system', {system}, 'role', {role}, 'day', from_day)"
    header = diagnosis.format(code="c", system=icd("c", "get(versions, i)"), role=role)
    of_line = diagnosis.format(code="x.code", system=icd("x.code", "x.version"), role="'secondary'")
    system = f"CASE WHEN get(done_versions, i) = '9' THEN '{ICD9PROC}' WHEN c RLIKE '{PCS}' THEN '{ICD10PCS}' ELSE '{ICD10CM}' END"
    procedure = (
        f"named_struct('fact', 'procedure', 'code', c, 'system', {system}, 'role', cast(NULL AS string), "
        f"'day', coalesce({date('get(days, i)')}, from_day))"
    )
    same = f"concat_ws('|', x.system, x.code, CASE WHEN x.system IN ('{ICD10PCS}', '{ICD9PROC}') THEN cast(x.day AS string) END)"
    return (
        claims.selectExpr(
            "*", f"array({', '.join(versions)}) AS versions", f"array({', '.join(days)}) AS days",
            f"array({', '.join(done_versions)}) AS done_versions", f"{date('CLM_FROM_DT')} AS from_day",
        )
        .selectExpr(
            "*", f"filter(concat(transform(array({', '.join(names)}), (c, i) -> CASE WHEN c IS NOT NULL THEN {header} END), transform(array_sort(of_lines_codes), x -> {of_line}),"
            f" transform(array({', '.join(done)}), (c, i) -> CASE WHEN c IS NOT NULL THEN {procedure} END)), x -> x IS NOT NULL) AS found",
        )
        .selectExpr("*", f"transform(found, x -> {same}) AS keys")
        .selectExpr("*", "posexplode(filter(found, (x, i) -> array_position(keys, keys[i]) = i + 1)) AS (_part, x)")
        .selectExpr(
            "BENE_ID AS source_person_id", f"concat_ws('|', CLM_ID, x.fact, {same}) AS source_event_id",
            f"{ENCOUNTER_ID} AS source_encounter_id", f"{CLINICIAN} AS source_provider_id", "x.fact AS fact", "x.role AS role",
            f"CASE WHEN x.fact = 'procedure' THEN 'Procedure' WHEN x.system = '{ICD10CM}' AND x.code RLIKE '^[V-Z]' THEN "
            "'Observation' ELSE 'Condition' END AS domain_hint",
            f"array({coding('x.system', 'x.code')}) AS codings", "cast(x.day AS timestamp_ntz) AS start_datetime",
            "cast(x.day AS timestamp_ntz) AS end_datetime", "false AS has_time", "CLM_ID AS source_claim_id",
            f"{HEADER_TYPE} AS type_concept_id", "_part", "_at",
        )
    )  # fmt: skip


def line_code(lines: DataFrame) -> DataFrame:
    """What a line says was done: HCPCS, CPT or HIPPS and NDC, one row per line that has a code."""
    modifiers = ", ".join(coding(f"'{HCPCS}'", f"HCPCS_{n}_MDFR_CD") for n in ("1ST", "2ND", "3RD", "4TH"))
    hint = f"CASE WHEN kind = 'dme' THEN 'Device' WHEN {LINE_SYSTEM} = '{HIPPS}' THEN 'Observation' ELSE 'Procedure' END"
    return (
        read(lines, LINE_COLUMNS)
        .where(f"{LIVE} AND coalesce(REV_CNTR, '') <> '0001' AND (HCPCS_CD IS NOT NULL OR {LINE_NDC} IS NOT NULL)")
        .selectExpr(
            "BENE_ID AS source_person_id", f"concat_ws('|', CLM_ID, 'line', cast({LINE_NO} AS string)) AS source_event_id",
            f"{ENCOUNTER_ID} AS source_encounter_id", f"{CLINICIAN} AS source_provider_id", f"{hint} AS domain_hint",
            "'procedure' AS fact", f"{LINE_CODINGS} AS codings", f"{day(LINE_DAY)} AS start_datetime",
            f"{day(LINE_LAST)} AS end_datetime", "false AS has_time",
            "try_cast(coalesce(REV_CNTR_UNIT_CNT, LINE_SRVC_CNT) AS double) AS quantity",
            f"filter(array({modifiers}), x -> x.code IS NOT NULL) AS modifiers", "CLM_ID AS source_claim_id",
            f"{LINE_TYPE} AS type_concept_id", "1000 AS _part", "_at",  # after those of claim_code, at most 118
        )
    )  # fmt: skip
