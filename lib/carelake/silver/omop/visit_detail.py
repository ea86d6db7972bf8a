"""silver/omop/visit_detail: every encounter that is linked, as a part of its visit (OMOP_RULES 2)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.core.table import Check
from carelake.silver.conformed.encounter import ENCOUNTER
from carelake.silver.link.tables import FACILITY_LINK, PROVIDER_LINK, VISIT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

VISIT_DETAIL = cdm_table(
    "visit_detail",
    checks=(
        Check(
            "end_not_before_start",
            "visit_detail_end_date >= visit_detail_start_date AND visit_detail_end_datetime >= visit_detail_start_datetime",
            reason="R_TEMPORAL",
        ),
    ),
)

_HOSPITAL, _NURSING = C.VISIT_INPATIENT_HOSPITAL, C.VISIT_NURSING_FACILITY

# Where a person came from: NUBC point of origin (FL 15), HL7 admit-source, and the contract's word. Home is 0 (CDM).
ADMITTED_FROM: Mapping[str, int] = MappingProxyType({
    "4": _HOSPITAL, "5": C.VISIT_SKILLED_NURSING, "f": C.VISIT_HOSPICE, "7": C.VISIT_EMERGENCY,
    "e": C.VISIT_AMBULATORY_SURGICAL_CENTER,
    "emergency": C.VISIT_EMERGENCY, "emd": C.VISIT_EMERGENCY, "hosp-trans": _HOSPITAL, "outp": C.VISIT_OUTPATIENT,
    "nursing": _NURSING, "psych": C.VISIT_INPATIENT_PSYCHIATRIC, "rehab": C.VISIT_INPATIENT_REHABILITATION,
})  # fmt: skip

# Where a person went: NUBC patient discharge status (FL 17) and FHIR discharge-disposition. Home, death and still in: 0.
DISCHARGED_TO: Mapping[str, int] = MappingProxyType({
    "2": _HOSPITAL, "3": C.VISIT_SKILLED_NURSING, "4": _NURSING, "5": _HOSPITAL, "6": C.VISIT_HOME_HEALTH_AGENCY,
    "43": _HOSPITAL, "50": C.VISIT_HOSPICE, "51": C.VISIT_HOSPICE, "61": C.VISIT_SKILLED_NURSING,
    "62": C.VISIT_INPATIENT_REHABILITATION, "63": C.VISIT_LONG_TERM_CARE, "64": _NURSING,
    "65": C.VISIT_INPATIENT_PSYCHIATRIC, "66": _HOSPITAL,
    "other-hcf": _HOSPITAL, "hosp": C.VISIT_HOSPICE, "long": C.VISIT_LONG_TERM_CARE, "snf": C.VISIT_SKILLED_NURSING,
    "rehab": C.VISIT_INPATIENT_REHABILITATION, "psy": C.VISIT_INPATIENT_PSYCHIATRIC,
})  # fmt: skip


def _concept(value: str, concepts: Mapping[str, int]) -> str:
    """SQL: NULL without a value, 0 for one that means no visit or is not known. `03` is `3`."""
    code = f"regexp_replace(lower(trim({value})), '^0+(?=.)', '')"
    cases = " ".join(f"WHEN '{key}' THEN {concept}" for key, concept in concepts.items())
    return f"CASE WHEN {value} IS NOT NULL THEN CASE {code} {cases} ELSE {C.NO_CONCEPT} END END"


@step(
    writes=VISIT_DETAIL,
    visits=VISIT_LINK,
    encounters=ENCOUNTER,
    providers=PROVIDER_LINK,
    facilities=FACILITY_LINK,
)
def visit_detail(
    visits: DataFrame, encounters: DataFrame, providers: DataFrame, facilities: DataFrame
) -> DataFrame:
    """One row per linked encounter. A provider or care site that is not known is NULL and never loses the row.

    What rolled into a hospital stay names the inpatient detail as its parent: details without parent whose concept is
    inpatient are the admissions. preceding_visit_detail_id is the person's detail before by (start, end, id).
    """
    described = encounters.selectExpr(
        "_source", "source_encounter_id", "class_source_value", "visit_class", "admitted_from", "discharged_to",
        "type_concept_id", "source_provider_id", "source_facility_id",
    )  # fmt: skip
    rows = (
        visits.withColumnRenamed("source", "_source")
        .join(described, on=["_source", "source_encounter_id"], how="inner")
        .join(
            providers.selectExpr("source AS _source", "reference AS source_provider_id", "provider_id"),
            on=["_source", "source_provider_id"], how="left",
        )
        .join(
            facilities.selectExpr("source AS _source", "reference AS source_facility_id", "care_site_id"),
            on=["_source", "source_facility_id"], how="left",
        )
    )  # fmt: skip
    before = "PARTITION BY person_id ORDER BY detail_start_datetime, detail_end_datetime, visit_detail_id"
    return rows.selectExpr(
        "visit_detail_id", "person_id", "detail_concept_id AS visit_detail_concept_id",
        "to_date(detail_start_datetime) AS visit_detail_start_date", "detail_start_datetime AS visit_detail_start_datetime",
        "to_date(detail_end_datetime) AS visit_detail_end_date", "detail_end_datetime AS visit_detail_end_datetime",
        f"IF(end_is_extract_date, {C.STILL_PATIENT}, type_concept_id) AS visit_detail_type_concept_id",
        "provider_id", "care_site_id", "coalesce(class_source_value, visit_class) AS visit_detail_source_value",
        "cast(NULL AS int) AS visit_detail_source_concept_id",
        f"{_concept('admitted_from', ADMITTED_FROM)} AS admitted_from_concept_id",
        "admitted_from AS admitted_from_source_value",
        f"{_concept('discharged_to', DISCHARGED_TO)} AS discharged_to_concept_id",
        "discharged_to AS discharged_to_source_value",
        f"lag(visit_detail_id) OVER ({before}) AS preceding_visit_detail_id",
        "parent_visit_detail_id", "visit_occurrence_id", "_source", "_record",
    )  # fmt: skip
