"""The one door from Python into Spark's JVM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def jvm(session: SparkSession) -> Any:
    """The JVM of a session. PySpark types it as optional, since a Connect session has none; carelake's always has one."""
    return session._jvm
