"""Analyses of the covariates, declared: which table, which window before the index date, what of it.

Names and numbers are those of OHDSI's FeatureExtraction (its list of prespecified analyses) wherever it has the analysis; the
others, which are carelake's own, take numbers that it leaves free. A covariate's id is concept_id * 1000 + analysis_id, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Value(str, Enum):
    """What of a concept's days in the window the covariate's value is."""

    PRESENT = "present"  # 1
    COUNT = "count"  # days with it
    LAST = "last"  # last number
    TREND = (
        "trend"  # last number less the one of the day before it on which there was one, both in the window
    )
    ABNORMAL = "abnormal"  # 1 where a number was outside the range that its laboratory gave


@dataclass(frozen=True)
class Events:
    """A table of events: its concept, first day, last day (of an era, which counts for each window that it reaches into).

    `words` say what a record of it is, to who reads a reason.
    """

    name: str
    words: str
    domain_id: str
    concept: str
    start: str
    end: str | None = None


@dataclass(frozen=True)
class Analysis:
    """One kind of covariate: of the events of `table` from `start_day` (None: any time) to the day before the index date."""

    analysis_id: int
    name: str
    table: str
    start_day: int | None
    value: Value = Value.PRESENT
    end_day: int = -1


SHORT, MEDIUM, LONG = -30, -180, -365
_WINDOWS = (("AnyTimePrior", None), ("LongTerm", LONG), ("MediumTerm", MEDIUM), ("ShortTerm", SHORT))

EVENTS = (
    Events("condition_occurrence", "condition", "Condition", "condition_concept_id", "condition_start_date"),
    Events("drug_exposure", "drug", "Drug", "drug_concept_id", "drug_exposure_start_date"),
    Events("drug_era", "course of a drug", "Drug", "drug_concept_id", "drug_era_start_date", "drug_era_end_date"),
    Events("procedure_occurrence", "procedure", "Procedure", "procedure_concept_id", "procedure_date"),
    Events("device_exposure", "device", "Device", "device_concept_id", "device_exposure_start_date"),
    Events("measurement", "test", "Measurement", "measurement_concept_id", "measurement_date"),
    Events("observation", "observation", "Observation", "observation_concept_id", "observation_date"),
    Events("visit_occurrence", "visit", "Visit", "visit_concept_id", "visit_start_date"),
    Events("note_nlp", "finding in a note", "Note", "note_nlp_concept_id", "note_date"),
)  # fmt: skip


def _present(first_id: int, name: str, table: str) -> tuple[Analysis, ...]:
    return tuple(
        Analysis(first_id + n, f"{name}{window}", table, since) for n, (window, since) in enumerate(_WINDOWS)
    )


_WHEN = {
    None: "on record",
    LONG: "in the last year",
    MEDIUM: "in the last six months",
    SHORT: "in the last 30 days",
}
_WHAT = {Value.PRESENT: "", Value.COUNT: "days with a ", Value.LAST: "last result of a ", Value.TREND: "change of a ",
         Value.ABNORMAL: "abnormal "}  # fmt: skip


def in_words(a: Analysis) -> str:
    """What an analysis asks, as a reason says it: condition in the last year."""
    of = {e.name: e.words for e in EVENTS}
    return f"{_WHAT[a.value]}{of[a.table]} {_WHEN[a.start_day]}"


ANALYSES = (
    *_present(101, "ConditionOccurrence", "condition_occurrence"),
    *_present(301, "DrugExposure", "drug_exposure"),
    *_present(401, "DrugEra", "drug_era"),
    *_present(501, "ProcedureOccurrence", "procedure_occurrence"),
    *_present(601, "DeviceExposure", "device_exposure"),
    *_present(701, "Measurement", "measurement"),
    Analysis(705, "MeasurementValueAnyTimePrior", "measurement", None, Value.LAST),
    Analysis(706, "MeasurementValueLongTerm", "measurement", LONG, Value.LAST),
    *_present(801, "Observation", "observation"),
    Analysis(923, "VisitConceptCountLongTerm", "visit_occurrence", LONG, Value.COUNT),
    Analysis(924, "VisitConceptCountMediumTerm", "visit_occurrence", MEDIUM, Value.COUNT),
    Analysis(925, "VisitConceptCountShortTerm", "visit_occurrence", SHORT, Value.COUNT),
    # carelake's own
    Analysis(151, "ConditionOccurrenceCountLongTerm", "condition_occurrence", LONG, Value.COUNT),
    Analysis(351, "DrugExposureCountLongTerm", "drug_exposure", LONG, Value.COUNT),
    Analysis(551, "ProcedureOccurrenceCountLongTerm", "procedure_occurrence", LONG, Value.COUNT),
    Analysis(651, "DeviceExposureCountLongTerm", "device_exposure", LONG, Value.COUNT),
    Analysis(751, "MeasurementCountLongTerm", "measurement", LONG, Value.COUNT),
    Analysis(752, "MeasurementTrendLongTerm", "measurement", LONG, Value.TREND),
    Analysis(753, "MeasurementAbnormalLongTerm", "measurement", LONG, Value.ABNORMAL),
    Analysis(754, "MeasurementAbnormalShortTerm", "measurement", SHORT, Value.ABNORMAL),
    Analysis(851, "ObservationCountLongTerm", "observation", LONG, Value.COUNT),
    Analysis(852, "ObservationValueLongTerm", "observation", LONG, Value.LAST),
    *_present(951, "NoteConcept", "note_nlp"),
)  # fmt: skip
