"""What came anew of some patients: the landing by which an increment is measured."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

OF_A_VISIT = ("conditions.csv", "observations.csv", "procedures.csv")
MOST = 20  # results of each patient: those of a visit or two


def changed(fhir: Path, into: Path, patients: int, nth: int) -> Path:
    """A file of new results of the first so many patients; the ids of one `nth` are not those of another."""
    with (fhir / "Patient.ndjson").open(encoding="utf-8") as lines:
        chosen = {json.loads(line)["id"] for line, _ in zip(lines, range(patients), strict=False)}
    into.mkdir(parents=True, exist_ok=True)
    file = into / f"Observation-changed-{nth}.ndjson"
    with file.open("w", encoding="utf-8") as out:
        for found in _results(fhir, chosen):
            out.write(json.dumps(_again(found, nth), separators=(",", ":")) + "\n")
    return file


def _results(fhir: Path, chosen: set[str]) -> Iterator[dict[str, Any]]:
    taken = dict.fromkeys(chosen, 0)
    for file in sorted(fhir.glob("Observation*.ndjson")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                found = json.loads(line)
                whose = found.get("subject", {}).get("reference", "").rpartition("/")[2].rpartition(":")[2]
                if taken.get(whose, MOST) < MOST:
                    taken[whose] += 1
                    yield found


def _again(found: dict[str, Any], nth: int) -> dict[str, Any]:
    """Another resource that says the same: what is measured is the way of a new record, and no date of the lake moves."""
    return {k: v for k, v in found.items() if k != "identifier"} | {"id": f"{found['id']}-again-{nth}"}


def later_visits(csv_folder: Path, into: Path, patients: int) -> Path:
    """Of Synthea's CSV a folder with one visit more of the first so many patients: their last one under another id, with what
    was found and done in it. No date of the lake moves.
    """
    into.mkdir(parents=True)
    with (csv_folder / "patients.csv").open(newline="", encoding="utf-8") as text:
        chosen = {row["Id"] for row, _ in zip(csv.DictReader(text), range(patients), strict=False)}
    last: dict[str, dict[str, str]] = {}
    with (csv_folder / "encounters.csv").open(newline="", encoding="utf-8") as text:
        rows = csv.DictReader(text)
        for row in rows:
            who = row["PATIENT"]
            if who in chosen and (who not in last or row["START"] > last[who]["START"]):
                last[who] = row
        names = list(rows.fieldnames or ())
    visits = {r["Id"]: f"{int(r['Id'][:8], 16) ^ 0xFFFFFFFF:08x}{r['Id'][8:]}" for r in last.values()}
    _write(into / "encounters.csv", names, (r | {"Id": visits[r["Id"]]} for r in last.values()))
    for name in OF_A_VISIT:
        with (csv_folder / name).open(newline="", encoding="utf-8") as text:
            rows = csv.DictReader(text)
            found = (r | {"ENCOUNTER": visits[r["ENCOUNTER"]]} for r in rows if r["ENCOUNTER"] in visits)
            _write(into / name, list(rows.fieldnames or ()), found)
    return into


def _write(file: Path, names: list[str], rows: Iterable[dict[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
