"""Runs of the pipeline inside the test's own session: many small runs, one start of the JVM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carelake import app
from carelake.core import config as configuration
from carelake.core.failure import in_words
from carelake.core.lake import DeltaLake
from carelake.jobs import perform
from carelake.quality import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyspark.sql import SparkSession


def run(
    spark: SparkSession, lake: Path, sources: Mapping[str, Path], *options: str, job: str = "pipeline"
) -> dict[str, Any]:
    """What `./spark-submit.sh JOB --lake … --source …` does after its session is up; returns what `--json` would hold."""
    given = [x for name, path in sources.items() for x in ("--source", f"{name}={path}")]
    parsed = app.parser(job).parse_args(["--lake", str(lake), *given, *options])
    config = configuration.load(parsed.env)
    senders = tuple(app._given(text, config) for text in getattr(parsed, "source", ()))
    note: dict[str, Any] = {}
    lake.mkdir(parents=True, exist_ok=True)
    with in_words(str(lake)):
        perform(job, parsed, config, senders, str(lake), spark, note)
    return note


def digests(spark: SparkSession, lake: Path, *prefixes: str) -> dict[str, tuple[int, str]]:
    """`quality --digest` of the tables whose name begins so, by table."""
    from carelake.catalog import catalog

    tables = [t for n, t in catalog().declared.items() if n.startswith(prefixes or ("silver/", "gold/"))]
    return {name: (n, h) for name, n, h in digest(DeltaLake(spark, str(lake)), tables)}
