"""SQL of a time that came as ISO 8601 text: local wall clock, instant, precision, and what is wrong with it.

Each function takes and gives SQL text, so that mappings can be declared before a session exists. The session's zone
must be UTC. A time without a zone is the sender's local time.
"""

from __future__ import annotations

# Year, year-month, date, or date and time with or without offset. A bare clock time would be taken as of today.
_SHAPE = (
    r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
    r" ?(Z|z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?$"
)
_ZONE = r"[0-9][T ][0-9:.]+ ?(Z|z|[+-][0-9]{2}:?[0-9]{2})$"


def local(text: str) -> str:
    """TIMESTAMP_NTZ: the wall clock as sent, whatever its offset. A date is its midnight, a month or year its first day.

    NULL for what is no real time (30 February, 14/02/1960, 24:00).
    """
    return f"CASE WHEN {text} RLIKE '{_SHAPE}' THEN try_cast({text} AS timestamp_ntz) END"


def has_time(text: str) -> str:
    """BOOLEAN: whether a time of day was sent, not a date alone; NULL without text."""
    return f"{text} RLIKE '[T ][0-9]{{2}}:'"


def has_zone(text: str) -> str:
    """BOOLEAN: whether an offset was sent; NULL without text."""
    return f"{text} RLIKE '{_ZONE}'"


def zone_assumed(text: str) -> str:
    """BOOLEAN: whether a time of day came without an offset, so that the sender's zone is taken; NULL without text."""
    return f"({has_time(text)} AND NOT {has_zone(text)})"


def instant(text: str, zone: str) -> str:
    """TIMESTAMP: the moment, by its own offset, else by `zone` (SQL of a zone's name). NULL for a date alone."""
    there = f"CASE WHEN {has_time(text)} THEN {local(text)} END"
    return (
        f"CASE WHEN {has_zone(text)} THEN CASE WHEN {text} RLIKE '{_SHAPE}' THEN try_cast({text} AS timestamp) END "
        f"ELSE cast(convert_timezone({zone}, 'UTC', {there}) AS timestamp) END"
    )


def day(text: str) -> str:
    """DATE: a whole date; NULL for a month or year alone and for what is no real date."""
    return f"CASE WHEN length({text}) >= 10 THEN to_date({local(text)}) END"


def bad_date(field: str, text: str) -> str:
    """STRING: `R_DATE:field` when text was sent that is no real date or time, else NULL."""
    return f"CASE WHEN {text} IS NOT NULL AND ({local(text)}) IS NULL THEN 'R_DATE:{field}' END"


def future(date: str) -> str:
    """STRING: `R_TEMPORAL:future` for a DATE (SQL) more than a year after the extract (`extract_date`): a century mistyped,
    not a plan. Without an extract date 2050 is what nobody can have meant. NULL otherwise.
    """
    last = "coalesce(add_months(extract_date, 12), DATE'2050-01-01')"
    return f"CASE WHEN {date} > {last} THEN 'R_TEMPORAL:future' END"


def times(start: str, end: str = "cast(NULL AS string)") -> dict[str, str]:
    """SQL of the time columns of a contract by name, from texts."""
    return {
        "start_datetime": local(start),
        "end_datetime": local(end),
        "start_at": instant(start, "sender.time_zone"),
        "end_at": instant(end, "sender.time_zone"),
        "has_time": f"coalesce({has_time(start)}, false)",
    }
