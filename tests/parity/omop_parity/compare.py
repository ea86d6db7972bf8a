"""Two multisets of rows: which are the same, which differ in columns, which one side has alone, and by which rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .facts import Facts
    from .read import Row


@dataclass(frozen=True)
class RowRule:
    """Why one side has a row alone. `holds` looks for the cause in the data; it never says yes to the rest."""

    name: str
    holds: Callable[[Row, Facts], bool]
    why: str


@dataclass(frozen=True)
class ColumnRule:
    """Why a column of two rows with one key differs. `holds` gets the column, our row, their row."""

    name: str
    columns: tuple[str, ...]
    holds: Callable[[str, Row, Row, Facts], bool]
    why: str


@dataclass(frozen=True)
class Comparison:
    """How a table is compared: the natural key, and the rules, the first that holds names the cause."""

    table: str
    key: tuple[str, ...]
    ours_only: tuple[RowRule, ...] = ()
    theirs_only: tuple[RowRule, ...] = ()
    differs: tuple[ColumnRule, ...] = ()


@dataclass
class Outcome:
    """What came out for a table. `unexplained` says of each leftover its kind ('ours only', 'theirs only', a column)."""

    table: str
    ours: int = 0
    theirs: int = 0
    same: int = 0
    differing: int = 0
    ours_only: Counter[str] = field(default_factory=Counter)
    theirs_only: Counter[str] = field(default_factory=Counter)
    columns: Counter[tuple[str, str]] = field(default_factory=Counter)
    unexplained: list[tuple[str, Any]] = field(default_factory=list)


def compare(how: Comparison, ours: Sequence[Row], theirs: Sequence[Row], facts: Facts) -> Outcome:
    """Pair the rows of each key so that as few columns as possible stay unexplained, then name what is left."""
    out = Outcome(how.table, len(ours), len(theirs))
    by_key: dict[tuple[Any, ...], tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((ours, theirs)):
        for row in rows:
            by_key[tuple(row.get(c) for c in how.key)][side].append(row)
    for mine, other in by_key.values():
        pairs, only_mine, only_other = _paired(how, mine, other, facts)
        for causes in pairs:
            out.same += not causes
            out.differing += bool(causes)
            for column, rule, example in causes:
                if rule is None:
                    out.unexplained.append((column, example))
                else:
                    out.columns[column, rule] += 1
        _named(out, "ours only", out.ours_only, how.ours_only, only_mine, facts)
        _named(out, "theirs only", out.theirs_only, how.theirs_only, only_other, facts)
    return out


def _named(
    out: Outcome, kind: str, count: Counter[str], rules: Iterable[RowRule], rows: Iterable[Row], facts: Facts
) -> None:
    for row in rows:
        rule = next((r.name for r in rules if r.holds(row, facts)), None)
        if rule is None:
            out.unexplained.append((kind, row))
        else:
            count[rule] += 1


Cause = tuple[str, str | None, Any]


def _causes(how: Comparison, mine: Row, other: Row, facts: Facts) -> list[Cause]:
    """Each column that differs, with the rule that says why."""
    found: list[Cause] = []
    for column in mine:
        if column not in how.key and column in other and mine[column] != other[column]:
            rule = next(
                (r.name for r in how.differs if column in r.columns and r.holds(column, mine, other, facts)),
                None,
            )
            found.append((column, rule, (mine, other)))
    return found


def _paired(
    how: Comparison, mine: list[Row], other: list[Row], facts: Facts
) -> tuple[list[list[Cause]], list[Row], list[Row]]:
    """The causes of each pair, and the rows of each side that found no partner."""
    ranked = []
    if mine and other:
        for i, a in enumerate(mine):
            for j, b in enumerate(other):
                causes = _causes(how, a, b, facts)
                ranked.append((sum(rule is None for _, rule, _ in causes), len(causes), i, j, causes))
        ranked.sort(key=lambda r: r[:4])
    left, right = set(range(len(mine))), set(range(len(other)))
    pairs = []
    for _, _, i, j, causes in ranked:
        if i in left and j in right:
            left.discard(i)
            right.discard(j)
            pairs.append(causes)
    return pairs, [mine[i] for i in sorted(left)], [other[j] for j in sorted(right)]
