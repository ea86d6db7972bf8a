"""The reader of CMS RIF: kinds by file name, keys, refusals."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from carelake.bronze.source import FileProblem, Unit
from carelake.sources.cms_rif import SOURCE

if TYPE_CHECKING:
    from pathlib import Path


def read(text: bytes, name: str) -> list[Unit]:
    return list(SOURCE.units(io.BytesIO(text), name))


def test_the_key_of_a_beneficiary_contains_the_year() -> None:
    text = b"DML_IND|BENE_ID|RFRNC_YR\nINSERT|-1|2014\nUPDATE|-1|2015\n"
    assert [(u.kind, u.key) for u in read(text, "beneficiary_2015.csv")] == [
        ("beneficiary", "-1|2014"),
        ("beneficiary", "-1|2015"),
    ]


def test_the_key_of_a_claim_is_claim_and_line() -> None:
    (unit,) = read(b"BENE_ID|CLM_ID|LINE_NUM\n-1|-9|3\n", "carrier.csv")
    assert (unit.kind, unit.key, unit.header) == ("carrier", "-9|3", "BENE_ID|CLM_ID|LINE_NUM")


def test_a_line_without_its_number_has_no_key() -> None:
    (unit,) = read(b"BENE_ID|CLM_ID|CLM_LINE_NUM\n-1|-9|\n", "inpatient.csv")
    assert (unit.key, unit.problem) == (None, "R_ID:key_missing")


def test_a_quote_is_an_ordinary_character() -> None:
    (unit,) = read(b'BENE_ID|PDE_ID|X\n-1|-9|"\n', "pde.csv")
    assert unit.problem is None


def test_a_file_without_the_key_column_is_refused() -> None:
    with pytest.raises(FileProblem) as refused:
        read(b"BENE_ID|CLM_ID\n-1|-9\n", "carrier.csv")
    assert (refused.value.reason, refused.value.rule) == ("F_HEADER", "LINE_NUM_missing")


@pytest.mark.parametrize(
    "name", ["export_summary.csv", "missing_codes.csv.gz", "npi.tsv", "manifest.xml", "end_state.properties"]
)
def test_auxiliary_files_hold_no_records(name: str) -> None:
    assert SOURCE.ignores(name)
    assert not SOURCE.reads(name)


def test_the_population_lands_whole(data: Path) -> None:
    seen: Counter[str] = Counter()
    keys = set()
    for path in (data / "population_ma" / "rif").iterdir():
        if not SOURCE.reads(path.name):
            assert SOURCE.ignores(path.name), path.name
            continue
        for unit in read(gzip.decompress(path.read_bytes()), path.stem):
            assert unit.problem is None
            seen[unit.kind] += 1
            keys.add((unit.kind, unit.key))
    assert seen == {
        "beneficiary": 393, "inpatient": 405, "outpatient": 5462, "carrier": 6025, "snf": 98, "hha": 72, "hospice": 84,
        "dme": 477, "pde": 1818,
    }  # fmt: skip
    assert len(keys) == sum(seen.values())


def test_cms_own_sample_lands_whole(data: Path) -> None:
    for path in (data / "cms_rif_bfd_synthea").iterdir():
        assert SOURCE.reads(path.name) or SOURCE.ignores(path.name), path.name
        if SOURCE.reads(path.name):
            assert {u.problem for u in read(path.read_bytes(), path.name)} == {None}
