"""How much of one population in EHR and claims the bundled subset maps; the marks were measured independently."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from carelake.silver.vocabulary.cdm_tables import concept, concept_relationship, source_to_concept_map
from carelake.silver.vocabulary.code_map import code_map
from carelake.silver.vocabulary.folder import settings
from carelake.silver.vocabulary.successor import successor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest
    from pyspark.sql import SparkSession

VOCABULARIES = {
    "http://snomed.info/sct": "SNOMED",
    "http://loinc.org": "LOINC",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/cvx": "CVX",
    "http://unitsofmeasure.org": "UCUM",
}
# per kind: the least share of distinct codes, of rows, in percent
MARKS = {
    "Condition": (81, 65),
    "Procedure": (53.5, 61),  # 128 of 238 codes: 54 when rounded
    "MedicationRequest": (0, 88.5),
    "MedicationAdministration": (70, 85.5),
    "Immunization": (66, 89),
    "Observation": (87, 98),
    "component": (92.5, 99.9),
    "unit": (70, 76),
    "answer": (11, 0.1),
    "RIF ICD-10-CM": (90, 89),  # rows: each code once per claim
    "RIF NDC": (97.5, 91.5),
}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as f:
        yield from map(json.loads, f)


def _codings(concept: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((VOCABULARIES.get(c["system"], c["system"]), c["code"]) for c in concept.get("coding", []))


def _counted(data: Path) -> dict[str, Counter[tuple[tuple[str, str], ...]]]:
    fhir, rif = data / "population_ma/fhir", data / "population_ma/rif"
    found: dict[str, Counter[tuple[tuple[str, str], ...]]] = {kind: Counter() for kind in MARKS}
    drugs = {r["id"]: _codings(r["code"]) for r in _lines(fhir / "Medication.ndjson.gz")}
    for kind in ("Condition", "Procedure", "MedicationRequest", "MedicationAdministration", "Immunization"):
        for r in _lines(fhir / f"{kind}.ndjson.gz"):
            code = r.get("code") or r.get("vaccineCode") or r.get("medicationCodeableConcept")
            reference = r.get("medicationReference", {}).get("reference", "")
            found[kind][
                _codings(code) if code else drugs[reference.replace(":", "/").rsplit("/", 1)[-1]]
            ] += 1
    for r in _lines(fhir / "Observation.ndjson.gz"):
        found["Observation"][_codings(r["code"])] += 1
        for part in (r, *r.get("component", [])):
            if part is not r:
                found["component"][_codings(part["code"])] += 1
            if "valueQuantity" in part:
                found["unit"]["UCUM", part["valueQuantity"]["code"]] += 1  # type: ignore[index]
            if "valueCodeableConcept" in part:
                found["answer"][_codings(part["valueCodeableConcept"])] += 1
    found["unit"] = Counter({(key,): n for key, n in found["unit"].items()})  # type: ignore[dict-item]
    for name in ("inpatient", "outpatient", "carrier", "snf", "hha", "hospice", "dme", "pde"):
        diagnoses = set()
        with gzip.open(rif / f"{name}.csv.gz", "rt") as f:
            for row in csv.DictReader(f, delimiter="|"):
                for column, value in row.items():
                    if value and column.startswith(("ICD_DGNS_CD", "PRNCPAL_DGNS_CD", "ADMTG_DGNS_CD")):
                        diagnoses.add((row["CLM_ID"], value))
                if row.get("PROD_SRVC_ID"):
                    found["RIF NDC"][("NDC", row["PROD_SRVC_ID"]),] += 1
        for _, code in diagnoses:
            found["RIF ICD-10-CM"][("ICD10CM", code if len(code) < 4 else f"{code[:3]}.{code[3:]}"),] += 1
    return found


def test_the_share_that_reaches_a_standard_concept_is_at_least_the_mark(
    spark: SparkSession, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings(None, None)
    # cached, as tables are written: a plan over rows in memory is worked out by the optimizer again and again
    concepts = concept(None, given["local_concepts"]).cache()
    relationships = concept_relationship(None).cache()
    after = successor(relationships).cache()
    local = source_to_concept_map(concepts, after, given["local_maps"]).cache()
    mapped = code_map(concepts, relationships, after, local).collect()
    assert len({(r.vocabulary_id, r.code, r.target_no) for r in mapped}) == len(mapped)
    targets = {(r.vocabulary_id, r.code): r.concept_id for r in mapped if r.concept_id and r.target_no == 0}
    missed = []
    for kind, counted in _counted(data).items():
        for official in (True, False):
            good = {
                codes: n
                for codes, n in counted.items()
                if any(0 < targets.get(c, 0) < (2_000_000_000 if official else 2**31) for c in codes)
            }
            shares = 100 * len(good) / len(counted), 100 * sum(good.values()) / sum(counted.values())
            with capsys.disabled():
                local = "official ids" if official else "with local concepts"
                print(
                    f"{kind:26}{shares[0]:6.1f} {shares[1]:6.1f}  of {len(counted)} codes, {counted.total()} rows, {local}"
                )
            if not official and (
                shares[0] < MARKS[kind][0] - 0.5 or shares[1] < MARKS[kind][1] - 0.5
            ):  # the marks are rounded
                missed.append(kind)
    assert missed == []
