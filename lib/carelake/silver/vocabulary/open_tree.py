"""CONCEPT_ANCESTOR of the bundled subset.

OHDSI computes it over the whole vocabulary; of dbt-synthea's excerpt only one row in 160 has both ends in the subset.
The hierarchical relationships reach further, since paths may run through concepts outside of it. Drugs that still have
no ingredient get it by name ("lisinopril 10 MG Oral Tablet"), which is how RxNorm composes names.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carelake.silver.vocabulary.open_maps import Concepts, Row, Up

_UPWARDS = frozenset({"Is a", "RxNorm has ing", "RxNorm is a", "Consists of", "Tradename of", "Has form"})
_DOWNWARDS = frozenset({"Subsumes", "RxNorm ing of", "RxNorm inverse is a", "Constitutes", "Has tradename"})
_DRUGS = ("RxNorm", "RxNorm Extension")
_BEFORE = re.compile(
    r"^(?:(?:NDA\d+|ANDA\d+|BLA\d+|abuse-deterrent|\d+(?:\.\d+)? (?:HR|ML|ACTUAT|MG))\s+)+", re.IGNORECASE
)
_STRENGTH = re.compile(
    r"\s(?:\d[\d.,]*\s*(?:MG|MCG|UNT|MEQ|ML|%|MMOL|G|MCI|CELLS|\[|ACTUAT|HR)|\[).*$", re.IGNORECASE
)
_FORM = re.compile(
    r"\s(?:delayed|extended|chewable|disintegrating|oral|injectable|injection|inhalation|inhalant|inhaler|topical|"
    r"ophthalmic|otic|nasal|rectal|vaginal|sublingual|buccal|transdermal|metered|dry|prefilled|auto-injector|drug|"
    r"intravenous|intrathecal|mucosal|sustained|effervescent|pen|cartridge|patch|powder)\b.*$",
    re.IGNORECASE,
)
_SALTS = re.compile(
    r"\s(?:hydrochloride|sodium|potassium|calcium|sulfate|succinate|tartrate|maleate|fumarate|mesylate|acetate|"
    r"citrate|phosphate|besylate|bromide|furoate|propionate|monohydrate|hydrobromide|dipropionate|trihydrate|bitartrate|disodium|anhydrous)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Tree:
    """Rows of CONCEPT_ANCESTOR, and a function from a concept to all its ancestors with the shortest way to each."""

    rows: list[Row]
    up: Up


def ancestors(concepts: Concepts, relationships: Iterable[Row], excerpt: Iterable[Row]) -> Tree:
    """The hierarchy of the standard concepts: each with itself, with its known ancestors, drugs with their ingredients."""
    parents: dict[int, set[int]] = {}
    for r in relationships:
        a, b = int(r["concept_id_1"]), int(r["concept_id_2"])
        if r["invalid_reason"] or a == b:
            continue
        if r["relationship_id"] in _UPWARDS:
            parents.setdefault(a, set()).add(b)
        elif r["relationship_id"] in _DOWNWARDS:
            parents.setdefault(b, set()).add(a)
    listed: dict[int, dict[int, tuple[int, int]]] = {}
    for r in excerpt:
        levels = int(r["min_levels_of_separation"]), int(r["max_levels_of_separation"])
        listed.setdefault(int(r["descendant_concept_id"]), {})[int(r["ancestor_concept_id"])] = levels

    def up(n: int) -> Mapping[int, int]:
        steps, queue = {n: 0}, deque([n])
        while queue:
            here = queue.popleft()
            for p in sorted(parents.get(here, ())):
                if p not in steps:
                    steps[p] = steps[here] + 1
                    queue.append(p)
        return {a: low for a, (low, _) in listed.get(n, {}).items()} | steps

    ingredients = {
        concepts.rows[n]["concept_name"].lower(): n
        for n in sorted(concepts.standard, reverse=True)
        if concepts.rows[n]["vocabulary_id"] in _DRUGS
        and concepts.rows[n]["concept_class_id"] == "Ingredient"
    }
    rows = []
    for n in sorted(concepts.standard):
        kept = {a: listed.get(n, {}).get(a, (d, d)) for a, d in up(n).items() if a in concepts.standard}
        if concepts.rows[n]["vocabulary_id"] in _DRUGS and not set(kept) & set(ingredients.values()):
            kept |= dict.fromkeys(by_name(concepts.rows[n]["concept_name"], ingredients), (1, 1))
        rows += [
            {
                "ancestor_concept_id": str(a),
                "descendant_concept_id": str(n),
                "min_levels_of_separation": str(low),
                "max_levels_of_separation": str(high),
            }
            for a, (low, high) in sorted(kept.items())
        ]
    return Tree(rows, up)


def by_name(drug: str, ingredients: Mapping[str, int]) -> set[int]:
    """Ingredients that a drug's RxNorm name begins its parts with; none when one part has no known ingredient."""
    found = set()
    for part in drug.split(" / "):
        bare = _FORM.sub("", _STRENGTH.sub("", _BEFORE.sub("", part.strip()))).lower().strip()
        base = _SALTS.sub("", bare.split(",")[0].split(" (")[0])
        # an acid and its salt: alendronic acid is listed as alendronate
        names = (bare, base, bare.split(",")[0], re.sub("ic acid$", "ate", bare))
        known = [ingredients[name] for name in names if name in ingredients]
        if not known:
            return set()
        found.add(known[0])
    return found
