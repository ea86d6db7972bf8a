"""Linkage of a whole population: every Medicare beneficiary of population_ma to one patient, all different."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from typing import TYPE_CHECKING, Any

from carelake.silver.conformed.enrollment import ENROLLMENT
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.person import person
from tests.helpers.tables import frame, rows

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

SENDERS = (
    {"name": "cms_rif", "priority": 2, "time_zone": "UTC", "type_concept_id": 32810},
    {"name": "fhir", "priority": 1, "time_zone": "UTC", "type_concept_id": 32817},
)


def patients(folder: Path) -> list[dict[str, Any]]:
    out = []
    with gzip.open(folder / "fhir" / "Patient.ndjson.gz", "rt", encoding="utf-8") as lines:
        for p in map(json.loads, lines):
            name = next(n for n in p["name"] if n.get("use") == "official")
            out.append({
                "_source": "fhir", "source_person_id": p["id"], "is_latest": True, "family_name": name["family"],
                "given_name": name["given"][0], "birth_date": p["birthDate"], "sex": p["gender"],
                "zip": p["address"][0].get("postalCode"),
                "identifiers": [{"system": i["system"], "value": i["value"]} for i in p["identifier"]],
            })  # fmt: skip
    return out


def beneficiaries(folder: Path) -> list[dict[str, Any]]:
    out = []
    for file in sorted((folder / "rif").glob("beneficiary_*.csv.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for r in csv.DictReader(lines, delimiter="|"):
                birth = dt.datetime.strptime(r["BENE_BIRTH_DT"], "%d-%b-%Y").date()  # noqa: DTZ007
                out.append({
                    "_source": "cms_rif", "source_person_id": r["BENE_ID"], "period": r["RFRNC_YR"], "is_latest": True,
                    "family_name": r["BENE_SRNM_NAME"], "given_name": r["BENE_GVN_NAME"], "birth_date": birth.isoformat(),
                    "sex": {"1": "male", "2": "female"}[r["BENE_SEX_IDENT_CD"]], "zip": r["BENE_ZIP_CD"],
                    "identifiers": [{"system": "http://hl7.org/fhir/sid/us-mbi", "value": r["MBI_NUM"]}],
                })  # fmt: skip
    return out


def test_every_beneficiary_is_exactly_one_patient_and_a_planted_twin_or_namesake_is_not(
    spark: SparkSession, data: Path
) -> None:
    people, years = patients(data / "population_ma"), beneficiaries(data / "population_ma")
    assert len({p["source_person_id"] for p in people}) == 93
    assert len({y["source_person_id"] for y in years}) == 45
    model = max(years, key=lambda y: y["source_person_id"])
    planted = [
        model | {"source_person_id": "twin", "given_name": "Twin", "identifiers": []},
        model | {"source_person_id": "namesake", "birth_date": "1930-01-01", "identifiers": []},
    ]
    links = rows(
        person(frame(spark, PATIENT, *people, *years, *planted), frame(spark, ENROLLMENT), SENDERS),
        "source", "source_person_id", "person_id", "rule", "linked_source_person_id",
    )  # fmt: skip
    assert len(links) == 93 + 45 + 2
    assert len({person_id for *_, person_id, _, _ in links}) == 93 + 2
    born = {p["source_person_id"]: (p["birth_date"], p["sex"]) for p in people}
    born_by_claims = {y["source_person_id"]: (y["birth_date"], y["sex"]) for y in years}
    joined = {k: (rule, to) for s, k, _, rule, to in links if s == "cms_rif"}
    assert {k for k, (rule, _) in joined.items() if rule == "self"} == {"twin", "namesake"}
    matched = {k: to for k, (rule, to) in joined.items() if rule == "name_birth_sex_zip"}
    assert len(matched) == 45
    assert len(set(matched.values())) == 45
    assert all(born[to] == born_by_claims[k] for k, to in matched.items())
