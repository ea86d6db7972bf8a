"""The same job on a standalone cluster (a master, two workers, executors of their own) gives the same tables."""

from __future__ import annotations

import gzip
import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from bench.cluster import Cluster, cluster, without_package
from tests.helpers.cli import FIVE, ROOT, carelake, digest, five_people

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory) -> Iterator[Cluster]:
    """A standalone master with two workers of one core and 1 GiB each."""
    with cluster(tmp_path_factory.mktemp("cluster"), 2) as made:
        yield made


def _says_nothing(work: Path) -> None:
    """Executors keep what they print on their machines: no value of a record may be among it."""
    printed = "".join(p.read_text(errors="replace") for p in work.glob("app-*/*/std*"))
    names = set()
    with gzip.open(FIVE / "fhir" / "Patient.ndjson.gz", "rt", encoding="utf-8") as text:
        for line in text:
            patient = json.loads(line)
            names |= {patient["id"], patient["birthDate"], *(n["family"] for n in patient["name"])}
    assert len(names) >= 10
    assert not [len(n) for n in names if n in printed], "an executor printed values of patients"
    # Before its executor is told the level, Spark says how it starts; of tasks it says nothing.
    assert printed
    assert " task " not in printed, "Spark's own messages go on after the start"


APART = ("spark.driver.defaultJavaOptions", "spark.redaction.regex")


def _shipped() -> dict[str, str]:
    """conf/spark/cluster.conf, but for what the launcher adds to and for what Spark takes for a secret in its log."""
    lines = (ROOT / "conf" / "spark" / "cluster.conf").read_text(encoding="utf-8").splitlines()
    pairs = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {key: value for key, value in pairs.items() if key not in APART}


def _in_force(events: Path) -> dict[str, str]:
    """The settings that an application ran with, by its event log."""
    with events.open(encoding="utf-8") as lines:
        told = next(line for line in lines if '"SparkListenerEnvironmentUpdate"' in line)
    settings: dict[str, str] = json.loads(told)["Spark Properties"]
    return settings


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_cluster_gives_the_same_tables_as_a_laptop(two_workers, tmp_path):
    on_cluster, local = tmp_path / "on cluster", tmp_path / "local"
    # Delta reads the log of every table in 50 tasks unless told otherwise; these logs hold a few lines.
    settings = {
        "spark.dynamicAllocation.minExecutors": "2", "spark.databricks.delta.snapshotPartitions": "1", "spark.sql.shuffle.partitions": "4", "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false", "spark.eventLog.rolling.enabled": "false", "spark.eventLog.dir": tmp_path.as_uri(),
    }  # fmt: skip
    given = [x for key, value in settings.items() for x in ("--conf", f"{key}={value}")]
    options = ("--master", two_workers.url, "--executor-memory", "900m", "--driver-memory", "1500m", *given)
    job = ("pipeline", *five_people(), "--until", "gold", "--lake")
    started = time.monotonic()
    done = subprocess.run(
        [ROOT / "spark-submit.sh", *options, *job, str(on_cluster)],
        env=without_package(), cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    executors = {p.name for p in (two_workers.folder / "work").glob("app-*/*") if p.is_dir()}
    assert len(executors) == 2, "both workers take part"
    _says_nothing(two_workers.folder / "work")
    (events,) = tmp_path.glob("app-*")
    assert {k: v for k, v in _shipped().items() if k not in settings and _in_force(events).get(k) != v} == {}
    here = carelake(*job, str(local))
    assert here.returncode == 0, here.stderr
    expected = digest(local)
    assert digest(on_cluster) == expected
    assert len(expected) > 20
    print(f"two executors: {len(expected)} tables identical after {seconds:.0f} s")
