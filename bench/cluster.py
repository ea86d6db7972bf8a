"""A standalone Spark master and workers on this machine, each a process that can be killed or stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark

from bench.process import MeasureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPARK = Path(pyspark.__file__).parent
WAIT = 120  # seconds that a daemon may take to come up on a busy machine


def without_package(**more: str) -> dict[str, str]:
    """An environment in which nobody finds carelake by itself, so that executors have it from --py-files alone."""
    return {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYSPARK_PYTHON", "SPARK_HOME")
    } | more


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Daemon:
    """One of Spark's own daemons in the foreground, and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def until(self, words: bytes) -> None:
        """Wait until the log has these words. Raises MeasureError."""
        end = time.monotonic() + WAIT
        while words not in self.log.read_bytes():
            if time.monotonic() > end or self.process.poll() is not None:
                raise MeasureError(f"{self.log.stem} did not come up in {WAIT} s")
            time.sleep(0.2)

    def executors(self) -> list[int]:
        """Process ids of the executors that a worker has started."""
        return [p for p in children(self.process.pid) if b"ExecutorBackend" in _command(p)]

    def signal(self, number: int, executors: list[int]) -> None:
        """Give a worker a signal, then its executors: it would start an executor that died anew."""
        for pid in (self.process.pid, *executors):
            os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL to the worker and its executors, as when a machine is gone."""
        self.signal(signal.SIGKILL, self.executors())
        self.process.wait()

    def close(self) -> None:
        """End it, and the executors of a worker, one that stands still too."""
        executors = self.executors()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in executors:
            if b"ExecutorBackend" in _command(pid):
                os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except (OSError, IndexError):
                continue  # it ended meanwhile
            if int(parent) == pid:
                found.append(int(entry.name))
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@dataclass
class Cluster:
    """A master's URL, the folder of its daemons' logs and work, and the workers that were started."""

    url: str
    folder: Path
    memory: str
    start: Callable[..., Daemon]
    workers: list[Daemon] = field(default_factory=list)

    def add_worker(self) -> Daemon:
        """One more worker of one core, which the master knows when this returns."""
        worker = self.start(
            f"worker{len(self.workers) + 1}", "worker.Worker", "--cores", "1", "--memory", self.memory,
            "--work-dir", str(self.folder / "work"), self.url,
        )  # fmt: skip
        worker.until(b"Successfully registered")
        self.workers.append(worker)
        return worker


@contextmanager
def cluster(folder: Path, workers: int, memory: str = "1g") -> Iterator[Cluster]:
    """A master with workers of one core and so much memory each; all are gone afterwards."""
    environ = without_package(
        SPARK_HOME=str(SPARK), SPARK_LOCAL_IP="127.0.0.1", SPARK_DAEMON_MEMORY="256m",
        SPARK_LOCAL_DIRS=str(folder / "spill"), SPARK_NO_DAEMONIZE="1",
    )  # fmt: skip
    with ExitStack() as ends:

        def start(name: str, main: str, *argv: str) -> Daemon:
            log = folder / f"{name}.log"
            command = [str(SPARK / "bin" / "spark-class"), f"org.apache.spark.deploy.{main}", "--host", "127.0.0.1",
                       "--webui-port", "0", *argv]  # fmt: skip
            with log.open("wb") as out:
                process = subprocess.Popen(
                    command, env=environ, stdout=out, stderr=subprocess.STDOUT, cwd=folder
                )
            daemon = Daemon(process, log)
            ends.callback(daemon.close)
            return daemon

        port = _free_port()
        made = Cluster(f"spark://127.0.0.1:{port}", folder, memory, start)
        start("master", "master.Master", "--port", str(port)).until(b"New state: ALIVE")
        for _ in range(workers):
            made.add_worker()
        yield made
