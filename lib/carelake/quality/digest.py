"""What a lake holds as it lies there: the digest by which two lakes are compared."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table


def _hashed(columns: Iterable[str]) -> str:
    """Arguments of a hash over columns. A hash passes over NULL, (NULL, 1) would be (1, NULL): so that is hashed as well."""
    return ", ".join(f"`{c}`, `{c}` IS NULL" for c in columns)


def digest(lake: DeltaLake, tables: Iterable[Table]) -> list[tuple[str, int, str]]:
    """Per table its name, rows and a multiset hash of its business columns (no `_run`, no `*_at`), any row order the same."""
    there = sorted((t for t in tables if lake.version(t) >= 0), key=lambda t: t.name)
    if not there:
        return []
    frames = []
    for t in there:
        kept = [f.name for f in t.fields if f.name != "_run" and not f.name.endswith("_at")]
        h = f"xxhash64({_hashed(kept)})"
        frames.append(
            lake.read(t).selectExpr(
                f"'{t.name}' AS name", "count(*) AS n",
                f"coalesce(sum(cast({h} AS decimal(38,0))), 0) AS s", f"coalesce(bit_xor({h}), 0) AS x",
            )
        )  # fmt: skip
    rows = reduce(lambda a, b: a.unionByName(b), frames).collect()
    mask = (1 << 64) - 1
    return [
        (r["name"], int(r["n"]), f"{int(r['s']) & mask:016x}{int(r['x']) & mask:016x}") for r in sorted(rows)
    ]
