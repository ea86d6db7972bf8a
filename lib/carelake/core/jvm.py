"""The one door from Python into Spark's JVM."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@cache
def java(session: SparkSession, name: str) -> Any:
    """A class of the JVM by its full name, asked for once.

    `session._jvm.org.apache…` would look for a class at every dot, each time, in each of 300 jars: that was a tenth of
    what the driver did in a small run. Not for a Connect session, which has no JVM.
    """
    return getattr(session._jvm, name)
