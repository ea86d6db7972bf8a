"""The linker against a truth that it never reads: who was seen on which days, and what that cost.

The population's two systems describe the same care under different ids. Each Medicare claim comes from one encounter and one
bill of the same person, so a beneficiary's days of service lie among one patient's encounters, and amounts charged or paid
on a day are found among that patient's bills alone. The linker sees names, birth dates, sex, ZIP and identifiers, no claim,
bill or encounter; so neither can lean on the other.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import pytest

from carelake.silver.conformed.conform import placed
from carelake.silver.conformed.enrollment import ENROLLMENT
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.person import person
from carelake.sources.cms_rif import SOURCE as CMS_RIF
from carelake.sources.fhir import SOURCE as FHIR
from tests.helpers.bronze import bronze, mapped
from tests.helpers.tables import frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

SENDERS = ({"name": "fhir", "priority": 10}, {"name": "cms_rif", "priority": 20})
CLAIMS = ("carrier", "outpatient", "inpatient", "snf", "hha", "hospice", "dme")
OF_PROFESSIONALS = ("CLM_PMT_AMT", "NCH_CARR_CLM_SBMTD_CHRG_AMT", "NCH_CARR_CLM_ALOWD_AMT")
BILLED = {"carrier": OF_PROFESSIONALS, "dme": OF_PROFESSIONALS}
EXTRACT = date(2024, 9, 1)
NEGATIVES = {"namesake": "BENE_BIRTH_DT", "twin": "BENE_GVN_NAME", "elsewhere": "BENE_ZIP_CD"}

Row = dict[str, str]


def _resources(path: Path) -> Iterator[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as text:
        yield from map(json.loads, text)


def _rif(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as text:
        return list(csv.DictReader(text, delimiter="|"))


@dataclass(frozen=True)
class Truth:
    """Patient by beneficiary, and how sure that is: the share of days found, and of runner-up's amounts to the best's."""

    patients: dict[str, str]
    least_days: float
    most_doubt: float


@pytest.fixture(scope="module")
def truth(data: Path) -> Truth:
    """Each beneficiary's patient from days and amounts; fails when any is ambiguous or two share one."""
    fhir, rif = data / "population_ma" / "fhir", data / "population_ma" / "rif"
    seen: dict[str, set[str]] = defaultdict(set)
    for e in _resources(fhir / "Encounter.ndjson.gz"):
        seen[e["subject"]["reference"].removeprefix("Patient/")].add(e["period"]["start"][:10])
    billed: dict[str, set[tuple[str, float]]] = defaultdict(set)
    for e in _resources(fhir / "ExplanationOfBenefit.ndjson.gz"):
        days = {
            e["billablePeriod"]["start"][:10],
            *(i["servicedPeriod"]["start"][:10] for i in e["item"] if "servicedPeriod" in i),
        }
        amounts = {e["payment"]["amount"]["value"], *(t["amount"]["value"] for t in e["total"])}
        billed[e["patient"]["reference"].removeprefix("Patient/")] |= {
            (d, round(a, 2)) for d in days for a in amounts
        }
    served: dict[str, set[str]] = defaultdict(set)
    claimed: dict[str, set[tuple[str, float]]] = defaultdict(set)
    for name in CLAIMS:
        for r in _rif(rif / f"{name}.csv.gz"):
            day = datetime.strptime(r["CLM_FROM_DT"], "%d-%b-%Y").date().isoformat()  # noqa: DTZ007
            served[r["BENE_ID"]].add(day)
            amounts = {round(float(r[c]), 2) for c in BILLED.get(name, ("CLM_PMT_AMT", "CLM_TOT_CHRG_AMT"))}
            claimed[r["BENE_ID"]] |= {(day, a) for a in amounts if a}
    found, shares, doubts = {}, [], []
    for bene, days in served.items():
        money = sorted(((len(claimed[bene] & bills), p) for p, bills in billed.items()), reverse=True)
        (most, best), (second, _) = money[:2]
        share = len(days & seen[best]) / len(days)
        assert most > second, "amounts on a day fit two patients alike"
        assert share == max(len(days & others) / len(days) for others in seen.values()), (
            "days and amounts disagree"
        )
        found[bene] = best
        shares.append(share)
        doubts.append(second / most)
    assert len(found) == len(set(found.values())) == 45
    return Truth(found, min(shares), max(doubts))


