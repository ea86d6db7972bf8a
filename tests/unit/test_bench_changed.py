"""The landing by which an increment is measured, and what the benchmark tells of an event log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.__main__ import effort
from bench.changed import MOST, changed, later_visits
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


def test_one_visit_more_is_the_last_one_again_under_an_id_of_its_own(tmp_path: Path) -> None:
    exports = {
        "patients.csv": "Id,BIRTHDATE\na,1950-01-01\nb,1960-01-01\nc,1970-01-01\n",
        "encounters.csv": "Id,START,PATIENT\n"
        "00000001-aa,2020-01-01,a\n00000002-aa,2021-01-01,a\n00000003-aa,2019-01-01,a\n00000004-bb,2018-01-01,b\n00000005-cc,2022-01-01,c\n",
        "conditions.csv": "START,PATIENT,ENCOUNTER\n2021-01-01,a,00000002-aa\n2019-01-01,a,00000003-aa\n",
        "observations.csv": 'DATE,ENCOUNTER,VALUE\n2021-01-01,00000002-aa,"1,5"\n2018-01-01,00000004-bb,2\n2022-01-01,00000005-cc,3\n',
        "procedures.csv": "START,ENCOUNTER\n",
    }
    (tmp_path / "csv").mkdir()
    for name, text in exports.items():
        (tmp_path / "csv" / name).write_text(text, encoding="utf-8")
    into = later_visits(tmp_path / "csv", tmp_path / "later", 2)
    assert {f.name: f.read_text(encoding="utf-8") for f in into.iterdir()} == {
        "encounters.csv": "Id,START,PATIENT\nfffffffd-aa,2021-01-01,a\nfffffffb-bb,2018-01-01,b\n",
        "conditions.csv": "START,PATIENT,ENCOUNTER\n2021-01-01,a,fffffffd-aa\n",
        "observations.csv": 'DATE,ENCOUNTER,VALUE\n2021-01-01,fffffffd-aa,"1,5"\n2018-01-01,fffffffb-bb,2\n',
        "procedures.csv": "START,ENCOUNTER\n",
    }
