"""The local maps of the bundled subset: each source code gets one standard concept by a fixed rule, never several.

Synthea's SNOMED → ICD-10-CM map read backwards is ambiguous for a part of the codes (C34.90 comes from ten cancers): it
is no one-to-many `Maps to`. Each map bears its name in `_map`, so that a mapped row can be told from an official one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

Row = dict[str, str]
Up = Callable[[int], Mapping[int, int]]
NEAR = 3  # levels up to a common ancestor; further up they say no more than "disorder of body system"


@dataclass(frozen=True)
class Concepts:
    """The concepts of the subset by id, and all relationships of the sources."""

    rows: Mapping[int, Row]
    relationships: Iterable[Row]

    @cached_property
    def standard(self) -> frozenset[int]:
        """Ids of concepts that are standard and valid."""
        return frozenset(
            n for n, r in self.rows.items() if r["standard_concept"] == "S" and not r["invalid_reason"]
        )

    @cached_property
    def by_code(self) -> Mapping[tuple[str, str], list[int]]:
        """Ids by vocabulary and code."""
        found = defaultdict(list)
        for n in sorted(self.rows):
            found[self.rows[n]["vocabulary_id"], self.rows[n]["concept_code"]].append(n)
        return found

    @cached_property
    def maps_to(self) -> Mapping[int, set[int]]:
        """Standard targets by id, through valid `Maps to`; a standard concept maps to itself."""
        found: dict[int, set[int]] = defaultdict(set)
        for r in self.relationships:
            target = int(r["concept_id_2"])
            if r["relationship_id"] == "Maps to" and not r["invalid_reason"] and target in self.standard:
                found[int(r["concept_id_1"])].add(target)
        for n in self.standard:
            found[n].add(n)
        return found

    def targets(self, vocabulary: str, code: str) -> set[int]:
        """Standard concepts that a code means."""
        return {t for n in self.by_code.get((vocabulary, code), []) for t in self.maps_to.get(n, set())}


def one_target(targets: Iterable[int], text: str, concepts: Concepts, up: Up) -> int:
    """The one concept for several: conditions before other domains; then the one of the same name as the source code
    (`text`), the nearest common ancestor, or else the lowest code.

    An ancestor must be standard, of the same domain and at most three levels above each; of two equally near ones the
    lowest SNOMED code.
    """

    def code(n: int) -> tuple[int, str, int]:
        return len(concepts.rows[n]["concept_code"]), concepts.rows[n]["concept_code"], n

    candidates = set(targets)
    conditions = {n for n in candidates if concepts.rows[n]["domain_id"] == "Condition"}
    candidates = conditions or candidates
    if len(candidates) == 1:
        return next(iter(candidates))
    same_name = [n for n in candidates if concepts.rows[n]["concept_name"].lower() == text.lower()]
    if same_name:
        return min(same_name, key=code)
    paths = [dict(up(n)) | {n: 0} for n in candidates]
    domains = {concepts.rows[n]["domain_id"] for n in candidates}
    common = [
        (distance, *code(n))
        for n in set.intersection(*(set(p) for p in paths)) & concepts.standard
        if (distance := max(p[n] for p in paths)) <= NEAR and {concepts.rows[n]["domain_id"]} == domains
    ]
    return min(common)[-1] if common else min(candidates, key=code)


def _row(vocabulary: str, code: str, text: str, target: int, concepts: Concepts, name: str) -> Row:
    return {
        "source_code": code,
        "source_concept_id": "0",
        "source_vocabulary_id": vocabulary,
        "source_code_description": text,
        "target_concept_id": str(target),
        "target_vocabulary_id": concepts.rows[target]["vocabulary_id"],
        "_map": name,
    }


def icd10_map(by_snomed: Mapping[str, Iterable[Row]], concepts: Concepts, up: Up) -> list[Row]:
    """ICD-10-CM → SNOMED: Synthea's map read backwards, one target each."""
    found: dict[str, set[int]] = defaultdict(set)
    texts: dict[str, str] = {}
    for snomed, codes in by_snomed.items():
        for icd in codes:
            found[icd["code"]] |= concepts.targets("SNOMED", snomed)
            texts[icd["code"]] = min(texts.get(icd["code"], icd["description"]), icd["description"])
    return [
        _row(
            "ICD10CM",
            icd,
            texts[icd],
            one_target(found[icd], texts[icd], concepts, up),
            concepts,
            "synthea_icd10cm_snomed",
        )
        for icd in sorted(found)
        if found[icd]
    ]


def icd9_map(gem: Iterable[str], icd10: Iterable[Row]) -> list[Row]:
    """ICD-9-CM → SNOMED through CMS's equivalence mapping, for codes to which it gives exactly one ICD-10-CM code."""
    known = {r["source_code"].replace(".", ""): r for r in icd10}
    found: dict[str, set[str]] = defaultdict(set)
    for line in gem:
        icd9, target, flags = line.split()
        found[icd9].add(target if flags[1] == "0" else "")
    return [
        known[next(iter(targets))]
        | {
            "source_code": icd9,
            "source_vocabulary_id": "ICD9CM",
            "_map": "cms_gem_2018_then_synthea_icd10cm_snomed",
        }
        for icd9, targets in sorted(found.items())
        if len(targets) == 1 and next(iter(targets)) in known
    ]


def ndc_map(rows: Iterable[Row], concepts: Concepts) -> list[Row]:
    """NDC → RxNorm by Synthea's map; of several the lowest RxNorm code that has a concept."""
    found: dict[str, set[int]] = defaultdict(set)
    for r in rows:
        if concepts.targets("RxNorm", r["rxnorm_code"]):
            found[r["ndc11"]].add(int(r["rxnorm_code"]))
    return [
        _row("NDC", ndc, "", min(concepts.targets("RxNorm", str(min(codes)))), concepts, "synthea_ndc_rxnorm")
        for ndc, codes in sorted(found.items())
    ]


def cdc_race_map(race: Iterable[Row], ethnicity: Iterable[Row], concepts: Concepts) -> list[Row]:
    """CDC race and ethnicity codes → OMOP; a code whose concept is absent takes its nearest mapped parent's."""
    rows = {
        r["code"]: (r.get("concept_id") or r.get("omop_code") or "", r)
        for r in (*race, *ethnicity)
        if r["code"]
    }
    found = []
    for code, (given, r) in sorted(rows.items()):
        line = [given]  # from the code upwards; a code that the list names its own parent ends it
        seen, parent = {code}, r["parent_code"]
        while parent in rows and parent not in seen:
            seen.add(parent)
            line.append(rows[parent][0])
            parent = rows[parent][1]["parent_code"]
        target = next((t for t in line if t.isdigit() and int(t) in concepts.standard), None)
        if target is not None:
            found.append(
                _row("CDCREC", code, r["display"], int(target), concepts, "nachc_cdc_race_ethnicity")
            )
    return found


def unit_map(rows: Iterable[Row], concepts: Concepts) -> list[Row]:
    """UCUM codes → the concept of the same unit, which OMOP's UCUM writes in another way."""
    return [
        _row(
            "UCUM",
            r["source_code"],
            r["why"],
            min(concepts.targets("UCUM", r["target_code"])),
            concepts,
            "ucum_spelling",
        )
        for r in rows
    ]
