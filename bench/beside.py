"""carelake beside OHDSI's logic on DuckDB, from the same files until silver, each a process of its own, started cold.

    python -m bench.beside SYNTHEA_CSV VOCABULARY [--copies N]

Prints a row of a table. With --copies the files are taken N times over, under other ids: ten thousand people out of a thousand.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import duckdb

from bench.etl_synthea import read
from bench.population import copied
from bench.process import run


def beside(synthea: Path, vocabulary: list[Path]) -> str:
    """The row: people, seconds of DuckDB's process and of ours to silver, their ratio, processor seconds, memory."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        log, lake = Path(scratch, "log"), Path(scratch, "lake")
        floor = run([sys.executable, "-m", "bench.etl_synthea", str(synthea), *map(str, vocabulary)], log)
        source = f"synthea_csv={synthea}"
        ours = run(
            [
                sys.executable,
                "-m",
                "carelake",
                "pipeline",
                "--lake",
                str(lake),
                "--source",
                source,
                "--until",
                "silver",
            ],
            log,
        )
    people = duckdb.sql(f"SELECT count(*) FROM {read([synthea], 'patients')}").fetchall()[0]
    return (
        f"| {people[0]} | {floor.seconds:.1f} | {ours.seconds:.1f} | {ours.seconds / floor.seconds:.1f} | "
        f"{floor.cpu:.1f} / {ours.cpu:.1f} | {floor.peak_rss / 2**30:.1f} / {ours.peak_rss / 2**30:.1f} |"
    )


def main(argv: list[str]) -> int:
    """Measure and print."""
    p = argparse.ArgumentParser(prog="python -m bench.beside", description=__doc__)
    p.add_argument("synthea", type=Path, help="Synthea's CSV files")
    p.add_argument("vocabulary", type=Path, nargs="+", help="folders as bench.etl_synthea takes them")
    p.add_argument("--copies", type=int, default=1, metavar="N", help="the files N times over")
    given = p.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        once = given.copies == 1
        files = given.synthea if once else copied(given.synthea, Path(scratch, "csv"), given.copies)
        print(beside(files, given.vocabulary))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
