"""Contract: one clinical fact about a person."""

from __future__ import annotations

from carelake.core.table import Check, Field, Table
from carelake.silver.conformed.lineage import CODING, LINEAGE

DOMAINS = ("Condition", "Procedure", "Drug", "Measurement", "Observation", "Device", "Specimen")
EPISODE = "Episode"  # a hint that no vocabulary overrules: what is planned is not what was done

EVENT = Table(
    name="silver/conformed/event",
    doc="One row per fact: a diagnosis, procedure, order, administration, result or component of a result, device, allergy, plan of care. "
    "A record with components gives one row for each (`_part`). The domain is only a hint: vocabulary decides the table.",
    fields=(
        Field("source_person_id", "string", "The sender's id of the person", True, phi="MRN", reason="R_REF"),
        Field("source_event_id", "string", "The sender's own id of the record", required=True, reason="R_ID"),
        Field("source_encounter_id", "string", "The sender's id of the encounter"),
        Field("source_provider_id", "string", "The sender's id of the provider"),
        Field(
            "domain_hint",
            "string",
            "OMOP domain when the vocabulary knows none: "
            + ", ".join(DOMAINS)
            + f"; {EPISODE} for a plan of care, whatever its code",
            required=True,
        ),
        Field(
            "fact",
            "string",
            "What the record is: diagnosis, procedure, order, administration, dispense, immunization, result, device, allergy, report, care_plan",
            required=True,
        ),
        Field("codings", CODING, "What happened, as coded by the sender, in the sender's order"),
        Field("code_text", "string", "What happened in words, when there is no coding"),
        Field(
            "start_datetime",
            "timestamp_ntz",
            "When, local wall clock as sent",
            required=True,
            reason="R_DATE",
        ),
        Field("end_datetime", "timestamp_ntz", "Until when, local wall clock as sent"),
        Field("start_at", "timestamp", "When, as an instant"),
        Field("end_at", "timestamp", "Until when, as an instant"),
        Field("has_time", "boolean", "False when the sender gives a day only", required=True),
        Field("value_number", "double", "Numeric result"),
        Field("value_sent", "string", "The numeric result as the sender wrote it: 97.0 is not 97"),
        Field("value_operator", "string", "< <= >= > of a result that is not exact"),
        Field("value_text", "string", "Result in words"),
        Field("value_codings", CODING, "Coded result"),
        Field("unit_system", "string", "System of the unit's code"),
        Field("unit_code", "string", "Unit as a code, case kept (UCUM)"),
        Field("unit_text", "string", "Unit as written"),
        Field("range_low", "double", "Lower end of the reference range, in the value's unit"),
        Field("range_high", "double", "Upper end of the reference range, in the value's unit"),
        Field(
            "role", "string", "Of a diagnosis: principal, admitting, secondary, problem_list; NULL unknown"
        ),
        Field("clinical_status", "string", "active, resolved, stopped, completed ... as sent"),
        Field("stop_reason", "string", "Why a drug was stopped, as sent"),
        Field("quantity", "double", "Number of units ordered, dispensed, given or done"),
        Field("days_supply", "int", "Days of supply as sent; negative = reversal"),
        Field("refills", "int", "Refills as sent"),
        Field("sig", "string", "Instructions as sent"),
        Field("dose_per_day", "double", "Units per day, when instructions give it as numbers"),
        Field("route", CODING, "Route of administration"),
        Field("lot_number", "string", "Lot of a vaccine or device"),
        Field("unique_device_id", "string", "UDI carrier string or device identifier", phi="DEVICE"),
        Field("production_id", "string", "Serial or production identifier", phi="DEVICE"),
        Field("modifiers", CODING, "Modifiers of a procedure code"),
        Field("based_on", "string", "The sender's id of the record that this one fulfils"),
        Field(
            "reason_ids",
            "array<string>",
            "The sender's ids of the records that this one was done, ordered or planned for",
        ),
        Field("reasons", CODING, "What it was done, ordered or planned for, where the sender gives codes"),
        Field(
            "member_ids",
            "array<string>",
            "The sender's ids of the records that this one consists of: results of a report, members of a panel",
        ),
        Field("source_claim_id", "string", "The sender's id of the claim that says so"),
        Field("type_concept_id", "int", "Kind of data (OMOP type concept)", required=True),
        *LINEAGE,
    ),
    key=("_source", "_record", "_part"),
    checks=(
        Check("domain_known", f"domain_hint IN {(*DOMAINS, EPISODE)!r}", reason="R_CODE"),
        Check(
            "end_not_before_start",
            "end_datetime >= start_datetime OR to_date(end_datetime) >= to_date(start_datetime)",
            reason="R_TEMPORAL",
        ),
        Check(
            "start_in_range", "start_datetime BETWEEN DATE'1850-01-01' AND DATE'2200-01-01'", reason="R_DATE"
        ),
    ),
    cluster_by=("_source", "source_person_id"),
)
