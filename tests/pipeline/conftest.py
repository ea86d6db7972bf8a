"""Lakes made once a session by the real command line, for the tests that only read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.cli import ROOT, carelake, five_people, note

if TYPE_CHECKING:
    import subprocess

    import pyarrow as pa

SAMPLE = ROOT / "sample"
SOURCES = ("fhir", "cms_rif", "fitbit", "enrollment")


@dataclass(frozen=True)
class Made:
    """A lake, what `--json` said of the run that made it, and how that run ended."""

    lake: Path
    note: dict[str, Any]
    done: subprocess.CompletedProcess[str]

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """The head of a table by delta-rs."""
        return read(self.lake, name, columns)

    def rows(self, name: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Its rows as dicts."""
        found: list[dict[str, Any]] = self.table(name, columns).to_pylist()
        return found

    def names(self, *layers: str) -> list[str]:
        """The tables of some layers, by their folders."""
        return tables(self.lake, *layers)


def read(lake: Path, name: str, columns: list[str] | None = None) -> pa.Table:
    """The head of a table by delta-rs, which is not the library that wrote it."""
    from deltalake import DeltaTable

    return DeltaTable(str(lake / name)).to_pyarrow_table(columns=columns)


def tables(lake: Path, *layers: str) -> list[str]:
    """The tables of some layers, found by their folders."""
    return sorted(
        p.parent.relative_to(lake).as_posix() for layer in layers for p in (lake / layer).rglob("_delta_log")
    )


def made(lake: Path, *argv: str, timeout: float = 900) -> Made:
    """Run the pipeline to gold into `lake`; it has to succeed."""
    told = lake.parent / f"{lake.name}.json"
    done = carelake(
        "pipeline", "--lake", str(lake), *argv, "--until", "gold", "--json", str(told), timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return Made(lake, note(told), done)


@pytest.fixture(scope="session")
def five_lake(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The five people to gold. For reading: a test that writes takes a copy."""
    return made(tmp_path_factory.mktemp("five") / "lake", *five_people())


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The bundled sample to gold, named source by source as one does with a population that nobody has seen."""
    given = [x for n in SOURCES for x in ("--source", f"{n}={SAMPLE / n}")]
    return made(tmp_path_factory.mktemp("sample") / "lake", *given, timeout=1800)
