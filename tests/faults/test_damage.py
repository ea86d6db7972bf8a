"""Damage in bronze, silver and ops: the table is named, no result is wrong, and what comes from bronze is made anew."""

from __future__ import annotations

import shutil

import pytest
from pyspark.errors import AnalysisException

from carelake.bronze.table import bronze_table
from carelake.core.failure import explained
from carelake.core.lake import DeltaLake
from carelake.core.lease import LEASE
from carelake.core.mark import MARK
from carelake.core.ops import FILE
from carelake.errors import LakeBusyError, LakeError, QualityGateError
from carelake.quality import digest
from tests.helpers.damage import CASES
from tests.helpers.runs import digests, run

pytestmark = pytest.mark.timeout(3000)
BRONZE = bronze_table("fhir")


@pytest.fixture(scope="module")
def landed(spark, days, tmp_path_factory):
    """Bronze of two days."""
    lake = tmp_path_factory.mktemp("landed") / "lake"
    for n in (0, 1):
        run(spark, lake, {"fhir": days / f"day{n}"}, "--until", "bronze")
    return lake


def _copy(lake, into):
    shutil.copytree(lake, into)
    return into


def _storage(spark, lake, capsys):
    """What `quality --storage` prints; empty when it finds nothing."""
    capsys.readouterr()
    try:
        run(spark, lake, {}, "--storage", job="quality")
    except QualityGateError:
        return capsys.readouterr().out.splitlines()
    return []


QUICK = (("bronze/fhir", "the last commit missing"), ("ops/file", "a data file missing"))
LANDED = [
    pytest.param(table, case, marks=[] if (table, case) in QUICK else pytest.mark.slow)
    for table in ("bronze/fhir", "ops/file")
    for case in ("a data file missing", "the last commit missing", "the last commit cut", "the last checksum file garbage")
]  # fmt: skip


@pytest.mark.parametrize(("table", "case"), LANDED)
def test_a_landing_over_damage_names_the_table_or_is_as_ever(
    spark, days, landed, tmp_path, capsys, table, case
):
    lake = _copy(landed, tmp_path / "lake")
    held = DeltaLake(spark, str(lake))
    before = digest(held, [BRONZE])
    CASES[case](lake / table)
    assert any(line.startswith(f"{table}: ") for line in _storage(spark, lake, capsys))
    try:
        run(spark, lake, {"fhir": days / "day1"}, "--until", "bronze")
        said = None
    except LakeError as e:
        said = str(e)
        assert said.startswith(f"{table}: ") and "\n" not in said and "Family-" not in said
    if said is None:  # it was not needed: then who needs it is told
        try:
            assert digest(DeltaLake(spark, str(lake)), [BRONZE]) == before
        except AnalysisException as e:
            said = f"landed as ever; who reads it: {explained(e, str(lake))}"
            assert f"{table}: " in said
        assert held.read(FILE).where("status = 'landed'").count() == 6
    print(f"{table}, {case}: {said or 'as ever'}")


def test_garbage_in_the_small_files_of_ops_is_told(spark, days, landed, tmp_path):
    lake = _copy(landed, tmp_path / "lake")
    (lake / LEASE).write_bytes(b"\xff{")
    with pytest.raises(LakeBusyError, match=r"_lease\.json cannot be read"):
        run(spark, lake, {"fhir": days / "day1"}, "--until", "bronze")
    (lake / LEASE).unlink()
    for garbage in (b"\xff{", b"[1]", b'{"format": "new"}'):
        (lake / MARK).write_bytes(garbage)
        with pytest.raises(LakeError, match=r"_lake\.json .* is damaged") as told:
            run(spark, lake, {"fhir": days / "day1"}, "--until", "bronze")
        assert told.value.exit_code == 12
    remedy = str(told.value).split("write ")[1].split(" into it")[0]
    (lake / MARK).write_text(remedy)
    run(spark, lake, {"fhir": days / "day1"}, "--until", "bronze")


SILVER = {
    "silver/omop/person": "a byte of a data file flipped",
    "silver/omop/measurement": "a data file missing",
    "silver/link/person": "a data file cut",
    "silver/link/event": "the last commit cut",
    "silver/omop/condition_occurrence": "the last checksum file garbage",
    "silver/conformed/patient": "the last commit missing",
}


def _compared(spark, lake):
    return {n: d for n, d in digests(spark, lake).items() if n != "silver/link/person_history"}


@pytest.mark.slow
def test_damage_of_silver_is_found_named_and_healed_from_bronze(spark, days, first_day, tmp_path, capsys):
    lake = _copy(first_day, tmp_path / "lake")
    whole = _compared(spark, lake)
    for table, case in SILVER.items():
        CASES[case](lake / table)
    found = {line.split(":")[0] for line in _storage(spark, lake, capsys)}
    assert found == set(SILVER)
    with pytest.raises(LakeError, match=r"^silver/.*pipeline --full makes it anew") as told:
        run(spark, lake, {"fhir": days / "day1"}, "--until", "silver")
    run(spark, lake, {"fhir": days / "day0"}, "--until", "silver", "--full")
    # day1 landed before the run stopped, so both days are in
    both = _copy(first_day, tmp_path / "both")
    run(spark, both, {"fhir": days / "day1"}, "--until", "silver")
    healed = _compared(spark, lake)
    assert healed == _compared(spark, both)
    assert healed != whole
    assert _storage(spark, lake, capsys) == []
    print(f"{len(SILVER)} damaged tables found and healed; before: {told.value}")


DAMAGED = r"^bronze/fhir: .*land the sender's files again"


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["a byte of a data file flipped", "a data file missing", "the last commit missing"]
)
def test_damage_of_bronze_is_named_and_leaves_the_publication_readable(
    spark, days, first_day, tmp_path, case
):
    lake = _copy(first_day, tmp_path / "lake")
    whole = _compared(spark, lake)
    CASES[case](lake / "bronze" / "fhir")
    if case != "the last commit missing":  # a run with nothing new reads no record
        run(spark, lake, {"fhir": days / "day0"}, "--until", "silver")
        assert _compared(spark, lake) == whole
    else:
        with pytest.raises(LakeError, match=DAMAGED):
            run(spark, lake, {"fhir": days / "day0"}, "--until", "silver")
    assert _compared(spark, lake) == whole
    with pytest.raises(LakeError, match=DAMAGED):
        run(spark, lake, {"fhir": days / "day0"}, "--until", "silver", "--full")
