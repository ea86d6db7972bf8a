"""Make a synthetic population with Synthea, for benchmarks and trials: FHIR bulk export, CSV, CMS RIF."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from carelake.core.config import HOME
from carelake.errors import ConfigError, UsageError

VERSION = "3.3.0"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>carelake</groupId><artifactId>synthea-fetch</artifactId><version>1</version>
<dependencies><dependency><groupId>org.mitre.synthea</groupId><artifactId>synthea</artifactId><version>{VERSION}</version></dependency>
</dependencies></project>
"""


def jars(cache: Path) -> Path:
    """The folder of Synthea's jars, fetched with Maven on first use. Raises ConfigError."""
    folder = cache / f"synthea-{VERSION}"
    if (folder / "complete").exists():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigError(
            "generate needs Maven to fetch Synthea once: install maven, or put its jars in " + str(folder)
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pom.xml").write_text(_POM, encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - a fixed command, without a shell
        [maven, "-q", "-B", "-f", str(folder / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"],
        check=False, capture_output=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise ConfigError("Synthea's jars could not be fetched: is there a network?")
    (folder / "complete").touch()
    return folder


def generate(out: Path, patients: int, seed: int, state: str, ages: str | None, *, rif: bool = True) -> None:
    """Write `out/fhir`, `out/csv` and `out/bfd`. Raises ConfigError or UsageError.

    With RIF, Synthea goes on until `patients` living people have Medicare and writes all others too (of all ages about
    4.3 people for each, of ages 35 to 90 about 2.3); without RIF it writes that many living people, and the dead besides.
    """
    if patients < 1:
        raise UsageError("--patients takes a number from 1")
    java = shutil.which("java")
    if java is None:
        raise ConfigError("generate needs Java 17 or newer: install a JDK")
    folder = jars(Path(os.environ.get("CARELAKE_CACHE", HOME / ".venv" / "cache")))
    out.mkdir(parents=True, exist_ok=True)
    command = [
        java, "-Xmx4g", "-cp", f"{folder}/*", "App", "-s", str(seed), "-cs", str(seed), "-r", "20240901", "-e", "20240901",
        "-p", str(patients), *(["-a", ages] if ages else []), f"--exporter.baseDirectory={out}/",
        "--exporter.csv.export=true", "--exporter.fhir.export=true", "--exporter.fhir.bulk_data=true",
        f"--exporter.bfd.export={'true' if rif else 'false'}", "--exporter.bfd.require_code_maps=false", state,
    ]  # fmt: skip
    with (out / "synthea.log").open("wb") as log:
        # Numbers, one state and ages; without a shell.
        done = subprocess.run(command, check=False, stdout=log, stderr=subprocess.STDOUT, cwd=out)  # noqa: S603 - as above
    if done.returncode != 0:
        raise ConfigError(f"Synthea ended with {done.returncode}: see {out / 'synthea.log'}")
