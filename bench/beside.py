"""carelake beside OHDSI's logic on DuckDB, from the same files until silver, each a process of its own, started cold.

    python -m bench.beside SYNTHEA_CSV VOCABULARY [--copies N]

Prints rows of a table: all files, then one visit more of one percent of the people. With --copies the files are taken N times over, under other ids: ten thousand people out of a thousand.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import duckdb

from bench.changed import later_visits
from bench.etl_synthea import read
from bench.population import copied
from bench.process import Measured, run


def beside(synthea: Path, vocabulary: list[Path]) -> str:
    """The rows: people, seconds of DuckDB's process and of ours to silver, their ratio, processor seconds, memory; the same for an
    increment of 1 % of the people, beside which DuckDB's full build stands again.
    """
    people = duckdb.sql(f"SELECT count(*) FROM {read([synthea], 'patients')}").fetchall()[0][0]
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        log, lake = Path(scratch, "log"), Path(scratch, "lake")

        def ours(folder: Path) -> Measured:
            job = ["pipeline", "--lake", str(lake), "--source", f"synthea_csv={folder}", "--until", "silver"]
            done = run([sys.executable, "-m", "carelake", *job], log)
            print(f"  {folder.name}: {done.seconds:.1f} s", file=sys.stderr, flush=True)
            return done

        floor = run([sys.executable, "-m", "bench.etl_synthea", str(synthea), *map(str, vocabulary)], log)
        whole = ours(synthea)
        part = ours(later_visits(synthea, Path(scratch, "later"), max(1, people // 100)))
    return "\n".join(
        f"| {what} | {floor.seconds:.1f} | {m.seconds:.1f} | {m.seconds / floor.seconds:.1f} | {floor.cpu:.1f} / {m.cpu:.1f} | "
        f"{floor.peak_rss / 2**30:.1f} / {m.peak_rss / 2**30:.1f} |"
        for what, m in ((people, whole), (f"{people}, a visit more of 1 %", part))
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
