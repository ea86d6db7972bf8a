"""The command line: two folders of OMOP tables, what is the same in them, and 1 when something stays unexplained.

    python -m tests.parity.omop_parity                     our OMOP of synthea_ma20 against ETL-Synthea's, docs/parity.md
    python -m tests.parity.omop_parity OURS THEIRS         any two folders, by natural key, without rules

With --synthea (the CSV files that both were made of) and --vocabulary (CONCEPT, CONCEPT_RELATIONSHIP and CONCEPT_ANCESTOR that
ETL-Synthea had) two folders are judged by the rules, too.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .compare import Comparison, compare
from .facts import Facts, Vocabulary, csv_rows, folder_of_csv
from .page import markdown, terminal
from .read import columns, named, own_id, tables
from .tables import COMPARISONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .compare import Outcome

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("CARELAKE_DATA", ROOT.parent / "shared" / "data"))
PAGE = ROOT / "docs" / "parity.md"
# What rules look into besides the tables that are compared.
_ASKED = frozenset(("cdm_source", "concept", "concept_ancestor"))


def without_rules(table: str) -> Comparison:
    """By the key that is declared for the table, else by what the CDM requires of it."""
    key = next((c.key for c in COMPARISONS if c.table == table), None)
    required = tuple(n for n, f in columns(table).items() if f.required and n != own_id(table))
    return Comparison(table, key or required)


def any_two(ours: Path, theirs: Path) -> list[Outcome]:
    """Every table that one of the folders has, without rules."""
    mine, other = named(tables(ours)), named(tables(theirs))
    return [
        compare(without_rules(t), mine.get(t, []), other.get(t, []), Facts()) for t in sorted({*mine, *other})
    ]


def vocabulary(folder: Path) -> Vocabulary:
    """CONCEPT, CONCEPT_RELATIONSHIP and CONCEPT_ANCESTOR wherever they are below a folder, `_seed` in their names or not."""

    def find(name: str) -> Path:
        found = [
            p
            for p in sorted(folder.rglob("*.csv*"))
            if p.name.lower().split(".")[0].removesuffix("_seed") == name
        ]
        return found[0]

    return Vocabulary(*[csv_rows(find(n)) for n in ("concept", "concept_relationship", "concept_ancestor")])


def facts_of(ours: Path, theirs: Path, synthea: Path, words: Vocabulary) -> Facts:
    """Both folders, as far as rules compare them or ask them, with the files that both were made of."""
    asked = {c.table for c in COMPARISONS} | _ASKED
    return Facts(named(tables(ours, asked)), named(tables(theirs)), folder_of_csv(synthea), words)


def with_rules(facts: Facts) -> list[Outcome]:
    """The tables that one side has, by rule."""
    known = [c for c in COMPARISONS if c.table in facts.theirs or c.table in facts.ours]
    declared = {c.table for c in COMPARISONS} | _ASKED
    extra = [without_rules(t) for t in sorted(facts.theirs.keys() - declared)]
    return [
        compare(c, facts.ours.get(c.table, []), facts.theirs.get(c.table, []), facts)
        for c in (*known, *extra)
    ]


def facts_of_the_reference(omop: Path) -> Facts:
    """Our OMOP of synthea_ma20 in the folder `omop` and the reference set, with the vocabulary that ETL-Synthea had."""
    words = Vocabulary(
        csv_rows(DATA / "vocab" / "omop_shard" / "CONCEPT.csv.gz"),
        csv_rows(DATA / "vocab" / "omop_shard" / "CONCEPT_RELATIONSHIP.csv.gz"),
        csv_rows(DATA / "vocab" / "dbt_synthea" / "concept_ancestor_seed.csv.gz"),
    )
    theirs = DATA / "reference_dev" / "etl_synthea_on_ma20"
    return facts_of(omop, theirs, DATA / "synthea_ma20" / "csv", words)


def reference(omop: Path) -> tuple[list[Outcome], str]:
    """What came out, and the page that tells it."""
    facts = facts_of_the_reference(omop)
    outcomes = with_rules(facts)
    without = [p.name for p in sorted(omop.iterdir()) if columns(p.name) and p.name not in facts.theirs]
    return outcomes, markdown(outcomes, COMPARISONS, without)


def _made(folder: Path) -> Path:
    """Our OMOP of the sample, by the real command line."""
    from tests.helpers.cli import carelake

    source = f"synthea_csv={DATA}/synthea_ma20/csv"
    done = carelake("pipeline", "--lake", str(folder / "lake"), "--source", source, "--until", "silver")
    if done.returncode:
        sys.exit(done.stderr)
    return folder / "lake" / "silver" / "omop"


def main(argv: Sequence[str]) -> int:
    """0 when everything is the same or explained, 1 when not, 2 for a wrong command line, 11 when a folder is missing."""
    parser = argparse.ArgumentParser(prog="omop_parity", description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="OURS and THEIRS, or none")
    parser.add_argument("--synthea", type=Path, help="Synthea's CSV files that both were made of")
    parser.add_argument("--vocabulary", type=Path, help="the vocabulary that ETL-Synthea had")
    parser.add_argument(
        "--examples", type=int, default=0, help="print so many unexplained rows of each table, with values"
    )
    given = parser.parse_args(argv)
    if len(given.folders) not in (0, 2) or (given.synthea is None) != (given.vocabulary is None):
        parser.error("give OURS and THEIRS or neither, and --synthea with --vocabulary")
    missing = [p for p in (*given.folders, *([] if given.folders else [DATA])) if not p.is_dir()]
    if missing:
        print(
            f"no folder {missing[0]} (the reference set is looked for below CARELAKE_DATA)", file=sys.stderr
        )
        return 11
    if not given.folders:
        with tempfile.TemporaryDirectory() as scratch:
            outcomes, page = reference(_made(Path(scratch)))
        PAGE.write_text(page, encoding="utf-8")
    elif given.synthea:
        outcomes = with_rules(facts_of(*given.folders, given.synthea, vocabulary(given.vocabulary)))
    else:
        outcomes = any_two(*given.folders)
    print(terminal(outcomes))
    for o in outcomes:
        for kind, row in o.unexplained[: given.examples]:
            print(o.table, kind, row)
    return int(any(o.unexplained for o in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
