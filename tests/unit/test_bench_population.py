"""Copies of a population, by which ten thousand people are measured."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from bench.population import copied

if TYPE_CHECKING:
    from pathlib import Path

ONE = "45aa9ffe-bb1e-c459-9f42-1944832cb8d1"
VISIT = "e54bfccf-ee71-54cd-e27b-cb1ca3a0313a"
PATIENT = f"{ONE},1961-02-25,,999-12-5114,S99924645,X69633327X,Mrs.,Ciera654,Arletha291,Effertz744,,Boyle917,964 Gate Unit 39"
HEADER = "Id,BIRTHDATE,DEATHDATE,SSN,DRIVERS,PASSPORT,PREFIX,FIRST,MIDDLE,LAST,SUFFIX,MAIDEN,ADDRESS"


def test_a_copy_is_of_somebody_else_whose_records_refer_to_him(tmp_path: Path) -> None:
    given = tmp_path / "csv"
    given.mkdir()
    (given / "patients.csv").write_text(f"{HEADER}\n{PATIENT}\n", encoding="utf-8")
    (given / "encounters.csv").write_text(
        f'Id,START,PATIENT,NOTE\n{VISIT},1978-04-15T03:01:25Z,{ONE},"a, b"\n', encoding="utf-8"
    )
    made = copied(given, tmp_path / "made", 3)

    def read(name: str) -> list[dict[str, str]]:
        with (made / name).open(newline="", encoding="utf-8") as text:
            return list(csv.DictReader(text))

    first, second, third = read("patients.csv")
    assert ",".join(first.values()) == PATIENT
    assert second == first | {
        "Id": "44aa9ffe-bb1e-c459-9f42-1944832cb8d1", "SSN": "998-12-5114", "DRIVERS": "T00035756", "PASSPORT": "Y70744438Y",
        "FIRST": "Djfsb765", "MIDDLE": "Bsmfuib302", "LAST": "Fggfsua855", "MAIDEN": "Cpzmf028", "ADDRESS": "075 Hbuf Voju 40",
    }  # fmt: skip
    assert third["SSN"] == "997-12-5114"
    assert [(v["Id"][:8], v["PATIENT"], v["NOTE"]) for v in read("encounters.csv")] == [
        ("e54bfccf", first["Id"], "a, b"),
        ("e44bfccf", second["Id"], "a, b"),
        ("e74bfccf", third["Id"], "a, b"),
    ]
