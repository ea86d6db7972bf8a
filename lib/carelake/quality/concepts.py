"""Checks of concepts: known, of the right domain and class, standard, plausible for the sex and the unit.

Every concept field of every table is counted by concept (and sex or unit) once; the vocabulary is then asked about the
concepts that occur, not about rows.
"""

from __future__ import annotations

from collections import defaultdict
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.quality import rows
from carelake.quality.references import is_of_concepts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame

    from carelake.core.config import Exemption
    from carelake.quality.published import Rule
    from carelake.quality.rows import Count
    from carelake.quality.tally import Tally

CONCEPT_CHECKS = frozenset({
    "isForeignKey", "fkDomain", "fkClass", "isStandardValidConcept", "plausibleGender", "plausibleGenderUseDescendants",
    "plausibleUnitConceptIds",
})  # fmt: skip
SEX = {"Male": 8507, "Female": 8532}
TOP = 100  # concepts of a field that a profile keeps
NO_UNIT = -1


def ask(asked: Sequence[Rule], tally: Tally, tables: Mapping[str, DataFrame]) -> None:
    """Put the questions of rules for which `is_asked` holds."""
    beside: dict[tuple[str, str], str] = {}
    for r in asked:
        at = (r.table, str(r.field))
        beside.setdefault(at, "NULL")
        if r.name in ("plausibleGender", "plausibleGenderUseDescendants") and "person" in tables:
            beside[at] = rows.SEX
        elif r.name == "plausibleUnitConceptIds":
            has_unit = "unit_concept_id" in tables[r.table].columns
            beside[at] = f"coalesce({'unit_concept_id' if has_unit else 'NULL'}, {NO_UNIT})"
        tally.condition(r.table, f"`{r.field}` IS NOT NULL")
    for (table, field), sql in beside.items():
        tally.concept(table, field, sql)


def is_asked(rule: Rule, tables: Mapping[str, DataFrame]) -> bool:
    """Whether a rule is about concepts, and of a field that is there; without a vocabulary none is."""
    ours = rule.name in CONCEPT_CHECKS and (rule.name != "isForeignKey" or is_of_concepts(rule))
    return ours and "concept" in tables and rule.table in tables and rule.field in tables[rule.table].columns


def parts(
    used: DataFrame,
    asked: Sequence[Rule],
    fields: Sequence[tuple[str, str]],
    tables: Mapping[str, DataFrame],
    exempt: Sequence[Exemption],
) -> list[DataFrame]:
    """Parts of the tally's answer from how often each field has each concept (s, c, beside, n).

    'field': rows of a field whose concept is known, is of another domain, of another class, not standard or not valid.
    'concept': rows by a concept that a rule names, and sex or unit. 'below': rows by rule (its place, as c) and sex.
    'common': the commonest concepts of a field.
    """
    number = {at: -place for place, at in enumerate(fields, start=1)}
    ids: dict[int, set[int]] = defaultdict(set)
    for r in asked:
        if r.name in ("plausibleGender", "plausibleUnitConceptIds"):
            ids[number[r.table, str(r.field)]] |= set(r.concepts)
    found = [_by_field(used, tables["concept"], asked, number, exempt), _common(used)] if fields else []
    if ids:
        named = " OR ".join(f"(s = {n} AND c IN ({', '.join(map(str, sorted(i)))}))" for n, i in ids.items())
        found.append(used.where(named).selectExpr("'concept' AS part", "s", "c", "beside", "array(n) AS v"))
    below = _below(used, tables, asked, number)
    return found + ([below] if below is not None else [])


def _by_field(
    used: DataFrame,
    concept: DataFrame,
    asked: Sequence[Rule],
    number: Mapping[tuple[str, str], int],
    exempt: Sequence[Exemption],
) -> DataFrame:
    right = {
        k: {number[r.table, str(r.field)]: r.given[k] for r in asked if r.name == k}
        for k in ("fkDomain", "fkClass")
    }
    excused = defaultdict(list)
    for e in exempt:
        if (e.table.lower(), e.field.lower()) in number:
            excused[e.check].append(
                f"(s = {number[e.table.lower(), e.field.lower()]} AND c = {e.concept_id})"
            )

    def wrong(check: str, condition: str) -> str:
        spared = " OR ".join(excused[check]) or "false"
        return f"sum(if(c <> 0 AND NOT ({spared}) AND ({condition}), n, 0L))"

    known = concept.selectExpr(
        "concept_id", "domain_id", "concept_class_id", "coalesce(standard_concept, '') = 'S' AND invalid_reason IS NULL AS standard"
    )  # fmt: skip
    # the few concepts in use are sent to the vocabulary, which may have millions
    met = known.join(F.broadcast(used), on=F.expr("concept_id = c"), how="inner")
    sums = (
        "sum(n)", wrong("fkDomain", f"domain_id <> {_case(right['fkDomain'])}"),
        wrong("fkClass", f"concept_class_id <> {_case(right['fkClass'])}"), wrong("isStandardValidConcept", "NOT standard"),
    )  # fmt: skip
    return met.groupBy("s").agg(F.expr(f"array({', '.join(sums)})").alias("v")).selectExpr(
        "'field' AS part", "s", "0 AS c", "cast(NULL AS int) AS beside", "v"
    )  # fmt: skip


