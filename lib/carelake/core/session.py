"""The Spark session: spark-submit gives it; without spark-submit this module does what spark-submit.sh does."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from carelake.core.config import HOME
from carelake.core.jvm import java
from carelake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession


def properties(path: Path) -> dict[str, str]:
    """Spark's settings of a file of conf/spark: a key and a value a line."""
    pairs = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            key, _, value = line.strip().partition(" ")
            pairs[key] = value.strip()
    return pairs


def driver_memory_mib() -> int:
    """Heap of the driver: two fifths of the machine's memory, between 1 and 8 GiB; the rest is for Python and the page cache."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return max(1024, min(8192, total * 2 // 5))


def with_delta(home: Path) -> tuple[dict[str, str], str]:
    """Settings that put Delta's jars on the class path, and JVM options to start from the classes that the set-up archived.

    The JVM itself checks that the archive is of its version and of this class path, and does without it otherwise.
    """
    if not any((home / ".venv" / "jars").glob("*.jar")):
        return {"spark.jars.packages": "io.delta:delta-spark_4.2_2.13:4.4.0"}, ""
    options = ""
    archives = [
        f for f in (home / ".venv").glob("classes-*.jsa") if f.stat().st_size
    ]  # empty: could not be made
    if archives:  # of several Javas: the last one
        newest = max(archives, key=lambda f: f.stat().st_mtime)
        options = f'"-XX:SharedArchiveFile={newest}" -Xlog:cds=off -Xlog:cds+dynamic=off'
    return {"spark.driver.extraClassPath": f"{home}/.venv/jars/*"}, options


# Bytes of Parquet that a step reads. Below, Spark takes longer to compile expressions than to interpret them (bench/PROFILE.md).
COMPILED_FROM = 32 << 20
_MODE = "spark.sql.codegen.factoryMode"


def pace(session: SparkSession, size: int, *, constraints: bool = True) -> None:
    """Have expressions interpreted or compiled, as the bytes to be read ask for; `constraints`: let the optimizer infer filters.

    Where a plan is too long to be compiled as a whole, Spark writes and compiles the code of its expressions anew in every
    task. That is soon won back with many rows, and with few it is most of the work.
    """
    session.conf.set(_MODE, _mode(size))
    _twin.cache_clear()
    # Of a column that is worked out of another in several steps Spark keeps what it knows of each form: the columns of a CDM that is brought
    # are so many and so made that it plans for minutes.
    session.conf.set("spark.sql.constraintPropagation.enabled", str(constraints).lower())


def paced(frame: DataFrame, sizes: Iterable[int | None]) -> DataFrame:
    """The same rows, computed with expressions interpreted or compiled as the bytes of what is read ask for, whatever the session
    does otherwise. Left as it is when one of the sizes is not known.
    """
    from pyspark.sql import DataFrame

    known, session = list(sizes), frame.sparkSession
    if None in known:
        return frame
    size = sum(n or 0 for n in known)
    if session.conf.get(_MODE) == _mode(size):
        return frame
    other = _twin(session, _mode(size))
    plan = frame._jdf.queryExecution().analyzed()
    return DataFrame(
        java(session, "org.apache.spark.sql.classic.Dataset").ofRows(other._jsparkSession, plan), other
    )


def _mode(size: int) -> str:
    return "FALLBACK" if size >= COMPILED_FROM else "NO_CODEGEN"


@cache
def _twin(session: SparkSession, mode: str) -> SparkSession:
    """A session with all settings of another, as they were at its last `pace`, but how expressions are computed."""
    other = type(session)(session.sparkContext, session._jsparkSession.cloneSession())
    other.conf.set(_MODE, mode)
    return other


def start(app: str, scratch: str | None) -> SparkSession:
    """The session of a job, ready for Delta. `scratch` is a local folder for spill. Raises ConfigError."""
    import pyspark
    from py4j.java_gateway import java_import
    from pyspark.sql import SparkSession

    if not pyspark.__version__.startswith("4.2."):
        raise ConfigError(f"carelake needs Spark 4.2, this is {pyspark.__version__}: install pyspark 4.2.0")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(f"carelake {app}")
    if not {"PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS"} & set(
        os.environ
    ):  # plain Python, not the launcher
        jars, archive = with_delta(HOME)
        settings = properties(HOME / "conf" / "spark" / "local.conf") | jars
        settings.setdefault("spark.master", "local[*]")
        quiet = (HOME / "conf" / "log4j2.properties").as_uri()  # Spark's own messages show values of records
        settings["spark.driver.defaultJavaOptions"] += f" -Dlog4j2.configurationFile={quiet} {archive}"
        settings.setdefault("spark.driver.memory", f"{driver_memory_mib()}m")
        if scratch:
            settings["spark.local.dir"] = scratch
            settings["spark.sql.warehouse.dir"] = f"{scratch}/warehouse"
        for key, value in settings.items():
            builder = builder.config(key, value)
    session = builder.getOrCreate()
    # PySpark calls these by their short names for each select, and each call would try them in eight packages.
    for name in ("org.apache.spark.api.python.PythonUtils", "org.apache.spark.sql.api.python.PythonSQLUtils"):
        java_import(session._jvm, name)
    session.sparkContext.setLogLevel("OFF" if "CARELAKE_DEBUG" not in os.environ else "WARN")
    try:
        java(session, "io.delta.sql.DeltaSparkSessionExtension")()
    except TypeError:
        raise ConfigError(
            "Delta's jars are not on the class path: run ./spark-submit.sh, which fetches them"
        ) from None
    return session
