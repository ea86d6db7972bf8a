"""What rules look their causes up in: both sides' tables, Synthea's own files, and the vocabulary ETL-Synthea had.

Everything is found by natural keys. `visit` names are `day|concept` as in read.NAMES.
"""

from __future__ import annotations

import gzip
import io
from collections import defaultdict
from csv import DictReader
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .read import Row, Tables

Text = dict[str, str]

# Where ETL-Synthea v5.4 looks for what: source file → (its vocabulary, {CDM table: domain of the standard concept}).
# From the joins of its insert_*.sql; a code that they do not find makes no row. A file that is not here is never read
# for events (`supplies`, `careplans`, `imaging_studies`). The targets of SNOMED, RxNorm and CVX must be of that vocabulary, those of LOINC may be any.
READ_BY_ETL_SYNTHEA: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "conditions": ("SNOMED", {"condition_occurrence": "Condition", "observation": "Observation"}),
    "allergies": ("SNOMED", {"observation": "Observation"}),
    "procedures": ("SNOMED", {"procedure_occurrence": "Procedure", "measurement": "Measurement"}),
    "observations": ("LOINC", {"measurement": "Measurement", "observation": "Observation"}),
    "medications": ("RxNorm", {"drug_exposure": "Drug"}),
    "immunizations": ("CVX", {"drug_exposure": "Drug"}),
    "devices": ("SNOMED", {"device_exposure": "Device"}),
}
# The classes of Synthea's encounters that AllVisitTable.sql asks for; it spells urgent care `urgent`, Synthea `urgentcare`.
CLASSES_OF_ETL_SYNTHEA = frozenset(
    ("inpatient", "emergency", "urgent", "ambulatory", "wellness", "outpatient")
)
EVENT_FILES = (*READ_BY_ETL_SYNTHEA, "supplies", "careplans", "imaging_studies")
_CODES = ("CODE", "PROCEDURE_CODE", "MODALITY_CODE")


def day(text: str) -> date | None:
    """The day of a date or time as Synthea writes it; None of anything else."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def csv_rows(path: Path) -> list[Text]:
    """Rows of a CSV file, plain or gzip, by upper-case column."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    return [{str(k).upper(): v for k, v in row.items()} for row in DictReader(io.StringIO(text, newline=""))]


def folder_of_csv(path: Path) -> dict[str, list[Text]]:
    """Every CSV file of a folder by its lower-case name."""
    return {
        p.name.lower().split(".")[0]: csv_rows(p)
        for p in sorted(path.iterdir())
        if p.name.lower().endswith((".csv", ".csv.gz"))
    }


