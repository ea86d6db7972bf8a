"""Counting many things in one pass over each table.

A table's row is turned into a few small rows (s, x, y, who): s is what is counted, x and y the value. All tables' small
rows are grouped by (s, x, y) together, so that one query with one shuffle answers every question. Three kinds of s:

- *conditions*: x holds 62 of a table's conditions as bits. Rows that hold the same ones are one group.
- *concepts*: x is the concept, y what is asked beside it (sex or unit).
- *keys*: x and y are hashes, 96 bits: among 10^10 keys two share them with a probability of 10^-9. `who` is 0 for the
  space's own key, -1 for an own key that is NULL, i for its i-th reference.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.session import paced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyspark.sql import DataFrame

BITS = 62
# Rows of the answer: which part, the number of what was counted, two values, numbers
PART = "part string, s int, c int, beside int, v array<bigint>"
Found = dict[str, list[tuple[int, int, "int | None", list[int]]]]  # by part: s, c, beside, v


@dataclass(frozen=True)
class KeyCounts:
    """What is known of the keys of one space."""

    rows: int
    keys: int
    repeated: int  # rows whose key is not NULL and stands in another row too
    named: int  # keys that the first reference names
    lost: tuple[int, ...]  # by reference: keys that the space does not have
    absent: tuple[int, ...]  # by reference: own rows that it does not name


@dataclass(frozen=True)
class _Small:
    """A small row as SQL over a table's row; there is none where x is NULL."""

    s: int
    x: str
    y: str = "0L"
    who: str = "0"


@dataclass
class _Table:
    frame: DataFrame
    conditions: dict[str, int] = field(default_factory=dict)
    small: list[_Small] = field(default_factory=list)


