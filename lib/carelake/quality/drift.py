"""Drift: how far the rows, NULLs and concepts of each table are from those that were published last."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from carelake.core.ops import PROFILE, SNAPSHOT
from carelake.core.stability import stability

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carelake.core.config import Drift
    from carelake.core.lake import DeltaLake
    from carelake.quality.dashboard import Measured

# What a profile holds, by table, field ('' for the table) and bucket (a concept id, else 0): rows
Profile = dict[tuple[str, str, str, int], int]
ROWS, NULLS, CONCEPT = "rows", "nulls", "concept"


def profile(measured: Measured) -> Profile:
    """Rows of each table, NULLs of each field, the commonest concepts of each field. No value of a record but concept ids."""
    found: Profile = {(t, "", ROWS, 0): n for t, n in measured.rows.items()}
    found |= {(t, f, NULLS, 0): n for (t, f), n in measured.empty.items()}
    for (t, f), common in measured.common.items():
        found |= {(t, f, CONCEPT, c): n for c, n in common.items()}
    return found


def rows_of(found: Profile, run_id: str) -> list[dict[str, Any]]:
    """Rows of ops/profile."""
    return [
        {"run_id": run_id, "table_name": f"silver/omop/{t}", "field_name": f or None, "measure": m, "bucket": b or None, "value": n}
        for (t, f, m, b), n in sorted(found.items())
    ]  # fmt: skip


def earlier(lake: DeltaLake, *, before: int) -> Profile:
    """The profile of a run that was published: the newest (`before` 0) or one before it (1); empty when there is none."""
    if lake.head(PROFILE) < 0 or lake.head(SNAPSHOT) < 0:
        return {}
    both = lake.read(PROFILE).select("run_id").intersect(lake.read(SNAPSHOT).select("run_id")).distinct()
    runs = sorted((r["run_id"] for r in both.collect()), reverse=True)
    if len(runs) <= before:
        return {}
    rows = lake.read(PROFILE).where(f"run_id = '{runs[before]}'").collect()
    return {
        (r["table_name"].removeprefix("silver/omop/"), r["field_name"] or "", r["measure"], r["bucket"] or 0): r["value"]
        for r in rows
    }  # fmt: skip


def stability_index(was: Mapping[int, int], now: Mapping[int, int], n_was: int, n_now: int) -> float:
    """Population stability index of two counts by bucket: sum of (b - a) ln(b / a) over their shares a and b.

    What is in no bucket (the rarer concepts) is one more bucket. 0 is the same; by custom above 0.1 is a shift, above 0.25 a large one.
    """
    buckets = set(was) | set(now)
    pairs = [(was.get(b, 0) / n_was, now.get(b, 0) / n_now) for b in buckets]
    pairs.append((1 - sum(a for a, _ in pairs), 1 - sum(b for _, b in pairs)))
    return stability(pairs)


def compare(was: Profile, now: Profile, limits: Drift) -> list[dict[str, Any]]:
    """Rows of ops/check_result: a table's rows, the share of NULL and the concepts of each field, `warn` beyond the limits.

    rows_checked and rows_violating are the rows then and now of drift_rows, the NULLs of drift_null_share; of drift_concepts the
    rows now and those that would have to move. A table that is new, or small on either side, is not judged.
    """
    found = []
    for table in sorted({t for t, _, m, _ in now if m == ROWS}):
        n_was, n_now = was.get((table, "", ROWS, 0)), now[table, "", ROWS, 0]
        if n_was is None or max(n_was, n_now) < limits.min_rows:
            continue
        change = abs(n_now - n_was) / max(n_was, 1)
        found.append(_row("drift_rows", table, None, n_was, n_now, limits.rows, change))
        if min(n_was, n_now) < limits.min_rows:
            continue
        found += _fields(was, now, table, n_was, n_now, limits)
    return found


def _fields(
    was: Profile, now: Profile, table: str, n_was: int, n_now: int, limits: Drift
) -> Iterable[dict[str, Any]]:
    then: dict[str, dict[int, int]] = defaultdict(dict)
    here: dict[str, dict[int, int]] = defaultdict(dict)
    for source, kept in ((was, then), (now, here)):
        for (t, f, m, bucket), n in source.items():
            if t == table and m == CONCEPT:
                kept[f][bucket] = n
    for t, f, m, _ in sorted(now):
        if t == table and m == NULLS and (t, f, m, 0) in was:
            a, b = was[t, f, m, 0], now[t, f, m, 0]
            yield _row("drift_null_share", table, f, n_now, b, limits.null_share, abs(b / n_now - a / n_was))
    for f in sorted(set(then) & set(here)):
        filled_was = n_was - was.get((table, f, NULLS, 0), 0)
        filled_now = n_now - now.get((table, f, NULLS, 0), 0)
        if min(filled_was, filled_now) >= limits.min_rows:
            index = stability_index(then[f], here[f], filled_was, filled_now)
            buckets = set(then[f]) | set(here[f])
            moved = (
                sum(abs(here[f].get(b, 0) / filled_now - then[f].get(b, 0) / filled_was) for b in buckets) / 2
            )
            yield _row("drift_concepts", table, f, filled_now, round(moved * filled_now), limits.psi, index)


def _row(
    check: str, table: str, field: str | None, checked: int, violating: int, limit: float, found: float
) -> dict[str, Any]:
    return {
        "check_name": check, "level": "field" if field else "table", "table_name": f"silver/omop/{table}", "field_name": field,
        "rows_checked": checked, "rows_violating": violating, "threshold": limit, "status": "warn" if found > limit else "pass",
        "severity": "drift", "note": f"{found:.4f}", "check_id": "_".join(x for x in (check, table, field) if x),
    }  # fmt: skip
