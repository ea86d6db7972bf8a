"""Lakes made once a session by the real command line, for the tests that only read them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.helpers.books import Made
from tests.helpers.cli import ROOT, carelake, five_people, note
from tests.helpers.runs import run
from tests.helpers.story import STORY, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

SOURCES = ("fhir", "cms_rif", "fitbit", "enrollment")


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _made(folder: Path, *argv: str, timeout: float = 900) -> Made:
    """Run the pipeline to gold into `folder`/lake from an empty folder beside it; it has to succeed."""
    lake, told, start = folder / "lake", folder / "note.json", folder / "start"
    start.mkdir()
    with _inside(start):
        done = carelake(
            "pipeline", "--lake", str(lake), *argv, "--until", "gold", "--json", str(told), timeout=timeout
        )
    assert done.returncode == 0, done.stderr
    return Made(lake, note(told), done, start)


@pytest.fixture(scope="session")
def five_lake(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The five people to gold. For reading: a test that writes takes a copy."""
    return _made(tmp_path_factory.mktemp("five"), *five_people())


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The bundled sample to gold, named source by source as one does with a population that nobody has seen."""
    given = [x for n in SOURCES for x in ("--source", f"{n}={ROOT / 'sample' / n}")]
    return _made(tmp_path_factory.mktemp("sample"), *given, timeout=1800)


def _synthea(factory: pytest.TempPathFactory, source: str) -> Path:
    """The 24 people of synthea_ma20 in one format, until silver. For reading."""
    lake = factory.mktemp("synthea") / "lake"
    done = carelake("pipeline", "--lake", str(lake), "--source", source, "--until", "silver")
    assert done.returncode == 0, done.stderr
    return lake


@pytest.fixture(scope="session")
def synthea_csv_lake(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _synthea(tmp_path_factory, f"synthea_csv={data}/synthea_ma20/csv")


@pytest.fixture(scope="session")
def synthea_fhir_lake(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _synthea(tmp_path_factory, f"fhir={data}/synthea_ma20/fhir")


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story's exports, a folder a day. For reading."""
    root = tmp_path_factory.mktemp("story")
    for n, files in enumerate(STORY):
        write(root / f"day{n}", n, files)
    return root


@pytest.fixture(scope="session")
def first_day(spark: SparkSession, days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story's first day until silver. For reading."""
    lake = tmp_path_factory.mktemp("first") / "lake"
    run(spark, lake, {"fhir": days / "day0"}, "--until", "silver")
    return lake