@dataclass
class Tally:
    """The questions, asked by name of table, and the answers when `run` has counted."""

    sizes: Sequence[int | None] = (None,)  # bytes of the tables
    found: Found = field(default_factory=dict)
    fields: list[tuple[str, str]] = field(default_factory=list)  # of concepts
    _tables: dict[str, _Table] = field(default_factory=dict)
    _spaces: dict[str, list[str]] = field(default_factory=dict)  # references of each space
    _owned: set[str] = field(default_factory=set)
    _bits: list[tuple[str, int]] = field(
        default_factory=list
    )  # table and place of the first of 62 conditions
    _keys: dict[str, KeyCounts] = field(default_factory=dict)
    _held: dict[str, list[int]] = field(default_factory=dict)  # rows, then those of each condition, by table
    _numbers: dict[str, int] = field(default_factory=dict)

    # --- questions ------------------------------------------------------------------------------------------------

    def table(self, name: str, frame: DataFrame) -> None:
        """Count rows of this table; a second frame of the name takes the place of the first."""
        self._tables.setdefault(name, _Table(frame)).frame = frame

    def asked(self, name: str) -> str:
        """All SQL that is asked of a table so far."""
        return " ".join([*self._tables[name].conditions, *(r.y for r in self._tables[name].small)])

    def condition(self, name: str, condition: str) -> None:
        """Count the rows for which SQL holds."""
        known = self._tables[name].conditions
        known.setdefault(condition, len(known))

    def concept(self, name: str, column: str, beside: str) -> None:
        """Count the rows by concept and by the SQL `beside`."""
        self.fields.append((name, column))
        row = _Small(-len(self.fields), f"cast(`{column}` AS bigint)", f"cast({beside} AS bigint)")
        self._tables[name].small.append(row)

    def own(self, name: str, columns: Sequence[str]) -> str:
        """The table's rows are the keys of a space, by these columns; returns its name."""
        space = f"{name}({', '.join(columns)})"
        if space not in self._owned:
            self._owned.add(space)
            listed = [self._typed(name, c) for c in columns]
            blank = f"{listed[0]} IS NULL" if len(listed) == 1 else "false"
            self._emit(space, name, f"if({blank}, -1, 0)", listed)
        return space

    def values(self, name: str, column: str, where: str) -> str:
        """The different values of a column, NULL being one, and by the first reference those of rows where SQL holds."""
        space = f"{name}.{column}"
        self._emit(space, name, "0", [f"`{column}`"])
        self._spaces[space].append(where)
        self._emit(space, name, "1", [f"`{column}`"], where)
        return space

    def refer(self, space: str, name: str, column: str, where: str = "true") -> int:
        """A column points to the space's keys where it is not NULL and SQL holds; returns its place in KeyCounts."""
        typed = self._typed(name, column)
        known = self._spaces.setdefault(space, [])
        mark = f"{name}.{column} {where}"
        if mark not in known:
            known.append(mark)
            self._emit(space, name, str(len(known)), [typed], f"{typed} IS NOT NULL AND ({where})")
        return known.index(mark)

    def _emit(self, space: str, name: str, who: str, columns: Sequence[str], where: str = "true") -> None:
        self._spaces.setdefault(space, [])
        number = self._numbers.setdefault(space, len(self._numbers))
        args = ", ".join(f"{c}, {c} IS NULL" for c in columns)
        x, y = f"xxhash64({args})", f"cast(hash({args}) AS bigint)"
        x = x if where == "true" else f"CASE WHEN {where} THEN {x} END"
        self._tables[name].small.append(_Small(number, x, y, who))

    def _typed(self, name: str, column: str) -> str:
        """The column as SQL; whole numbers as bigint, since a hash differs by type."""
        kind = dict(self._tables[name].frame.dtypes)[column]
        return f"cast(`{column}` AS bigint)" if kind in ("tinyint", "smallint", "int") else f"`{column}`"

    # --- counting -------------------------------------------------------------------------------------------------

    def run(self, more: Callable[[DataFrame], list[DataFrame]] = lambda used: []) -> None:
        """Count. `more` makes further parts of the answer from how often each field has each concept (s, c, beside, n)."""
        branches = [
            _branch(t.frame, rows)
            for name, t in self._tables.items()
            if (rows := [*self._masks(name), *t.small])
        ]
        if not branches:
            return
        grouped = _grouped(branches, max((len(r) for r in self._spaces.values()), default=0))
        # Few rows of a long plan, which would be analysed anew with each step that follows.
        grouped = paced(grouped, self.sizes).localCheckpoint()
        used = grouped.where(f"s BETWEEN {-len(self.fields)} AND -1").selectExpr(
            "s", "cast(x AS int) AS c", "cast(y AS int) AS beside", "n"
        )
        parts = [self._key_part(grouped), self._bit_part(grouped), *more(used)]
        found = defaultdict(list)
        for r in _united(parts).collect():
            found[r["part"]].append((r["s"], r["c"], r["beside"], [int(x) for x in r["v"]]))
        self.found = dict(found)
        self._read()

    def _masks(self, name: str) -> list[_Small]:
        """One small row for each 62 conditions of a table."""
        conditions = list(self._tables[name].conditions)
        rows = []
        for first in range(0, len(conditions), BITS):
            self._bits.append((name, first))
            bits = [f"if({c}, {1 << i}L, 0L)" for i, c in enumerate(conditions[first : first + BITS])]
            rows.append(_Small(-len(self._bits) - 1000, " | ".join(bits)))
        return rows

    def _key_part(self, grouped: DataFrame) -> DataFrame:
        kept = [c for c in grouped.columns if c not in ("s", "x", "y")]
        return grouped.where("s >= 0").selectExpr(
            "'key' AS part", "s", "0 AS c", "cast(NULL AS int) AS beside", f"array({', '.join(kept)}) AS v"
        )

    def _bit_part(self, grouped: DataFrame) -> DataFrame:
        width = max((min(BITS, len(t.conditions)) for t in self._tables.values()), default=0)
        sums = ["sum(n)", *[f"sum(if((x & {1 << i}L) <> 0, n, 0L))" for i in range(width)]]
        summed = grouped.where("s < -1000").groupBy("s").agg(F.expr(f"array({', '.join(sums)})").alias("v"))
        return summed.selectExpr("'bit' AS part", "s", "0 AS c", "cast(NULL AS int) AS beside", "v")

    def _read(self) -> None:
        by_number = {s: v for s, _, _, v in self.found.get("bit", [])}
        for place, (name, first) in enumerate(self._bits, start=1):
            n, *held = by_number.get(-place - 1000, [0] * (BITS + 1))
            kept = self._held.setdefault(name, [n] + [0] * len(self._tables[name].conditions))
            for i, count in enumerate(held[: len(kept) - 1 - first]):
                kept[1 + first + i] = count
        by_number = {s: v for s, _, _, v in self.found.get("key", [])}
        for space, references in self._spaces.items():
            width = len(references)
            n, keys, repeated, named, *both = by_number.get(self._numbers[space], [0] * (4 + 2 * width))
            half = len(both) // 2
            self._keys[space] = KeyCounts(
                n, keys, repeated, named, tuple(both[:width]), tuple(both[half : half + width])
            )

    # --- answers --------------------------------------------------------------------------------------------------

    def rows(self, name: str) -> int:
        """Rows of a table of which some condition was asked."""
        return self._held[name][0]

    def held(self, name: str, condition: str) -> int:
        """Rows of a table for which a condition holds."""
        return self._held[name][1 + self._tables[name].conditions[condition]]

    def keys(self, space: str) -> KeyCounts:
        """What is known of a space's keys."""
        return self._keys[space]


