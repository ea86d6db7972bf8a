"""The landing by which an increment is measured, and what the benchmark tells of an event log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.__main__ import effort
from bench.changed import MOST, changed
from bench.events import Log, Task

if TYPE_CHECKING:
    from pathlib import Path


def write(file: Path, *resources: dict[str, Any]) -> None:
    file.write_text("".join(json.dumps(r) + "\n" for r in resources), encoding="utf-8")


def test_new_results_are_of_the_first_patients_alone_and_under_ids_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "Patient.ndjson", *({"resourceType": "Patient", "id": p} for p in ("a", "b", "c")))
    results = [
        {"resourceType": "Observation", "id": f"{p}{n}", "subject": {"reference": f"Patient/{p}"}, "identifier": [{"value": "1"}],
         "meta": {"lastUpdated": "2024-01-01T00:00:00Z"}}
        for p in ("a", "b", "c") for n in range(MOST + 5)
    ]  # fmt: skip
    write(tmp_path / "Observation.ndjson", *results)
    first, second = (changed(tmp_path, tmp_path / f"more-{nth}", 2, nth) for nth in (1, 2))
    lines = [[json.loads(line) for line in f.read_text().splitlines()] for f in (first, second)]
    assert [len(found) for found in lines] == [2 * MOST, 2 * MOST]
    assert {r["subject"]["reference"] for r in lines[0]} == {"Patient/a", "Patient/b"}
    ids = [{r["id"] for r in found} for found in lines]
    assert len(ids[0]) == 2 * MOST
    assert not ids[0] & (ids[1] | {r["id"] for r in results})
    # nothing else says that it is the same or a later version of something
    assert "identifier" not in lines[0][0]
    assert lines[0][0]["meta"] == {"lastUpdated": "2024-01-01T00:00:00Z"}


def test_the_work_of_a_run_is_summed_over_its_tasks() -> None:
    def task(stage: int, begun: float, ended: float) -> Task:
        return Task("silver/a", stage, begun, ended, ended - begun, 1.5, 0.5, 0, 2_000_000, 1_000_000, 7)

    log = Log((task(1, 0, 2), task(1, 1, 3), task(2, 6, 8)), 0.0, 10.0, 0, 0)
    row = effort(log, 50_000_000, 100_000_000)[-1]
    # by hand: at work from 0 to 3 and 6 to 8, so half of the time is without a task
    assert row == "| 10 s | 2 | 3 | 4 | 2 | 6 | 3 | 50, 0.50 | 50% |"