@dataclass
class Vocabulary:
    """The concepts that ETL-Synthea could find: CONCEPT, CONCEPT_RELATIONSHIP, CONCEPT_ANCESTOR as rows of text."""

    concept: list[Text] = field(default_factory=list)
    relationship: list[Text] = field(default_factory=list)
    ancestor: list[Text] = field(default_factory=list)

    @cached_property
    def by_id(self) -> dict[str, Text]:
        """Concepts by id."""
        return {c["CONCEPT_ID"]: c for c in self.concept}

    @cached_property
    def _by_code(self) -> dict[tuple[str, str], list[Text]]:
        return _grouped(self.concept, lambda c: (c["VOCABULARY_ID"], c["CONCEPT_CODE"]))

    @cached_property
    def _maps_to(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for r in self.relationship:
            if r["RELATIONSHIP_ID"].lower() == "maps to" and not r["INVALID_REASON"]:
                found[r["CONCEPT_ID_1"]].append(r["CONCEPT_ID_2"])
        return found

    def knows(self, vocabulary: str, code: str) -> bool:
        """Whether the code is in the vocabulary at all."""
        return (vocabulary, code) in self._by_code

    def standard(self, vocabulary: str, code: str) -> list[Text]:
        """The valid standard concepts that the code maps to, as source_to_standard_vocab_map has them."""
        targets = {
            t for c in self._by_code.get((vocabulary, code), ()) for t in self._maps_to[c["CONCEPT_ID"]]
        }
        known = [self.by_id[t] for t in sorted(targets) if t in self.by_id]
        return [c for c in known if c["STANDARD_CONCEPT"] == "S" and not c["INVALID_REASON"]]

    def made_of(self, file: str, code: str, table: str) -> list[Text]:
        """The concepts with which ETL-Synthea writes a row of `table` for a code in `file`; none: it writes no row."""
        vocabulary, domains = READ_BY_ETL_SYNTHEA.get(file, ("", {}))
        if table in ("condition_occurrence", "observation") and not any(
            c["DOMAIN_ID"] == domains.get(table) for c in self._by_code.get((vocabulary, code), ())
        ):
            return []  # these two join the source concept by its own domain, too
        same = {"LOINC": None, "SNOMED": None if table == "measurement" else "SNOMED"}.get(
            vocabulary, vocabulary
        )
        return [
            c
            for c in self.standard(vocabulary, code)
            if c["DOMAIN_ID"] == domains.get(table) and same in (None, c["VOCABULARY_ID"])
        ]

    @cached_property
    def ingredients(self) -> dict[str, set[str]]:
        """RxNorm ingredients by descendant, as insert_drug_era.sql finds them: by CONCEPT_ANCESTOR alone."""
        found = defaultdict(set)
        for a in self.ancestor:
            above = self.by_id.get(a["ANCESTOR_CONCEPT_ID"])
            if above and above["VOCABULARY_ID"] == "RxNorm" and above["CONCEPT_CLASS_ID"] == "Ingredient":
                found[a["DESCENDANT_CONCEPT_ID"]].add(a["ANCESTOR_CONCEPT_ID"])
        return found


def _grouped(rows: Iterable[Any], key: Any) -> dict[Any, list[Any]]:
    found = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


@dataclass
class Facts:
    """Both sides (`read.named`), Synthea's files, the vocabulary of the other side."""

    ours: Tables = field(default_factory=dict)
    theirs: Tables = field(default_factory=dict)
    source: dict[str, list[Text]] = field(default_factory=dict)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    @cached_property
    def encounters(self) -> dict[str, Text]:
        """Encounters by id."""
        return {e["ID"]: e for e in self.source.get("encounters", ())}

    @cached_property
    def _of_day(self) -> dict[tuple[str, date | None], list[Text]]:
        return _grouped(self.source.get("encounters", ()), lambda e: (e["PATIENT"], day(e["START"])))

    def encounters_on(self, person: str, start: date | None) -> list[Text]:
        """The person's encounters that start on a day."""
        return self._of_day.get((person, start), [])

    @cached_property
    def _of_person(self) -> dict[str, list[Text]]:
        return _grouped(self.source.get("encounters", ()), lambda e: e["PATIENT"])

    def encounters_of(self, person: str) -> list[Text]:
        """All encounters of a person."""
        return self._of_person.get(person, [])

    @cached_property
    def _records(self) -> dict[tuple[str, str, date | None], list[tuple[str, Text]]]:
        found = defaultdict(list)
        for file in EVENT_FILES:
            for row in self.source.get(file, ()):
                when = day(row.get("START") or row.get("DATE") or "")
                for code in {row[c] for c in _CODES if row.get(c)}:
                    found[row["PATIENT"], code, when].append((file, row))
        return found

    def records(self, person: str, code: str, start: date | None) -> list[tuple[str, Text]]:
        """The source rows behind an event, each with its file."""
        return self._records.get((person, code, start), [])

    def record_encounters(self, person: str, code: str, start: date | None) -> list[Text]:
        """The encounters that those rows name."""
        named = (row["ENCOUNTER"] for _, row in self.records(person, code, start))
        return [self.encounters[e] for e in dict.fromkeys(named) if e in self.encounters]

    @cached_property
    def event_days(self) -> dict[str, set[date]]:
        """The days on which an event starts, by person."""
        found = defaultdict(set)
        for file in EVENT_FILES:
            for row in self.source.get(file, ()):
                when = day(row.get("START") or row.get("DATE") or "")
                if when:
                    found[row["PATIENT"]].add(when)
        return found

    @cached_property
    def _lines(self) -> dict[str, list[Text]]:
        files = ("procedures", "immunizations", "medications")
        return _grouped([r for f in files for r in self.source.get(f, ())], lambda r: r["ENCOUNTER"])

    def lines_of(self, encounter: str) -> list[Text]:
        """What an encounter billed: its procedures, vaccines, medications."""
        return self._lines.get(encounter, [])

    @cached_property
    def claims_of(self) -> dict[str, list[Text]]:
        """Claims by patient."""
        return _grouped(self.source.get("claims", ()), lambda c: c["PATIENTID"])

    @cached_property
    def _transfers(self) -> dict[tuple[str, str], float]:
        found = defaultdict(float)
        for t in self.source.get("claims_transactions", ()):
            found[t["CLAIMID"], t["TRANSFERTYPE"]] += float(t["AMOUNT"] or 0)
        return found

    @cached_property
    def paid(self) -> dict[str, dict[str, int]]:
        """Cents by claim: charged, and paid by whom (1, 2: the payers, p: the patient) in the order of CHARGEID.

        Whoever a CHARGE or TRANSFERIN names has the next PAYMENT; a payer that was asked and paid nothing has 0.
        """
        found: dict[str, dict[str, int]] = defaultdict(lambda: {"charged": 0})
        who: dict[str, str] = {}
        for t in sorted(self.source.get("claims_transactions", ()), key=lambda t: int(t["CHARGEID"])):
            claim, kind = t["CLAIMID"], t["TYPE"]
            if kind in ("CHARGE", "TRANSFERIN"):
                who[claim] = t["TRANSFERTYPE"]
                found[claim].setdefault(who[claim], 0)
            if kind == "CHARGE":
                found[claim]["charged"] += round(100 * float(t["AMOUNT"]))
            elif kind == "PAYMENT":
                found[claim][who.get(claim, "1")] += round(100 * float(t["PAYMENTS"]))
        return found

    def transferred(self, claim: str, kind: str) -> int:
        """Cents of a claim's transactions whose TRANSFERTYPE is `kind` (1: the payer, p: the patient)."""
        return round(100 * self._transfers.get((claim, kind), 0.0))

    @cached_property
    def places(self) -> dict[str, tuple[str, ...]]:
        """Name and address of each organisation, in capitals."""
        parts = ("NAME", "ADDRESS", "CITY", "STATE", "ZIP")
        return {
            o["ID"]: tuple(o.get(c, "").upper() for c in parts) for o in self.source.get("organizations", ())
        }

    @cached_property
    def people(self) -> dict[str, Text]:
        """Patients by id."""
        return {p["ID"]: p for p in self.source.get("patients", ())}

    @cached_property
    def extract(self) -> date | None:
        """The day of the extract, as our cdm_source has it."""
        told = [r["source_release_date"] for r in self.ours.get("cdm_source", ())]
        return max(told) if told else None

    @cached_property
    def _by_person(self) -> dict[tuple[int, str, str], list[Row]]:
        found = defaultdict(list)
        for side, tables in enumerate((self.ours, self.theirs)):
            for table, rows in tables.items():
                for row in rows:
                    if "person_id" in row:
                        found[side, table, row["person_id"]].append(row)
        return found

    @cached_property
    def our_ancestors(self) -> set[tuple[int, int]]:
        """(ancestor, descendant) of our concept_ancestor."""
        return {
            (a["ancestor_concept_id"], a["descendant_concept_id"])
            for a in self.ours.get("concept_ancestor", ())
        }

    @cached_property
    def our_units(self) -> set[int]:
        """Concepts of our vocabulary that are units, and 0."""
        return {0} | {c["concept_id"] for c in self.ours.get("concept", ()) if c["domain_id"] == "Unit"}

    @cached_property
    def _constants(self) -> dict[tuple[str, str], set[object]]:
        found = defaultdict(set)
        for table, rows in self.theirs.items():
            for row in rows:
                for column, value in row.items():
                    found[table, column].add(value)
        return found

    def always(self, table: str, column: str, value: object) -> bool:
        """Whether every row of theirs has this one value in the column."""
        return self._constants.get((table, column)) == {value}

    def our_rows(self, table: str, person: str) -> list[Row]:
        """Our rows of a person."""
        return self._by_person.get((0, table, person), [])

    def their_rows(self, table: str, person: str) -> list[Row]:
        """Their rows of a person."""
        return self._by_person.get((1, table, person), [])
