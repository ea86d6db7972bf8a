"""silver/link/visit: which encounters of a person are one visit (OMOP_RULES 1 and 2; CDM v5.4 visit_occurrence).

Per sender and person; visits of different senders stay apart until they are reconciled.

- Hospital stay: inpatient encounters that overlap, touch or are at most one day apart, and the emergency encounters that
  lead into them (start before one, end at or after its start) or start inside. 262 when an emergency encounter comes
  first, or the first inpatient claim was admitted through the emergency room; else 9201. Emergency and outpatient
  encounters that lie inside a stay roll in.
- Skilled nursing, hospice, home: their own visits; encounters of one class that overlap or are at most a day apart merge.
- Emergency by start; every other class by local start date. Those that last past midnight merge where they overlap.

An encounter without times lasts through its last day, so that a one-day claim on the eve of an admission does not reach
it. Its start is midnight. A stay still open ends on the extract date; any other encounter without an end ends when it
started (CDM, visit_end_date). Every encounter stays as a visit detail of its visit's concept. What came into a hospital
stay without being inpatient names its inpatient detail as parent, so that the details without parent are the admissions.

A visit's id comes from its first encounter by (start, id): one that joins later leaves it, one that arrives late but
started earlier may change it. All is window functions over one partitioning; no join but that of the person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.ids import id_sql
from carelake.core.step import EXTRACT_DATE, step
from carelake.silver.conformed.encounter import ENCOUNTER
from carelake.silver.link.tables import PERSON_LINK, VISIT_LINK
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

CLASS_CONCEPTS = {
    "inpatient": C.VISIT_INPATIENT,
    "emergency": C.VISIT_EMERGENCY,
    "outpatient": C.VISIT_OUTPATIENT,
    "office": C.VISIT_OFFICE,
    "urgent_care": C.VISIT_URGENT_CARE,
    "telehealth": C.VISIT_TELEHEALTH,
    "home": C.VISIT_HOME,
    "skilled_nursing": C.VISIT_SKILLED_NURSING,
    "hospice": C.VISIT_HOSPICE,
    "laboratory": C.VISIT_LABORATORY,
    "pharmacy": C.VISIT_PHARMACY,
    "unknown": C.NO_CONCEPT,
}

_OUTSIDE = "('skilled_nursing', 'hospice', 'home')"
_OPEN = f"end_datetime IS NULL AND (ip OR visit_class IN {_OUTSIDE})"
_EMERGENCY_ROOM = "('emergency', 'emd')"  # the contract's word for revenue centre 045x; HL7 admit-source

# At equal starts: inpatient, then the emergency encounter that lasts longest, then the rest.
_ORDER = "ORDER BY start, NOT ip, NOT er, CASE WHEN er THEN stop END DESC, source_encounter_id"
_PERSON = f"PARTITION BY source, person_id {_ORDER}"
_BEFORE = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
_SO_FAR = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
_AFTER = "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING"
_ALL = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"

_CLASSES = " ".join(f"WHEN '{name}' THEN {concept}" for name, concept in CLASS_CONCEPTS.items())
_CONCEPT = (
    f"CASE WHEN NOT in_hospital THEN CASE visit_class {_CLASSES} ELSE {C.NO_CONCEPT} END "
    f"WHEN from_er OR er_first THEN {C.VISIT_ER_TO_INPATIENT} ELSE {C.VISIT_INPATIENT} END"
)
_RULE = f"""CASE
    WHEN members = 1 THEN 'self'
    WHEN NOT in_hospital THEN CASE
        WHEN several_starts OR visit_class IN {_OUTSIDE} THEN 'merged_contiguous'
        WHEN er THEN 'emergency_same_start'
        WHEN visit_class = 'outpatient' THEN 'outpatient_same_day'
        ELSE 'same_day' END
    WHEN ip THEN CASE WHEN inpatients > 1 THEN 'merged_inpatient' WHEN er_first THEN 'emergency_to_inpatient' ELSE 'self' END
    WHEN leads_in AND NOT starts_inside THEN 'emergency_to_inpatient'
    ELSE 'rolled_into_stay' END"""


def _over(frame: DataFrame, **columns: str) -> DataFrame:
    """`frame` with SQL columns that see the frame's columns, not each other."""
    return frame.selectExpr("*", *[f"{sql} AS {name}" for name, sql in columns.items()])


@step(
    writes=VISIT_LINK, encounters=ENCOUNTER, persons=PERSON_LINK, extract_date=EXTRACT_DATE,
    dated={VISIT_LINK: "end_is_extract_date"},
)  # fmt: skip
def visit(encounters: DataFrame, persons: DataFrame, extract_date: date) -> DataFrame:
    """One row per encounter whose person is known: its visit and visit detail. Others wait and are absent."""
    known = encounters.selectExpr(
        "_source AS source", "source_person_id", "source_encounter_id", "visit_class", "start_datetime", "end_datetime",
        "has_time", "admitted_from", "planned", "_record",
    ).join(
        persons.select("source", "source_person_id", "person_id"), on=["source", "source_person_id"], how="inner"
    )  # fmt: skip
    return _described(_grouped(_stays(_timed(known, extract_date))))


