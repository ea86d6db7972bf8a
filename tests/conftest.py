"""One Spark session a test process, with Delta, small and quiet."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest_plugins = ["tests.helpers.lakes", "tests.helpers.machine"]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib"), str(ROOT)]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "lib"), os.environ.get("PYTHONPATH", "")])
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)

DATA = Path(os.environ.get("CARELAKE_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its category, the folder below tests/."""
    for item in items:
        item.add_marker(item.path.relative_to(ROOT / "tests").parts[0])


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the large public sets; skips when this clone has none."""
    if not DATA.is_dir():
        pytest.skip("the large data sets are not beside this clone (set CARELAKE_DATA to their folder)")
    return DATA


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A local session with Delta: the product's settings for one machine, smaller."""
    from pyspark.sql import SparkSession

    from carelake.core.session import properties, with_delta

    scratch = tmp_path_factory.mktemp("spark")
    jars, archive = with_delta(ROOT)
    settings = properties(ROOT / "conf" / "spark" / "local.conf") | jars
    settings["spark.driver.defaultJavaOptions"] += f" -Dderby.system.home={scratch} {archive}"
    settings |= {
        "spark.master": "local[2]",
        "spark.driver.memory": "4g",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.local.dir": str(scratch / "local"),
        "spark.jars.ivy": str(ROOT / ".venv" / "ivy"),
        # As a job does with so few rows (carelake.core.session); of the bundled sample the gate and the largest contract are compiled.
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    builder = SparkSession.builder.appName("carelake-tests").config(map=settings)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