def _united(frames: list[DataFrame]) -> DataFrame:
    """The union, by halves: one after the other Spark would look through all that went before at each."""
    if len(frames) == 1:
        return frames[0]
    half = len(frames) // 2
    return _united(frames[:half]).union(_united(frames[half:]))


def _branch(frame: DataFrame, rows: list[_Small]) -> DataFrame:
    """The small rows of a table: s, x, y, who.

    Values first, rows from them second: Spark makes a method of each, and the JVM interprets a method above 8,000 bytes.
    (So it does with array_compact and everything inside it.)
    """
    values, made = [], []
    for i, r in enumerate(rows):
        values.append(f"{r.x} AS x{i}")
        y, who = r.y, r.who
        if y != "0L":
            values.append(f"{y} AS y{i}")
            y = f"y{i}"
        if not who.lstrip("-").isdigit():
            values.append(f"{who} AS who{i}")
            who = f"who{i}"
        made.append(
            f"CASE WHEN x{i} IS NOT NULL THEN struct({r.s} AS s, x{i} AS x, {y} AS y, {who} AS who) END"
        )
    return frame.selectExpr(*values).selectExpr(f"inline(array({', '.join(made)}))")


def _grouped(branches: list[DataFrame], references: int) -> DataFrame:
    """By s, x and y what was counted; of a space of keys one row with its sums."""
    grouped = (
        _united(branches)
        .where("s IS NOT NULL")
        .groupBy("s", "x", "y")
        .agg(
            F.expr("count_if(who = 0)").alias("own"),
            F.expr("count_if(who = -1)").alias("blank"),
            F.expr("bit_or(if(who > 0, shiftleft(1L, who), 0L))").alias("refs"),
        )
    )
    bits = [f"(refs & {1 << i}L) <> 0" for i in range(1, references + 1)]
    sums = {
        "n": "sum(own + blank)",
        "keys": "count_if(own > 0 OR blank > 0)",
        "repeated": "sum(if(own > 1, own, 0L))",
        "named": "count_if((refs & 2L) <> 0)",
        **{f"lost{i}": f"count_if(own = 0 AND {b})" for i, b in enumerate(bits)},
        **{f"absent{i}": f"sum(if({b}, 0L, own))" for i, b in enumerate(bits)},
    }
    value = "CASE WHEN s < 0 THEN {} END"
    return grouped.groupBy(
        "s", F.expr(value.format("x")).alias("x"), F.expr(value.format("y")).alias("y")
    ).agg(*[F.expr(text).alias(name) for name, text in sums.items()])
