"""Contract: a claim, once."""

from __future__ import annotations

from carelake.core.table import Check, Field, Table
from carelake.silver.conformed.lineage import LINEAGE

CLAIM = Table(
    name="silver/conformed/claim",
    doc="One row per claim of a sender with its header amounts, each counted once however many lines repeat them.",
    fields=(
        Field("source_person_id", "string", "The sender's id of the person", True, phi="MRN", reason="R_REF"),
        Field("source_claim_id", "string", "The sender's own id of the claim", True, reason="R_ID"),
        Field(
            "claim_type",
            "string",
            "inpatient, outpatient, professional, skilled_nursing, home_health, hospice, equipment, pharmacy",
            required=True,
        ),
        Field("source_encounter_id", "string", "The sender's id of the encounter that the claim is for"),
        Field("start_date", "date", "First day of service", required=True, reason="R_DATE"),
        Field("end_date", "date", "Last day of service"),
        Field("paid_date", "date", "Day of payment or processing"),
        Field("charge", "decimal(18,2)", "Charged by the provider, in currency"),
        Field(
            "allowed",
            "decimal(18,2)",
            "Allowed by the payer, in currency; NULL when the sender's figure is not that",
        ),
        Field(
            "paid_by_payer",
            "decimal(18,2)",
            "Paid by this payer, in currency",
            required=True,
            reason="R_BALANCE",
        ),
        Field(
            "paid_by_primary",
            "decimal(18,2)",
            "Paid by a primary payer before this one, when it is other money",
        ),
        Field("paid_by_patient", "decimal(18,2)", "Sum of the patient's parts, in currency"),
        Field("patient_copay", "decimal(18,2)", "Copay, in currency"),
        Field("patient_coinsurance", "decimal(18,2)", "Coinsurance, in currency"),
        Field("patient_deductible", "decimal(18,2)", "Deductible, in currency"),
        Field("drg", "string", "Diagnosis-related group"),
        Field("admission_type", "string", "NUBC type of admission: 1 emergency, 2 urgent, 3 elective ..."),
        Field("discharge_status", "string", "NUBC patient discharge status, two digits"),
        Field("frequency", "string", "NUBC frequency code: 1 original, 7 replacement, 8 void ..."),
        Field("payer", "string", "Payer's name", required=True),
        Field("source_facility_id", "string", "The sender's id of the facility"),
        Field("source_provider_id", "string", "The sender's id of the provider"),
        Field("type_concept_id", "int", "Kind of data (OMOP type concept)", required=True),
        *LINEAGE,
    ),
    key=("_source", "source_claim_id"),
    checks=(Check("end_not_before_start", "end_date >= start_date", reason="R_TEMPORAL"),),
    cluster_by=("_source", "source_person_id"),
)
