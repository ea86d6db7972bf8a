"""The floors: what the same Spark needs at the least. Each runs in a fresh process.

    python -m bench.floors start  SCRATCH
    python -m bench.floors bronze SCRATCH SENDER=FOLDER …   reads the text, hashes lines, takes a key, writes Delta
    python -m bench.floors silver SCRATCH LAKE              parses bronze once with schemas, writes silver's rows anew

The session is the product's own, with the same settings; writes run in as many threads as the product's.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from carelake.catalog import catalog
from carelake.core.config import load
from carelake.core.lake import statistics_columns
from carelake.core.session import start
from carelake.sources.fhir_shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

KEY = {"fhir": "get_json_object(value, '$.id')", "cms_rif": "split_part(value, '|', 2)"}


def _delta(frame: DataFrame, path: str, statistics: str) -> None:
    frame.write.format("delta").option("delta.dataSkippingStatsColumns", statistics).save(path)


def bronze(spark: SparkSession, scratch: Path, sources: dict[str, Path]) -> list[Callable[[], None]]:
    """Work for each sender: its files as text, hash and key of each line, into Delta."""

    def one(sender: str, folder: Path) -> None:
        files = [str(f) for f in sorted(folder.iterdir()) if catalog().sources[sender].reads(f.name)]
        lines = spark.read.text(files)
        _delta(
            lines.selectExpr("value", "sha2(value, 256) AS hash", f"{KEY[sender]} AS key"),
            str(scratch / "floor" / sender),
            "key",
        )

    return [lambda s=s, f=f: one(s, f) for s, f in sources.items()]  # type: ignore[misc]


def silver(spark: SparkSession, scratch: Path, lake: Path) -> list[Callable[[], None]]:
    """Work for each kind of bronze (parse every record once) and each silver table (write its rows)."""

    def parse(frame: DataFrame, sql: str) -> None:
        frame.selectExpr(f"inline(array({sql}))").write.format("noop").mode("overwrite").save()

    def rewrite(name: str) -> None:
        frame = spark.read.format("delta").load(str(lake / name))
        _delta(frame, str(scratch / "floor" / name), ",".join(statistics_columns(catalog().declared[name])))

    work: list[Callable[[], None]] = []
    for sender in sorted((lake / "bronze").iterdir()):
        table = spark.read.format("delta").load(str(sender))
        heads = table.groupBy("kind").agg({"header": "max"}).collect()
        for kind, header in sorted(heads):
            rows = table.where(f"kind = '{kind}'")
            if kind in SHAPES:
                sql = f"from_json(raw, '{SHAPES[kind]}')"
            elif header:
                columns = ", ".join(f"`{c.strip()}` string" for c in header.split("|"))
                sql = f"from_csv(raw, '{columns}', map('sep', '|'))"
            else:
                continue  # a kind that silver does not read
            work.append(lambda r=rows, s=sql: parse(r, s))  # type: ignore[misc]
    for log in sorted((lake / "silver").glob("*/*/_delta_log")):
        name = log.parent.relative_to(lake).as_posix()
        work.append(lambda n=name: rewrite(n))  # type: ignore[misc]
    return work


def main(argv: list[str]) -> int:
    """Run one floor."""
    what, scratch, *rest = argv
    folder = Path(scratch)
    spark = start(f"floor {what}", str(folder / "spill"))
    try:
        work: list[Callable[[], None]] = []
        if what == "bronze":
            work = bronze(spark, folder, {n: Path(p) for n, p in (x.split("=", 1) for x in rest)})
        elif what == "silver":
            work = silver(spark, folder, Path(rest[0]))
        else:
            spark.range(1).collect()
        with ThreadPoolExecutor(load("local").write_threads) as pool:
            for done in [pool.submit(w) for w in work]:
                done.result()
    finally:
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
