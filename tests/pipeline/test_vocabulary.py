"""A vocabulary folder over whole runs: known by its content, refused early, and what another one changes is said."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.books import read
from tests.helpers.cli import carelake, five_people, note

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

OPEN = files("carelake.silver.vocabulary") / "open"
TABLES = (
    "CONCEPT",
    "CONCEPT_RELATIONSHIP",
    "CONCEPT_ANCESTOR",
    "CONCEPT_CLASS",
    "DOMAIN",
    "RELATIONSHIP",
    "VOCABULARY",
)
# Conditions of the five people: 11 of `Stress`, 12 of `Full-time employment`, 12 of `Gingivitis`
STRESS, SOCIAL_ISOLATION, FULL_TIME, SINUSITIS = "4251306", "4309238", "4053118", "40481087"
GINGIVITIS = "66383009"
# Begins as the bundled subset's version does: its files are those with few codes, and the gate has to know that.
NEWER = "carelake open subset, a day later"


def _as_athena_ships_it(folder: Path, *, newer: bool = False) -> Path:
    """The open subset as tab-separated files; `newer` has replaced one concept and moved another to a new domain."""
    folder.mkdir()
    for name in TABLES:
        found = list(
            csv.reader(io.StringIO(gzip.decompress((OPEN / f"{name}.csv.gz").read_bytes()).decode()))
        )
        if newer:
            found = [x for row in found for x in _newer(name, row)]
        lines = ["\t".join(x.replace("-", "") if _is_date(x) else x for x in row) for row in found]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def _is_date(text: str) -> bool:
    return len(text) == 10 and text[4] == text[7] == "-" and text.replace("-", "").isdigit()


def _newer(name: str, row: list[str]) -> list[list[str]]:
    if name == "CONCEPT" and row[0] == STRESS:
        row = [*row[:5], "", *row[6:9], "U"]
    if name == "CONCEPT" and row[0] == FULL_TIME:
        row = [row[0], row[1], "Condition", *row[3:]]
    if name == "VOCABULARY" and row[0] == "None":
        row = [*row[:3], NEWER, *row[4:]]
    if name == "CONCEPT_RELATIONSHIP" and row[:3] == [STRESS, STRESS, "Maps to"]:
        return [[STRESS, SOCIAL_ISOLATION, "Concept replaced by", *row[3:]]]
    return [row]


@dataclass(frozen=True)
class Runs:
    """The lake and what each run told."""

    lake: Path
    notes: dict[str, dict[str, Any]]
    done: dict[str, subprocess.CompletedProcess[str]]

    def written(self, run: str) -> set[str]:
        """Tables that a run wrote."""
        return {s["table"] for s in self.notes[run]["steps"] if not s["skipped"] and s["rows_written"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """One lake: with a folder; with the same files elsewhere; with a newer version in that place; with a local map."""
    top = tmp_path_factory.mktemp("vocabulary")
    lake, notes, done = top / "lake", {}, {}

    def run(name: str, folder: Path) -> None:
        told = top / f"{name}.json"
        done[name] = carelake(
            "pipeline", "--lake", str(lake), *five_people("fhir"), "--vocabulary", str(folder), "--until", "silver",
            "--json", str(told),
        )  # fmt: skip
        notes[name] = note(told)

    run("first", _as_athena_ships_it(top / "one"))
    other = top / "other"
    shutil.copytree(top / "one", other)
    run("elsewhere", other)
    shutil.rmtree(other)
    run("newer", _as_athena_ships_it(other, newer=True))
    (other / "usagi_ours.csv").write_text(
        "sourceCode,sourceName,ADD_INFO:sourceVocabularyId,mappingStatus,equivalence,statusSetBy,conceptId,mappingType\n"
        f"{GINGIVITIS},Gingivitis,SNOMED-CT,APPROVED,INEXACT,ann,{SINUSITIS},MAPS_TO\n"
    )
    run("mapped", other)
    (other / "CONCEPT_RELATIONSHIP.csv").unlink()
    run("broken", other)
    assert [d.returncode for d in list(done.values())[:4]] == [0, 0, 0, 0], [d.stderr for d in done.values()]
    return Runs(lake, notes, done)


def test_the_same_files_in_another_folder_are_not_loaded_again(runs: Runs) -> None:
    assert "silver/omop/concept" in runs.written("first")
    assert runs.written("elsewhere") == set()
    assert runs.notes["elsewhere"]["concepts_changed"] is None


def test_files_that_the_folder_lacks_are_named_and_their_tables_are_empty(runs: Runs) -> None:
    assert "vocabulary: there is no DRUG_STRENGTH.csv; its table stays empty" in runs.done["first"].stdout
    assert read(runs.lake, "silver/omop/drug_strength").num_rows == 0


def test_another_version_in_the_same_place_is_seen_and_says_what_changed(runs: Runs) -> None:
    newer = runs.notes["newer"]
    assert "silver/omop/concept" in runs.written("newer")
    # 11 by replacement, 12 moved over from observation by the new domain of their concept
    assert newer["concepts_changed"] == {"condition_occurrence": 23}
    assert "vocabulary: 23 rows of condition_occurrence changed concept" in runs.done["newer"].stdout
    changes = [
        (
            r["table_before"],
            r["table_after"],
            r["from_concept_id"],
            r["to_concept_id"],
            r["n_rows"],
            r["vocabulary_after"],
        )
        for r in read(runs.lake, "silver/link/concept_change").to_pylist()
        if r["_run"] == newer["run_id"] and r["column"] == "concept_id"
    ]
    condition, version = "condition_occurrence", NEWER
    assert sorted(changes) == [
        (condition, condition, int(STRESS), int(SOCIAL_ISOLATION), 11, version),
        ("observation", condition, int(FULL_TIME), int(FULL_TIME), 12, version),
    ]


def test_a_map_of_the_sites_own_reloads_no_vocabulary_and_maps_its_code(runs: Runs) -> None:
    mapped = runs.notes["mapped"]
    assert not runs.written("mapped") & {"silver/omop/concept", "silver/omop/concept_relationship"}
    assert mapped["concepts_changed"] == {"condition_occurrence": 12}
    (row,) = [
        r
        for r in read(runs.lake, "silver/omop/source_to_concept_map").to_pylist()
        if r["_map"] == "usagi_ours"
    ]
    assert (row["source_code"], row["target_concept_id"], row["_mapped_by"]) == (
        GINGIVITIS,
        int(SINUSITIS),
        "ann",
    )
    concepts = {
        r["condition_source_value"]: r["condition_concept_id"]
        for r in read(runs.lake, "silver/omop/condition_occurrence").to_pylist()
    }
    assert concepts[GINGIVITIS] == int(SINUSITIS)


def test_a_folder_without_a_needed_file_ends_the_run_before_anything_is_landed(runs: Runs) -> None:
    broken = runs.done["broken"]
    assert broken.returncode == 11
    assert (
        broken.stderr.strip()
        .splitlines()[-1]
        .endswith("has no CONCEPT_RELATIONSHIP.csv; download it from Athena with the others")
    )
    assert runs.notes["broken"]["steps"] == []
