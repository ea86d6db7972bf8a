"""A lake of the bundled sample, from files to scores: made once in a test run, or copied from CARELAKE_TEST_LAKE."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from tests.helpers.cli import carelake

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MODEL = "carelake.acute_care_1y"
EXPERIMENT = "carelake/acute_care_1y"
# Where MLflow keeps absolute URIs of artifacts.
_PLACES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)  # fmt: skip


def scored_lake(factory: pytest.TempPathFactory) -> Path:
    """The lake; the same one for every test of this run, and the test's own to write in."""
    lake = factory.getbasetemp() / "scored_lake"
    if (lake / "complete").exists():
        return lake
    given = os.environ.get("CARELAKE_TEST_LAKE")
    if given:
        shutil.copytree(given, lake)
        _move(lake)
    else:
        done = carelake("pipeline", "--lake", str(lake), timeout=1700)
        assert done.returncode == 0, done.stderr
    (lake / "complete").touch()
    return lake


def database(lake: Path) -> Path:
    """MLflow's database of a lake."""
    return lake / "mlflow" / "mlflow.db"


def run_id(lake: Path) -> str:
    """The newest run of the model."""
    with closing(sqlite3.connect(database(lake))) as db:
        newest = "SELECT run_id FROM model_versions WHERE name = ? ORDER BY version DESC LIMIT 1"
        return str(db.execute(newest, (MODEL,)).fetchone()[0])


def _move(lake: Path) -> None:
    """Let the copy's database name the copy's artifacts, not those of the lake that was copied."""
    with closing(sqlite3.connect(database(lake))) as db:
        (location,) = db.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", (EXPERIMENT,)
        ).fetchone()
        before = location.removesuffix("/" + EXPERIMENT.rsplit("/", 1)[-1])
        for table, column in _PLACES:
            db.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (before, (lake / "mlflow" / "artifacts").as_uri()),
            )
        db.commit()
