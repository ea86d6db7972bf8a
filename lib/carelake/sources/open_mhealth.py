"""Open mHealth data points (openmhealth.org, IEEE 1752.1): a header and a body, as a JSON array or one a line.

A data point is immutable: it has an id and no versions, so two contents under one id contradict each other.
Units are converted to the canonical unit of the metric; the schemas' own unit lists say which are legal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from carelake.bronze.source import FileProblem, Source, Unit
from carelake.core.json_lines import MAX_DEPTH, MAX_LINE, LineTooLong, is_wide, lines, parse
from carelake.silver.conformed import clock
from carelake.silver.conformed.sample import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

# Schemas of measures, with their newest major version.
_SCHEMAS = {
    **dict.fromkeys(["blood-glucose", "blood-pressure", "body-temperature"], 4),
    **dict.fromkeys(["body-mass-index", "body-weight", "step-count"], 3),
    **dict.fromkeys(
        ["acceleration", "body-fat-percentage", "body-height", "calories-burned", "heart-rate", "medication-adherence-percent", "medication-prescription", "oxygen-saturation", "patient-medication-schedule", "pharmacy-medication-dispensing", "respiratory-rate", "sleep-duration"], 2,
    ),
    **dict.fromkeys(
        ["ambient-light", "ambient-sound", "ambient-temperature", "angular-velocity", "breath-carbon-monoxide", "diastolic-blood-pressure", "expiratory-time", "geoposition", "hk-category-sample", "hk-correlation", "hk-quantity-sample", "hk-workout", "inspiratory-time", "magnetic-force", "minute-volume", "minutes-moderate-activity", "orientation", "pace", "physical-activity", "rr-interval", "reason-single-medication-dose-not-taken", "single-medication-dose-taken", "sleep-episode", "speed", "systolic-blood-pressure", "total-sleep-time", "ventilation-cycle-time"], 1,
    ),
}  # fmt: skip
_NO_VERSIONS = "1970-01-01T00:00:00Z"  # the same for every copy: other content under one id is a conflict, never an update
_CHUNK = 1 << 16
_STRUCTURE = re.compile(rb'["{}\[\],]')
_IN_STRING = re.compile(rb'["\\]')


class _Replay:
    """A stream of which the first line was read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream

    def readline(self, size: int = -1) -> bytes:
        """The first line again, then the others."""
        head, self._head = self._head, b""
        return head or self._stream.readline(size)


def units(stream: BinaryIO, name: str) -> Iterator[Unit]:
    """Data points of an array or of lines; the kind is the schema's name, the key the header's id."""
    head = stream.readline(MAX_LINE)
    while head and not head.strip(b"\xef\xbb\xbf \t\r\n") and (more := stream.readline(MAX_LINE)):
        head += more
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if is_wide(head):
        raise FileProblem("F_ENCODING", "utf16")
    if not start:
        raise FileProblem("F_EMPTY", "no_data_point")
    if start.rstrip() == b"{":
        raise FileProblem("F_WRONG_FORMAT", "pretty_printed_object")
    if start.startswith(b"["):
        found = _elements(head, len(head) - len(start) + 1, stream)
    elif start[:1] in b'{"-0123456789tfn':
        found = ((n.byte_offset, n.raw, n.ended) for n in lines(_Replay(head, stream)))
    else:
        raise FileProblem("F_WRONG_FORMAT", "not_json")
    try:
        for number, (offset, raw, ended) in enumerate(found, start=1):
            yield _unit(raw, offset, number, ended)
    except LineTooLong as error:
        raise FileProblem("F_SYNTAX", "line_too_long") from error


