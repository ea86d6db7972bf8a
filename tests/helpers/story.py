"""A story of five people told in three days of FHIR exports: small enough that a run takes the least time there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

WEIGHT, DIABETES, SNOMED = "29463-7", "44054006", "http://snomed.info/sct"


def _meta(day: int) -> dict[str, Any]:
    return {"lastUpdated": f"2024-03-{day:02d}T12:00:00Z"}


def patient(key: str, born: str, day: int = 1) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": key, "meta": _meta(day), "gender": "female", "birthDate": born,
        "name": [{"family": f"Family-{key}", "given": ["Ann"]}],
    }  # fmt: skip


def encounter(key: str, person: str, start: str, *, ended: bool = True) -> dict[str, Any]:
    period = {"start": f"{start}T09:00:00Z"} | ({"end": f"{start}T10:00:00Z"} if ended else {})
    return {
        "resourceType": "Encounter", "id": key, "meta": _meta(1), "status": "finished" if ended else "in-progress",
        "class": {"code": "AMB" if ended else "IMP"}, "subject": {"reference": f"Patient/{person}"}, "period": period,
    }  # fmt: skip


def condition(key: str, person: str, status: str = "confirmed", day: int = 1) -> dict[str, Any]:
    return {
        "resourceType": "Condition", "id": key, "meta": _meta(day), "subject": {"reference": f"Patient/{person}"},
        "verificationStatus": {"coding": [{"code": status}]}, "onsetDateTime": "2023-05-01",
        "code": {"coding": [{"system": SNOMED, "code": DIABETES}]},
    }  # fmt: skip


def weight(key: str, person: str, kg: float, day: int = 1) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": key, "meta": _meta(day), "status": "final",
        "category": [{"coding": [{"code": "vital-signs"}]}], "code": {"coding": [{"system": "http://loinc.org", "code": WEIGHT}]},
        "subject": {"reference": f"Patient/{person}"}, "effectiveDateTime": "2024-01-05T08:00:00Z",
        "valueQuantity": {"value": kg, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }  # fmt: skip


def deletion(day: int, *urls: str) -> dict[str, Any]:
    entries = [{"request": {"method": "DELETE", "url": u}} for u in urls]
    return {
        "resourceType": "Bundle",
        "id": f"deleted-{day}",
        "meta": _meta(day),
        "type": "transaction",
        "entry": entries,
    }


# The export of each day, by file. The observations' file has one name and grows, as some systems write it.
WEIGHTS = [
    weight("w1", "p1", 70.5),
    weight("w2", "p2", 81.0),
    weight("w3", "p3", 64.0),
    weight("w9", "p9", 55.0),
]
STORY: list[dict[str, list[dict[str, Any]]]] = [
    {
        "Patient": [patient("p1", "1950-01-02"), patient("p2", "1960-03-04"), patient("p3", "1970-05-06"), patient("p4", "1980-07-08")],
        "Encounter": [
            encounter("e1", "p1", "2024-01-05"), encounter("e2", "p2", "2024-01-06"), encounter("e3", "p3", "2024-01-07"),
            encounter("e4", "p4", "2024-02-20", ended=False),
        ],
        "Condition": [condition("c1", "p1"), condition("c2", "p2"), condition("c3", "p3")],
        "Observation": WEIGHTS,
    },
    {
        "Condition": [condition("c2", "p2", "entered-in-error", day=2)],
        "Observation": [*WEIGHTS, weight("w1b", "p1", 71.0, day=2)],
    },
    {
        "deleted": [deletion(3, "Condition/c1", "Patient/p3")],
        "Patient": [patient("p9", "1990-09-09", day=3)],
    },
]  # fmt: skip
FIRST_DAY = 1_709_251_200_000  # 2024-03-01


def write(folder: Path, day: int, files: dict[str, list[dict[str, Any]]]) -> None:
    folder.mkdir(parents=True)
    for stem, resources in files.items():
        # the growing file keeps its name, all others bear their day
        name = f"{stem}.ndjson" if stem == "Observation" else f"{stem}.{FIRST_DAY + day * 86_400_000}.ndjson"
        (folder / name).write_text("".join(json.dumps(r) + "\n" for r in resources))
