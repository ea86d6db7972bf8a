"""silver/omop/drug_exposure: ordered, dispensed and given drugs and vaccines (OMOP_RULES 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.core.table import Check
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DRUG_EXPOSURE = cdm_table(
    "drug_exposure",
    checks=(
        Check(
            "end_not_before_start", "drug_exposure_end_date >= drug_exposure_start_date", reason="R_TEMPORAL"
        ),
    ),
)

WRITTEN_DAYS, MAIL_ORDER_DAYS = 30, 90

# What the record is, where the sender only says that it comes from an EHR.
_TYPE = f"""CASE WHEN type_concept_id <> {C.TYPE_EHR} THEN type_concept_id
    WHEN fact = 'order' THEN {C.TYPE_EHR_PRESCRIPTION}
    WHEN fact IN ('administration', 'immunization') THEN {C.TYPE_EHR_ADMINISTRATION}
    WHEN fact = 'dispense' THEN {C.TYPE_EHR_DISPENSING}
    ELSE type_concept_id END"""

# CDM v5.4, drug_exposure_end_date: what was sent; else days of supply; else quantity by daily dose; else by the kind of
# record. A reversal (negative days of supply) covers no day beyond its own.
_END = f"""CASE WHEN end_datetime IS NOT NULL THEN to_date(end_datetime)
    WHEN days_supply > 0 THEN date_add(start, days_supply - 1)
    WHEN days_supply < 0 THEN start
    WHEN quantity > 0 AND dose_per_day > 0 AND quantity / dose_per_day <= 3660
        THEN date_add(start, greatest(cast(ceil(quantity / dose_per_day) AS int), 1) - 1)
    WHEN type_concept_id = {C.TYPE_MAIL_ORDER} THEN date_add(start, {MAIL_ORDER_DAYS - 1})
    WHEN fact IN ('order', 'dispense') THEN date_add(start, {WRITTEN_DAYS - 1})
    ELSE start END"""


@step(writes=DRUG_EXPOSURE, events=EVENT_LINK)
def drug_exposure(events: DataFrame) -> DataFrame:
    """One row per event of the domain Drug that no administration fulfils (those orders stay in silver/link/event).

    days_supply and quantity are verbatim; verbatim_end_date and an end's datetime only where an end was sent;
    without a time of day a datetime is midnight (CDM v5.4, THEMIS 10). Drugs
    that were neither ordered nor dispensed (given, vaccines, procedure codes of drugs) end on the day on which they
    began. Units of drugs are verbatim: the CDM has no concept for them here.
    """
    drugs = events.where("domain_id = 'Drug' AND excluded IS NULL").selectExpr(
        "*", "to_date(start_datetime) AS start"
    )
    return drugs.selectExpr(
        "event_id AS drug_exposure_id",
        "person_id",
        "concept_id AS drug_concept_id",
        "start AS drug_exposure_start_date",
        "start_datetime AS drug_exposure_start_datetime",
        f"{_END} AS drug_exposure_end_date",
        "end_datetime AS drug_exposure_end_datetime",
        "to_date(end_datetime) AS verbatim_end_date",
        f"{_TYPE} AS drug_type_concept_id",
        "stop_reason",
        "refills",
        "quantity",
        "days_supply",
        "sig",
        "route_concept_id",
        "lot_number",
        "provider_id",
        "visit_occurrence_id",
        "visit_detail_id",
        "source_value AS drug_source_value",
        "source_concept_id AS drug_source_concept_id",
        "route_source_value",
        "unit_source_value AS dose_unit_source_value",
        "_source",
        "_record",
    )
