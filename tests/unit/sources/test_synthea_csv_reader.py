"""Synthea's CSV: kinds, keys and refusals of the reader."""

from __future__ import annotations

import io

import pytest

from carelake.bronze.source import FileProblem, Unit
from carelake.sources.synthea_csv import SOURCE

MEDICATIONS = "START,STOP,PATIENT,PAYER,ENCOUNTER,CODE,DESCRIPTION\n"


def units(text: str, name: str) -> list[Unit]:
    return list(SOURCE.units(io.BytesIO(text.encode()), name))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("claims.csv", "claims"), ("claims_transactions.csv", "claims_transactions"), ("patients_2.csv.gz", "patients")],
)  # fmt: skip
def test_the_files_name_tells_the_kind(name: str, kind: str) -> None:
    assert {u.kind for u in units("Id\na\n", name)} == {kind}
    assert SOURCE.reads(name)


def test_a_row_with_an_id_has_it_as_key() -> None:
    assert [u.key for u in units("Id,BIRTHDATE\np1,1950-01-01\n", "patients.csv")] == ["p1"]


def test_a_row_of_an_encounter_is_known_by_person_encounter_code_and_start() -> None:
    (unit,) = units(MEDICATIONS + "2020-01-01,2020-02-01,p,i,e,1,Aspirin\n", "medications.csv")
    assert unit.key == "p|e|1|2020-01-01"


def test_the_same_drug_twice_at_one_moment_is_two_facts_and_a_later_export_has_the_same_keys() -> None:
    first = (
        "2020-01-01,2020-02-01,p,i,e,1,Aspirin\n2020-01-01,,p,i,e,1,Aspirin\n2020-01-01,,p,i,f,1,Aspirin\n"
    )
    later = first.replace(",,", ",2021-01-01,")
    keys = [u.key for u in units(MEDICATIONS + first, "medications.csv")]
    assert keys == ["p|e|1|2020-01-01", "p|e|1|2020-01-01|2", "p|f|1|2020-01-01"]
    assert [u.key for u in units(MEDICATIONS + later, "medications.csv")] == keys


def test_a_score_without_encounter_has_a_key_and_a_row_without_person_has_none() -> None:
    text = "DATE,PATIENT,ENCOUNTER,CODE,VALUE\n2020-01-01,p,,QALY,1\n2020-01-01,,,QALY,1\n"
    found = units(text, "observations.csv")
    assert [(u.key, u.problem) for u in found] == [("p||QALY|2020-01-01", None), (None, "R_ID:key_missing")]


def test_columns_may_stand_in_any_order_and_a_missing_one_of_the_key_refuses_the_file() -> None:
    (unit,) = units("CODE,PATIENT,START,ENCOUNTER\n1,p,2020-01-01,e\n", "procedures.csv")
    assert unit.key == "p|e|1|2020-01-01"
    (older,) = units("DATE,PATIENT,ENCOUNTER,CODE\n2020-01-01,p,e,1\n", "procedures.csv")
    assert older.key == "p|e|1|2020-01-01"
    with pytest.raises(FileProblem, match="F_HEADER:CODE_missing"):
        units("PATIENT,START,ENCOUNTER\np,2020-01-01,e\n", "procedures.csv")


def test_a_file_of_another_name_is_refused() -> None:
    with pytest.raises(FileProblem, match="F_WRONG_FORMAT:file_name"):
        units("Id\na\n", "labs.csv")