def _timed(known: DataFrame, extract_date: date) -> DataFrame:
    """start, stop (last moment, through the day where there is no time), ends (as written), is_open, ip, er, through_er."""
    closed = f"""CASE WHEN {_OPEN} THEN greatest(start_datetime, TIMESTAMP_NTZ'{extract_date:%Y-%m-%d} 00:00:00')
                      ELSE coalesce(end_datetime, start_datetime) END"""
    frame = _over(known, ip="visit_class = 'inpatient'", er="visit_class = 'emergency'")
    frame = _over(frame, start="start_datetime", ends=closed, is_open=_OPEN)
    return _over(
        frame,
        stop="CASE WHEN has_time AND NOT is_open THEN ends ELSE cast(to_date(ends) AS timestamp_ntz) "
        "+ INTERVAL '1' DAY - INTERVAL '0.000001' SECOND END",
        through_er=f"ip AND coalesce(lower(admitted_from) IN {_EMERGENCY_ROOM}, false)",
    )


def _stays(frame: DataFrame) -> DataFrame:
    """member (makes a hospital stay), in_hospital (is part of one), stay_no (the last stay begun, per person)."""
    frame = _over(
        frame,
        ip_stop=f"max(IF(ip, stop, NULL)) OVER ({_PERSON} {_BEFORE})",
        next_ip=f"min(IF(ip, start, NULL)) OVER ({_PERSON} {_AFTER})",
    )
    frame = _over(
        frame,
        starts_inside="coalesce(er AND (start <= ip_stop OR datediff(next_ip, ip_stop) <= 1), false)",
        leads_in="coalesce(er AND next_ip <= stop, false)",
    )
    frame = _over(frame, member="ip OR starts_inside OR leads_in")
    frame = _over(frame, stay_stop=f"max(IF(member, stop, NULL)) OVER ({_PERSON} {_BEFORE})")
    # Only inpatient encounters bridge a day; an emergency encounter must reach the next admission itself.
    joins = "start <= stay_stop OR starts_inside OR (ip AND datediff(start, ip_stop) <= 1)"
    frame = _over(
        frame, stay_no=f"sum(IF(member AND NOT coalesce({joins}, false), 1, 0)) OVER ({_PERSON} {_SO_FAR})"
    )
    inside = (
        f"stop <= max(IF(member, stop, NULL)) OVER (PARTITION BY source, person_id, stay_no {_ORDER} {_ALL})"
    )
    return _over(
        frame,
        in_hospital=f"member OR coalesce(visit_class IN ('emergency', 'outpatient') AND {inside}, false)",
    )


def _grouped(frame: DataFrame) -> DataFrame:
    """lane and lane_no: the visit within (source, person)."""
    outside = f"visit_class IN {_OUTSIDE}"
    frame = _over(frame, same="CASE WHEN er THEN start ELSE cast(to_date(start) AS timestamp_ntz) END")
    group = "PARTITION BY source, person_id, in_hospital, visit_class, same"
    frame = _over(frame, past_midnight=f"{outside} OR to_date(max(stop) OVER ({group})) > to_date(start)")
    lane = "PARTITION BY source, person_id, in_hospital, visit_class, past_midnight ORDER BY start, source_encounter_id"
    frame = _over(
        frame, same_before=f"lag(same) OVER ({lane})", lane_stop=f"max(stop) OVER ({lane} {_BEFORE})"
    )
    joins = f"CASE WHEN {outside} THEN datediff(start, lane_stop) <= 1 ELSE same = same_before OR (past_midnight AND start < lane_stop) END"
    frame = _over(frame, begun=f"sum(IF(coalesce({joins}, false), 0, 1)) OVER ({lane} {_SO_FAR})")
    return _over(
        frame,
        lane="CASE WHEN in_hospital THEN 'hospital' ELSE concat(visit_class, IF(past_midnight, '+', '')) END",
        lane_no="CASE WHEN in_hospital THEN stay_no ELSE begun END",
    )


def _described(frame: DataFrame) -> DataFrame:
    """The columns of VISIT_LINK."""
    whole = "PARTITION BY source, person_id, lane, lane_no"
    # What only rolled in never names the visit.
    by_start = f"{whole} ORDER BY in_hospital AND NOT member, start, source_encounter_id"
    clock = f"{whole} {_ORDER}"
    frame = _over(frame, detail_id=id_sql("silver/omop/visit_detail", "source", "source_encounter_id"))
    frame = _over(
        frame,
        first_encounter=f"first_value(source_encounter_id) OVER ({by_start} {_ALL})",
        visit_start=f"min(start) OVER ({whole})",
        visit_end=f"max(ends) OVER ({whole})",
        members=f"count(*) OVER ({whole})",
        several_starts=f"min(same) OVER ({whole}) < max(same) OVER ({whole})",
        inpatients=f"count_if(ip) OVER ({whole})",
        first_ip=f"min(IF(ip, start, NULL)) OVER ({whole})",
        from_er=f"first_value(IF(ip, through_er, NULL), true) OVER ({clock} {_ALL})",
        ip_detail=f"coalesce(last_value(IF(ip, detail_id, NULL), true) OVER ({clock} {_SO_FAR}), "
        f"first_value(IF(ip, detail_id, NULL), true) OVER ({clock} {_ALL}))",
    )
    frame = _over(frame, er_first="visit_start < first_ip")
    return _over(frame, concept=_CONCEPT, rule=_RULE).selectExpr(
        "source", "source_encounter_id",
        f"{id_sql('silver/omop/visit_occurrence', 'source', 'first_encounter')} AS visit_occurrence_id",
        "detail_id AS visit_detail_id", "rule", "1.0D AS score", "person_id", "concept AS visit_concept_id",
        "concept AS detail_concept_id", "visit_start AS visit_start_datetime", "visit_end AS visit_end_datetime",
        "start AS detail_start_datetime", "ends AS detail_end_datetime", "is_open AS end_is_extract_date",
        "CASE WHEN in_hospital AND NOT ip THEN ip_detail END AS parent_visit_detail_id", "planned", "_record",
    )  # fmt: skip
