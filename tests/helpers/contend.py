"""Threads of one process that want leases on a store: `python -m tests.helpers.contend ROOT ROUNDS START THREADS SECONDS [KEY=VALUE …]`.

Round i begins at START + i * SECONDS, for all processes that were given the same. Prints who had each round's lease.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from pyspark.sql import SparkSession

from carelake.core.lease import Lease
from carelake.core.storage import Storage
from carelake.errors import LakeBusyError
from tests.helpers.cli import ROOT


def _main(root: str, rounds: int, start: float, threads: int, seconds: float, *settings: str) -> None:
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.driver.memory", "1g")
        .config("spark.ui.enabled", "false")
        .config("spark.jars.ivy", str(ROOT / ".venv" / "ivy"))
        .config(map=dict(s.split("=", 1) for s in settings))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    Storage(f"{root}/0", session).exists("")  # classes are loaded before it begins
    assert time.time() < start, "this machine is too slow for the given start"

    def one(n: int) -> list[str]:
        won = []
        for i in range(rounds):
            time.sleep(max(0.0, start + i * seconds - time.time()))
            run_id = f"{start}-{seconds}-{id(session)}-{n}"
            try:
                Lease(Storage(f"{root}/{i}", session), run_id).take()
                won.append(f"{i} {run_id}")
            except LakeBusyError:
                continue
        return won

    with ThreadPoolExecutor(threads) as pool:
        for won in pool.map(one, range(threads)):
            for line in won:
                print("won", line)
    print("late by", round(time.time() - start - rounds * seconds, 1), flush=True)
    session.stop()


if __name__ == "__main__":
    root, rounds, start, threads, seconds, *settings = sys.argv[1:]
    _main(root, int(rounds), float(start), int(threads), float(seconds), *settings)
