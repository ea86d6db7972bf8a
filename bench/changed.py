"""What came anew of some patients: the landing by which an increment is measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
