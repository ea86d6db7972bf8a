"""One measured process: wall time, processor time and peak memory of it and all that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PAGE, _TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


class MeasureError(Exception):
    """A measured command failed."""


@dataclass(frozen=True)
class Measured:
    """Wall seconds, processor seconds, and the largest sum of resident bytes of the process and its children."""

    seconds: float
    cpu: float
    peak_rss: int


def run(command: list[str], log: Path) -> Measured:
    """Run a command in a session of its own, its output into `log`. Raises MeasureError unless it gives 0."""
    env = {k: v for k, v in os.environ.items() if k != "SPARK_HOME"} | {
        "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}"
    }
    with log.open("wb") as out:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=ROOT, start_new_session=True
        )
        ended, peak = threading.Event(), [0]
        ticks: dict[str, int] = {}
        watcher = threading.Thread(target=_watch, args=(process.pid, ended, peak, ticks), daemon=True)
        watcher.start()
        try:
            code = process.wait()
        except BaseException:  # interrupted: nothing goes on without us
            os.killpg(process.pid, signal.SIGKILL)
            raise
        seconds = time.monotonic() - started
        ended.set()
        watcher.join()
    if code != 0:
        tail = log.read_text(errors="replace")[-1500:]
        raise MeasureError(f"{' '.join(command)} gave {code}:\n{tail}")
    return Measured(seconds, sum(ticks.values()) / _TICKS, peak[0])


def session_cpu() -> float:
    """Processor seconds so far of all living processes of the caller's session: its JVM and Python workers too."""
    session, total = os.getsid(0), 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue  # it ended meanwhile
            if int(fields[3]) == session:
                total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _watch(session: int, ended: threading.Event, peak: list[int], ticks: dict[str, int]) -> None:
    """Four times a second, memory and processor time of all processes of a session (JVM and Python workers among them).

    The JVM is no child that the process waits for, so the system's own account of children leaves it out.
    """
    while not ended.wait(0.25):
        total = 0
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            try:
                fields = Path(entry.path, "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue  # it ended meanwhile
            if int(fields[3]) == session:
                total += int(fields[21]) * _PAGE
                ticks[entry.name] = int(fields[11]) + int(fields[12])
        peak[0] = max(peak[0], total)
