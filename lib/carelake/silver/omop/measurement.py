"""silver/omop/measurement: results, vital signs and the daily summaries of wearables (OMOP_RULES 11, 20)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import step
from carelake.silver.link.daily_sample import DAILY_SAMPLE
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C
from carelake.silver.vocabulary.tables import CODE_MAP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

MEASUREMENT = cdm_table("measurement")

# LOINC of a day's summary: steps and calories as in HL7's Physical Activity guide (PAObservationTimeMeasures). A metric
# that is not here (distance, active minutes, time in bed, body fat) stays in silver/link/daily_sample alone.
DAILY_LOINC: Mapping[str, str] = MappingProxyType({
    "steps": "41950-7", "heart_rate": "8867-4", "resting_heart_rate": "40443-4", "sleep_duration": "93832-4",
    "energy": "41979-6", "body_weight": "29463-7", "body_height": "8302-2", "body_mass_index": "39156-5",
    "body_temperature": "8310-5", "blood_glucose": "2339-0", "systolic": "8480-6", "diastolic": "8462-4",
    "oxygen_saturation": "59408-5", "respiratory_rate": "9279-1",
})  # fmt: skip

_OPERATOR = (
    f"CASE value_operator WHEN '<' THEN {C.OPERATOR_LT} WHEN '<=' THEN {C.OPERATOR_LE} WHEN '>' THEN {C.OPERATOR_GT} "
    f"WHEN '>=' THEN {C.OPERATOR_GE} WHEN '=' THEN NULL ELSE {C.NO_CONCEPT} END"
)


@step(writes=MEASUREMENT, events=EVENT_LINK, daily=DAILY_SAMPLE, codes=CODE_MAP)
def measurement(events: DataFrame, daily: DataFrame, codes: DataFrame) -> DataFrame:
    """One row per event of the domain Measurement (each component of a result is one), and per day and wearable metric.

    Values, units and ranges as sent: gold converts. operator_concept_id is NULL for an exact value. Without a
    time of day measurement_datetime is midnight (CDM v5.4), measurement_time NULL. A day of a wearable has type 32865 (patient self-report: OMOP has no device type).
    """
    clinical = events.where("domain_id = 'Measurement' AND excluded IS NULL").selectExpr(
        "event_id AS measurement_id",
        "person_id",
        "concept_id AS measurement_concept_id",
        "to_date(start_datetime) AS measurement_date",
        "start_datetime AS measurement_datetime",
        "CASE WHEN has_time THEN date_format(start_datetime, 'HH:mm:ss') END AS measurement_time",
        "type_concept_id AS measurement_type_concept_id",
        f"CASE WHEN value_operator IS NOT NULL THEN {_OPERATOR} END AS operator_concept_id",
        "value_number AS value_as_number",
        "value_as_concept_id",
        "unit_concept_id",
        "range_low",
        "range_high",
        "provider_id",
        "visit_occurrence_id",
        "visit_detail_id",
        "source_value AS measurement_source_value",
        "source_concept_id AS measurement_source_concept_id",
        "unit_source_value",
        "unit_source_concept_id",
        "value_source_value",
        "_source",
        "_record",
    )
    return clinical.unionByName(_wearable(daily, codes), allowMissingColumns=True)


def _wearable(daily: DataFrame, codes: DataFrame) -> DataFrame:
    """Days of wearables. How long the device was worn stands in value_source_value: no concept is known for it."""
    pairs = ", ".join(f"'{metric}', '{code}'" for metric, code in DAILY_LOINC.items())
    known = codes.where("target_no = 0")
    loinc = known.where("vocabulary_id = 'LOINC'").selectExpr(
        "code AS loinc", "concept_id", "source_concept_id"
    )
    ucum = known.where("vocabulary_id = 'UCUM'").selectExpr(
        "code AS unit", "concept_id AS unit_concept", "source_concept_id AS unit_source_concept"
    )
    summed = daily.withColumn("loinc", F.expr(f"try_element_at(map({pairs}), metric)")).where(
        "loinc IS NOT NULL"
    )
    return (
        summed.join(loinc, "loinc", how="left")
        .join(ucum, "unit", how="left")
        .selectExpr(
            f"{id_sql('silver/omop/measurement/daily', '_source', 'person_id', 'day', 'metric')} AS measurement_id",
            "person_id",
            "coalesce(concept_id, 0) AS measurement_concept_id",
            "day AS measurement_date",
            "cast(day AS timestamp_ntz) AS measurement_datetime",
            f"{C.TYPE_PATIENT_SELF_REPORT} AS measurement_type_concept_id",
            "value AS value_as_number",
            "coalesce(unit_concept, 0) AS unit_concept_id",
            "loinc AS measurement_source_value",
            "coalesce(source_concept_id, 0) AS measurement_source_concept_id",
            "unit AS unit_source_value",
            "coalesce(unit_source_concept, 0) AS unit_source_concept_id",
            "concat_ws('; ', cast(value AS string), concat('worn_minutes=', cast(round(worn_minutes) AS int))) "
            "AS value_source_value",
            "_source",
            "_record",
        )
    )
