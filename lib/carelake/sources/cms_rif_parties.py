"""RIF claims → who billed, treated, prescribed and dispensed. `cms_rif` declares the mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.silver.conformed.lineage import coding
from carelake.sources.cms_rif_columns import (
    CCN,
    NPI,
    ORGANISATION,
    read,
    state,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def _once(named: DataFrame, key: str) -> DataFrame:
    """One row per sender and `key`, the one that stands first in the bronze records; `x` keeps what it said."""
    seen = named.where(f"{key} IS NOT NULL").groupBy(
        F.col("_at.source").alias("_sender"), F.expr(key).alias("_key")
    )
    first = seen.agg(F.min_by(F.struct("*"), F.struct("_at.record", "_part")).alias("_row"))
    return first.select("_row.*")


def provider(lines: DataFrame) -> DataFrame:
    """Clinicians by NPI: rendering, attending, operating, referring, prescribing."""
    columns = (
        "RNDRNG_PHYSN_NPI", "PRF_PHYSN_NPI", "AT_PHYSN_NPI", "OP_PHYSN_NPI", "OT_PHYSN_NPI", "RFR_PHYSN_NPI", "PRSCRBR_ID",
    )  # fmt: skip
    named = ", ".join(
        f"named_struct('npi', {c}, 'specialty', {'PRVDR_SPCLTY' if c == 'PRF_PHYSN_NPI' else 'cast(NULL AS string)'})"
        for c in columns
    )
    found = read(lines, (*columns, "PRVDR_SPCLTY")).selectExpr(
        "_at", f"posexplode(array({named})) AS (_part, x)"
    )
    specialty = coding("'https://bluebutton.cms.gov/resources/variables/prvdr_spclty'", "x.specialty")
    return _once(found, "x.npi").selectExpr(
        "x.npi AS source_provider_id", "x.npi AS npi", f"array(concat('{NPI}|', x.npi), x.npi) AS aliases",
        f"filter(array({specialty}), y -> y.code IS NOT NULL) AS specialty", "_part", "_at",
    )  # fmt: skip


def facility(lines: DataFrame) -> DataFrame:
    """Organisations that bill or dispense, by NPI, where there is none by CMS certification number or pharmacy id."""
    columns = (
        "ORG_NPI_NUM",
        "PRVDR_NPI",
        "PRVDR_NUM",
        "PRVDR_STATE_CD",
        "PRVDR_ZIP",
        "CLM_FAC_TYPE_CD",
        "SRVC_PRVDR_ID",
    )
    found = read(lines, columns).selectExpr(
        "*", "0 AS _part", f"coalesce({ORGANISATION}, SRVC_PRVDR_ID) AS id", "coalesce(ORG_NPI_NUM, PRVDR_NPI) AS npi",
    )  # fmt: skip
    return _once(found, "id").selectExpr(
        "id AS source_facility_id", "'organization' AS facility_kind", "CLM_FAC_TYPE_CD AS place_of_service",
        f"array_compact(array(id, npi, concat('{NPI}|', npi), PRVDR_NUM, concat('{CCN}|', PRVDR_NUM))) AS aliases",
        f"{state('PRVDR_STATE_CD')} AS state", "substr(PRVDR_ZIP, 1, 5) AS zip", "_part", "_at",
    )  # fmt: skip
