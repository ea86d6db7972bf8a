"""A copy of the launcher on a machine that has just the tools that a test puts on it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.helpers.cli import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = (
    "bash", "sh", "dirname", "readlink", "sed", "awk", "cat", "id", "locale", "ls", "mkdir", "cmp", "grep", "chmod", "mv",
    "find", "rm", "touch", "cp",
)  # fmt: skip
STUB = """
import os, signal, sys, time
def main(argv, environ):
    print(argv, flush=True)
    if "--wait" in argv:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(70))
        print("ready", flush=True)
        time.sleep(60)
    return int(argv[-1])
"""


@dataclass
class Started:
    """What the launcher would run."""

    code: int
    message: str
    environ: dict[str, str]
    command: list[str]

    @property
    def submit(self) -> list[str]:
        """The options that spark-submit gets."""
        return shlex.split(self.environ["PYSPARK_SUBMIT_ARGS"])

    def value(self, option: str) -> str:
        """The value of a spark-submit option, the last one given."""
        at = len(self.submit) - 1 - self.submit[::-1].index(option)
        return self.submit[at + 1]

    def conf(self, key: str) -> str | None:
        """The value of a --conf, the last one given."""
        pairs = [v.split("=", 1) for o, v in zip(self.submit, self.submit[1:], strict=False) if o == "--conf"]
        return dict(pairs).get(key)


@dataclass
class Machine:
    """A copy of the checkout on a machine that has just the tools that the test puts on it."""

    checkout: Path
    bin: Path
    cwd: Path

    def java(self, version: str | None) -> None:
        """A java that only tells its version; None: no java."""
        (self.bin / "java").unlink(missing_ok=True)
        if version:
            self._script("java", f"echo 'openjdk version \"{version}\" 2025-01-01' >&2")

    def python(self, works: bool) -> None:
        """A python3, or none."""
        (self.bin / "python3").unlink(missing_ok=True)
        if works:
            (self.bin / "python3").symlink_to(sys.executable)

    def nameless(self) -> None:
        """The user is a number alone, as in a container."""
        (self.bin / "id").unlink()
        self._script("id", '[ "$1" = -u ] && echo 1000660000')

    def _script(self, name: str, body: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)

    def environ(self, **extra: str) -> dict[str, str]:
        return {
            "PATH": str(self.bin), "HOME": str(self.cwd), "CARELAKE_INSTALL": "never", "LANG": "C.UTF-8", **extra
        }  # fmt: skip

    def run(self, *args: str, script: Path | None = None, **environ: str) -> Started:
        done = subprocess.run(
            [str(script or self.checkout / "spark-submit.sh"), *args], cwd=self.cwd, capture_output=True,
            text=True, encoding="utf-8", env=self.environ(CARELAKE_DRY_RUN="1", **environ), check=False,
        )  # fmt: skip
        words = shlex.split(done.stdout) if done.returncode == 0 and "usage:" not in done.stdout else []
        assigned = [w for w in words if re.match(r"[A-Z_]+=", w)]
        return Started(
            done.returncode, done.stderr + ("" if words else done.stdout),
            dict(w.split("=", 1) for w in assigned), words[len(assigned) :],
        )  # fmt: skip

    def spark(self, core_jar: str) -> str:
        """A SPARK_HOME that holds this spark-core."""
        home = self.cwd / "spark home"
        (home / "jars").mkdir(parents=True)
        (home / "jars" / core_jar).touch()
        return str(home)

    def set_up(self) -> None:
        """A .venv that passes for prepared, with an app that needs no Spark."""
        venv = self.checkout / ".venv"
        for folder in ("bin", "jars", f"lib/python3.{sys.version_info.minor}/site-packages/pyspark"):
            (venv / folder).mkdir(parents=True)
        (venv / "bin" / "python").symlink_to(sys.executable)
        locks = b"".join((self.checkout / f).read_bytes() for f in ("pyproject.toml", "requirements.lock"))
        (venv / ".stamp-core").write_bytes(locks)
        (venv / "jars" / ".io.delta:delta-spark_4.2_2.13:4.4.0").touch()
        (venv / "classes-17.0.15.jsa").touch()
        package = self.checkout / "lib" / "carelake"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "app.py").write_text(STUB)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    checkout, binaries, cwd = tmp_path / "the clöne, #1", tmp_path / "bin", tmp_path / "elsewhere"
    for folder in (checkout, binaries, cwd):
        folder.mkdir()
    for name in ("spark-submit.sh", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, checkout)
    shutil.copytree(ROOT / "conf", checkout / "conf")
    shutil.copytree(ROOT / "jobs", checkout / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    for tool in TOOLS:
        if found := shutil.which(tool):
            (binaries / tool).symlink_to(found)
    machine = Machine(checkout, binaries, cwd)
    machine.java("17.0.15")
    machine.python(works=True)
    return machine
