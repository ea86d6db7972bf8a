"""ComorbidityIndex: groups of ICD codes and their weights, declared as their paper prints them, and the SQL that applies them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ICD_10 = ("ICD10CM", "ICD10")
ICD_9 = ("ICD9CM",)
_CODE = re.compile(r"^([A-Z]?)(\d+)$")


@dataclass(frozen=True)
class Group:
    """One disease of an index: `icd10` and `icd9cm` are codes and ranges (both ends included) as in the paper, each with
    all codes below it; `weights` one for each weighting of the index; `hidden_by` the graver group that takes its place.

    `names` and `but_not` (regular expressions over the lower-case name of a SNOMED CT concept) and `anchors` (SNOMED CT
    codes, with their descendants) stand for the group where a record has no ICD code: an approximation of ours, not the
    paper's.
    """

    name: str
    words: str
    icd10: str
    icd9cm: str
    weights: tuple[int, ...]
    hidden_by: str | None = None
    names: str = "(?!)"
    but_not: str = "(?!)"
    anchors: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComorbidityIndex:
    """An index: its groups, and the names of its weightings in the order of each group's weights."""

    name: str
    groups: tuple[Group, ...]
    weightings: tuple[str, ...]
    unhidden: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Note which group takes the place of which."""
        hidden = {g.name: g.hidden_by for g in self.groups if g.hidden_by}
        object.__setattr__(self, "unhidden", MappingProxyType(hidden))

    def weights(self, weighting: str) -> dict[str, int]:
        """The weight of each group that weighs anything."""
        n = self.weightings.index(weighting)
        return {g.name: g.weights[n] for g in self.groups if g.weights[n]}


def prefixes(printed: str) -> list[str]:
    """Codes and ranges as a paper prints them (`425.4-425.9 428`), as prefixes of codes without a dot."""
    found = []
    for part in printed.split():
        first, _, last = part.replace(".", "").partition("-")
        a, b = _CODE.match(first), _CODE.match(last or first)
        if a is None or b is None or a[1] != b[1] or len(a[2]) != len(b[2]) or int(a[2]) > int(b[2]):
            raise ValueError(f"{part} is no range of ICD codes")
        found += [f"{a[1]}{n:0{len(a[2])}d}" for n in range(int(a[2]), int(b[2]) + 1)]
    return found


def groups_sql(index: ComorbidityIndex, vocabulary: str, code: str) -> str:
    """SQL of the names of the index's groups that `code` (with or without dot) of `vocabulary` (an OMOP vocabulary_id) is in.

    Both are SQL expressions. Empty for a code of another vocabulary, or of none.
    """
    bare = f"upper(regexp_replace({code}, '[^0-9A-Za-z]', ''))"
    parts = []
    for group in index.groups:
        said = [
            f"({vocabulary} IN ({', '.join(map(repr, names))}) AND {bare} RLIKE '^({'|'.join(prefixes(printed))})')"
            for names, printed in ((ICD_10, group.icd10), (ICD_9, group.icd9cm))
            if printed
        ]
        parts.append(f"CASE WHEN {' OR '.join(said)} THEN '{group.name}' END")
    return f"array_compact(array({', '.join(parts)}))"


def counted_sql(index: ComorbidityIndex, groups: str) -> str:
    """SQL of those of `groups` (an array of names) that count: without the milder form where the graver is there too."""
    out = groups
    for milder, graver in index.unhidden.items():
        out = f"IF(array_contains({groups}, '{graver}'), array_remove({out}, '{milder}'), {out})"
    return out


def score_sql(index: ComorbidityIndex, weighting: str, groups: str) -> str:
    """SQL of the sum of the weights of `groups` (an array of names) that count; 0 for none."""
    counted = counted_sql(index, groups)
    weighed = [
        f"IF(array_contains({counted}, '{name}'), {w}, 0)" for name, w in index.weights(weighting).items()
    ]
    return f"({' + '.join(weighed)})"