def _case(right: Mapping[int, str]) -> str:
    whens = " ".join(f"WHEN {n} THEN '{v}'" for n, v in sorted(right.items()))
    return f"CASE s {whens} END" if whens else "cast(NULL AS string)"


def _common(used: DataFrame) -> DataFrame:
    """Among equals the smaller ids."""
    by_concept = used.groupBy("s", "c").agg(F.expr("sum(n)").alias("n"))
    ranked = by_concept.selectExpr("*", "row_number() OVER (PARTITION BY s ORDER BY n DESC, c) AS rank")
    return ranked.where(f"rank <= {TOP}").selectExpr(
        "'common' AS part", "s", "c", "cast(NULL AS int) AS beside", "array(n) AS v"
    )


def _below(
    used: DataFrame,
    tables: Mapping[str, DataFrame],
    asked: Sequence[Rule],
    number: Mapping[tuple[str, str], int],
) -> DataFrame | None:
    """Rows whose concept descends from one of a rule's concepts, each once."""
    some = [(i, r) for i, r in enumerate(asked) if r.name == "plausibleGenderUseDescendants"]
    if not some or "concept_ancestor" not in tables:
        return None
    branches = [
        tables["concept_ancestor"]
        .where(f"ancestor_concept_id IN ({', '.join(map(str, r.concepts))})")
        .selectExpr(f"{i} AS place", f"{number[r.table, str(r.field)]} AS s", "descendant_concept_id AS c")
        for i, r in some
    ]
    below = reduce(lambda a, b: a.union(b), branches).distinct()
    summed = (
        used.join(below, on=["s", "c"], how="inner")
        .groupBy("place", "s", "beside")
        .agg(F.expr("sum(n)").alias("n"))
    )
    return summed.selectExpr("'below' AS part", "s", "place AS c", "beside", "array(n) AS v")


def counts(asked: Sequence[Rule], tally: Tally) -> dict[str, Count]:
    """The counts by Rule.id, when the tally has run."""
    found = tally.found
    sums = {tally.fields[-s - 1]: v for s, _, _, v in found.get("field", [])}
    named: dict[tuple[tuple[str, str], int], dict[int | None, int]] = defaultdict(dict)
    for s, c, beside, v in found.get("concept", []):
        named[tally.fields[-s - 1], c][beside] = v[0]
    below: dict[int, dict[int | None, int]] = defaultdict(dict)
    for _, place, beside, v in found.get("below", []):
        below[place][beside] = v[0]
    counted = {}
    for place, r in enumerate(asked):
        at = (r.table, str(r.field))
        known, domain, kind, not_standard = sums.get(at, (0, 0, 0, 0))
        rows, filled = tally.rows(r.table), tally.held(r.table, f"`{r.field}` IS NOT NULL")
        if r.name == "isForeignKey":
            counted[r.id] = (filled - known, rows)
        elif r.name == "isStandardValidConcept":
            counted[r.id] = (not_standard, filled)
        elif r.name in ("fkDomain", "fkClass"):
            counted[r.id] = (domain if r.name == "fkDomain" else kind, rows)
        elif r.name == "plausibleUnitConceptIds":
            counted[r.id] = _units(r, named[at, r.concepts[0]])
        else:
            by_sex = below[place] if r.name == "plausibleGenderUseDescendants" else named[at, r.concepts[0]]
            right = (SEX[r.given[r.name]], None)  # of an unknown sex nothing is implausible
            counted[r.id] = (sum(n for sex, n in by_sex.items() if sex not in right), sum(by_sex.values()))
    return counted


def common(tally: Tally) -> dict[tuple[str, str], dict[int, int]]:
    """The commonest concepts of each field with their rows."""
    found: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for s, c, _, v in tally.found.get("common", []):
        found[tally.fields[-s - 1]][c] = v[0]
    return dict(found)


def _units(rule: Rule, by_unit: Mapping[int | None, int]) -> Count:
    """Rows with a unit that is none of the plausible ones; unit 0 is judged by standardConceptRecordCompleteness."""
    right = {0, NO_UNIT, *(int(u) for u in rule.given["plausibleUnitConceptIds"].split(","))}
    return sum(n for u, n in by_unit.items() if u not in right), sum(n for u, n in by_unit.items() if u != 0)
