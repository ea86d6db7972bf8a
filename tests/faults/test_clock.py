"""The machine's zone and clock change nothing: the same rows in any zone, and runs in their order when the clock is set back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

import pytest

from carelake import jobs, pipeline
from carelake.bronze.table import bronze_table
from carelake.core import run as engine
from carelake.core import runlog
from carelake.core.jvm import java
from carelake.core.lake import DeltaLake
from carelake.core.ops import SNAPSHOT
from carelake.core.runlog import Published, RunLog, last_run, published
from carelake.quality import digest
from carelake.sources import fhir, synthea_csv
from tests.helpers.bronze import bronze, mapped
from tests.helpers.cli import ROOT
from tests.helpers.runs import digests, run
from tests.helpers.story import STORY, weight, write

pytestmark = pytest.mark.timeout(3000)
ZONES = ("Pacific/Auckland", "America/St_Johns")
A_YEAR = timedelta(days=365)


@pytest.fixture
def zone(spark, monkeypatch):
    """Sets the zone of this process and of the JVM, as TZ would at their start."""
    zones = java(spark, "java.util.TimeZone")
    before = zones.getDefault()

    def named(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()
        zones.setDefault(zones.getTimeZone(name))

    yield named
    monkeypatch.undo()
    time.tzset()
    zones.setDefault(before)


def _clock(monkeypatch, off):
    """The machine's clock so far off."""

    def now():
        return datetime.now(timezone.utc) + off

    for module in (engine, jobs, pipeline, runlog):
        monkeypatch.setattr(module, "now", now)


def _story(folder):
    for n, files in enumerate(STORY):
        write(folder / f"day{n}", n, files)
    return folder


def _facts(spark):
    """Days and hours that two formats give, as text: near midnight, without a zone, with one, on days of summer time."""
    sent = [weight("w1", "p1", 70.5) | {"effectiveDateTime": t} for t in (
        "2024-03-31T02:30:00Z", "2024-09-29T23:59:59+13:00", "2024-11-03T01:30:00-02:30", "2024-01-01", "2024-01-01T00:00:00",
    )]  # fmt: skip
    lines = "\n".join(json.dumps(w | {"id": f"w{n}"}) for n, w in enumerate(sent))
    observations = bronze(spark, fhir.SOURCE, {"Observation.ndjson": lines.encode()})
    (name,) = [m.name for m in fhir.SOURCE.mappings if m.counts and "Observation" in m.kinds]
    text = "Id,START,STOP,PATIENT,ENCOUNTERCLASS,CODE\ne1,2024-03-31T02:30:00Z,2024-09-29T23:59:59Z,p1,inpatient,1\n"
    encounters = bronze(spark, synthea_csv.SOURCE, {"encounters.csv": text.encode()})
    made = (mapped(fhir.SOURCE, name, observations), mapped(synthea_csv.SOURCE, "encounters", encounters))
    return [sorted(r["row"] for r in m.selectExpr("to_json(struct(*)) AS row").collect()) for m in made]


def test_another_zone_and_a_clock_a_year_off_land_and_map_the_same(spark, tmp_path, zone, monkeypatch):
    days = _story(tmp_path / "days")
    found = {}
    for name, off in (("UTC", timedelta()), (ZONES[0], A_YEAR), (ZONES[1], -A_YEAR)):
        zone(name)
        with monkeypatch.context() as patched:
            _clock(patched, off)
            lake = tmp_path / name.replace("/", "_")
            run(spark, lake, {"fhir": days}, "--until", "bronze")
        held = DeltaLake(spark, str(lake))
        rows = held.read(bronze_table("fhir")).selectExpr(
            "record_id", "cast(version_at AS long)", "extract_date"
        )
        found[name] = digest(held, [bronze_table("fhir")]), sorted(map(str, rows.collect())), _facts(spark)
    for name in ZONES:
        assert found[name] == found["UTC"], name
    print(f"bronze and mappings: {len(ZONES)} of {len(ZONES)} zones and clocks give the same")


def test_what_was_published_last_is_what_counts_when_the_clock_was_set_back(spark, tmp_path, monkeypatch):
    lake = DeltaLake(spark, str(tmp_path / "lake"))
    for n, off in enumerate((A_YEAR, timedelta(), -A_YEAR)):
        with monkeypatch.context() as patched:
            _clock(patched, off)
            log = RunLog(lake, engine.new_run_id(last_run(lake)), "pipeline", engine.now())
            log.open()
            log.publish({"gold/some": Published(n, None, {})})
            log.close("succeeded", None)
        assert published(lake)["gold/some"].version == n
    ids = [r["run_id"] for r in lake.read(SNAPSHOT).orderBy("version").collect()]
    assert ids == sorted(ids)


@pytest.fixture(scope="module")
def at_home(spark, tmp_path_factory):
    """The days of the story, and the digests of the first two in UTC by this machine's clock."""
    folder = tmp_path_factory.mktemp("home")
    days = _story(folder / "days")
    for n in (0, 1):
        run(spark, folder / "lake", {"fhir": days / f"day{n}"}, "--until", "silver")
    return days, _compared(spark, folder / "lake")


def _compared(spark, lake):
    return {n: d for n, d in digests(spark, lake).items() if n != "silver/link/person_history"}


@pytest.mark.slow
@pytest.mark.parametrize("zone_name", ZONES)
def test_a_run_in_another_zone_ends_in_the_same_rows(spark, tmp_path, at_home, zone_name):
    """A process of its own, as a machine in that zone would start it."""
    days, home = at_home
    for n in (0, 1):
        command = [sys.executable, "-m", "carelake", "pipeline", "--lake", str(tmp_path / "lake"), "--until", "silver",
                   "--source", f"fhir={days / f'day{n}'}"]  # fmt: skip
        env = os.environ | {"TZ": zone_name, "PYTHONPATH": str(ROOT / "lib")}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1500, check=False)
        assert done.returncode == 0, done.stderr
    found = _compared(spark, tmp_path / "lake")
    assert found == home
    print(f"{zone_name}: {len(found)} of {len(home)} tables identical")


@pytest.mark.slow
def test_days_by_a_clock_that_is_set_back_two_years_between_them_end_in_the_same_rows(
    spark, tmp_path, at_home, monkeypatch
):
    days, home = at_home
    for n, off in ((0, A_YEAR), (1, -A_YEAR)):
        with monkeypatch.context() as patched:
            _clock(patched, off)
            note = run(spark, tmp_path / "lake", {"fhir": days / f"day{n}"}, "--until", "silver")
    assert note["persons_affected"] == 2, "an increment over what the run before it published"
    found = _compared(spark, tmp_path / "lake")
    assert found == home
    print(f"a clock set back: {len(found)} of {len(home)} tables identical")
