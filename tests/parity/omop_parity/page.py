"""The outcome as text: a table for the terminal, docs/parity.md for readers."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .compare import Comparison, Outcome

_HEAD = """# Our OMOP against OHDSI's ETL-Synthea

OHDSI's ETL-Synthea v5.4 and carelake (`synthea_csv`, until silver) made OMOP of the same 24 people (`synthea_ma20/csv`), compared row by row, as multisets,
by natural key: ids differ, so each reference counts as what it points at (a person's id in the source, a visit's day and class, a place's address). Every
difference has a named rule that looks for its cause in the data: in Synthea's files, in the vocabulary that ETL-Synthea had, in the two builds. A row or a column
without a rule is unexplained; there is none. Rules are numbered after OMOP_RULES; CDM is OHDSI's field list of v5.4, THEMIS its ratified conventions.

This page is written by `make parity` and held by `tests/parity/test_omop_parity.py`; each rule has its own test in `tests/parity/test_omop_parity_rules.py`.
`make parity OURS=folder THEIRS=folder` compares any other two folders of OMOP tables (Delta, CSV or Parquet, named after the tables, in any case), without
these rules, and ends with 1 where rows differ.
"""


def counts(outcomes: Iterable[Outcome]) -> list[tuple[str | int, ...]]:
    """A line per table: rows of ours, of theirs, same, same key, ours only, theirs only, unexplained."""
    return [
        (
            o.table, o.ours, o.theirs, o.same, o.differing, o.ours - o.same - o.differing, o.theirs - o.same - o.differing,
            len(o.unexplained),
        )
        for o in outcomes
    ]  # fmt: skip


def terminal(outcomes: Sequence[Outcome]) -> str:
    """The counts in columns, then what is unexplained by kind. No value of any row."""
    head = ("table", "ours", "theirs", "same", "same key", "ours only", "theirs only", "unexplained")
    lines = [f"{row[0]:<22}" + "".join(f"{n:>13}" for n in row[1:]) for row in (head, *counts(outcomes))]
    for o in outcomes:
        kinds = Counter(kind for kind, _ in o.unexplained)
        lines += [f"unexplained in {o.table}: {kind}: {n}" for kind, n in kinds.most_common()]
    return "\n".join(lines)


def markdown(outcomes: Sequence[Outcome], how: Iterable[Comparison], without: Iterable[str]) -> str:
    """docs/parity.md. `without`: tables of ours that the other side has not."""
    lines = [
        _HEAD,
        "| table | ours | theirs | same in every column | same key, columns differ by rule | ours only | theirs only | unexplained |",
        "|---|---|---|---|---|---|---|---|",
        *["| " + " | ".join(map(str, row)) + " |" for row in counts(outcomes)],
        "",
        f"The reference holds none of these tables of ours, so there is nothing to compare: {', '.join(sorted(without))}.",
        "",
        "## Rows that one side has alone",
        "",
        "| table | only | rows | rule |",
        "|---|---|---|---|",
    ]
    for o in outcomes:
        for side, found in (("ours", o.ours_only), ("theirs", o.theirs_only)):
            lines += [f"| {o.table} | {side} | {n} | {rule} |" for rule, n in found.most_common()]
    lines += [
        "",
        "## Columns that differ in rows of one key",
        "",
        "| table | rule | columns (rows) |",
        "|---|---|---|",
    ]
    for o in outcomes:
        by_rule: dict[str, list[str]] = defaultdict(list)
        for (column, rule), n in sorted(o.columns.items()):
            by_rule[rule].append(f"{column} ({n})")
        lines += [f"| {o.table} | {rule} | {', '.join(found)} |" for rule, found in sorted(by_rule.items())]
    lines += ["", "## What each rule says", "", "| rule | why |", "|---|---|"]
    lines += [f"| {name} | {why} |" for name, why in sorted(_reasons(outcomes, how).items())]
    return "\n".join(lines) + "\n"


def _reasons(outcomes: Iterable[Outcome], how: Iterable[Comparison]) -> dict[str, str]:
    used = {rule for o in outcomes for rule in (*o.ours_only, *o.theirs_only, *(r for _, r in o.columns))}
    found: dict[str, str] = {}
    for c in how:
        for rule in (*c.ours_only, *c.theirs_only, *c.differs):
            if rule.name in used:
                found.setdefault(rule.name, rule.why)
    return found