def _elements(head: bytes, at: int, stream: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    """Elements of a JSON array as (offset, bytes, whether it ended), with one element in memory at a time."""
    buffer, base, begin, depth, quoted = head, 0, at, 1, False
    while True:
        hit = (_IN_STRING if quoted else _STRUCTURE).search(buffer, at)
        if hit is None or (quoted and hit[0] == b"\\" and hit.end() == len(buffer)):
            at = len(buffer) if hit is None else hit.start()
            more = stream.read(_CHUNK)
            if not more:
                break
            base, at, buffer, begin = base + begin, at - begin, buffer[begin:] + more, 0
            if len(buffer) > MAX_LINE:
                raise FileProblem("F_SYNTAX", "data_point_too_long")
            continue
        token, at = hit[0], hit.end()
        if token == b'"':
            quoted = not quoted
        elif token == b"\\":
            at += 1
        elif token in b"{[":
            depth += 1
            if depth > MAX_DEPTH + 1:
                raise FileProblem("F_TOO_DEEP", "nesting")
        elif (token == b"," and depth == 1) or (depth := depth - (token != b",")) == 0:
            raw = buffer[begin : hit.start()]
            if raw.strip():
                yield base + begin + len(raw) - len(raw.lstrip()), raw.strip(), True
            begin = at
            if depth == 0:
                return
    rest = buffer[begin:]
    if not rest.strip() or parse(rest.strip()).problem is None:
        raise FileProblem("F_TRUNCATED_CONTAINER", "array_not_closed")
    yield base + begin + len(rest) - len(rest.lstrip()), rest.strip(), False


def _unit(raw: bytes, offset: int, number: int, ended: bool) -> Unit:
    """A data point's kind and key, or why it is none."""
    value, problem = parse(raw, ended=ended)
    header = value.get("header") if isinstance(value, dict) else None
    kind, key = "unknown", None
    if isinstance(header, dict):
        schema = header.get("schema_id")
        named = schema.get("name") if isinstance(schema, dict) else None
        kind = named if isinstance(named, str) and named in _SCHEMAS else "unknown"
        key = header["id"] if isinstance(header.get("id"), str) and header["id"].strip() else None
    if problem is None:
        problem = _problem(value, header, kind, key)
    return Unit(kind, key, _NO_VERSIONS if key else None, raw, offset, number, problem)


def _problem(value: Any, header: Any, kind: str, key: str | None) -> str | None:
    """What keeps a parsed value from being a data point of a known schema."""
    if not isinstance(value, dict):
        return "R_NOT_OBJECT:data_point"
    if not isinstance(header, dict) or not isinstance(value.get("body"), dict):
        return "R_SCHEMA:header_or_body_missing"
    if kind == "unknown":
        return "R_UNKNOWN_TYPE:schema_id"
    major = re.match(r"^([0-9]+)\.", str(header["schema_id"].get("version")) + ".")
    if major is None or not 1 <= int(major[1][:4]) <= _SCHEMAS[kind]:
        return "R_VERSION:schema_id"
    user = header.get("user_id")
    return "R_ID:id" if key is None else None if isinstance(user, str) and user.strip() else "R_ID:user_id"


SOURCE = Source(
    format="open_mhealth",
    doc="Open mHealth data points, JSON array or newline-delimited.",
    files=("*.json", "*.ndjson", "*.jsonl"),
    units=units,
    kinds=frozenset(_SCHEMAS) | {"unknown"},
)


class _Measure(NamedTuple):
    """A value in the body: its metric, canonical unit, factors of the units that are legal, and plausible range."""

    field: str
    metric: str
    unit: str
    factors: dict[str, float]
    low: float
    high: float


_MINUTES = {"ms": 1 / 60000, "sec": 1 / 60, "min": 1.0, "h": 60.0, "d": 1440.0, "wk": 10080.0}
_METRES = {
    "mm": 0.001,
    "cm": 0.01,
    "m": 1.0,
    "km": 1000.0,
    "in": 0.0254,
    "ft": 0.3048,
    "yd": 0.9144,
    "mi": 1609.344,
}
_KILOGRAMS = {"mg": 1e-6, "g": 0.001, "kg": 1.0, "oz": 0.028349523125, "lb": 0.45359237, "Metric Ton": 1000.0}
_CENTIMETRES = {unit: factor * 100 for unit, factor in _METRES.items()}
_AREIC = {"kg/m2": 1.0, "kg/m^2": 1.0, "lb/in2": 703.0696, "lb/in^2": 703.0696}
_SYSTOLIC = _Measure("systolic_blood_pressure", "systolic", "mm[Hg]", {"mmHg": 1.0}, 30, 350)
_DIASTOLIC = _Measure("diastolic_blood_pressure", "diastolic", "mm[Hg]", {"mmHg": 1.0}, 10, 250)
_SLEPT = _Measure("total_sleep_time", "sleep_duration", "min", _MINUTES, 0, 2880)
_BURNED = _Measure("kcal_burned", "energy", "kcal", {"kcal": 1.0}, 0, 50_000)

_MEASURES = {
    "step-count": (_Measure("step_count", "steps", "{steps}", {"steps": 1.0}, 0, 1_000_000),),
    "heart-rate": (_Measure("heart_rate", "heart_rate", "/min", {"beats/min": 1.0, "Hz": 60.0}, 10, 300),),
    "respiratory-rate": (_Measure("respiratory_rate", "respiratory_rate", "/min", {"breaths/min": 1.0}, 1, 120),),
    "blood-pressure": (_SYSTOLIC, _DIASTOLIC),
    "systolic-blood-pressure": (_SYSTOLIC,),
    "diastolic-blood-pressure": (_DIASTOLIC,),
    "blood-glucose": (_Measure("blood_glucose", "blood_glucose", "mg/dL", {"mg/dL": 1.0, "mmol/L": 18.016}, 5, 3000),),
    "oxygen-saturation": (_Measure("oxygen_saturation", "oxygen_saturation", "%", {"%": 1.0}, 10, 100),),
    "body-weight": (_Measure("body_weight", "body_weight", "kg", _KILOGRAMS, 0.2, 700),),
    "body-height": (_Measure("body_height", "body_height", "cm", _CENTIMETRES, 20, 300),),
    "body-mass-index": (_Measure("body_mass_index", "body_mass_index", "kg/m2", _AREIC, 5, 250),),
    "body-fat-percentage": (_Measure("body_fat_percentage", "body_fat", "%", {"%": 1.0}, 0, 100),),
    "body-temperature": (_Measure("body_temperature", "body_temperature", "Cel", {"C": 1.0, "K": 1.0, "F": 5 / 9}, 20, 45),),
    "sleep-duration": (_Measure("sleep_duration", "sleep_duration", "min", _MINUTES, 0, 2880),),
    "total-sleep-time": (_SLEPT,),
    "sleep-episode": (_SLEPT,),
    "minutes-moderate-activity": (
        _Measure("minutes_moderate_activity", "active_minutes", "min", _MINUTES, 0, 10_080),
    ),
    "calories-burned": (_BURNED,),
    "physical-activity": (_Measure("distance", "distance", "m", _METRES, 0, 1_000_000), _BURNED),
}  # fmt: skip
# Degrees to subtract before the factor.
_ZERO = {"F": 32.0, "K": 273.15}
_FIELDS = sorted({m.field for ms in _MEASURES.values() for m in ms})
_SHAPE = (
    "header struct<user_id:string,acquisition_provenance:struct<modality:string>>, body struct<effective_time_frame:"
    "struct<date_time:string,time_interval:struct<start_date_time:string,end_date_time:string,date:string,"
    "part_of_day:string,duration:struct<value:double,unit:string>>>,descriptive_statistic:string,"
    + ",".join(f"{f}:string" for f in _FIELDS)
    + ">"
)


def _factors(unit: str, factors: dict[str, float]) -> str:
    """SQL of the factor of a unit, NULL for one that is not legal."""
    return f"CASE {unit} " + " ".join(f"WHEN '{u}' THEN {f!r}D" for u, f in factors.items()) + " END"


def _measure(part: int, kind: str, m: _Measure) -> str:
    """SQL of one value of the body, NULL for a record of another kind or without it. A bare number is in the metric's unit.

    Text where a number belongs has the value NULL, and so R_TYPE.
    """
    sent = f"body.{m.field}"
    pair = f"from_json({sent}, 'value double, unit string')"
    bare = f"NOT startswith({sent}, '{{')"
    is_text = f'raw RLIKE \'"{m.field}"\\\\s*:\\\\s*"\''
    zero = f"coalesce({_factors(f'{pair}.unit', _ZERO)}, 0D)" if m.metric == "body_temperature" else "0D"
    value = (
        f"CASE WHEN {bare} THEN CASE WHEN NOT {is_text} THEN try_cast({sent} AS double) END "
        f"ELSE ({pair}.value - {zero}) * coalesce({_factors(f'{pair}.unit', m.factors)}, 1D) END"
    )
    legal = f"({bare} AND {m.metric == 'steps'}) OR coalesce({_factors(f'{pair}.unit', m.factors)} IS NOT NULL, false)"
    return (
        f"CASE WHEN kind = '{kind}' AND {sent} IS NOT NULL THEN named_struct('part', {part}, 'metric', '{m.metric}', 'value', "
        f"{value}, 'unit', '{m.unit}', 'legal', {legal}, 'low', {float(m.low)}D, 'high', {float(m.high)}D) END"
    )


def _times(points: DataFrame) -> DataFrame:
    """Add `first` and `last`, local clock, and `at` (instant) from the time frame, moved by the sender's days.

    A number is an epoch, in milliseconds or seconds. Part of a day: six hours from 6, 12, 18 or, for night, 0 o'clock.
    """
    zone = "coalesce(sender.time_zone, 'UTC')"

    def instant(text: str) -> str:
        epoch = f"timestamp_millis(cast(try_cast({text} AS bigint) * CASE WHEN length({text}) <= 10 THEN 1000 ELSE 1 END AS bigint))"
        return f"CASE WHEN {text} RLIKE '^[0-9]{{9,14}}$' THEN {epoch} ELSE {clock.instant(text, zone)} END"

    def local(text: str) -> str:
        there = f"convert_timezone('UTC', {zone}, cast({instant(text)} AS timestamp_ntz))"
        return f"CASE WHEN {text} RLIKE '^[0-9]{{9,14}}$' THEN {there} ELSE {clock.local(text)} END"

    seconds = f"cast(span.duration.value * 60 * {_factors('span.duration.unit', _MINUTES)} AS decimal(18,6))"
    length = f"make_dt_interval(0, 0, 0, {seconds})"
    opens = "make_dt_interval(0, CASE span.part_of_day WHEN 'morning' THEN 6 WHEN 'afternoon' THEN 12 WHEN 'evening' THEN 18 "
    opens += "WHEN 'night' THEN 0 END)"
    moved = "make_dt_interval(coalesce(sender.shift_days, 0))"
    return (
        points.selectExpr("*", "body.effective_time_frame.date_time AS moment", "body.effective_time_frame.time_interval AS span")
        .selectExpr("*", "span.start_date_time AS opening", "span.end_date_time AS closing", f"{length} AS lasting",
                    f"{clock.local('span.date')} + {opens} AS part")
        .selectExpr(
            "*", f"coalesce({local('moment')}, {local('opening')}, {local('closing')} - lasting, part) + {moved} AS first",
            f"coalesce({local('moment')}, {local('closing')}, {local('opening')} + lasting, part + INTERVAL 6 HOUR)"
            f" + {moved} AS last",
            f"coalesce({instant('moment')}, {instant('opening')}, {instant('closing')} - lasting) + {moved} AS at",
        )
    )  # fmt: skip


@SOURCE.mapping(kind=tuple(_MEASURES), into=SAMPLE)
def data_point(points: DataFrame) -> DataFrame:
    """One row per value of a data point. A statistic over a time frame (average, maximum) is excluded: it is no sample."""
    values = ", ".join(
        _measure(n, kind, m) for kind, measures in _MEASURES.items() for n, m in enumerate(measures)
    )
    spent = (
        "CASE WHEN kind = 'physical-activity' AND span IS NOT NULL AND last >= first THEN named_struct('part', 2, 'metric', "
        "'active_minutes', 'value', cast(timestampdiff(SECOND, first, last) AS double) / 60, 'unit', 'min', 'legal', true, "
        "'low', 0D, 'high', 10080D) END"
    )
    read = points.selectExpr("*", f"from_json(raw, '{_SHAPE}') AS point")
    parsed = _times(read.selectExpr("*", "point.header AS head", "point.body AS body"))
    length = "CASE WHEN moment IS NOT NULL THEN 'moment' ELSE CASE timestampdiff(SECOND, first, last) "
    length += "WHEN 86400 THEN 'day' WHEN 3600 THEN 'hour' WHEN 60 THEN 'minute' ELSE 'session' END END"
    future = "coalesce(cast(date_add(extract_date, 1 + coalesce(sender.shift_days, 0)) AS timestamp_ntz), "
    future += "TIMESTAMP_NTZ'2050-01-01 00:00:00')"  # without an extract date, what no clock of today can have meant
    return (
        parsed.selectExpr("*", f"explode_outer(array_compact(array({values}, {spent}))) AS x")
        .selectExpr(
            "head.user_id AS source_person_id", "x.metric AS metric", "first AS start_datetime", "last AS end_datetime",
            "at AS start_at", f"{length} AS grain", "x.value AS value", "x.unit AS unit",
            "coalesce(sender.shift_days, 0) AS shift_days", "coalesce(x.part, 0) AS _part", "_at",
            "CASE head.acquisition_provenance.modality WHEN 'sensed' THEN 'sensed' WHEN 'self-reported' THEN 'self_reported' "
            "WHEN 'self reported' THEN 'self_reported' END AS modality",
            "CASE WHEN body.descriptive_statistic IS NOT NULL THEN 'descriptive_statistic' END AS _excluded",
            "array(CASE WHEN x IS NULL THEN 'R_SCHEMA:value_missing' END, "
            "CASE WHEN coalesce(moment, opening, closing, span.date) IS NULL THEN 'R_SCHEMA:effective_time_frame_missing' "
            "WHEN first IS NULL THEN 'R_DATE:effective_time_frame' END, "
            "CASE WHEN x IS NOT NULL AND x.value IS NULL THEN 'R_TYPE:value' END, CASE WHEN NOT x.legal THEN 'R_UNIT:unit' END, "
            "CASE WHEN x.legal AND NOT x.value BETWEEN x.low AND x.high THEN 'R_RANGE:value' END, "
            f"CASE WHEN first > {future} THEN 'R_TEMPORAL:future' END) AS _problems",
        )
    )  # fmt: skip
