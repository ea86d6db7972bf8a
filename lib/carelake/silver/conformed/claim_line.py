"""Contract: a line of a claim."""

from __future__ import annotations

from carelake.core.table import Field, Table
from carelake.silver.conformed.lineage import CODING, LINEAGE

CLAIM_LINE = Table(
    name="silver/conformed/claim_line",
    doc="One row per service line of a claim, total lines (revenue centre 0001) left out.",
    fields=(
        Field("source_person_id", "string", "The sender's id of the person", True, phi="MRN", reason="R_REF"),
        Field("source_claim_id", "string", "The sender's id of the claim", True, reason="R_ID"),
        Field("line_no", "int", "Number of the line", required=True, reason="R_ID"),
        Field("start_date", "date", "Day of service of the line"),
        Field("end_date", "date", "Last day of service of the line"),
        Field("revenue_code", "string", "NUBC revenue code, four digits"),
        Field("codings", CODING, "HCPCS, CPT, NDC of the line"),
        Field("quantity", "double", "Units of service"),
        Field("charge", "decimal(18,2)", "Charged, in currency"),
        Field("allowed", "decimal(18,2)", "Allowed, in currency"),
        Field(
            "paid_by_payer",
            "decimal(18,2)",
            "Paid by the payer for the line, in currency; NULL when only the header has it",
        ),
        Field("paid_by_patient", "decimal(18,2)", "The patient's part of the line, in currency"),
        Field("place_of_service", "string", "CMS place of service, two digits"),
        Field("source_provider_id", "string", "The sender's id of the provider of the line"),
        *LINEAGE,
    ),
    key=("_source", "source_claim_id", "line_no"),
    cluster_by=("_source", "source_person_id"),
)
