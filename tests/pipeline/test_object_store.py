"""A lake on S3: the same tables as on a disk, one writer at a time, no key in what is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from carelake.core.lease import LEASE
from tests.helpers.cli import FIVE, ROOT, carelake, digest, five_people, note
from tests.helpers.s3 import SECRET, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.helpers.s3 import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3000),
]  # the first start fetches 690 MB of Amazon's classes
SOURCES = ("fhir", "cms_rif", "fitbit", "enrollment")
HADOOP_AWS = "org.apache.hadoop:hadoop-aws:3.5.0"
SPARK = (
    "--packages", HADOOP_AWS, "--conf", f"spark.jars.ivy={ROOT / '.venv' / 'ivy'}", "--driver-memory", "2g",
    "--conf", "spark.hadoop.fs.s3a.path.style.access=true",
)  # fmt: skip
ROUNDS, EVERY = 60, 0.5


@pytest.fixture(scope="module")
def s3(tmp_path_factory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("s3") / "log") as server:
        for name in SOURCES:
            server.upload(FIVE / name, "landing", f"five people/{name}")
        yield server


def _contenders(s3: Server, processes: int, threads: int) -> list[str]:
    """What as many processes say of the rounds that their threads won."""
    settings = (f"spark.jars.packages={HADOOP_AWS}", "spark.hadoop.fs.s3a.path.style.access=true")
    argv = ["s3a://lake/contended", str(ROUNDS), str(time.time() + 240), str(threads), str(EVERY), *settings]
    env = os.environ | s3.env | {"PYTHONPATH": os.pathsep.join([str(ROOT / "lib"), str(ROOT)])}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.contend", *argv], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    said = [p.communicate(timeout=1200) for p in started]
    assert [p.returncode for p in started] == [0] * processes, said
    return [line for out, _ in said for line in out.splitlines()]


def _refused(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one sentence that a run ended with; above it stands what Spark says of packages."""
    assert done.returncode == code, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("carelake: ")]
    assert said == done.stderr.splitlines()[-1:], done.stderr
    return said[0]


def test_a_store_that_knows_no_conditions_is_refused(s3, tmp_path):
    """One that leaves them out, one that is told to, and none at all: one sentence each, and nothing is written."""
    source = ("--source", f"enrollment={FIVE / 'enrollment'}")
    deaf = carelake(*SPARK, "to_bronze", "--lake", "s3a://deaf/lake", *source, env=s3.env)
    assert _refused(deaf, 10).endswith("cannot keep two writers apart, see docs/object_stores.md")
    assert {name for name, _ in s3.objects("deaf")} == {f"lake/{LEASE}"}
    off = ("--conf", "spark.hadoop.fs.s3a.create.conditional.enabled=false")
    told = carelake(*SPARK, *off, "to_bronze", "--lake", "s3a://lake/told", *source, env=s3.env)
    assert "fs.s3a.create.conditional.enabled=true" in _refused(told, 10)
    nowhere = carelake(*SPARK, "to_bronze", "--lake", "s3a://no-such-bucket/lake", *source, env=s3.env)
    assert "cannot be written: check the path" in _refused(nowhere, 10)
    missing = carelake(
        *SPARK,
        "to_bronze",
        "--lake",
        str(tmp_path / "lake"),
        "--source",
        "enrollment=s3a://landing/no",
        env=s3.env,
    )
    assert "s3a://landing/no does not exist" in _refused(missing, 11)


def test_of_eight_writers_in_two_jvms_one_has_the_lease_in_every_round(s3):
    """In every odd round the lease lies there, of a run that died. The jars are there by now: two cannot fetch them at once."""
    dead = json.dumps({"run_id": "dead", "host": "another.machine", "expires": time.time() - 1})
    for i in range(1, ROUNDS, 2):
        s3.put("lake", f"contended/{i}/{LEASE}", dead.encode())
    said = _contenders(s3, processes=2, threads=4)
    won = [line.split()[1:] for line in said if line.startswith("won ")]
    assert sorted(int(i) for i, _ in won) == list(range(ROUNDS))
    for i, run_id in won:
        assert json.loads(s3.text("lake", f"contended/{i}/{LEASE}") or "")["run_id"] == run_id
    print(f"{ROUNDS} rounds, winners: {len({r for _, r in won})} of 8;", *(x for x in said if "late" in x))


def test_a_lake_on_s3_has_the_same_tables_as_one_on_a_disk_and_one_writer_at_a_time(s3, tmp_path):
    lake = "s3a://lake/a lake"
    source = [x for n in SOURCES for x in ("--source", f"{n}=s3a://landing/five people/{n}")]
    json_file = tmp_path / "first.json"
    command = ("pipeline", "--lake", lake, *source, "--until", "gold")
    first = subprocess.Popen(
        [ROOT / "spark-submit.sh", *SPARK, *command, "--json", json_file], env=os.environ | s3.env, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    end = time.monotonic() + 900
    while s3.text("lake", f"a lake/{LEASE}") is None:
        assert first.poll() is None, first.stdout.read()
        assert time.monotonic() < end
        time.sleep(1)
    second = carelake(*SPARK, *command, env=s3.env)
    assert first.poll() is None, "the first run ended before the second began"
    assert "is held by run" in _refused(second, 15)
    said = first.communicate(timeout=2000)[0]
    assert first.returncode == 0, said

    again = carelake(*SPARK, *command, "--json", str(tmp_path / "again.json"), env=s3.env)
    assert again.returncode == 0, again.stderr
    assert all(
        s["skipped"] for s in note(tmp_path / "again.json")["steps"] if s["stage"] in ("silver", "gold")
    )
    faults = carelake(*SPARK, "quality", "--storage", "--lake", lake, env=s3.env)
    assert (faults.returncode, faults.stdout) == (0, ""), faults

    here = carelake("pipeline", "--lake", str(tmp_path / "lake"), *five_people(), "--until", "gold")
    assert here.returncode == 0, here.stderr
    expected = digest(tmp_path / "lake")
    assert digest(lake, *SPARK, env=s3.env) == expected
    assert len(expected) > 20

    left = [name for name, content in s3.objects("lake") if SECRET.encode() in content]
    told = said + second.stderr + again.stdout + again.stderr + json_file.read_text()
    assert (left, SECRET in told) == ([], False)
    print(f"{len(expected)} tables identical; on S3 {note(json_file)['cpu_seconds']} processor seconds")