def _patient_files(folder: Path) -> dict[str, bytes]:
    return {"Patient.ndjson": gzip.decompress((folder / "fhir" / "Patient.ndjson.gz").read_bytes())}


def _beneficiary_files(
    folder: Path, change: Callable[[list[Row]], list[Row]] = lambda rows: rows
) -> dict[str, bytes]:
    """The yearly files, each after `change`."""
    files = {}
    for path in sorted((folder / "rif").glob("beneficiary_*.csv.gz")):
        rows = _rif(path)
        text = io.StringIO()
        writer = csv.DictWriter(
            text, rows[0], delimiter="|", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
        )
        writer.writeheader()
        writer.writerows(change(rows))
        files[path.name.removesuffix(".gz")] = text.getvalue().encode()
    return files


def _links(spark: SparkSession, patients: dict[str, bytes], years: dict[str, bytes]) -> dict[str, str]:
    """Patient by beneficiary, as the linker has it; the records come through the sources' own mappings."""
    ehr = placed(mapped(FHIR, "patient", bronze(spark, FHIR, patients, extract=EXTRACT)))
    claims = placed(mapped(CMS_RIF, "beneficiary", bronze(spark, CMS_RIF, years, extract=EXTRACT)))
    known = PATIENT.conform(ehr).unionByName(PATIENT.conform(claims))
    rows = person(known, frame(spark, ENROLLMENT), SENDERS).collect()
    members = defaultdict(lambda: defaultdict(list))
    for r in rows:
        members[r["person_id"]][r["source"]].append(r["source_person_id"])
    assert all(len(ids) == 1 for m in members.values() for ids in m.values()), (
        "two people of one sender are one"
    )
    return {m["cms_rif"][0]: m["fhir"][0] for m in members.values() if {"fhir", "cms_rif"} <= set(m)}


def _measured(found: dict[str, str], truth: dict[str, str]) -> tuple[float, float]:
    """Precision and recall over pairs of beneficiary and patient."""
    right = len(found.items() & truth.items())
    return right / len(found), right / len(truth)


def _with_negatives(rows: list[Row]) -> list[Row]:
    """Beside each beneficiary of the year three who are somebody else: another birth date, given name, or ZIP."""
    changed = {"BENE_BIRTH_DT": "02-Feb-1931", "BENE_GVN_NAME": "Twin", "BENE_ZIP_CD": "99501"}
    planted = [
        {
            **r,
            "BENE_ID": f"{r['BENE_ID']}9{n}",
            "MBI_NUM": "",
            "BENE_CRNT_HIC_NUM": "",
            column: changed[column],
        }
        for r in rows
        for n, column in enumerate(NEGATIVES.values(), start=1)
    ]
    return [*rows, *planted]


def test_the_truth_is_beyond_doubt(truth):
    assert truth.least_days > 0.9, "nine in ten days of service are days of encounters, of each beneficiary"
    assert truth.most_doubt < 0.2, "no other patient has a fifth as many amounts in common"


def test_every_link_is_right_and_none_is_missing(spark, data, truth):
    folder = data / "population_ma"
    found = _links(spark, _patient_files(folder), _beneficiary_files(folder, _with_negatives))
    print(f"precision and recall over {len(truth.patients)} pairs, {3 * len(truth.patients)} negatives: "
          f"{_measured(found, truth.patients)}")  # fmt: skip
    assert not {b for b in found if b not in truth.patients}, "one who only resembles a patient was linked"
    assert _measured(found, truth.patients) == (1.0, 1.0)


def test_ids_carry_no_information(spark, data, truth):
    folder = data / "population_ma"
    before = sorted(truth.patients)
    after = random.Random(7).sample(before, len(before))  # noqa: S311 - a fixed shuffle of ids
    moved = dict(zip(before, after, strict=True))
    years = _beneficiary_files(folder, lambda rows: [{**r, "BENE_ID": moved[r["BENE_ID"]]} for r in rows])
    assert moved != dict(zip(before, before, strict=True))
    found = _links(spark, _patient_files(folder), years)
    assert _measured(found, {moved[b]: p for b, p in truth.patients.items()}) == (1.0, 1.0)
