"""No room left on the disk: one sentence, nothing published is lost, and with room again the same command goes on."""

from __future__ import annotations

import subprocess

import pytest

from carelake import pipeline
from carelake.bronze.table import bronze_table
from carelake.core.lake import DeltaLake
from carelake.core.ops import FILE, LEDGER, RUN
from carelake.core.runlog import published
from carelake.errors import ConfigError
from carelake.quality import digest
from tests.helpers.disk import small_disk
from tests.helpers.runs import digests, run

pytestmark = pytest.mark.timeout(3000)
BRONZE = bronze_table("fhir")


def _filled_at(monkeypatch, disk, point):
    """The disk is full from a point of the run on: one where a run can be killed, or before rows are appended to a table."""
    fault, append = pipeline.fault, DeltaLake.append

    def reached(here):
        if here == point:
            disk.fill()
        fault(here)

    def appended(lake, table, *args, **kwargs):
        reached(table.name)
        return append(lake, table, *args, **kwargs)

    monkeypatch.setattr(pipeline, "fault", reached)
    monkeypatch.setattr(DeltaLake, "append", appended)


def _refused(spark, lake, sources, *options):
    """The sentence, which names the folder and the remedy and no value."""
    with pytest.raises(ConfigError) as failed:
        run(spark, lake, sources, *options)
    said = str(failed.value)
    assert failed.value.exit_code == 10
    assert str(lake) in said and "make room" in said and "\n" not in said and "Family-" not in said
    return said


def _books(lake):
    """Landed files and the ledger, without the runs' names."""
    files = lake.read(FILE).where("status = 'landed'").select("file", "content_hash", "units").collect()
    ledger = lake.read(LEDGER).select("kind", "stage", "rows_in", "rows_written", "rows_duplicate").collect()
    return sorted(map(tuple, files)), sorted(tuple(r) for r in ledger if r["rows_in"] > r["rows_duplicate"])


@pytest.mark.parametrize(
    "points",
    [("bronze/fhir", "ops/file"), pytest.param(("ops/ledger", "bronze:landed"), marks=pytest.mark.slow)],
)
def test_a_landing_without_room_is_told_and_done_by_the_same_command(
    spark, days, tmp_path, monkeypatch, points
):
    """In the data of bronze, and in ops, between the landing's commit and its books and between these."""
    free = tmp_path / "free"
    with small_disk(spark, tmp_path / "disk") as disk:
        lake = disk.folder / "lake"
        for each in (lake, free):
            run(spark, each, {"fhir": days / "day0"}, "--until", "bronze")
        run(spark, free, {"fhir": days / "day1"}, "--until", "bronze")
        held = DeltaLake(spark, str(lake))
        before, version = digest(held, [BRONZE]), held.head(BRONZE)
        for point in points:
            with monkeypatch.context() as patched:
                _filled_at(patched, disk, point)
                said = _refused(spark, lake, {"fhir": days / "day1"}, "--until", "bronze")
            assert digest(held.at({BRONZE.name: version}), [BRONZE]) == before, "what was there is readable"
            disk.free()
            print(f"full at {point}: {said}")
        run(spark, lake, {"fhir": days / "day1"}, "--until", "bronze")
        assert digest(held, [BRONZE]) == digest(DeltaLake(spark, str(free)), [BRONZE])
        assert _books(held) == _books(DeltaLake(spark, str(free)))
        assert held.read(RUN).orderBy("run_id").collect()[-1]["status"] == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize("point", ["silver/omop/measurement:before", "silver:conformed", "publish:before"])
def test_a_run_without_room_publishes_nothing_and_is_done_by_the_same_command(
    spark, days, tmp_path, monkeypatch, point, first_day, both_days
):
    with small_disk(spark, tmp_path / "disk") as disk:
        lake = disk.folder / "lake"
        subprocess.run(["cp", "-r", str(first_day), str(lake)], check=True)
        held = DeltaLake(spark, str(lake))
        before = published(held)
        rows = digests(spark, first_day)
        with monkeypatch.context() as patched:
            _filled_at(patched, disk, point)
            said = _refused(spark, lake, {"fhir": days / "day1"}, "--until", "silver")
        assert published(held) == before
        tables = [t for n, t in pipeline.catalog().declared.items() if n in before]
        old = {n: (c, h) for n, c, h in digest(held.at({n: p.version for n, p in before.items()}), tables)}
        assert old == {n: d for n, d in rows.items() if n in old}, "the old publication is readable"
        disk.free()
        run(spark, lake, {"fhir": days / "day1"}, "--until", "silver")
        found = digests(spark, lake)
        assert found == both_days
    print(f"full at {point}: {said}; {len(found)} of {len(both_days)} tables identical")


@pytest.fixture(scope="module")
def both_days(spark, days, first_day, tmp_path_factory):
    """The digests after the second day, with room."""
    lake = tmp_path_factory.mktemp("both") / "lake"
    subprocess.run(["cp", "-r", str(first_day), str(lake)], check=True)
    run(spark, lake, {"fhir": days / "day1"}, "--until", "silver")
    return digests(spark, lake)
