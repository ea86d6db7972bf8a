"""The same job on a standalone cluster (a master, two workers, executors of their own) gives the same tables."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark
import pytest

from tests.helpers.cli import FIVE, ROOT, carelake, digest, five_people

if TYPE_CHECKING:
    from collections.abc import Iterator

SPARK = Path(pyspark.__file__).parent
WAIT = 120  # seconds that a daemon may take to come up on a busy machine


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _without_package(**more: str) -> dict[str, str]:
    """An environment in which nobody finds carelake by itself, so that executors have it from --py-files alone."""
    return {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYSPARK_PYTHON", "SPARK_HOME")
    } | more


def _until(done, what: str) -> None:
    end = time.monotonic() + WAIT
    while not done():
        assert time.monotonic() < end, f"{what} did not come up in {WAIT} s"
        time.sleep(0.2)


@contextmanager
def _daemon(folder: Path, name: str, main: str, *argv: str) -> Iterator[Path]:
    """One of Spark's own daemons in the foreground; gives its log."""
    log = folder / f"{name}.log"
    env = _without_package(
        SPARK_HOME=str(SPARK), SPARK_LOCAL_IP="127.0.0.1", SPARK_DAEMON_MEMORY="256m", SPARK_LOCAL_DIRS=str(folder / "spill"),
        SPARK_NO_DAEMONIZE="1",
    )  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            [SPARK / "bin" / "spark-class", f"org.apache.spark.deploy.{main}", "--host", "127.0.0.1", "--webui-port", "0", *argv],
            env=env, stdout=out, stderr=subprocess.STDOUT, cwd=folder,
        )  # fmt: skip
    try:
        yield log
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """URL of a standalone master with two workers of one core and 1 GiB each, and the workers' folder."""
    folder = tmp_path_factory.mktemp("cluster")
    port = _free_port()
    url = f"spark://127.0.0.1:{port}"
    worker = ("worker.Worker", "--cores", "1", "--memory", "1g", "--work-dir", str(folder / "work"), url)
    with _daemon(folder, "master", "master.Master", "--port", str(port)) as master:
        _until(lambda: b"New state: ALIVE" in master.read_bytes(), "the master")
        with _daemon(folder, "worker1", *worker) as one, _daemon(folder, "worker2", *worker) as two:
            for log in (one, two):
                _until(lambda log=log: b"Successfully registered" in log.read_bytes(), log.stem)
            yield url, folder


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


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_cluster_gives_the_same_tables_as_a_laptop(cluster, tmp_path):
    url, folder = cluster
    on_cluster, local = tmp_path / "on cluster", tmp_path / "local"
    # Delta reads the log of every table in 50 tasks unless told otherwise; these logs hold a few lines.
    small = (
        "--conf",
        "spark.databricks.delta.snapshotPartitions=1",
        "--conf",
        "spark.sql.shuffle.partitions=4",
    )
    options = ("--master", url, "--executor-memory", "900m", "--driver-memory", "1500m", *small)
    job = ("pipeline", *five_people(), "--until", "gold", "--lake")
    started = time.monotonic()
    done = subprocess.run(
        [ROOT / "spark-submit.sh", *options, *job, str(on_cluster)],
        env=_without_package(), cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    executors = {p.name for p in (folder / "work").glob("app-*/*") if p.is_dir()}
    assert len(executors) == 2, "both workers take part"
    _says_nothing(folder / "work")
    here = carelake(*job, str(local))
    assert here.returncode == 0, here.stderr
    expected = digest(local)
    assert digest(on_cluster) == expected
    assert len(expected) > 20
    print(f"two executors: {len(expected)} tables identical after {seconds:.0f} s")
